'use strict';

// The console of one agent. It asks the API like any other caller. Ids, names of peers and callers, and the kernel's words were written
// by others: they go into text and nowhere else.

/** How often counters are read while something is in force: the kernel counts, and tells nobody. */
const READ_EVERY = 1000;
/** The agent says something every 15 s, if only that it is there. */
const QUIET = 40_000;
/** A question that takes longer is lost; so is an order, which may wait for name servers. */
const PATIENCE = { GET: 10_000, other: 30_000 };

// The page.

const byId = (id) => document.getElementById(id);

/** A new element; what is put into it is text or elements, never markup. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** Leaves alone what is as it should be: whoever reads or selects it is not disturbed. */
function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** For screen readers. */
function speak(text) {
  write(byId('spoken'), text);
}

function notice(node, look, title, ...lines) {
  node.className = `notice ${look}`;
  node.replaceChildren(element('strong', {}, title), ...lines.filter(Boolean).map((line) => element('p', {}, line)));
  node.hidden = false;
}

/** What was refused, why, and what to do about it. */
function showProblem(node, problem) {
  notice(node, 'problem', problem.title, problem.detail, problem.hint);
  node.focus();
}

// The agent.

/** In memory only: what is stored, others may find. */
let token = null;
let myRole = null;
const mayChange = () => myRole === 'inject' || myRole === 'admin';

/** A refusal, in the form of RFC 9457, or a silence in the same form. */
class Refusal extends Error {
  constructor(problem) {
    super(problem.detail);
    this.problem = problem;
  }
}

const SILENCE = {
  code: 'silence',
  title: 'The agent does not answer',
  detail: 'It could not be reached, or not in time. If it has died, the kernel has ended every fault at that moment.',
  hint: 'On the host: `partition-agent status`, `partition-agent restore --all`; or kill the agent, which ends every fault.',
};

async function request(method, path, body, signal) {
  const headers = {};
  if (token !== null) headers.authorization = `Bearer ${token}`;
  if (body !== undefined) headers['content-type'] = 'application/json';
  let response;
  try {
    response = await fetch(path, { method, headers, body, signal, cache: 'no-store', redirect: 'error' });
  } catch {
    throw new Refusal(SILENCE);
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => null);
  throw new Refusal(problem?.detail ? problem : { ...SILENCE, detail: `The answer was ${response.status}, and not the agent's.` });
}

async function ask(method, path, body) {
  const response = await request(method, path, body, AbortSignal.timeout(PATIENCE[method] ?? PATIENCE.other));
  return response.json().catch(() => { throw new Refusal(SILENCE); });
}

/** A bug of this page is not taken for a refusal. */
function problemOf(error) {
  if (error instanceof Refusal) return error.problem;
  throw error;
}

/** One question at a time; whoever asks meanwhile gets the answer after that. */
function once(question) {
  let running = null;
  let next = null;
  const run = () => {
    running = question().finally(() => { running = null; });
    return running;
  };
  return () => {
    if (!running) return run();
    next ??= running.catch(() => {}).then(() => { next = null; return run(); });
    return next;
  };
}

// Words.

const TIMES = [['d', 86_400], ['h', 3600], ['m', 60], ['s', 1]];

/** The two largest units, as in `4m 58s`. */
function span(millis) {
  let seconds = Math.max(0, Math.ceil(millis / 1000));
  const words = [];
  for (const [unit, size] of TIMES) {
    const count = Math.floor(seconds / size);
    if (count > 0) words.push(`${count}${unit}`);
    seconds -= count * size;
  }
  return words.slice(0, 2).join(' ') || '0s';
}

function clock(rfc3339) {
  const at = new Date(rfc3339);
  const two = (number) => String(number).padStart(2, '0');
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return at.toDateString() === new Date().toDateString() ? time : `${day} ${time}`;
}

function bytes(count) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let nth = 0;
  for (; count >= 1000 && nth < units.length - 1; nth += 1) count /= 1000;
  return `${nth === 0 ? count : count.toFixed(1)} ${units[nth]}`;
}

const HITS = [
  ['lost_packets', 'lost', 'lost_bytes'],
  ['shaped_packets', 'shaped', 'shaped_bytes'],
  ['rejected_packets', 'rejected', 'rejected_bytes'],
  ['reset_connections', 'connections reset'],
  ['failed_questions', 'questions failed'],
  ['queue_drops', 'lost in the queue'],
  ['overflow_drops', 'dropped for want of room'],
];

/** What was hit, each with its bytes where there are any. Of what was lost in the queue, what nobody asked for is told by itself. */
function hits(told) {
  const counts = { ...told, queue_drops: told.queue_drops - told.overflow_drops };
  const some = HITS.filter(([count]) => counts[count] > 0);
  return some.map(([count, word, size]) => [`${counts[count].toLocaleString('en')} ${word}`, size ? bytes(counts[size]) : '']);
}

