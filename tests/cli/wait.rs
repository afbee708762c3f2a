//! Commands that stay: until a fault is over, or until somebody has had enough.

use std::process::Child;

use harness::fake_agent::FakeAgent;
use nix::sys::signal::{Signal, kill};
use partition_agent_proto::{End, FaultStatus, History};

use crate::run::{finish, pid, program_at, run, until};

const CUT: &str = "inject --loss 100% --peer redis --id cut";

#[test]
fn inject_wait_returns_when_the_deadline_has_passed() {
    let agent = FakeAgent::start();
    let text = run(&agent, &format!("{CUT} --for 300ms --wait")).done();
    assert!(text.starts_with("cut: loss 100%"), "{text}");
    assert_eq!(run(&agent, "status").done(), "no faults\n");
    assert!(agent.world().is_clean());
}

#[test]
fn inject_wait_shows_no_progress_bar_to_a_pipe() {
    let agent = FakeAgent::start();
    let waited = run(&agent, &format!("{CUT} --for 300ms --wait"));
    assert_eq!(waited.stderr, "");
    assert!(!waited.stdout.contains('\x1b') && !waited.stdout.contains('\r'), "{waited:?}");
}

#[test]
fn inject_wait_in_json_is_one_answer() {
    let agent = FakeAgent::start();
    let fault: FaultStatus = run(&agent, &format!("{CUT} --for 300ms --wait --json")).json();
    assert_eq!(fault.id.as_str(), "cut");
}

/// `inject --wait` of a fault that would last an hour, once it is in force and listens to signals.
fn waiting(agent: &FakeAgent, more: &str) -> Child {
    let child = program_at(agent, &format!("{CUT} --for 1h --wait {more}")).spawn().unwrap();
    until("the program catches signals", || catches(&child, [Signal::SIGINT, Signal::SIGTERM]));
    child
}

fn catches(child: &Child, signals: [Signal; 2]) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap().trim();
    let mask = u64::from_str_radix(mask, 16).unwrap();
    signals.into_iter().all(|signal| mask & (1 << (signal as u32 - 1)) != 0)
}

#[test]
fn inject_wait_returns_when_somebody_else_restores_the_fault() {
    let agent = FakeAgent::start();
    let child = waiting(&agent, "");
    run(&agent, "restore cut").done();
    finish(child).done();
}

#[test]
fn inject_wait_restores_the_fault_when_it_is_interrupted() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let agent = FakeAgent::start();
        let child = waiting(&agent, "");
        kill(pid(&child), signal).unwrap();
        let text = finish(child).done();
        assert!(
            text.ends_with("\ncut: restored; nothing of it is left; all else is as it was before\n"),
            "{signal}: {text}"
        );
        assert!(agent.world().is_clean());
        let over: Vec<History> = run(&agent, "history --json").json();
        assert!(matches!(over[0].end, End::Restored { .. }), "{over:?}");
    }
}

#[test]
fn inject_wait_in_json_stays_json_when_it_is_interrupted() {
    let agent = FakeAgent::start();
    let child = waiting(&agent, "--json");
    kill(pid(&child), Signal::SIGINT).unwrap();
    let text = finish(child).done();
    let answers = serde_json::Deserializer::from_str(&text).into_iter::<FaultStatus>();
    assert!(answers.map(Result::unwrap).all(|fault| fault.id.as_str() == "cut"), "{text}");
}

#[test]
fn status_wait_returns_when_no_fault_is_left() {
    let agent = FakeAgent::start();
    for id in ["a", "b"] {
        run(&agent, &format!("inject --loss 1% --peer redis --for 500ms --id {id}")).done();
    }
    assert_eq!(run(&agent, "status --wait").done(), "no faults\n");
    assert_eq!(run(&agent, "status --wait --json").json::<Vec<FaultStatus>>(), []);
    assert!(agent.world().is_clean());
}

#[test]
fn status_wait_of_one_fault_returns_when_it_is_over() {
    let agent = FakeAgent::start();
    run(&agent, &format!("{CUT} --for 500ms")).done();
    let waited = run(&agent, "status cut --wait");
    assert_eq!(run(&agent, "status").done(), "no faults\n", "{waited:?}");
}
