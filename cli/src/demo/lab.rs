//! Hosts in network namespaces. Each is a process of this program that holds a namespace; it dies with the process that
//! made it, and the namespace, its links and everything in it die with the process. So there is nothing to clean up.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{getgid, getuid};

use super::links;
use crate::args::{LabExecArgs, LabHostArgs, LabRespondArgs};
use crate::exit::Failure;

/// This very program, even where its path is hidden or gone.
pub const SELF: &str = "/proc/self/exe";

/// The link of every host.
const HOST_LINK: &str = "eth0";

/// Moves this process into namespaces of its own, so that nothing it does shows outside: network and mounts, and for
/// people other than root a user namespace in which they are root. Before any thread is started.
pub fn isolate() -> Result<(), Failure> {
    let (uid, gid) = (getuid(), getgid());
    let mut flags = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS;
    let as_root =
        caps::has_cap(None, caps::CapSet::Effective, caps::Capability::CAP_SYS_ADMIN).unwrap_or(false);
    if !as_root {
        flags |= CloneFlags::CLONE_NEWUSER;
    }
    unshare(flags).map_err(|errno| {
        Failure::Failed(format!(
            "cannot make namespaces: {errno}\n  allow user namespaces (sysctl user.max_user_namespaces, \
             kernel.apparmor_restrict_unprivileged_userns), or run the demo as root"
        ))
    })?;
    if !as_root {
        std::fs::write("/proc/self/setgroups", "deny")?;
        std::fs::write("/proc/self/uid_map", format!("0 {uid} 1"))?;
        std::fs::write("/proc/self/gid_map", format!("0 {gid} 1"))?;
    }
    // Sockets and state go to a /run of our own, which vanishes with us.
    use nix::mount::{MsFlags, mount};
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), Some("mode=0755"))?;
    Ok(())
}

/// A host: a process that holds a network namespace.
pub struct Host {
    pub address: IpAddr,
    process: Child,
    _alive: ChildStdin,
}

impl Host {
    /// Starts the process, links its namespace to the bridge of ours, and waits until it is reachable.
    pub async fn start(name: &str, address: IpAddr, bridge: &links::Bridge) -> Result<Self, Failure> {
        let mut process = Command::new(SELF)
            .args(["lab-host", &address.to_string(), "24"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(mut stdin), Some(stdout)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(Failure::Failed("a host has no pipes".to_owned()));
        };
        let mut lines = BufReader::new(stdout).lines();
        let mut expect = |word: &str| match lines.next() {
            Some(Ok(line)) if line == word => Ok(()),
            other => Err(Failure::Failed(format!("host {name} is not {word}: {other:?}"))),
        };
        expect("born")?;
        bridge.link(name, HOST_LINK, process.id()).await?;
        stdin.write_all(b"linked\n")?;
        expect("up")?;
        Ok(Self { address, process, _alive: stdin })
    }

    /// A program on this host. It dies with this process.
    pub fn command<S: AsRef<OsStr>>(&self, program: &[S]) -> Command {
        let mut command = Command::new(SELF);
        command.arg("lab-exec").arg(self.process.id().to_string()).arg("--").args(program);
        command
    }

    /// Whether a redis (or what stands for one) answers PING there, asked from this host, within the time.
    pub fn ping(&self, to: SocketAddr, patience: Duration) -> bool {
        let namespace = File::open(format!("/proc/{}/ns/net", self.process.id()));
        let ask = move || {
            let Ok(namespace) = namespace else { return false };
            setns(namespace, CloneFlags::CLONE_NEWNET).is_ok() && ping(to, patience).unwrap_or(false)
        };
        // A thread of its own: the namespace of a thread is its own, too.
        std::thread::spawn(ask).join().unwrap_or(false)
    }

    /// Asks until there is an answer; how long that took. Nothing, if there is none in the time.
    pub fn until_answer(&self, to: SocketAddr, patience: Duration) -> Option<Duration> {
        let begun = Instant::now();
        while begun.elapsed() < patience {
            if self.ping(to, Duration::from_millis(20)) {
                return Some(begun.elapsed());
            }
        }
        None
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // It ends by itself when its standard input does; this only makes sure.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn ping(to: SocketAddr, patience: Duration) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&to, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(b"PING\r\n")?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer)?;
    Ok(&answer == b"+PONG")
}

/// `lab-host`: hold a network namespace until the parent is gone.
pub fn host(args: &LabHostArgs) -> Result<ExitCode, Failure> {
    set_pdeathsig(Signal::SIGKILL)?;
    unshare(CloneFlags::CLONE_NEWNET)?;
    println!("born");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(links::set_up(HOST_LINK, args.address, args.prefix))?;
    println!("up");
    std::io::stdin().read_line(&mut line)?;
    Ok(ExitCode::SUCCESS)
}

/// `lab-exec`: become a program in the network namespace of a host. Only returns if it cannot.
pub fn exec(args: &LabExecArgs) -> Failure {
    let become_it = || -> Result<std::convert::Infallible, Failure> {
        let namespace = File::open(format!("/proc/{}/ns/net", args.pid))?;
        setns(namespace, CloneFlags::CLONE_NEWNET)?;
        set_pdeathsig(Signal::SIGKILL)?;
        let (program, rest) =
            args.command.split_first().ok_or_else(|| Failure::Usage("no command".to_owned()))?;
        Err(Command::new(program).args(rest).exec().into())
    };
    match become_it() {
        Err(failure) => failure,
    }
}

/// `lab-respond`: answer PING the way redis does, one connection after the other.
pub fn respond(args: &LabRespondArgs) -> Result<ExitCode, Failure> {
    let listener = TcpListener::bind(args.at)?;
    for stream in listener.incoming() {
        let answer = |mut stream: TcpStream| -> std::io::Result<()> {
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            let mut question = [0; 6];
            stream.read_exact(&mut question)?;
            stream.write_all(b"+PONG\r\n")
        };
        // A client that goes away in the middle is no reason to stop.
        let _ = stream.and_then(answer);
    }
    Ok(ExitCode::SUCCESS)
}
