//! Control groups of version 2 as systemd lays them out, and programs started in them.

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::lab::{Host, Running};
use crate::{text, until};

/// For a busy machine.
const SLACK: Duration = Duration::from_secs(5);

/// Gone when dropped, with whatever still runs in it.
pub struct Group {
    /// Below the mount.
    pub path: String,
    dir: PathBuf,
    /// Parents that were not there before, outermost last.
    parents: Vec<PathBuf>,
}

impl Default for Group {
    fn default() -> Self {
        Self::new()
    }
}

impl Group {
    /// # Panics
    /// Without root, or without control groups of version 2. So do the others.
    #[must_use]
    pub fn new() -> Self {
        Self::at(&format!("/{}", name()))
    }

    /// `/system.slice/NAME.service`, as systemd has it.
    pub fn service() -> Self {
        Self::at(&format!("/system.slice/{}.service", name()))
    }

    pub fn at(path: &str) -> Self {
        let dir = mount().join(path.trim_start_matches('/'));
        let parents = dir.ancestors().skip(1).take_while(|parent| !parent.exists()).map(PathBuf::from);
        let parents = parents.collect();
        std::fs::create_dir_all(&dir).expect("root may make control groups");
        Self { path: path.to_owned(), dir, parents }
    }

    /// `NAME.service`
    pub fn unit(&self) -> &str {
        self.path.rsplit('/').next().expect("a name")
    }

    /// A shell script that runs in here, in the network of a host, until its end.
    pub fn sh(&self, host: &Host, script: &str) -> Output {
        host.output("bash", &["-c", &self.enter(script)])
    }

    /// A program that stays.
    pub fn spawn(&self, host: &Host, script: &str) -> Running {
        let running = host.spawn("bash", &["-c", &self.enter(script)], Stdio::null());
        let pid = running.id().to_string();
        let procs = self.dir.join("cgroup.procs");
        let inside = || std::fs::read_to_string(&procs).expect("it is there").lines().any(|line| line == pid);
        until("it has entered its control group", SLACK, inside);
        running
    }

    fn enter(&self, script: &str) -> String {
        format!("echo $$ > {}/cgroup.procs && {script}", self.dir.display())
    }

    /// As systemd does when the last process of a unit has ended.
    pub fn remove(&self) {
        until("it is empty", SLACK, || std::fs::remove_dir(&self.dir).is_ok());
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Programs were killed before this; those that they started may still be there.
        for _ in 0..100 {
            let pids = std::fs::read_to_string(self.dir.join("cgroup.procs")).unwrap_or_default();
            for pid in pids.lines().filter_map(|pid| pid.parse().ok()) {
                let _ = nix::sys::signal::kill(
                    nix::unistd::Pid::from_raw(pid),
                    nix::sys::signal::Signal::SIGKILL,
                );
            }
            if !self.dir.exists() || std::fs::remove_dir(&self.dir).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        for parent in &self.parents {
            // Others may have come to live there.
            let _ = std::fs::remove_dir(parent);
        }
    }
}

fn name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("pa-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn mount() -> PathBuf {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("proc is mounted");
    let mut mounts = mounts.lines().filter(|line| line.contains(" - cgroup2 "));
    let line = mounts.next().expect("control groups of version 2 are mounted");
    PathBuf::from(line.split(' ').nth(4).expect("a mount point"))
}

/// Asks [`crate::traffic::serve_tcp`], with a second to answer.
pub fn tcp(host: &str, port: u16) -> String {
    format!("timeout -k 0.1 1 bash -c 'exec 3<>/dev/tcp/{host}/{port} && head -c 4 <&3'")
}

/// Asks [`crate::traffic::echo_udp`].
pub fn udp(host: &str, port: u16) -> String {
    format!("timeout -k 0.1 1 bash -c 'exec 3<>/dev/udp/{host}/{port} && printf PONG >&3 && head -c 4 <&3'")
}

/// Whether a script of the two above got its answer.
pub fn answered(done: &Output) -> bool {
    text(&done.stdout) == "PONG"
}
