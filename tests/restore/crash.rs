//! The agent dies, by SIGKILL, at each boundary of whatever it does. Nothing of its faults is left then, and a later agent
//! is none the worse.
//!
//! The points are in `agent/src/crash.rs`. Each scenario runs once to see which it passes, then once for each of them.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use harness::agent::Agent;
use harness::lab::{Host, Lab};
use harness::snapshot::Snapshot;
use harness::traffic::until_answer;
use harness::{has_netem, rounds};
use partition_agent_core::crash::Point;
use serde_json::Value;
use tempfile::TempDir;

use crate::SLACK;
use crate::crash_scenarios::{BY_NETEM, Said, Scenario, Scene, scenarios};

/// Points that no scenario can pass where there is no netem.
const NETEM_ONLY: [Point; 1] = [Point::NetemSet];

/// A link that has just come up reports its multicast groups, if nobody hinders it. What was asked here takes more packets.
const OWN_PACKETS: u64 = 5;

/// One run of a scenario.
struct Run {
    /// By SIGKILL, at its point.
    died: bool,
    passed: Vec<String>,
    said: Said,
    dir: TempDir,
}

fn run(scenario: &Scenario, scene: &Scene, at: Option<usize>) -> Run {
    let dir = (scenario.begin)(scene);
    let trace = dir.path().join("trace");
    let mut by = vec!["env".to_owned(), format!("PA_CRASH_TRACE={}", trace.display())];
    by.extend(at.map(|at| format!("PA_CRASH_AT={at}")));
    by.extend(scenario.room.map(|bytes| format!("PA_CRASH_ROTATE={bytes}")));
    let by = by.iter().map(String::as_str).collect::<Vec<_>>();
    let mut agent = Agent::doomed(&scene.lab.app, &by, scenario.config, dir);
    let mut said = Said::new(trace.clone());
    (scenario.drive)(scene, &mut agent, &mut said);
    // Its connections are closed before it is gone. One that has not come to its point has done all that it was asked for.
    let is_doomed = agent.is_dead() || at.is_some_and(|at| lines(&trace).len() >= at);
    let (status, dir) = if is_doomed { agent.ended() } else { (Default::default(), agent.kill_9()) };
    let died = status.signal() == Some(nix::sys::signal::Signal::SIGKILL as i32);
    assert!(died || status.success(), "{}: it ended with {status}", scenario.name);
    let passed = lines(&trace);
    if let Some(at) = at.filter(|_| died) {
        assert_eq!(passed.len(), at, "{}: it died somewhere else", scenario.name);
    }
    Run { died, passed, said, dir }
}

pub fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Tables of ours, seen by `nft`.
fn tables(host: &Host) -> Vec<String> {
    let listed = serde_json::from_str::<Value>(&host.sh("nft -j list ruleset")).expect("JSON of nft");
    let listed = listed["nftables"].as_array().cloned().unwrap_or_default();
    let names = listed.iter().filter_map(|entry| entry["table"]["name"].as_str());
    names.filter(|name| name.starts_with("partition_agent")).map(str::to_owned).collect()
}

/// Links of ours and the packets that each has seen, by `ip`.
fn links(host: &Host) -> BTreeMap<String, (String, u64)> {
    let listed = serde_json::from_str::<Value>(&host.sh("ip -j -d -s link show")).expect("JSON of ip");
    let listed = listed.as_array().cloned().unwrap_or_default();
    let ours =
        listed.iter().filter(|link| link["ifname"].as_str().is_some_and(|name| name.starts_with("pa-")));
    ours.map(|link| {
        let packets = |way: &str| link["stats64"][way]["packets"].as_u64().expect("a counter");
        let kind = link["linkinfo"]["info_kind"].as_str().unwrap_or_default().to_owned();
        (link["ifname"].as_str().unwrap_or_default().to_owned(), (kind, packets("rx") + packets("tx")))
    })
    .collect()
}

/// What must be so after every death, whatever was under way.
fn inspect(scenario: &Scenario, scene: &Scene, before: &[Snapshot], run: Run, at: &str) {
    let hosts = scene.hosts();
    for host in &hosts {
        assert_eq!(tables(host), [""; 0], "{at}: tables are left");
        for (name, (kind, _)) in links(host) {
            // A TAP goes with its process; an IFB waits for the next agent.
            assert_eq!(kind, "ifb", "{at}: {name} is left");
        }
    }
    let idle = hosts.iter().map(|host| links(host)).collect::<Vec<_>>();
    for (from, to) in scene.ways() {
        until_answer(from, to, SLACK);
    }
    scene.names_are_answered(at);
    let after = hosts.iter().map(|host| links(host)).collect::<Vec<_>>();
    for (idle, after) in idle.iter().zip(&after) {
        for (name, (_, packets)) in after {
            let carried = packets - idle.get(name).map_or(0, |(_, packets)| *packets);
            assert!(carried < OWN_PACKETS, "{at}: {name} has carried {carried} packets");
        }
    }

    let agent = Agent::start_in(&scene.lab.app, scenario.config, run.dir);
    assert!(agent.faults().is_empty(), "{at}: {:?}", agent.faults());
    for (host, before) in hosts.iter().zip(before) {
        before.assert_same(&Snapshot::take(host), at);
    }
    let ends = agent.history().into_iter().map(|over| (over.id.to_string(), over.end.to_string()));
    let ends = ends.collect::<BTreeMap<_, _>>();
    for (id, end) in &ends {
        let known = ["agent died"].iter().chain(scenario.ends).any(|known| end.starts_with(known));
        assert!(known, "{at}: {id} ended with {end}");
    }
    // What a caller was told is in the record.
    for id in &run.said.in_force {
        assert!(ends.contains_key(id), "{at}: {id} was in force, and the history has {ends:?}");
    }
    for id in &run.said.restored {
        assert!(ends[id].starts_with("restored by"), "{at}: {id} was restored, and the history has {ends:?}");
    }
    inspect_journal(&agent.kill_9().path().join("state"), &run.said, at);
}

