'use strict';

// The hosts of a fleet, as this agent has heard of them. Of the same page as console.js, by whose words it goes. It only looks: nothing
// is restored from here. All that is told here others may have made up, and it goes into text.

/** Of the fleet that this agent shows: how many hosts. */
let fleetSize = 0;
/** Whether the agent lets us in. */
let isIn = false;

const inFleet = () => isIn && fleetSize > 0 && location.hash.startsWith('#fleet');

/** This host, or the fleet. What restores is of this host, so it is not there with the fleet. */
function showView() {
  const fleet = inFleet();
  byId('desk').hidden = !isIn || fleet;
  byId('fleet').hidden = !fleet;
  byId('views').hidden = !isIn || fleetSize === 0;
  byId('restore-place').hidden = fleet;
  for (const [id, isShown] of [['to-host', !fleet], ['to-fleet', fleet]]) {
    if (isShown) byId(id).setAttribute('aria-current', 'page');
    else byId(id).removeAttribute('aria-current');
  }
  byId('skip').setAttribute('href', fleet ? '#fleet-title' : '#faults');
}

async function changeView() {
  const changes = inFleet() === byId('fleet').hidden;
  showView();
  if (!changes) return;
  scrollTo(0, 0);
  // What was heard when it was looked at before is old; without the agent it is all that there is.
  if (inFleet() && !lostSince) showFleet({ hosts: [] });
  byId(inFleet() ? 'fleet-title' : 'faults').focus({ preventScroll: true });
  await (inFleet() ? look() : refresh()).catch(problemOf);
}

const look = once(async () => showFleet(await ask('GET', 'v1/fleet')));

// Words.

const many = (count, one, more) => `${count} ${count === 1 ? one : more}`;

/** What the configuration calls a host, and what it calls itself, where that is something else. */
function namesOf({ name, host }) {
  return [name, host && host.toLowerCase() !== name.replace(/:\d+$/, '').toLowerCase() ? host : ''];
}

const isSilent = ({ hearing }) => hearing.is === 'silent';
const asTold = (host) => (isSilent(host) ? `as told ${span(host.told_ms)} ago` : '');

/** Faults that are not shown. */
const moreOf = (hosts) => hosts.reduce((sum, host) => sum + host.more, 0);

function fleetHeadline(hosts) {
  if (hosts.every(({ hearing }) => hearing.is === 'asked')) return 'Asking the hosts';
  const faults = hosts.flatMap((host) => host.faults);
  const on = hosts.filter((host) => host.faults.length > 0).length;
  const more = moreOf(hosts);
  return faults.length === 0 ? headline([]) : `${headline(faults)}, on ${many(on, 'host', 'hosts')}${more > 0 ? `, and ${more} more` : ''}`;
}

// Faults.

/** By host and id. */
const fleetRows = new Map();

function newFleetRow(id) {
  const row = {
    tr: element('tr', { role: 'row' }), host: element('b'), self: element('span'), told: element('span', { class: 'wrong' }),
    sentence: element('b'), by: element('span'), state: element('span'), time: element('b'), lease: element('small'),
    hits: cell('Hits', 'hits'), verdict: cell('Kernel says', 'verdict'), hit: '', ends: Infinity,
  };
  const [who, what, state, left] = [cell('', 'what who'), cell('', 'what'), cell('State', ''), cell('Time left', 'left')];
  who.append(row.host, row.self, row.told);
  what.append(row.sentence, element('span', { class: 'id' }, id), row.by);
  state.append(row.state);
  left.append(row.time, row.lease);
  row.tr.append(who, what, state, left, row.hits, row.verdict);
  return row;
}

function showFleetRow(row, host, fault) {
  const [name, self] = namesOf(host);
  write(row.host, name);
  write(row.self, self);
  write(row.told, asTold(host));
  write(row.by, `by ${fault.by}`);
  showEssence(row, fault);
  write(row.verdict, verdict(fault.verdict));
}

/** What is more than the agent tells of a host. */
function newRest() {
  const rest = cell('', 'what');
  rest.setAttribute('colspan', '6');
  const tr = element('tr', { role: 'row' });
  tr.append(rest);
  return { tr, rest };
}

function showFleetRows(hosts) {
  const shown = [];
  const row = (key, made) => {
    if (!fleetRows.has(key)) fleetRows.set(key, made());
    shown.push(key);
    return fleetRows.get(key);
  };
  hosts.forEach((host, nth) => {
    for (const fault of host.faults) showFleetRow(row(`${nth} ${fault.id}`, () => newFleetRow(fault.id)), host, fault);
    if (host.more > 0) write(row(`${nth}`, newRest).rest, `${host.name} has ${host.more} more, which are not shown here.`);
  });
  arrange(fleetRows, shown, byId('fleet-rows'), byId('fleet-title'));
  byId('fleet-table').hidden = shown.length === 0;
}

