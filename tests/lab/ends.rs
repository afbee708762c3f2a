//! How a lab ends that nobody takes down.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{Outside, SLACK};

/// A server with children that it does not wait for, and one that goes into the background.
const WITH_CHILDREN: &str = r#"
[hosts.a]
address = "10.0.0.1"
[hosts.b]
address = "fd00::2"
[lab.parent]
on = "a"
command = "setsid sleep 1000 & sleep 1000; true"
[lab.daemon]
on = "b"
command = "sleep 1000 & exit 0"
"#;

#[test]
fn a_killed_holder_takes_everything_with_it() {
    let outside = Outside::new(WITH_CHILDREN);
    let before = outside.snapshot();
    outside.lab_ok(&["up", "fleet.toml"]);
    // Two of one server and one of the other.
    outside.until_sleeping(3);
    // A holder, two hosts, two agents, two first processes, a sweeper, a shell, and those.
    assert!(outside.processes().len() >= 12, "{:?}", outside.processes());
    kill(Pid::from_raw(outside.holder()), Signal::SIGKILL).unwrap();
    outside.until_no_process();
    before.0.assert_same(&outside.snapshot().0, "after the holder was killed");

    let told = outside.lab_fails(&["exec", "a", "--", "true"]);
    assert!(told.contains("the lab lab has ended") && told.contains("lab up fleet.toml"), "{told}");
    outside.lab_ok(&["up", "fleet.toml"]);
    outside.lab_ok(&["exec", "a", "--", "true"]);
    outside.lab_ok(&["down"]);
    assert_eq!(outside.processes(), [0; 0]);
    assert_eq!(before.1, outside.snapshot().1);
}

#[test]
fn a_lab_is_raised_again_after_its_holder_was_killed() {
    let outside = Outside::new(WITH_CHILDREN);
    outside.lab_ok(&["up", "fleet.toml"]);
    kill(Pid::from_raw(outside.holder()), Signal::SIGKILL).unwrap();
    outside.until_no_process();
    outside.lab_ok(&["up", "fleet.toml"]);
    outside.lab_ok(&["exec", "b", "--", "true"]);
}

#[test]
fn taking_it_down_ends_what_was_started_by_hand() {
    let outside = Outside::new("[hosts.a]\naddress = '10.0.0.1'\n");
    outside.lab_ok(&["up", "fleet.toml"]);
    let words = ["lab", "exec", "a", "--", "sleep", "1000"];
    let mut by_hand = outside.network.app.run(|| outside.command(&words).spawn().unwrap());
    let begun = Instant::now();
    while std::fs::read_to_string(format!("/proc/{}/comm", by_hand.id())).unwrap() != "sleep\n" {
        assert!(begun.elapsed() < SLACK);
        std::thread::sleep(Duration::from_millis(10));
    }
    outside.lab_ok(&["down"]);
    assert_eq!(by_hand.wait().unwrap().code(), None, "it was killed");
}

#[test]
fn giving_up_while_it_is_raised_leaves_nothing() {
    let fleet = "[hosts.a]\naddress = '10.0.0.1'\n[lab.a]\ncommand = 'sleep 1000'\nready = 'sleep 999'\npatience = '5m'\n";
    let outside = Outside::new(fleet);
    let mut up = outside.command(&["lab", "up", "fleet.toml"]);
    let mut up = outside.network.app.run(|| up.stderr(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(up.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("linked")), "it never came so far");
    let told = outside.lab_fails(&["exec", "a", "--", "true"]);
    assert!(told.contains("is not ready yet"), "{told}");
    kill(Pid::from_raw(up.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    up.wait().unwrap();
    outside.until_no_process();
}

/// A step and a marker that take long, with what they have started; that of the step is in a process group of its own.
const LONG_COMMANDS: &str = "
name: long
markers:
  m: {write: 'sleep 1000; true', read: 'true', timeout: 10m, from: a}
longest: 20m
timeline:
  - {at: T, inject: '--loss 1% --peer b --on a --for 5s --max-share 100%'}
  - {at: T+1s, name: long, run: 'setsid sleep 1000; true', timeout: 10m}
";

#[test]
fn a_killed_run_takes_its_commands_with_it() {
    for outside in [Outside::new, Outside::for_anybody] {
        let outside = outside("[hosts.a]\naddress = '10.0.0.1'\n[hosts.b]\naddress = '10.0.0.2'\n");
        let before = outside.snapshot();
        std::fs::write(outside.dir.path().join("day.yaml"), LONG_COMMANDS).unwrap();
        let mut run = outside.command(&["run", "day.yaml", "--fleet", "fleet.toml", "--lab", "--yes"]);
        run.stdout(Stdio::null()).stderr(Stdio::null());
        let mut run = outside.network.app.run(|| run.spawn().unwrap());
        let begun = Instant::now();
        while outside.sleeping().len() < 2 {
            assert!(begun.elapsed() < 4 * SLACK, "{:?}", outside.processes());
            assert!(run.try_wait().unwrap().is_none(), "it is over already");
            std::thread::sleep(Duration::from_millis(10));
        }
        for pid in outside.sleeping() {
            let environment = std::fs::read_to_string(format!("/proc/{pid}/environ")).unwrap();
            assert!(environment.contains("PARTITION_AGENT_FLEET=/run/lab/fleet.toml\0"), "{environment}");
            assert!(!environment.contains("PARTITION_AGENT_TOKEN_FILE="), "{environment}");
        }
        run.kill().unwrap();
        run.wait().unwrap();
        outside.until_no_process();
        before.0.assert_same(&outside.snapshot().0, "after the run was killed");
    }
}

#[test]
fn a_killed_holder_takes_what_was_started_by_hand_with_it() {
    let outside = Outside::new("[hosts.a]\naddress = '10.0.0.1'\n");
    outside.lab_ok(&["up", "fleet.toml"]);
    for host in ["a", "controller"] {
        let words = ["lab", "exec", host, "--", "sh", "-c", "setsid sleep 1000 & exit"];
        assert!(outside.network.app.run(|| outside.command(&words).status().unwrap()).success());
    }
    outside.until_sleeping(2);
    kill(Pid::from_raw(outside.holder()), Signal::SIGKILL).unwrap();
    outside.until_no_process();
}
