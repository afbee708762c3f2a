//! All hosts or none: one of ten refuses, dies, hangs or is not there, at every point between the first question and the last.

use std::process::Output;
use std::time::{Duration, Instant};

use harness::fleet::Fleet;
use harness::text;
use nix::sys::signal::Signal;

use crate::{SLACK, is_clean, logged, until_clean};

/// The one that something happens to.
const VICTIM: usize = 3;

const CUT: [&str; 8] =
    ["inject", "--loss", "100%", "--peer", "10.78.0.100:9", "--max-share", "100%", "--for=60s"];

fn cut(more: &[&'static str]) -> Vec<&'static str> {
    [&CUT, ["--on", "*"].as_slice(), more].concat()
}

/// Nothing was in force anywhere, at any time, and nothing is left; the victim is named.
fn nothing_started(fleet: &Fleet, done: &Output, why: &str) {
    let said = text(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("nothing was started: 1 of 10 hosts did not agree"), "{said}");
    assert!(said.contains("\n  h3: ") && said.contains(why), "{said}");
    for (nth, agent) in fleet.running() {
        assert!(!agent.log().contains("kind=started"), "h{nth}: {}", agent.log());
    }
    until_clean(fleet, SLACK);
}

/// The command, with something that happens to the fleet while it runs.
fn while_it_runs(fleet: &Fleet, command: &[&str], happens: impl FnOnce() + Send) -> Output {
    std::thread::scope(|scope| {
        let meanwhile = scope.spawn(happens);
        let done = fleet.cli(command);
        meanwhile.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        done
    })
}

#[test]
fn one_that_refuses_to_prepare() {
    let mut fleet = Fleet::start();
    fleet.agents[VICTIM] = None;
    fleet.start_agent(VICTIM, "[policy]\nlongest = '30s'\n");
    let done = fleet.cli(&cut(&[]));
    nothing_started(&fleet, &done, "policy.longest allows 30s; this is to last 1m");
}

#[test]
fn one_that_is_not_there() {
    let mut fleet = Fleet::start();
    fleet.agents[VICTIM] = None;
    let done = fleet.cli(&cut(&[]));
    nothing_started(&fleet, &done, "Connection refused");
    // With those that agree, where that is wanted.
    let done = fleet.cli(&cut(&["--best-effort"]));
    let said = [text(&done.stdout), text(&done.stderr)].concat();
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(
        said.contains("9 hosts: h0, h1, h2, h4") && said.contains("is in force on 9 of 10 hosts"),
        "{said}"
    );
    assert!(!is_clean(&fleet));
    let healed = fleet.cli(&["restore", "--all"]);
    let said = [text(&healed.stdout), text(&healed.stderr)].concat();
    assert_eq!(healed.status.code(), Some(1), "one does not answer: {said}");
    assert!(said.contains("restored on 9 hosts") && said.contains("h3 does not answer"), "{said}");
    assert!(said.contains("its own kernel ends"), "{said}");
    until_clean(&fleet, SLACK);
}

#[test]
fn one_whose_host_is_cut_off() {
    let fleet = Fleet::start();
    fleet.hosts[VICTIM].sh("ip link set eth0 down");
    let begun = Instant::now();
    let done = fleet.cli(&cut(&[]));
    nothing_started(&fleet, &done, "no agent answers");
    println!("an unreachable host is given up after {:?}", begun.elapsed());
}

/// One that dies after it has prepared, while another one is still preparing.
#[test]
fn one_that_dies_between_prepare_and_commit() {
    let fleet = Fleet::start();
    let [victim, slow] = [VICTIM, 9].map(|nth| fleet.agents[nth].as_ref().unwrap());
    slow.signal(Signal::SIGSTOP);
    let done = while_it_runs(&fleet, &cut(&[]), || {
        logged(victim, "kind=prepared", 1);
        victim.signal(Signal::SIGKILL);
        std::thread::sleep(Duration::from_millis(50));
        slow.signal(Signal::SIGCONT);
    });
    nothing_started(&fleet, &done, "no agent answers");
}

/// One that is not heard of between prepare and commit: it has prepared, and must not start.
#[test]
fn one_that_hangs_between_prepare_and_commit() {
    let fleet = Fleet::start();
    let [victim, slow] = [VICTIM, 9].map(|nth| fleet.agents[nth].as_ref().unwrap());
    slow.signal(Signal::SIGSTOP);
    let done = while_it_runs(&fleet, &cut(&[]), || {
        logged(victim, "kind=prepared", 1);
        // It has told its clock by then, or is asked for it in vain: either way it does not answer the commit.
        std::thread::sleep(Duration::from_millis(200));
        victim.signal(Signal::SIGSTOP);
        slow.signal(Signal::SIGCONT);
    });
    victim.signal(Signal::SIGCONT);
    let said = text(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("nothing was started"), "{said}");
    assert!(said.contains("h3"), "{said}");
    // It may hear the commit when it wakes up: the instant is past by then, so it refuses, and what it prepared expires.
    until_clean(&fleet, Duration::from_secs(30) + SLACK);
    for (nth, agent) in fleet.running() {
        assert!(!agent.log().contains("kind=started"), "h{nth}: {}", agent.log());
    }
}

/// One that dies when it has been told the instant, before it has come.
#[test]
fn one_that_dies_between_commit_and_start() {
    let fleet = Fleet::start();
    let victim = fleet.agents[VICTIM].as_ref().unwrap();
    let done = while_it_runs(&fleet, &cut(&["--start-in", "2s"]), || {
        fleet.running().for_each(|(_, agent)| logged(agent, "kind=committed", 1));
        std::thread::sleep(Duration::from_millis(500));
        victim.signal(Signal::SIGKILL);
    });
    restored_everywhere(&fleet, &done);
    assert!(!text(&done.stderr).contains("was told the instant"), "its death is known");
}

/// The others were in force until the missing one was missed, as docs/fleet.md says.
fn restored_everywhere(fleet: &Fleet, done: &Output) {
    let said = text(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("did not start everywhere, so it was restored everywhere"), "{said}");
    assert!(said.contains("\n  h3: "), "{said}");
    until_clean(fleet, SLACK);
    for (nth, agent) in fleet.running().filter(|(nth, _)| *nth != VICTIM) {
        let ends = agent.history().into_iter().map(|over| over.end.to_string()).collect::<Vec<_>>();
        assert!(ends.len() == 1 && ends[0].starts_with("restored by"), "h{nth}: {ends:?}");
    }
}

/// One that hangs when it has been told the instant, and wakes up later: it does not start alone.
#[test]
fn one_that_hangs_between_commit_and_start() {
    let fleet = Fleet::start();
    let victim = fleet.agents[VICTIM].as_ref().unwrap();
    let done = while_it_runs(&fleet, &cut(&["--start-in", "2s"]), || {
        fleet.running().for_each(|(_, agent)| logged(agent, "kind=committed", 1));
        // The controller has its answer by then.
        std::thread::sleep(Duration::from_millis(500));
        victim.signal(Signal::SIGSTOP);
    });
    let said = text(&done.stderr);
    assert!(said.contains("h3 was told the instant and then no more"), "{said}");
    victim.signal(Signal::SIGCONT);
    restored_everywhere(&fleet, &done);
    victim.until_idle(SLACK);
    assert!(!victim.log().contains("kind=started"), "{}", victim.log());
    let end = victim.history()[0].end.to_string();
    assert!(end == "missed its start" || end.starts_with("restored by"), "{end}");
}

/// Ctrl-C before the instant.
#[test]
fn a_start_that_is_interrupted() {
    let fleet = Fleet::start();
    let mut running = fleet.cli_running(&cut(&["--start-in", "30s"]));
    for (_, agent) in fleet.running() {
        logged(agent, "kind=committed", 1);
    }
    let pid = nix::unistd::Pid::from_raw(i32::try_from(running.id()).unwrap());
    nix::sys::signal::kill(pid, Signal::SIGINT).unwrap();
    assert_eq!(running.wait().unwrap().code(), Some(1));
    until_clean(&fleet, SLACK);
    for (nth, agent) in fleet.running() {
        assert!(!agent.log().contains("kind=started"), "h{nth}: {}", agent.log());
    }
}