const hitsInWords = (counts) => hits(counts).map(([words]) => words).join(', ') || 'none';

function verdict({ is, found, why }) {
  return is === 'confirmed' ? 'confirmed' : `${is}: ${found ?? why}`;
}

const ENDS = {
  deadline: () => 'deadline',
  lease_lost: () => 'lease lost',
  restored: ({ who }) => `restored by ${who}`,
  shutdown: () => 'agent stopped',
  agent_died: () => 'agent died',
  vanished: ({ what }) => `${what} is gone`,
  expired: () => 'never committed',
  missed: () => 'missed its start',
  failed: ({ why }) => `failed: ${why}`,
};

const STATES = [['active', 'in force'], ['waiting', 'waiting'], ['prepared', 'prepared'], ['restoring', 'draining'], ['stuck', 'stuck']];

function headline(faults) {
  const count = (state) => faults.filter((fault) => fault.state === state).length;
  const some = STATES.map(([state, words]) => [count(state), words]).filter(([number]) => number > 0);
  return some.map(([number, words]) => `${number} ${words}`).join(', ') || 'Nothing is in force';
}

// Faults.

/** By id: its row, and when it ends by the clock of this browser that nobody sets. */
const rows = new Map();
let hasFaults = false;

function cell(label, kind) {
  return element('td', { role: 'cell', class: kind, ...(label && { 'data-label': label }) });
}

function newRow(id) {
  const row = {
    tr: element('tr', { role: 'row' }),
    sentence: element('b'), by: element('span'),
    state: element('span'), time: element('b'), lease: element('small'), share: element('span', { class: 'share', 'aria-hidden': 'true' }),
    hits: cell('Hits', 'hits'), verdict: cell('Kernel says', 'verdict'), does: cell('', 'does'),
    hit: '', ends: Infinity, total: 1,
  };
  const [what, state, left] = [cell('', 'what'), cell('State', ''), cell('Time left', 'left')];
  what.append(row.sentence, element('span', { class: 'id' }, id), row.by);
  state.append(row.state);
  left.append(row.time, row.lease, row.share);
  row.tr.append(what, state, left, row.hits, row.verdict, row.does);
  return row;
}

function showFaults(faults) {
  for (const fault of faults) {
    if (!rows.has(fault.id)) rows.set(fault.id, newRow(fault.id));
    showFault(rows.get(fault.id), fault);
  }
  arrange(rows, faults.map((fault) => fault.id), byId('fault-rows'), byId('faults'));
  hasFaults = faults.length > 0;
  byId('fault-table').hidden = !hasFaults;
  byId('quiet').hidden = hasFaults;
  write(byId('faults'), headline(faults));
  if (!inFleet()) mark(hasFaults, `${hasFaults ? `${headline(faults)} - ` : ''}${byId('host').textContent}`);
  tick();
}

/** These rows in this order, and no other. Whoever was on a button of one that is gone goes on from the heading. */
function arrange(all, keys, body, heading) {
  const shown = new Set(keys);
  for (const [key, { tr }] of all) {
    if (shown.has(key)) continue;
    const wasHere = tr.contains(document.activeElement);
    tr.remove();
    all.delete(key);
    if (wasHere) heading.focus();
  }
  keys.forEach((key, nth) => {
    const { tr } = all.get(key);
    const there = body.children[nth];
    if (there !== tr) body.insertBefore(tr, there ?? null);
  });
}

/** What is seen from afar, and in a list of windows. */
function mark(isInForce, title) {
  document.body.classList.toggle('in-force', isInForce);
  document.title = title;
}

function showFault(row, fault) {
  const on = fault.places.map(({ name, interfaces }) => [name === 'host' ? '' : name, interfaces.join(', ')].filter(Boolean).join(': '));
  write(row.by, [on.filter(Boolean).join('; '), fault.engine && `shaped by ${fault.engine}`, `by ${fault.by}`].filter(Boolean).join(' · '));
  showEssence(row, fault);
  row.total = Math.max(1, new Date(fault.ends_at) - new Date(fault.injected_at));
  const behind = fault.shadowed_by?.length ? `, behind ${fault.shadowed_by.join(', ')}` : '';
  write(row.verdict, verdict(fault.verdict) + behind);
  showRestore(row, fault.id);
}

/** What there is to be told of any fault, wherever it is. */
function showEssence(row, fault) {
  write(row.sentence, fault.fault);
  row.tr.className = fault.state;
  row.state.className = `state ${fault.state}`;
  write(row.state, fault.state);
  // An answer that took its time makes the end look later, never sooner; a jump is a new deadline.
  const ends = performance.now() + fault.remaining_ms;
  row.ends = Math.abs(ends - row.ends) < 1000 ? Math.min(ends, row.ends) : ends;
  write(row.lease, fault.lease_remaining_ms === undefined ? '' : `lease ${span(fault.lease_remaining_ms)}`);
  showHits(row, fault.hits);
  row.verdict.classList.toggle('wrong', fault.verdict.is === 'mismatch');
}

