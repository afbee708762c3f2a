'use strict';

// From who asks and what is in force, by the agent's events, to the agent that is lost, and again. Of the same page as console.js, by
// whose words it goes; the last of its files, since it begins.

const pause = (millis) => new Promise((done) => { setTimeout(done, millis); });

function show(state, words) {
  byId('link').className = `link ${state}`;
  write(byId('link-words'), words);
}

/** Whoever asks, as the agent knows them; with a token, where it takes one to be known. */
async function whoami() {
  for (;;) {
    try {
      return await ask('GET', 'v1/whoami');
    } catch (error) {
      const problem = problemOf(error);
      if (problem.status !== 401 && problem.status !== 403) throw error;
      await askForToken(problem);
    }
  }
}

function showHost({ host, kernel, version, fleet }) {
  write(byId('host'), host);
  write(byId('about'), `kernel ${kernel}, partition-agent ${version}`);
  fleetSize = fleet;
  changeView();
}

/** Who asks, and who is asked. */
async function meet() {
  const { by, role } = await whoami();
  myRole = role;
  // The first who asks has the agent try what the kernel can do. Nobody waits for that.
  ask('GET', 'v1/info').then(showHost, () => {});
  write(byId('role'), `You are ${by}, and may ${{ observe: 'look on', inject: 'inject and restore', admin: 'do everything' }[role]}.`);
  equip();
  await refreshPast();
  byId('door').hidden = true;
  isIn = true;
  showView();
}

const refresh = once(async () => showFaults(await ask('GET', 'v1/faults')));
const refreshPast = once(async () => showPast(await ask('GET', 'v1/history?limit=20')));

/** After something was done; where that fails, whoever follows the agent finds out as well. */
async function refreshAll() {
  await Promise.all([refresh(), refreshPast()]).catch(problemOf);
}

/** The text of a stream, line by line, until it ends or nothing came for too long. */
async function eachLine(body, quiet, tell) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const timer = setTimeout(() => quiet.abort(), QUIET);
    const { done, value } = await reader.read().catch(() => ({ done: true })).finally(() => clearTimeout(timer));
    if (done) return;
    const lines = (rest + value).split('\n');
    rest = lines.pop();
    lines.forEach(tell);
  }
}

function hear(line) {
  if (!line.startsWith('data:')) return;
  const event = JSON.parse(line.slice(5));
  // Of a listener that was too slow it is the number of events that it has missed.
  if (event.id) speak(`${event.id}: ${event.kind}, ${event.text}`);
  refresh().catch(() => {});
  if (['ended', 'restored', 'failed'].includes(event.kind) || !event.id) refreshPast().catch(() => {});
}

let stream = null;

/** The stream of events, or nothing where all places of listeners are taken. */
async function listen() {
  stream = new AbortController();
  try {
    return await request('GET', 'v1/events', undefined, stream.signal);
  } catch (error) {
    if (problemOf(error).code !== 'busy') throw error;
    return null;
  }
}

/** Events until there are no more. Where they are not to be had, questions instead, for a while. */
async function follow() {
  for (;;) {
    const listening = await listen();
    // Only now, so that nothing happens between the two.
    await refresh();
    found(listening ? 'live' : 'live, by asking');
    if (listening) {
      await eachLine(listening.body, stream, hear);
      return;
    }
    for (let round = 0; round < 10; round += 1) {
      await pause(2 * READ_EVERY);
      await Promise.all([refresh(), refreshPast()]);
    }
  }
}

let lostSince = null;

function found(words) {
  if (lostSince) speak('The agent answers again.');
  lostSince = null;
  byId('lost').hidden = true;
  show('live', words);
}

function lose() {
  show('lost', 'lost, trying again');
  if (lostSince) return;
  lostSince = new Date();
  if (hasFaults) write(byId('faults'), `${byId('faults').textContent}, when last heard`);
  if (fleetRows.size > 0) write(byId('fleet-title'), `${byId('fleet-title').textContent}, when last heard`);
  notice(byId('lost'), 'warning', `No answer from the agent since ${clock(lostSince)}`,
    'If it has died, the kernel has ended every fault at that moment. If only this browser cannot reach it, faults go on until the times below have run out.');
}

/** Until a token was written, if this agent takes one. */
function askForToken(problem) {
  show('connecting', 'waits for a token');
  isIn = false;
  showView();
  byId('lost').hidden = true;
  byId('door').hidden = false;
  byId('token-clear').hidden = location.protocol === 'https:' || ['localhost', '127.0.0.1', '[::1]'].includes(location.hostname);
  if (token !== null) showProblem(byId('token-problem'), problem);
  else byId('token').focus();
  return new Promise((done) => {
    byId('token-form').onsubmit = (event) => {
      event.preventDefault();
      const word = byId('token').value.trim();
      // What cannot be in a header is no token.
      if (!/^[!-~]+$/.test(word)) {
        showProblem(byId('token-problem'), { title: 'That is no token', detail: 'A token is one word of visible ASCII characters.' });
        return;
      }
      token = word;
      byId('token').value = '';
      byId('token-problem').replaceChildren();
      byId('token-problem').className = '';
      done();
    };
  });
}

let wake = () => {};

async function run() {
  for (let wait = 1; ; wait = Math.min(2 * wait, 8)) {
    try {
      await meet();
      wait = 1;
      await follow();
    } catch (error) {
      // A mistake of this page is told in the console, and does not end it.
      if (!(error instanceof Refusal)) reportError(error);
    } finally {
      // One that nobody reads would keep its place at the agent, and one of the browser's few connections.
      stream?.abort();
    }
    lose();
    // Whoever comes back to the page, or to the network, does not wait.
    await Promise.race([pause(wait * 1000), new Promise((done) => { wake = done; })]);
  }
}

for (const what of ['online', 'focus', 'visibilitychange']) window.addEventListener(what, () => wake());

setInterval(tick, 250);
setInterval(() => {
  if (hasFaults && !document.hidden && !lostSince) refresh().catch(() => stream?.abort());
}, READ_EVERY);

write(byId('host'), location.host);
run();
