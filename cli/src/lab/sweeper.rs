//! What becomes of commands in a lab when whoever started them is killed: the kernel does not kill them, as it does agents and servers.
//! They are no families, since they may be meant to kill a server, and from a namespace of processes of their own they would not see it.
//! So a process that outlives the lab sweeps its hosts.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};

use super::RUN;
use super::host::{Host, Running, SELF, has_parent};
use super::namespaces::Namespaces;
use crate::args::LabSweepArgs;
use crate::exit::Failure;

/// How long what was killed may take to be gone.
const GONE: Duration = Duration::from_secs(10);
/// From one look to the next.
const PACE: Duration = Duration::from_millis(10);

/// Sweeps when this process is gone without having dropped it.
pub struct Sweeper {
    _process: Running,
}

impl Sweeper {
    /// Of these hosts, and of where this process is.
    pub fn start(hosts: &[Host]) -> Result<Self, Failure> {
        let mut process = Command::new(SELF);
        process.args(["lab-sweep", &std::process::id().to_string()]);
        process.args(hosts.iter().map(|host| host.pid().to_string()));
        // Of its own, so that a Ctrl-C is not for it.
        process.stdin(Stdio::piped()).stdout(Stdio::null()).process_group(0);
        process.stderr(File::create(format!("{RUN}/sweep.log"))?);
        Ok(Self { _process: Running(process.spawn()?) })
    }
}

/// `lab-sweep`: wait for the end of a lab, then kill every process that is left on its hosts.
pub fn sweep(args: &LabSweepArgs) -> Result<ExitCode, Failure> {
    // Not in one of those that it sweeps.
    unshare(CloneFlags::CLONE_NEWNET)?;
    let namespaces = Namespaces::open(args.hosts.iter().copied().chain([args.parent]));
    // As long as that is there, the numbers are nobody else's: a wrong one would be a sweep of the machine.
    has_parent(args.parent)?;
    // Nobody ever writes: it is closed when the process at the other end is gone.
    std::io::stdin().read_line(&mut String::new())?;
    let begun = Instant::now();
    while namespaces.kill_all() > 0 && begun.elapsed() < GONE {
        sleep(PACE);
    }
    Ok(ExitCode::SUCCESS)
}
