//! Faults with a lease: a command that stays and renews, one that does not, and one that is killed.

use std::process::Child;
use std::time::{Duration, Instant};

use harness::fake_agent::FakeAgent;
use nix::sys::signal::{Signal, kill};
use partition_agent_proto::{End, FaultStatus, History};

use crate::run::{finish, pid, program_at, run, until};

const CUT: &str = "inject --loss 100% --peer redis --id cut";

/// A command that holds the fault, once it is in force.
fn holding(agent: &FakeAgent, more: &str) -> Child {
    let child = program_at(agent, &format!("{CUT} {more}")).spawn().unwrap();
    until("the fault is in force", || !agent.world().timeouts.is_empty());
    child
}

fn last_end(agent: &FakeAgent) -> End {
    let over: Vec<History> = run(agent, "history --json").json();
    over[0].end.clone()
}

#[test]
fn a_fault_is_held_until_its_deadline() {
    let agent = FakeAgent::start();
    let text = run(&agent, &format!("{CUT} --for 6s --lease 2s")).done();
    assert!(text.contains("\n  lease     2s; the kernel ends it in "), "{text}");
    assert!(text.contains("\n  renewing  every 0.7s, as long as this command runs; "), "{text}");
    assert!(text.contains("\ncut: over: deadline, on 1 host: "), "{text}");
    assert_eq!(text.lines().count(), 8, "a line for each renewal would be a flood: {text}");
    assert_eq!(last_end(&agent), End::Deadline);
}

#[test]
fn ctrl_c_restores_what_is_held() {
    let agent = FakeAgent::start();
    let child = holding(&agent, "--for 10m --lease 30s");
    std::thread::sleep(Duration::from_millis(300));
    kill(pid(&child), Signal::SIGINT).unwrap();
    let text = finish(child).done();
    assert!(text.ends_with("cut: restored; nothing of it is left; all else is as it was before\n"), "{text}");
    assert!(matches!(last_end(&agent), End::Restored { .. }));
}

#[test]
fn a_fault_that_somebody_else_restores_is_held_no_longer() {
    let agent = FakeAgent::start();
    let child = holding(&agent, "--for 10m --lease 3s");
    run(&agent, "restore cut").done();
    let text = finish(child).done();
    assert!(text.contains("\ncut: over: restored by uid "), "{text}");
}

#[test]
fn a_command_that_is_killed_lets_the_fault_end() {
    let agent = FakeAgent::start();
    let mut child = holding(&agent, "--for 10m --lease 3s");
    // Longer than the lease: it is renewed.
    std::thread::sleep(Duration::from_secs(4));
    assert!(!agent.world().is_clean());
    child.kill().unwrap();
    child.wait().unwrap();
    let killed = Instant::now();
    until("the fault is over", || agent.world().is_clean());
    // The lease, and as much again for a slow machine.
    assert!(killed.elapsed() < Duration::from_secs(6), "{:?}", killed.elapsed());
    assert_eq!(last_end(&agent), End::LeaseLost);
}

#[test]
fn a_lease_that_is_lost_is_said_and_is_a_failure() {
    let agent = FakeAgent::start();
    let child = holding(&agent, "--for 10m --lease 2s");
    agent.world().refuse_rearm.insert(1, nix::errno::Errno::ENOMEM);
    let done = finish(child);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert_eq!(done.stderr.matches("cut cannot be renewed, trying for another ").count(), 1, "{done:?}");
    assert!(done.stderr.contains("cut: over: lease lost, on 1 host: "), "{done:?}");
}

#[test]
fn without_staying_renew_does_it() {
    let agent = FakeAgent::start();
    let fault: FaultStatus = run(&agent, &format!("{CUT} --for 10m --lease 30s --no-wait --json")).json();
    assert!(fault.lease_remaining_ms.unwrap() <= 30_000);
    let table = run(&agent, "status").done();
    assert!(table.contains("(lease ") && table.contains("with a lease of 30s"), "{table}");
    let text = run(&agent, "renew cut").done();
    assert!(text.starts_with("cut: renewed; the kernel ends it in "), "{text}");
    let renewed: Vec<FaultStatus> = run(&agent, "renew cut --json").json();
    assert_eq!(renewed[0].id.as_str(), "cut");
    let refused = run(&agent, "renew nobody").failed(1);
    assert!(refused.contains("there is no fault nobody"), "{refused}");
}

#[test]
fn held_in_json_is_one_answer() {
    let agent = FakeAgent::start();
    let fault: FaultStatus = run(&agent, &format!("{CUT} --for 3s --lease 2s --json")).json();
    assert_eq!(fault.spec.lease.unwrap().to_string(), "2s");
}
