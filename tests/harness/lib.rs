//! What the tests stand on: hosts in network namespaces, a real agent in one of them, traffic between them, and
//! snapshots taken with other tools than the agent's own code.

pub mod agent;
pub mod browser;
pub mod cgroup;
pub mod docker;
pub mod exposition;
pub mod fake_agent;
pub mod fake_fleet;
pub mod fake_member;
pub mod fleet;
pub mod grafana;
pub mod lab;
pub mod name_server;
pub mod prometheus;
pub mod python;
pub mod snapshot;
pub mod stream;
pub mod terminal;
pub mod traffic;

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// The program under test, next to the tests that Cargo built.
#[must_use]
pub fn binary() -> PathBuf {
    if let Ok(path) = std::env::var("PA_BINARY") {
        return PathBuf::from(path);
    }
    let test = std::env::current_exe().expect("a test knows where it is");
    let profile = test.ancestors().find(|dir| dir.join("deps").is_dir()).expect("target/<profile>");
    let binary = profile.join("partition-agent");
    assert!(binary.is_file(), "{} is missing: run `cargo build` first", binary.display());
    binary
}

/// The program under test in this directory, without what a debugger needs: a fifth of its size.
///
/// # Panics
/// Without `strip`.
#[must_use]
pub fn stripped(dir: &std::path::Path) -> PathBuf {
    let program = dir.join("partition-agent");
    let stripped =
        Command::new("strip").arg("-o").arg(&program).arg(binary()).status().expect("strip is there");
    assert!(stripped.success());
    program
}

/// Whether this kernel has netem. Where it has not, the test is skipped here and runs in the VM; there, and wherever
/// `PA_MUST_HAVE_NETEM` says so, a missing module is a failure.
#[must_use]
pub fn has_netem(lab: &lab::Lab) -> bool {
    has("sch_netem", lab, "tc qdisc add dev lo root netem delay 1ms && tc qdisc del dev lo root")
}

/// What can shape packets here: the emulator everywhere, and netem by the rule of [`has_netem`].
#[must_use]
pub fn engines(lab: &lab::Lab) -> Vec<&'static str> {
    if has_netem(lab) { vec!["emulator", "netem"] } else { vec!["emulator"] }
}

/// Whether this kernel has VLANs, by the same rule.
#[must_use]
pub fn has_vlan(lab: &lab::Lab) -> bool {
    has("8021q", lab, "ip link add link to-db name probe type vlan id 2 && ip link del probe")
}

fn has(module: &str, lab: &lab::Lab, attempt: &str) -> bool {
    let tried = lab.app.output("bash", &["-c", attempt]);
    if tried.status.success() {
        return true;
    }
    assert!(std::env::var_os("PA_MUST_HAVE_NETEM").is_none(), "{module} is missing: {}", text(&tried.stderr));
    skip(&format!("this kernel has no {module}"));
    false
}

/// Whether a tool is there. In CI everything that can be installed must be.
#[must_use]
pub fn has_tool(name: &str) -> bool {
    let found = Command::new("which").arg(name).output().is_ok_and(|output| output.status.success());
    if !found {
        assert!(std::env::var_os("CI").is_none(), "{name} is not installed");
        skip(&format!("{name} is not installed"));
    }
    found
}

/// Says so, where `tests/run` collects it.
pub fn skip(why: &str) {
    let thread = std::thread::current();
    let line = format!("{}: {why}\n", thread.name().unwrap_or("a test"));
    eprint!("skipped {line}");
    if let Ok(path) = std::env::var("PA_SKIPS") {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        file.and_then(|mut file| file.write_all(line.as_bytes())).expect("the list of skips can be written");
    }
}

/// How much of the work to do, from 1 (all of it) upward: an emulated machine takes a twentieth of the rounds.
#[must_use]
pub fn rounds(all: usize) -> usize {
    let share = std::env::var("PA_ROUNDS_DIVISOR").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    (all / share).max(1)
}

/// Output of a tool.
#[must_use]
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// How long it took until something was so.
///
/// # Panics
/// When it is not in this time.
pub fn until(what: &str, patience: Duration, mut is_so: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < patience, "not within {patience:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
    begun.elapsed()
}
