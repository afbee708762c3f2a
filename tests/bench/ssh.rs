//! What people do without agents: a command on each host by ssh, a bounded number at once. The server and its keys are the
//! benchmark's own; it stands for all hosts, so every connection is one to loopback, and ends with the benchmark.

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::measured;

/// How many at once: what parallel-ssh and pssh do if nobody says otherwise.
const AT_ONCE: usize = 32;
const SIZES: [usize; 2] = [100, 1_000];

/// What would take longer is told from what was measured.
const LONGEST: Duration = Duration::from_secs(120);

/// Of sshd, which wants this directory and does not make it.
const SEPARATION: &str = "/run/sshd";

pub fn run() {
    if !Path::new("/usr/sbin/sshd").exists() {
        return println!("  ssh: there is no sshd here; `tests/run bench` installs one");
    }
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path());
    let mut each = Duration::ZERO;
    for size in SIZES {
        let expected = each * u32::try_from(size).expect("a number of hosts");
        if expected > LONGEST {
            println!("  {size} times ssh: not run, {:.0} s at the same pace", expected.as_secs_f64());
            continue;
        }
        let (cost, _) = measured::run(&["bash", "-c", &server.command(size)]);
        each = cost.wall / u32::try_from(size).expect("a number of hosts");
        let peak = cost.peak_kib as f64 / 1024.0;
        println!(
            "  {size} times ssh, {AT_ONCE} at once, each runs `true`: {:.2} s; processor: {:.2} s here; memory {peak:.1} MB each, \
             {:.0} MB for {AT_ONCE}",
            cost.wall.as_secs_f64(),
            cost.cpu.as_secs_f64(),
            peak * AT_ONCE as f64,
        );
    }
}

struct Server {
    process: Child,
    ssh: String,
    made_separation: bool,
}

impl Server {
    fn start(dir: &Path) -> Self {
        let made_separation = std::fs::create_dir(SEPARATION).is_ok();
        let path = |name: &str| dir.join(name).display().to_string();
        for key in ["host", "user"] {
            let made =
                Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &path(key)]).status();
            assert!(made.expect("ssh-keygen runs").success(), "no key");
        }
        let port = free_port().expect("a free port");
        // The last line: one server stands for all hosts, each of which would have a few callers, not all of them.
        let config = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {}\nAuthorizedKeysFile {}\nPermitRootLogin yes\n\
             PasswordAuthentication no\nUsePAM no\nStrictModes no\nPidFile none\nMaxStartups 1000\n",
            path("host"),
            path("user.pub"),
        );
        std::fs::write(dir.join("sshd_config"), config).expect("a file");
        // A benchmark that panics is aborted, and drops nothing.
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "/usr/sbin/sshd", "-D", "-q", "-f", &path("sshd_config")])
            .stdin(Stdio::null())
            .spawn()
            .expect("sshd starts");
        let ssh = format!(
            "ssh -F none -p {port} -i {} -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
             -o LogLevel=ERROR root@127.0.0.1 true",
            path("user"),
        );
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(30), "sshd does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { process, ssh, made_separation }
    }

    fn command(&self, size: usize) -> String {
        // `-I` and nothing to replace: the number of the host is only counted.
        format!("seq {size} | xargs -P {AT_ONCE} -I HOST {}", self.ssh)
    }
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

impl Drop for Server {
    fn drop(&mut self) {
        // Of those that it could return, none matters any more.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if self.made_separation {
            let _ = std::fs::remove_dir(SEPARATION);
        }
    }
}