// Hosts.

const HEARINGS = { asked: 'is asked', answers: 'answers', silent: 'does not answer' };
const memberItems = [];

function showMembers(hosts) {
  while (memberItems.length > hosts.length) memberItems.pop().li.remove();
  hosts.forEach((host, nth) => {
    if (!memberItems[nth]) {
      const item = { li: element('li'), name: element('b'), self: element('span'), hearing: element('span', { class: 'state' }), count: element('span') };
      item.li.append(item.name, item.self, item.hearing, item.count);
      byId('members').append(item.li);
      memberItems[nth] = item;
    }
    const item = memberItems[nth];
    const [name, self] = namesOf(host);
    write(item.name, name);
    write(item.self, [self, host.version].filter(Boolean).join(' · '));
    item.hearing.className = `state ${isSilent(host) ? 'stuck' : ''}`;
    write(item.hearing, HEARINGS[host.hearing.is]);
    const count = host.faults.length + host.more;
    write(item.count, count === 0 ? '' : many(count, 'fault', 'faults'));
  });
}

/** So many are told one by one; all of them are in the list of hosts. */
const TOLD = 20;
const silentItems = new Map();

/** Whoever does not answer is told as loudly as can be. */
function showSilent(hosts) {
  const silent = hosts.filter(isSilent);
  byId('silent').hidden = silent.length === 0;
  write(byId('silent-title'), many(silent.length, 'host does not answer', 'hosts do not answer'));
  const told = silent.slice(0, TOLD);
  const names = new Set(told.map((host) => host.name));
  for (const [name, item] of silentItems) {
    if (names.has(name)) continue;
    item.remove();
    silentItems.delete(name);
  }
  for (const host of told) {
    if (!silentItems.has(host.name)) silentItems.set(host.name, byId('silent-list').appendChild(element('li')));
    const [name, self] = namesOf(host);
    write(silentItems.get(host.name), `${name}${self && ` (${self})`}, for ${span(host.hearing.since_ms)}: ${host.hearing.why}`);
  }
  const rest = silent.length - told.length;
  write(byId('silent-rest'), rest > 0 ? `And ${rest} more.` : '');
}

/** For screen readers: who has fallen silent, who answers again, and what has changed. */
let spokenOf = { silent: new Set(), words: '' };

function speakOfFleet(hosts, words) {
  const silent = new Set(hosts.filter(isSilent).map((host) => host.name));
  const news = [...silent].filter((name) => !spokenOf.silent.has(name)).map((name) => `${name} does not answer`);
  for (const { name, hearing } of hosts) if (hearing.is === 'answers' && spokenOf.silent.has(name)) news.push(`${name} answers again`);
  if (words !== spokenOf.words) news.push(words);
  spokenOf = { silent, words };
  if (news.length > 0) speak(news.length > 5 ? `${words}. ${many(silent.size, 'host does not answer', 'hosts do not answer')}` : news.join('. '));
}

function showFleet({ hosts }) {
  const shown = hosts.flatMap((host) => host.faults);
  const more = moreOf(hosts);
  const faults = shown.length + more;
  const inForce = shown.filter(({ state }) => state === 'active').length;
  const [answering, silent, asked] = ['answers', 'silent', 'asked'].map((is) => hosts.filter(({ hearing }) => hearing.is === is).length);
  const counts = { hosts: hosts.length, answering, silent, asked, faults };
  for (const [what, count] of Object.entries(counts)) write(byId(`count-${what}`), count.toLocaleString('en'));
  // Of those that are not shown nobody knows.
  write(byId('count-in-force'), `${inForce.toLocaleString('en')}${more > 0 ? ' or more' : ''}`);
  byId('counts').classList.toggle('some-silent', silent > 0);
  byId('counts').classList.toggle('some-in-force', inForce > 0);
  const words = fleetHeadline(hosts);
  write(byId('fleet-title'), words);
  showSilent(hosts);
  showFleetRows(hosts);
  showMembers(hosts);
  const isQuiet = faults === 0 && answering > 0;
  byId('fleet-quiet').hidden = !isQuiet;
  write(byId('fleet-quiet'), silent + asked === 0 ? 'No fault acts on any host of this fleet.' : 'No fault acts on the hosts that answer.');
  if (!inFleet()) return;
  speakOfFleet(hosts, words);
  mark(faults > 0, `${words} - fleet`);
  tick();
}

window.addEventListener('hashchange', changeView);

setInterval(() => {
  if (inFleet() && !document.hidden && !lostSince) look().catch(() => stream?.abort());
}, READ_EVERY);
