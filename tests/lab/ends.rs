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
    let sleeping = || {
        let name = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        outside.processes().into_iter().filter(|pid| name(*pid) == "sleep\n").count()
    };
    assert_eq!(sleeping(), 3, "two of one server and one of the other");
    // A holder, two hosts, two agents, two first processes, a shell, and those.
    assert!(outside.processes().len() >= 11, "{:?}", outside.processes());
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
