//! The questions that take netem, on a kernel that has it: this one, or that of the VM of the tests.

use std::process::Command;

use crate::record::Record;
use crate::{read, repository};

/// The argument that makes the benchmark ask only those, and write the answers into the file that is named after it.
pub const VERB: &str = "netem";

const KERNEL: &str = "6.12";
/// Tells the benchmark in the VM that it is there.
const EMULATED: &str = "PA_BENCH_EMULATED";
/// In seconds; all questions together take less than half of it on two cores.
const LONGEST: &str = "1500";

pub fn is_emulated() -> bool {
    std::env::var_os(EMULATED).is_some()
}

pub fn ask(names: &[&str]) -> Result<Record, String> {
    let answers = tempfile::tempdir().map_err(|error| error.to_string())?;
    let myself = std::env::current_exe().map_err(|error| error.to_string())?.display().to_string();
    let path = answers.path().join("answers.json");
    let mut command = if has_netem() {
        let mut command = Command::new(&myself);
        command.arg(VERB).arg(&path);
        command
    } else {
        let mut command = Command::new(repository().join("tests/vm/boot"));
        command.current_dir(repository()).env("PA_VM_RESULTS", answers.path()).env("PA_VM_TIMEOUT", LONGEST);
        command.args([KERNEL, "--env", &format!("{EMULATED}=1"), "--env", "PA_MUST_HAVE_NETEM=1", "--"]);
        // Where the guest's results go is only known there.
        command.args([
            "bash",
            "-c",
            "program=$1; shift; exec $program \"$1\" $PA_VM_RESULTS/answers.json \"${@:2}\"",
        ]);
        command.args(["bench", &myself, VERB]);
        command
    };
    let status = command.args(names).status().map_err(|error| error.to_string())?;
    let answered = read(&path)?;
    if status.success() || !answered.runs.is_empty() { Ok(answered) } else { Err(format!("netem: {status}")) }
}

fn has_netem() -> bool {
    let probe = "tc qdisc add dev lo root netem delay 1ms";
    let done = Command::new("unshare").args(["-n", "sh", "-c", probe]).output();
    done.is_ok_and(|output| output.status.success())
}
