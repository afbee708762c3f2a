//! The agent killed, stopped, terminated.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use harness::agent::Agent;
use harness::lab::{Lab, REDIS, address};
use harness::snapshot::Snapshot;
use harness::traffic::{answers, serve_tcp, until_answer};
use nix::sys::signal::Signal;

use crate::{PATIENCE, SLACK, cut};

fn lab() -> (Lab, SocketAddr) {
    let lab = Lab::new();
    let redis = SocketAddr::new(address(REDIS), 80);
    serve_tcp(&lab.redis, redis);
    (lab, redis)
}

#[test]
fn kill_9_heals_at_once_and_leaves_no_trace() {
    let (lab, redis) = lab();
    let before = Snapshot::take(&lab.app);
    let agent = Agent::start(&lab.app, "");
    agent.inject("f", &cut("10m"));
    assert!(!answers(&lab.app, redis, PATIENCE));
    let _dir = agent.kill_9();
    let healed = until_answer(&lab.app, redis, SLACK);
    println!("healed {healed:?} after kill -9");
    // A loss makes no interface, so not even a later agent has anything to sweep.
    before.assert_same(&Snapshot::take(&lab.app), "after kill -9");
}

/// One target in each kind of set that the kernel has: hash, tree, concatenation, and the tree that holds everything.
const EACH_KIND: [&str; 4] = [
    r#"{"peers":["10.77.1.2"]}"#,
    r#"{"peers":["10.77.1.0/24"]}"#,
    r#"{"peers":["10.77.1.2:80"]}"#,
    r#"{"all_traffic":true}"#,
];

#[test]
fn a_stopped_agent_heals_at_the_deadline_whatever_holds_the_target() {
    let (lab, redis) = lab();
    let agent = Agent::start(&lab.app, "");
    for target in EACH_KIND {
        let begun = Instant::now();
        agent.inject(
            "f",
            &format!(r#"{{"kinds":[{{"loss":{{"percent":100}}}}],"target":{target},"for":"2s"}}"#),
        );
        agent.signal(Signal::SIGSTOP);
        assert!(!answers(&lab.app, redis, PATIENCE), "{target}");
        until_answer(&lab.app, redis, Duration::from_secs(2) + SLACK);
        let healed = begun.elapsed();
        println!("{target}: healed {:?} after the deadline", healed.saturating_sub(Duration::from_secs(2)));
        assert!(healed > Duration::from_millis(1900), "{target}: too early: {healed:?}");
        agent.signal(Signal::SIGCONT);
        agent.until_idle(SLACK);
        assert_eq!(agent.history()[0].end.to_string(), "deadline");
    }
}

#[test]
fn a_terminated_agent_restores_everything_first() {
    let (lab, redis) = lab();
    let before = Snapshot::take(&lab.app);
    let agent = Agent::start(&lab.app, "");
    agent.inject("f", &cut("10m"));
    agent.inject("g", &cut("10m").replace("100", "50"));
    let dir = agent.terminate();
    assert!(answers(&lab.app, redis, PATIENCE));
    before.assert_same(&Snapshot::take(&lab.app), "after SIGTERM");
    let agent = Agent::start_in(&lab.app, "", dir);
    let ends = agent.history().iter().map(|over| over.end.to_string()).collect::<Vec<_>>();
    assert_eq!(ends, ["agent stopped", "agent stopped"]);
}

#[test]
fn a_fault_in_the_foreground_ends_with_ctrl_c_and_with_kill_9() {
    let (lab, redis) = lab();
    let before = Snapshot::take(&lab.app);
    let program = harness::binary().display().to_string();
    // A /run and a /var/lib of their own: the default socket must not be there, nor the default journal.
    let script = format!(
        "mount -t tmpfs none /var/lib && mount -t tmpfs none /run && \
         exec {program} inject --loss 100% --peer {REDIS} --for 10m"
    );
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL] {
        let mut child =
            lab.app.spawn("unshare", &["-m", "bash", "-c", &script], std::process::Stdio::inherit());
        let begun = Instant::now();
        while answers(&lab.app, redis, PATIENCE) {
            assert!(begun.elapsed() < SLACK * 10, "not cut");
            // On one emulated processor, asking all the time would keep the program from starting.
            std::thread::sleep(Duration::from_millis(50));
        }
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.success(), signal != Signal::SIGKILL, "{signal}: {status}");
        until_answer(&lab.app, redis, SLACK);
        before.assert_same(&Snapshot::take(&lab.app), signal.as_str());
    }
}
