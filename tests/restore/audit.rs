//! The audit log of a real agent: on a disk that is full, after `kill -9`, with a link in its place, and in the foreground.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use harness::agent::Agent;
use harness::lab::{Lab, REDIS};
use harness::text;
use serde_json::Value;

const CUT: &str = r#"{"kinds":[{"loss":{"percent":100}}],"target":{"peers":["10.77.1.2"]},"for":"10m"}"#;

/// Every line that can be read, and how many cannot.
fn lines(path: &std::path::Path) -> (Vec<Value>, usize) {
    let bytes = std::fs::read(path).expect("the agent has written it");
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let read = lines.map(serde_json::from_slice::<Value>).collect::<Vec<_>>();
    let torn = read.iter().filter(|line| line.is_err()).count();
    (read.into_iter().flatten().collect(), torn)
}

#[test]
fn on_a_full_disk_nothing_new_comes_into_force_and_everything_ends() {
    let lab = Lab::new();
    let dir = tempfile::tempdir().unwrap();
    let (state, script) = (dir.path().join("state"), dir.path().join("start"));
    // A small disk for the state, in a mount namespace of the agent's own.
    let state = state.display();
    let start =
        format!("#!/bin/sh\nmkdir -p {state} && mount -t tmpfs -o size=64k none {state} && exec \"$@\"\n");
    std::fs::write(&script, start).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let script = script.display().to_string();
    let by = ["unshare", "--mount", script.as_str()];
    let agent = Agent::start_by(&lab.app, &by, "", dir);
    agent.inject("before", CUT);
    let root = format!("/proc/{}/root{state}", agent.pid());
    let filled = lab.app.output("sh", &["-c", &format!("cat /dev/zero > {root}/ballast")]);
    assert!(!filled.status.success(), "the disk has no end");
    // What is left of the last page of each file takes some more lines.
    let refused = (0..200).find_map(|nth| {
        let id = format!("more-{nth}");
        let (status, body) = agent.ask("PUT", &format!("/v1/faults/{id}"), Some(&CUT.replace("100", "50")));
        if status == 201 {
            agent.restore(&id);
            return None;
        }
        assert_eq!((status, body["code"].as_str()), (500, Some("journal")), "{body}");
        body["detail"].as_str().unwrap().contains("the audit log cannot be written").then_some(())
    });
    refused.expect("a full disk takes no more");
    assert!(agent.faults().iter().all(|fault| fault.id.as_str() == "before"));
    let (status, body) = agent.ask("PATCH", "/v1/faults/before", Some(r#"{"for":"5m"}"#));
    assert_eq!(status, 200, "{body}");
    agent.restore("before");
    assert!(!lab.app.sh("nft list ruleset").contains("f1_"));
    assert!(agent.log().contains("the audit log cannot be written"), "{}", agent.log());
    lab.app.sh(&format!("rm {root}/ballast"));
    agent.inject("after", CUT);
    agent.restore("after");
}

#[test]
fn kill_9_under_load_leaves_a_log_that_can_be_read() {
    let lab = Lab::new();
    let mut dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("state/audit.jsonl");
    for _ in 0..3 {
        let agent = Agent::start_in(&lab.app, "", dir);
        let address = agent.address();
        let socket = address.strip_prefix("unix:").unwrap();
        let load = format!(
            "while curl -s -o /dev/null --unix-socket {socket} -X PUT -d '{CUT}' http://a/v1/faults/cut && \
             curl -s -o /dev/null --unix-socket {socket} -X DELETE http://a/v1/faults/cut; do :; done"
        );
        let written = || std::fs::read_to_string(&log).unwrap().lines().count();
        let before = written();
        let load = (0..3).map(|_| lab.app.spawn("bash", &["-c", &load], Stdio::null())).collect::<Vec<_>>();
        // A second, or as long as an emulated machine takes to start so many programs.
        std::thread::sleep(Duration::from_secs(1));
        let begun = Instant::now();
        while written() < before + 15 {
            assert!(begun.elapsed() < Duration::from_secs(60), "there is no load\n{}", agent.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        dir = agent.kill_9();
        drop(load);
    }
    let (entries, torn) = lines(&dir.path().join("state/audit.jsonl"));
    println!("{} lines, {torn} torn", entries.len());
    assert!(entries.len() > 30 && torn <= 3, "{} lines, {torn} torn", entries.len());
    assert!(entries.iter().all(|entry| entry["at"].is_string() && entry["what"].is_string()));
    let agent = Agent::start_in(&lab.app, "", dir);
    let table = agent.cli_ok(&lab.app, &["history", "--audit", "--limit", "5"]);
    assert!(table.starts_with("AT") && table.lines().count() == 6, "{table}");
}

#[test]
fn a_link_in_its_place_is_not_followed() {
    let lab = Lab::new();
    let dir = tempfile::tempdir().unwrap();
    let (state, precious) = (dir.path().join("state"), dir.path().join("precious"));
    std::fs::create_dir(&state).unwrap();
    std::fs::write(&precious, "untouched").unwrap();
    std::os::unix::fs::symlink(&precious, state.join("audit.jsonl")).unwrap();
    let socket = dir.path().join("agent.sock").display().to_string();
    let program = harness::binary().display().to_string();
    let state_dir = state.display().to_string();
    let conf = dir.path().join("agent.toml");
    std::fs::write(&conf, "").unwrap();
    let conf = conf.display().to_string();
    let done = lab
        .app
        .output(&program, &["serve", "--config", &conf, "--socket", &socket, "--state-dir", &state_dir]);
    assert!(!done.status.success());
    assert!(text(&done.stderr).contains("audit.jsonl is no regular file"), "{}", text(&done.stderr));
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "untouched");
}

#[test]
fn a_fault_in_the_foreground_is_recorded_too() {
    let lab = Lab::new();
    let dir = tempfile::tempdir().unwrap();
    let program = harness::binary().display().to_string();
    let lib = dir.path().display();
    let script = format!(
        "mount --bind {lib} /var/lib && mount -t tmpfs none /run && \
         exec {program} inject --loss 100% --peer {REDIS} --for 1s --id cut"
    );
    let begun = Instant::now();
    let done = lab.app.output("unshare", &["--mount", "sh", "-c", &script]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert!(begun.elapsed() < Duration::from_secs(60));
    let path = dir.path().join("partition-agent/audit.jsonl");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    let (entries, torn) = lines(&path);
    let kinds = entries.iter().map(|entry| match entry["what"].as_str().unwrap() {
        "event" => entry["kind"].as_str().unwrap(),
        what => what,
    });
    assert_eq!(kinds.collect::<Vec<_>>(), ["asked", "injected", "answered", "ended", "restored"]);
    assert_eq!((torn, entries[0]["from"].as_str()), (0, Some("foreground")));
}