/// Each fault has one beginning and one end, however often an agent or a rotation came in between. The history reads backwards
/// and would show one of two ends.
fn inspect_journal(state: &Path, said: &Said, at: &str) {
    let journal = ["journal.1.jsonl", "journal.jsonl"].map(|name| lines(&state.join(name))).concat();
    let read = journal.iter().map(|line| serde_json::from_str::<Value>(line)).collect::<Vec<_>>();
    let torn = read.iter().filter(|line| line.is_err()).count();
    assert!(torn <= 1, "{at}: {journal:#?}");
    let of = |op: &str| {
        let lines = read.iter().flatten().filter(|line| line["op"] == op);
        lines.map(|line| (line["id"].as_str().unwrap_or_default(), line)).collect::<Vec<_>>()
    };
    let ends = of("end");
    // A line that was carried over is the same fault.
    let begun = of("inject").into_iter().map(|(id, _)| id).collect::<BTreeSet<_>>();
    assert_eq!(begun.len(), ends.len(), "{at}: not one end for each: {journal:#?}");
    assert_eq!(begun, ends.iter().map(|(id, _)| *id).collect(), "{at}: ends of others: {journal:#?}");
    for (id, end) in ends {
        let died = end["end"]["by"] == "agent_died";
        assert!(!(died && said.restored.contains(id)), "{at}: {id} was restored: {journal:#?}");
    }
    assert!(!state.join("journal.next.jsonl").exists(), "{at}: a rotation is not finished");
}

/// What a sweep of one scenario came to.
struct Swept {
    name: &'static str,
    /// Boundaries that there are, those that were tried, and those at which the agent died.
    counts: [usize; 3],
    passed: BTreeSet<String>,
}

fn sweep(scenario: &Scenario) -> Swept {
    let scene = Scene::new(Lab::new());
    (scenario.furnish)(&scene);
    let before = scene.hosts().into_iter().map(Snapshot::take).collect::<Vec<_>>();
    let whole = run(scenario, &scene, None);
    assert!(
        !whole.passed.is_empty(),
        "this program has no crash points: build it with `cargo build --workspace`"
    );
    let passed = whole.passed.clone();
    let ready = passed.iter().position(|name| name == "Ready").expect("it starts") + 1;
    let points = if scenario.is_start {
        (1..=ready).collect::<Vec<_>>()
    } else {
        let (from, to) = whole.said.window(&passed);
        (from.max(ready) + 1..=to).collect()
    };
    assert!(points.len() >= scenario.least, "{}: {} points, {passed:?}", scenario.name, points.len());
    inspect(scenario, &scene, &before, whole, &format!("{}, to its end", scenario.name));
    // An emulated machine takes some of them, spread over all.
    let tried = points.iter().step_by(points.len().div_ceil(rounds(points.len())));
    let mut counts = [points.len(), 0, 0];
    for point in tried {
        let run = run(scenario, &scene, Some(*point));
        let last = run.passed.last().cloned().unwrap_or_default();
        counts[1] += 1;
        counts[2] += usize::from(run.died);
        inspect(scenario, &scene, &before, run, &format!("{}, point {point}, {last}", scenario.name));
    }
    // What the kernel announces may come sooner or later, so that the last few are not passed every time: one, and a tenth of all.
    assert!(
        counts[2] + 1 + counts[1] / 10 >= counts[1],
        "{}: died at {} of {}",
        scenario.name,
        counts[2],
        counts[1]
    );
    Swept { name: scenario.name, counts, passed: passed.into_iter().collect() }
}

#[test]
fn sigkill_at_every_boundary_leaves_nothing_that_acts() {
    let netem = has_netem(&Lab::new());
    // A point takes a minute there. What such a machine has and others may not have is netem.
    let emulated = rounds(2) < 2;
    let mut all = scenarios(netem);
    all.retain(|scenario| !emulated || scenario.name == BY_NETEM);
    let queue = Mutex::new(all.into_iter());
    let begun = Instant::now();
    // Twice as many as there are processors: half of the time is waiting, for the kernel to free what a process had. An
    // emulated machine has no time to give away.
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let workers = if emulated { 1 } else { 2 * processors };
    let work = || {
        let mut swept = Vec::new();
        loop {
            let next = queue.lock().expect("nobody panicked with it").next();
            let Some(scenario) = next else { return swept };
            swept.push(sweep(&scenario));
        }
    };
    let swept = std::thread::scope(|scope| {
        let workers = (0..workers).map(|_| scope.spawn(work)).collect::<Vec<_>>();
        let joined = workers.into_iter().map(|worker| worker.join());
        joined
            .flat_map(|swept| swept.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect::<Vec<_>>()
    });
    let mut sums = [0; 3];
    for Swept { name, counts: [points, tried, died], .. } in &swept {
        println!("{name}: {points} points, {tried} tried, died at {died}");
        sums = [sums[0] + points, sums[1] + tried, sums[2] + died];
    }
    println!(
        "in all: {} points, {} tried, died at {}, in {:.0?}",
        sums[0],
        sums[1],
        sums[2],
        begun.elapsed()
    );
    let passed = swept.into_iter().flat_map(|swept| swept.passed).collect::<BTreeSet<_>>();
    let missed = Point::ALL.into_iter().filter(|point| !passed.contains(&format!("{point:?}")));
    let missed = missed.filter(|point| netem || !NETEM_ONLY.contains(point)).collect::<Vec<_>>();
    assert!(emulated || missed.is_empty(), "no scenario passes {missed:?}");
}
