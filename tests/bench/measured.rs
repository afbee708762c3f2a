//! What a program costs that runs to its end: time, processor, memory. The kernel adds up the children of a process, and tells
//! of the largest one how large it was; so between this process and the program there is one that has no other child.

use std::path::Path;
use std::process::{Command, ExitCode, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use serde::{Deserialize, Serialize};

/// The argument that makes the benchmark the process in between.
pub const VERB: &str = "measured";

/// What it took, first to last.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Cost {
    pub wall: Duration,
    /// Of it and of its children.
    pub cpu: Duration,
    /// The most memory that was resident, of the largest process.
    pub peak_kib: i64,
}

/// Runs it; it must succeed.
pub fn run(command: &[&str]) -> (Cost, Output) {
    let dir = tempfile::tempdir().expect("a directory");
    let told = dir.path().join("cost");
    let myself = std::env::current_exe().expect("a program knows where it is");
    let mut between = Command::new(myself);
    between.arg(VERB).arg(&told).args(command).stdin(Stdio::null()).stderr(Stdio::piped());
    let output = between.output().expect("the benchmark runs itself");
    let [out, error] = [&output.stdout, &output.stderr].map(|bytes| harness::text(bytes));
    assert!(output.status.success(), "{command:?}: {out:.1000}{error}");
    let told = std::fs::read(told).expect("the cost was written");
    (serde_json::from_slice(&told).expect("the cost is JSON"), output)
}

/// The process in between: where to write the cost, and what to run.
pub fn between(arguments: &[String]) -> ExitCode {
    let [told, program, arguments @ ..] = arguments else { return ExitCode::from(2) };
    let begun = Instant::now();
    let status = Command::new(program).args(arguments).status().expect("the program is there");
    let wall = begun.elapsed();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the kernel tells");
    let cpu = time(usage.user_time()) + time(usage.system_time());
    let cost = Cost { wall, cpu, peak_kib: usage.max_rss() };
    std::fs::write(Path::new(told), serde_json::to_vec(&cost).expect("it is JSON")).expect("a file");
    if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn time(time: TimeVal) -> Duration {
    let [seconds, micros] = [time.tv_sec(), time.tv_usec()].map(|part| u64::try_from(part).unwrap_or(0));
    Duration::from_secs(seconds) + Duration::from_micros(micros)
}