function showHits(row, counts) {
  const some = hits(counts);
  const now = JSON.stringify(some);
  if (row.hit === now) return;
  row.hit = now;
  const lines = some.map(([words, size]) => element('span', {}, words, ...(size ? [element('small', {}, size)] : [])));
  row.hits.replaceChildren(...(lines.length ? lines : ['none']));
}

function showRestore(row, id) {
  if (!mayChange()) return row.does.replaceChildren();
  if (row.does.firstChild) return undefined;
  const button = element('button', { type: 'button', class: 'small', 'aria-label': `Restore ${id}` }, 'Restore');
  button.addEventListener('click', () => restore(button, `v1/faults/${encodeURIComponent(id)}`));
  return row.does.append(button);
}

/** Time goes on by itself, also where the agent does not answer: the kernel ends the fault, not the agent. */
function tick() {
  for (const row of rows.values()) {
    const left = row.ends - performance.now();
    write(row.time, span(left));
    row.share.style.setProperty('--share', String(Math.min(1, Math.max(0, left / row.total)).toFixed(4)));
  }
  for (const { time, ends } of fleetRows.values()) if (time) write(time, span(ends - performance.now()));
}

// Restoring. It harms nobody, so nobody is asked whether they are sure.

async function restore(button, path) {
  // Not disabled meanwhile: that would take the focus away from whoever has no mouse.
  if (button.ariaBusy === 'true') return;
  button.ariaBusy = 'true';
  try {
    const answer = await ask('DELETE', path);
    tellRestored(Array.isArray(answer) ? answer : [answer]);
  } catch (error) {
    showProblem(byId('notice'), problemOf(error));
  } finally {
    button.ariaBusy = 'false';
  }
  await refreshAll();
}

function tellRestored(all) {
  const stuck = all.filter((fault) => fault.state === 'stuck');
  if (stuck.length > 0) {
    const lines = stuck.map((fault) => `${fault.id}: ${verdict(fault.verdict)}`);
    notice(byId('notice'), 'problem', 'The kernel refuses to remove something; the agent keeps trying', ...lines);
    return;
  }
  const draining = all.some((fault) => fault.state === 'restoring') ? 'Packets that were delayed are still on their way.' : '';
  const names = all.map((fault) => fault.id).join(', ');
  notice(byId('notice'), '', all.length === 0 ? 'Nothing was in force' : `Restored: ${names}`, draining);
}

function isRestoreAll(event) {
  return event.altKey && event.shiftKey && !event.ctrlKey && !event.metaKey && event.code === 'KeyR' && !event.repeat;
}

document.addEventListener('keydown', (event) => {
  if (!isRestoreAll(event) || !byId('restore-all') || byId('restore-place').hidden) return;
  event.preventDefault();
  byId('restore-all').click();
});

// What was.

function showPast(past) {
  byId('past-rows').replaceChildren(...past.map(pastRow));
  byId('past-table').hidden = past.length === 0;
  byId('no-past').hidden = past.length > 0;
}

function pastRow(over) {
  const [what, ended, by, hit, before, does] =
    [cell('', 'what'), cell('Ended', ''), cell('How', ''), cell('Hit', ''), cell('All else as before', ''), cell('', 'does')];
  what.append(element('b', {}, over.fault), element('span', { class: 'id' }, over.id));
  ended.append(element('time', { datetime: over.ended_at, title: over.ended_at }, clock(over.ended_at)));
  by.append(ENDS[over.end.by]?.(over.end) ?? over.end.by);
  hit.append(over.end.by === 'agent_died' ? 'not known' : hitsInWords(over.hits));
  before.append({ confirmed: 'yes', mismatch: `no: ${over.as_before?.found}` }[over.as_before?.is] ?? 'not known');
  if (mayChange()) {
    const button = element('button', { type: 'button', class: 'small', 'aria-label': `Fill the form with ${over.id} once more` }, 'Once more');
    button.addEventListener('click', () => fill(over.spec));
    does.append(button);
  }
  const tr = element('tr', { role: 'row' });
  tr.append(what, ended, by, hit, before, does);
  return tr;
}

/** What may not be done here is not there. */
function equip() {
  if (mayChange() === Boolean(byId('restore-all'))) return;
  if (!mayChange()) {
    byId('restore-place').replaceChildren();
    byId('inject-place').replaceChildren();
    return;
  }
  byId('restore-place').append(byId('restore-template').content.cloneNode(true));
  byId('inject-place').append(byId('inject-template').content.cloneNode(true));
  byId('restore-all').addEventListener('click', () => restore(byId('restore-all'), 'v1/faults'));
  equipForm();
}
