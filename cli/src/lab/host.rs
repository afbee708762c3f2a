//! Hosts in network namespaces. Each is a process of this program that holds a namespace; it dies with the process that
//! made it, and the namespace, its links and everything in it die with the process. So there is nothing to clean up.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Lines, Write};
use std::net::IpAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};

use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::sethostname;

use super::links::{self, Bridge};
use crate::args::{LabEnterArgs, LabHostArgs};
use crate::exit::Failure;

/// This very program, even where its path is hidden or gone.
pub const SELF: &str = "/proc/self/exe";

/// The link of every host.
const HOST_LINK: &str = "eth0";

/// A process that is killed when this goes.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Already dead is fine.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A host: a process that holds a network namespace, and a name.
pub struct Host {
    pub name: String,
    /// The first is what it sends from.
    pub addresses: Vec<IpAddr>,
    namespace: PathBuf,
    process: Running,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
}

impl Host {
    /// Starts the process; what it has to complain about goes to the log.
    pub fn begin(name: &str, addresses: &[IpAddr], log: Stdio) -> Result<Self, Failure> {
        let mut process = Command::new(SELF);
        process.args(["lab-host", &std::process::id().to_string(), name]);
        process.args(addresses.iter().map(ToString::to_string));
        // Of its own, so that a Ctrl-C is not for it.
        process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).process_group(0);
        let mut process = Running(process.spawn()?);
        let (Some(stdin), Some(stdout)) = (process.0.stdin.take(), process.0.stdout.take()) else {
            return Err(Failure::Failed("a host has no pipes".to_owned()));
        };
        let namespace = format!("/proc/{}/ns/net", process.0.id()).into();
        let stdout = BufReader::new(stdout).lines();
        Ok(Self { name: name.to_owned(), addresses: addresses.to_vec(), namespace, process, stdin, stdout })
    }

    /// Links its namespace to the bridge of ours, by a port of this name.
    pub async fn plug_into(&mut self, bridge: &Bridge, port: &str) -> Result<(), Failure> {
        self.expect("born")?;
        bridge.link(port, HOST_LINK, self.process.0.id()).await?;
        Ok(self.stdin.write_all(b"linked\n")?)
    }

    /// Waits until it has its addresses.
    pub fn wait_until_up(&mut self) -> Result<(), Failure> {
        self.expect("up")
    }

    fn expect(&mut self, word: &str) -> Result<(), Failure> {
        match self.stdout.next() {
            Some(Ok(line)) if line == word => Ok(()),
            other => Err(Failure::Failed(format!("host {} is not {word}: {other:?}", self.name))),
        }
    }

    /// To enter.
    pub fn namespace(&self) -> &Path {
        &self.namespace
    }

    /// The process that holds it.
    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// A program on this host. It dies with this process; what it has started may not.
    pub fn command<S: AsRef<OsStr>>(&self, program: &[S]) -> Command {
        self.enter("lab-enter", program)
    }

    /// A program on this host as the first of its own namespace of processes; see [`super::offspring`].
    pub fn command_with_offspring<S: AsRef<OsStr>>(&self, program: &[S]) -> Command {
        self.enter("lab-init", program)
    }

    fn enter<S: AsRef<OsStr>>(&self, verb: &str, program: &[S]) -> Command {
        let mut command = Command::new(SELF);
        command.args([verb, &std::process::id().to_string(), &self.pid().to_string(), "--"]).args(program);
        command.process_group(0);
        command
    }
}

/// Has this process killed when its parent ends, which is this one.
///
/// # Errors
/// The parent has ended already.
pub fn die_with(parent: u32) -> Result<(), Failure> {
    set_pdeathsig(Signal::SIGKILL)?;
    has_parent(parent)
}

/// # Errors
/// The parent has ended already.
pub fn has_parent(parent: u32) -> Result<(), Failure> {
    // Asked of procfs: in a namespace of processes of our own, parents outside of it are 0.
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    if super::process::parent_in(&stat) == Some(parent) {
        Ok(())
    } else {
        Err(Failure::Failed("whoever started this has ended".to_owned()))
    }
}

/// `lab-host`: hold a network namespace until the parent is gone.
pub fn hold(args: &LabHostArgs) -> Result<ExitCode, Failure> {
    die_with(args.parent)?;
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWUTS)?;
    sethostname(&args.name)?;
    println!("born");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(links::set_up(HOST_LINK, &args.addresses))?;
    drop(runtime);
    println!("up");
    std::io::stdin().read_line(&mut line)?;
    Ok(ExitCode::SUCCESS)
}

/// Has the calling thread on the host that this process holds.
pub fn enter(pid: u32) -> Result<(), Failure> {
    for (kind, flag) in [("net", CloneFlags::CLONE_NEWNET), ("uts", CloneFlags::CLONE_NEWUTS)] {
        setns(File::open(format!("/proc/{pid}/ns/{kind}"))?, flag)?;
    }
    Ok(())
}

/// `lab-enter`: become a program on a host. Only returns if it cannot.
pub fn become_program(args: &LabEnterArgs) -> Failure {
    let become_it = || -> Result<std::convert::Infallible, Failure> {
        enter(args.host)?;
        die_with(args.parent)?;
        let (program, rest) =
            args.command.split_first().ok_or_else(|| Failure::Usage("no command".to_owned()))?;
        Err(Command::new(program).args(rest).exec().into())
    };
    match become_it() {
        Err(failure) => failure,
    }
}
