//! Readers that have had enough, and disks that are full.

use std::fs::OpenOptions;
use std::io::pipe;
use std::process::{Command, Stdio};

use harness::fake_agent::FakeAgent;

use crate::run::{finish, program_at, run, unix};

fn agent_with_many_faults() -> FakeAgent {
    let agent = FakeAgent::start();
    for n in 0..20 {
        run(&agent, &format!("inject --loss 100% --peer redis --id cut-{n:02}")).done();
    }
    agent
}

#[test]
fn head_takes_the_first_line_and_nobody_complains() {
    let agent = agent_with_many_faults();
    let line = format!("set -o pipefail; '{}' status | head -1", harness::binary().display());
    let child = Command::new("bash")
        .args(["-c", &line])
        .env("PARTITION_AGENT", unix(&agent))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let text = finish(child.unwrap()).done();
    assert!(text.starts_with("ID ") && text.lines().count() == 1, "{text}");
}

#[test]
fn an_output_that_nobody_reads_is_no_error() {
    let agent = agent_with_many_faults();
    for words in [
        "status",
        "status --json",
        "status cut-00",
        "history",
        "doctor",
        "inject --loss 1% --peer redis --dry-run",
        "inject --loss 1% --peer redis --id unseen",
        "change unseen --for 5m",
        "restore --all",
        "--help",
        "--version",
    ] {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        finish(program_at(&agent, words).stdout(writer).spawn().unwrap()).done();
    }
    assert_eq!(run(&agent, "status").done(), "no faults\n");
}

#[test]
fn an_output_that_cannot_be_written_is_a_failure() {
    let agent = agent_with_many_faults();
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let error = finish(program_at(&agent, "status").stdout(full).spawn().unwrap()).failed(1);
    assert!(error.contains("No space left on device"), "{error}");
}

#[test]
fn a_complaint_that_nobody_reads_leaves_the_status_alone() {
    let agent = FakeAgent::start();
    for words in ["status nobody", "restore nobody"] {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        finish(program_at(&agent, words).stderr(writer).spawn().unwrap()).failed(1);
    }
}
