//! What is refused, and what is said of it.

use std::time::{Duration, Instant};

use crate::Outside;

const HOST: &str = "[hosts.a]\naddress = '10.0.0.1'\n";

/// A lab that is not raised, and what is said.
fn not_raised(more: &str) -> String {
    let outside = Outside::new(&format!("{HOST}{more}"));
    let before = outside.snapshot();
    let told = outside.lab_fails(&["up", "fleet.toml"]);
    outside.until_no_process();
    let after = outside.snapshot();
    before.0.assert_same(&after.0, more);
    assert_eq!(before.1, after.1);
    told
}

#[test]
fn a_server_that_ends_is_told_with_the_end_of_its_log() {
    let told = not_raised("[lab.a]\ncommand = 'echo one; echo no such luck >&2; exit 3'\nready = 'false'\n");
    assert!(told.contains("lab.a on a ended with status 3 before it was ready"), "{told}");
    assert!(told.contains("| one\n") && told.contains("| no such luck\n"), "{told}");
    // Where nobody asks whether it is ready, too.
    let told = not_raised("[lab.a]\ncommand = 'echo alas; exit 4'\n");
    assert!(told.contains("ended with status 4") && told.contains("| alas\n"), "{told}");
}

#[test]
fn a_command_that_is_not_there_has_to_be_installed() {
    let told = not_raised("[lab.a]\ncommand = 'exec no-such-server --port 1'\nready = 'false'\n");
    assert!(told.contains("status 127") && told.contains("has to be installed"), "{told}");
    assert!(told.contains("no-such-server: not found"), "{told}");
}

#[test]
fn a_server_that_does_not_get_ready_is_told_with_what_was_asked() {
    let begun = Instant::now();
    let told = not_raised(
        "[lab.a]\ncommand = 'echo busy; exec sleep 1000'\nready = 'echo not yet; exit 9'\npatience = '4s'\n",
    );
    assert!(begun.elapsed() >= Duration::from_secs(4));
    assert!(told.contains("lab.a on a is not ready within 4s: `ready` ended with status 9"), "{told}");
    assert!(told.contains("| not yet") && told.contains("| busy"), "{told}");
    let told = not_raised("[lab.a]\ncommand = 'exec sleep 1000'\nready = 'sleep 1000'\npatience = '1s'\n");
    assert!(told.contains("`ready` did not end"), "{told}");
}

#[test]
fn an_agent_that_does_not_start_is_told_with_the_end_of_its_log() {
    // There is no port after it for probes.
    let told = not_raised("agent = 'http://10.0.0.1:65535'\n");
    assert!(told.contains("the agent of a ended with status 1"), "{told}");
    assert!(told.contains("| ") && told.contains("probe_port"), "{told}");
}

#[test]
fn mistakes_of_the_file_have_their_lines() {
    let told = not_raised("[lab.b]\ncommand = 'x'\n");
    assert!(told.contains("fleet.toml:3: lab.b.on: `b` is neither a service nor a host"), "{told}");
    let told = not_raised("[hosts.c]\naddress = '127.0.0.5'\n");
    assert!(told.contains("c cannot be in a lab with the address 127.0.0.5"), "{told}");
}

#[test]
fn what_is_not_there_is_said_with_what_is() {
    let outside = Outside::new(HOST);
    let told = outside.lab_fails(&["exec", "a", "--", "true"]);
    assert!(told.contains("there is no lab lab: `partition-agent lab up FILE` raises one"), "{told}");
    assert!(outside.lab_fails(&["down"]).contains("there is no lab lab"));
    assert!(outside.lab_fails(&["up", "fleet.toml", "--name", "a/b"]).contains("`a/b` cannot be a name"));

    outside.lab_ok(&["up", "fleet.toml"]);
    let told = outside.lab_fails(&["up", "fleet.toml"]);
    assert!(
        told.contains("is up already, from fleet.toml") && told.contains("`partition-agent lab down`"),
        "{told}"
    );
    let told = outside.lab_fails(&["exec", "b", "--", "true"]);
    assert!(told.contains("there is no host b in the lab lab: there are controller, a"), "{told}");
    let told = outside.lab_fails(&["exec", "--name", "other", "a", "--", "true"]);
    assert!(told.contains("there is no lab other: there is lab: choose it with --name"), "{told}");
    let told = outside.lab_fails(&["exec", "a", "--", "no-such-program"]);
    assert!(told.contains("no-such-program: No such file or directory"), "{told}");
}
