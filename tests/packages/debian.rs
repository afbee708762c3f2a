//! A machine with a clean Debian: a tree of debootstrap's, booted by systemd-nspawn with a network of its own. What is written there is
//! in memory, and gone with it.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A machine boots in seconds; a busy one takes longer.
const PATIENCE: Duration = Duration::from_secs(120);

/// Beside what every Debian has: what the tests look with, and what Ansible needs.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,iproute2,nftables,iputils-ping,python3-apt";

pub struct Machine {
    nspawn: Child,
    /// Its first process, once there is one.
    leader: Option<u32>,
    /// Where control groups are of version 1, two machines would have theirs in one place, and each would see the services of the other.
    _alone: MutexGuard<'static, ()>,
}

/// The tree, made once.
fn tree() -> &'static Path {
    static TREE: OnceLock<PathBuf> = OnceLock::new();
    TREE.get_or_init(|| {
        let tree = crate::top().join("target/debian-bookworm");
        if !tree.exists() {
            // Under another name until it is whole.
            let begun = tree.with_extension("begun");
            let _ = std::fs::remove_dir_all(&begun);
            let made = Command::new("debootstrap")
                .args(["--variant=minbase", &format!("--include={PACKAGES}"), "bookworm"])
                .arg(&begun)
                .output()
                .unwrap();
            assert!(made.status.success(), "{}", harness::text(&made.stdout));
            std::fs::rename(&begun, &tree).unwrap();
        }
        tree
    })
}

impl Machine {
    /// With this directory, which both see.
    pub fn boot(shared: &Path) -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        // One that a test has panicked with is down.
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let name = format!("pa-{}", std::process::id());
        let mut nspawn = Command::new("systemd-nspawn");
        nspawn.arg("--directory").arg(tree());
        nspawn.args(["--boot", "--volatile=overlay", "--private-network", "--register=no", "--keep-unit"]);
        nspawn.args(["--machine", &name, "--quiet"]).arg(format!("--bind={}", shared.display()));
        // No terminal, and no Ctrl-C of ours.
        nspawn.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let nspawn = nspawn.spawn().unwrap();
        let mut machine = Self { nspawn, leader: None, _alone: alone };
        let begun = Instant::now();
        while !machine.is_up() {
            assert!(machine.nspawn.try_wait().unwrap().is_none(), "the machine has ended while it booted");
            assert!(begun.elapsed() < PATIENCE, "the machine did not boot in {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(200));
        }
        machine
    }

    fn is_up(&mut self) -> bool {
        let Some(leader) = first_below(self.nspawn.id()) else { return false };
        self.leader = Some(leader);
        let state = self.output("systemctl is-system-running");
        matches!(harness::text(&state.stdout).trim(), "running" | "degraded")
    }

    /// Its first process, as it is known here.
    pub fn leader(&self) -> u32 {
        self.leader.expect("it has booted")
    }

    /// A line of shell on it, as root.
    pub fn output(&self, line: &str) -> Output {
        let mut enter = Command::new("nsenter");
        enter.args(["--target", &self.leader().to_string(), "--all", "--", "sh", "-c", line]);
        enter.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output().unwrap()
    }

    /// What a line says that works.
    #[track_caller]
    pub fn run(&self, line: &str) -> String {
        let output = self.output(line);
        let (out, err) = (harness::text(&output.stdout), harness::text(&output.stderr));
        assert!(output.status.success(), "{line}: {}\n{out}{err}", output.status);
        out
    }
}

/// The process with the number 1 in its own namespace, among those that come from this one.
fn first_below(pid: u32) -> Option<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().find_map(|child| {
        let child = child.parse().ok()?;
        let status = std::fs::read_to_string(format!("/proc/{child}/status")).ok()?;
        let own = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
        // Of two namespaces: ours, and its own.
        let numbers = own.split_whitespace().collect::<Vec<_>>();
        if numbers.len() > 1 && numbers.last() == Some(&"1") { Some(child) } else { first_below(child) }
    })
}

impl Drop for Machine {
    fn drop(&mut self) {
        // The machine is told to go down by SIGRTMIN+3, which nspawn sends for a SIGTERM.
        let nspawn = Pid::from_raw(self.nspawn.id().try_into().unwrap_or(i32::MAX));
        let _ = kill(nspawn, Signal::SIGTERM);
        let begun = Instant::now();
        while matches!(self.nspawn.try_wait(), Ok(None)) {
            if begun.elapsed() > Duration::from_secs(30) {
                if let Some(Ok(leader)) = self.leader.map(i32::try_from) {
                    let _ = kill(Pid::from_raw(leader), Signal::SIGKILL);
                }
                let _ = self.nspawn.kill();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
