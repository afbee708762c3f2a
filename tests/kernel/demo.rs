//! `partition-agent demo`, the way a newcomer meets it: as root and as anybody, and cut off in the middle.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use harness::{binary, skip, text};

use crate::SLACK;

/// The demo keeps real time, which an emulated machine cannot.
fn emulated() -> bool {
    let emulated = std::env::var_os("PA_ROUNDS_DIVISOR").is_some();
    if emulated {
        skip("the demo keeps real time, and this machine is emulated");
    }
    emulated
}

/// A variable that everything the demo starts inherits.
const MARK: &str = "PA_TEST_DEMO";

fn copy(mark: &str) -> PathBuf {
    std::env::temp_dir().join(format!("pa-demo-{mark}"))
}

fn demo(user: &str, mark: &str) -> Command {
    // A copy that anybody may read: the build directory may be closed to others. Made by another process, since a file
    // that this one still writes, in whatever thread, cannot be run.
    let copied = Command::new("cp").arg(binary()).arg(copy(mark)).status().expect("cp is there");
    assert!(copied.success());
    let mut command = Command::new("setpriv");
    command.args(["--reuid", user, "--regid", user, "--clear-groups"]).arg(copy(mark)).arg("demo");
    command.env(MARK, mark).stdin(Stdio::null());
    command
}

/// Processes that carry the mark.
fn left(mark: &str) -> usize {
    let entry = format!("{MARK}={mark}\0").into_bytes();
    let carries = |environ: Vec<u8>| environ.windows(entry.len()).any(|window| window == entry);
    let processes = std::fs::read_dir("/proc").expect("procfs").flatten();
    processes.filter(|process| std::fs::read(process.path().join("environ")).is_ok_and(carries)).count()
}

#[test]
fn it_shows_what_it_promises_to_root_and_to_anybody_and_leaves_nothing() {
    if emulated() {
        return;
    }
    for user in ["0", "65534"] {
        let mark = format!("{}-{user}", std::process::id());
        let links =
            || text(&Command::new("ip").args(["-o", "link"]).output().unwrap().stdout).lines().count();
        let before = links();
        let done = demo(user, &mark).output().unwrap();
        let said = text(&done.stdout);
        assert!(done.status.success(), "{said}{}", text(&done.stderr));
        assert_eq!(said.matches("app -> redis silent   app -> db answers").count(), 2, "{said}");
        assert_eq!(said.matches("redis answers again after").count(), 2, "{said}");
        assert!(!said.contains("WRONG"), "{said}");
        assert!(said.contains("agent died  not known  not known") && said.contains("deadline"), "{said}");
        assert_eq!((left(&mark), links()), (0, before));
        std::fs::remove_file(copy(&mark)).unwrap();
    }
}

#[test]
fn it_leaves_no_process_when_it_is_killed() {
    if emulated() {
        return;
    }
    let mark = format!("{}-killed", std::process::id());
    let mut child = demo("0", &mark).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.by_ref().map_while(Result::ok).any(|line| line.contains("cut ")), "it was never cut");
    assert!(left(&mark) > 4, "hosts, servers and an agent");
    child.kill().unwrap();
    child.wait().unwrap();
    let begun = Instant::now();
    while left(&mark) > 0 {
        assert!(begun.elapsed() < SLACK, "{} processes are left", left(&mark));
    }
    std::fs::remove_file(copy(&mark)).unwrap();
}
