'use strict';

// What may be injected with the form, its plan, and the inject. Of the same page as console.js, by whose words it goes.

const choice = (name, label, ...options) => ({ name, label, options });
const input = (name, label, value, help = '') => ({ name, label, value, help });
/** What is no number goes as it is: the agent says what is wrong with it. */
const number = (text) => (text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : text);
const list = (text) => text.split(/[\s,]+/).filter(Boolean);

/** What the form can ask for; the rest is for JSON. */
const KINDS = [
  { name: 'cut', label: 'Cut off', about: 'Every packet is lost, and the sender is not told.', fields: [], of: () => ({ loss: { percent: 100 } }) },
  { name: 'loss', label: 'Loss', about: 'Some packets are lost.', fields: [input('percent', 'Lost, in percent', '30')],
    of: (f) => ({ loss: { percent: number(f.percent) } }) },
  { name: 'latency', label: 'Latency', about: 'Packets arrive later. It is one way: both ways make it twice in a round trip.',
    fields: [input('latency', 'Latency', '100ms'), input('jitter', 'Jitter, more or less', '', 'none; 10ms')],
    of: (f) => ({ delay: { latency: f.latency, ...(f.jitter && { jitter: f.jitter }) } }) },
  { name: 'rate', label: 'Rate', about: 'No more than so many bits a second.', fields: [input('rate', 'Rate', '1mbit', '768kbit, 10mbit')],
    of: (f) => ({ rate: { rate: f.rate } }) },
  { name: 'reject', label: 'Reject', about: 'Packets are refused, and the sender is told.',
    fields: [choice('with', 'With', ['tcp_reset', 'TCP reset'], ['port_unreachable', 'port unreachable'], ['host_unreachable', 'host unreachable'], ['admin_prohibited', 'prohibited'])],
    of: (f) => ({ reject: { with: f.with } }) },
  { name: 'corrupt', label: 'Corrupt', about: 'Some packets arrive damaged.', fields: [input('percent', 'Damaged, in percent', '1')],
    of: (f) => ({ corrupt: { percent: number(f.percent) } }) },
  { name: 'duplicate', label: 'Duplicate', about: 'Some packets arrive twice.', fields: [input('percent', 'Twice, in percent', '1')],
    of: (f) => ({ duplicate: { percent: number(f.percent) } }) },
  { name: 'dns', label: 'DNS', about: 'Questions for these names fail.', names: true,
    fields: [input('names', 'Names', '', '*.example.com, api.example.org'), choice('answer', 'Answer', ['nxdomain', 'no such name'], ['servfail', 'server failure'], ['timeout', 'none at all'])],
    of: (f) => ({ dns: { names: list(f.names), answer: f.answer } }) },
];

/** The plan that is shown, and the request that would bring it into force; nothing else can be injected. */
let planned = null;

const kindOf = (form) => KINDS.find((kind) => kind.name === form.elements.kind.value);

function showKind(form) {
  const kind = kindOf(form);
  const fields = kind.fields.map(({ name, label, value, help, options }) => {
    const box = options
      ? element('select', { id: `kind-${name}`, name }, ...options.map(([value, words]) => element('option', { value }, words)))
      : element('input', { id: `kind-${name}`, name, value, placeholder: help, spellcheck: 'false', autocapitalize: 'none' });
    return element('div', { class: 'field' }, element('label', { for: `kind-${name}` }, label), box);
  });
  byId('kind-fields').replaceChildren(...fields);
  write(byId('kind-about'), kind.about);
  write(byId('peers-label'), kind.names ? 'Asked of which name servers' : 'To whom');
  write(byId('peers-help'), kind.names ? 'Their addresses; empty means any.' : 'Addresses, networks or names: redis, 10.0.0.5:6379, fd00::/8');
  for (const part of form.querySelectorAll('.of-packets')) part.hidden = Boolean(kind.names);
}

function specOf(form) {
  const fields = Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, value.trim()]));
  const kind = kindOf(form);
  const target = {};
  if (fields.peers) target.peers = list(fields.peers);
  if (!kind.names && fields.ports) target.ports = list(fields.ports).map(number);
  if (!kind.names && form.elements.all.checked) target.all_traffic = true;
  const spec = { kinds: [kind.of(fields)], target };
  if (!kind.names) spec.direction = fields.direction;
  if (fields.for) spec.for = fields.for;
  return spec;
}

const written = (form) => (form.elements['as-json'].checked ? form.elements.json.value : JSON.stringify(specOf(form)));

function showJson(form, asJson) {
  byId('fields').hidden = asJson;
  byId('for-field').hidden = asJson;
  byId('json-field').hidden = !asJson;
}

/** A fault of the past, to be looked at and injected anew. */
function fill(spec) {
  const form = byId('fault-form');
  form.elements['as-json'].checked = true;
  form.elements.json.value = JSON.stringify(spec, null, 2);
  showJson(form, true);
  forgetPlan('Show the plan first.');
  form.scrollIntoView({ block: 'start' });
  form.elements.json.focus({ preventScroll: true });
}

function forgetPlan(why) {
  planned = null;
  byId('do-inject').disabled = true;
  byId('plan-text').hidden = true;
  byId('form-problem').hidden = true;
  write(byId('inject-help'), why);
  byId('plan-words').replaceChildren(element('p', { class: 'help' }, 'What would be put into the kernel is shown here first. Nothing is injected that was not shown.'));
}

/** A dry run of what is written. The id that it answers with is the one that the fault gets, so that asking twice is asking once. */
async function showPlan(form) {
  const body = written(form);
  const id = form.elements.id.value.trim();
  forgetPlan('Asking for the plan.');
  try {
    const fault = id
      ? await ask('PUT', `v1/faults/${encodeURIComponent(id)}?dry_run=true`, body)
      : await ask('POST', 'v1/faults?dry_run=true', body);
    // Whoever went on writing meanwhile has another fault in mind.
    if (written(form) !== body || form.elements.id.value.trim() !== id) return forgetPlan('The form has changed: show the plan again.');
    planned = { id: fault.id, body };
    byId('plan-words').replaceChildren(...planWords(fault));
    write(byId('plan-text'), fault.plan ?? '');
    byId('plan-text').hidden = !fault.plan;
    byId('do-inject').disabled = false;
    write(byId('inject-help'), 'Injects what the plan shows. Names are resolved anew.');
    return speak(`The plan is shown: ${fault.fault}`);
  } catch (error) {
    write(byId('inject-help'), 'Show the plan first.');
    return showProblem(byId('form-problem'), problemOf(error));
  }
}

function planWords(fault) {
  const interfaces = fault.places.flatMap((place) => place.interfaces);
  const more = fault.addresses > fault.first_addresses.length ? ` and ${fault.addresses - fault.first_addresses.length} more` : '';
  const facts = [
    ['Id', fault.state === 'pending' ? fault.id : `${fault.id}, ${fault.state} already: nothing would happen`],
    ['Hits', `${fault.first_addresses.join(', ')}${more}${interfaces.length ? `, on ${interfaces.join(', ')}` : ''}`],
    ['Shaped by', fault.engine],
    ['Ends', `in ${span(fault.remaining_ms)}, by the kernel`],
    ['Leaves alone', fault.protects.join(', ')],
  ];
  const words = facts.filter(([, value]) => value).flatMap(([name, value]) => [element('dt', {}, name), element('dd', {}, value)]);
  return [element('p', {}, element('strong', {}, fault.fault)), element('dl', {}, ...words)];
}

async function inject() {
  const { id, body } = planned;
  byId('do-inject').disabled = true;
  try {
    const fault = await ask('PUT', `v1/faults/${encodeURIComponent(id)}`, body);
    byId('id').value = '';
    forgetPlan('Show the plan first.');
    notice(byId('notice'), '', `${fault.id} is ${fault.state}`, `${fault.fault}. The kernel ends it in ${span(fault.remaining_ms)}.`);
    byId('notice').focus();
  } catch (error) {
    const problem = problemOf(error);
    // It may have arrived all the same, and the same again is the same fault.
    if (problem.code !== 'silence') forgetPlan('Show the plan again.');
    byId('do-inject').disabled = !planned;
    showProblem(byId('form-problem'), problem);
  }
  await refreshAll();
}

function equipForm() {
  const form = byId('fault-form');
  byId('kinds').append(...KINDS.map(({ name, label }) =>
    element('label', {}, element('input', { type: 'radio', name: 'kind', value: name, id: `is-${name}` }), element('span', {}, label))));
  form.elements.kind.value = 'cut';
  showKind(form);
  form.addEventListener('input', (event) => {
    if (event.target.name === 'kind') showKind(form);
    if (event.target.name === 'as-json') {
      if (event.target.checked) form.elements.json.value = JSON.stringify(specOf(form), null, 2);
      showJson(form, event.target.checked);
    }
    forgetPlan('The form has changed: show its plan.');
  });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    showPlan(form);
  });
  byId('do-inject').addEventListener('click', inject);
}
