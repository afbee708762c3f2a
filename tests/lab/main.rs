//! `partition-agent lab`: hosts of a fleet on this machine, with real agents and real servers, and nothing of it outside.

mod ends;
mod refusals;
mod whole;

use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use harness::lab::Lab;
use harness::snapshot::Snapshot;
use harness::{binary, text};

/// How much later than promised something may be on a machine that does other things, too.
const SLACK: Duration = Duration::from_secs(10);

/// A variable that everything in a lab inherits.
const MARK: &str = "PA_TEST_LAB";

/// Three hosts in networks that have nothing to do with each other, and a service outside of them.
const FLEET: &str = r#"
[hosts.web]
address = ["10.1.2.3", "fd00:1::3"]
labels = { region = "eu" }
[hosts.queue]
address = ["192.168.200.7", "2001:db8:77::7"]
labels = { region = "us" }
[hosts.Edge]
address = "100.64.0.9"
agent = "https://edge.example.com:9001"
[services.shop]
address = ["203.0.113.80", "fdff:aaaa::80"]
ports = 8080
[tls]
ca = "not-there.crt"
[lab.shop]
command = "exec python3 -m http.server --bind :: 8080"
ready = "curl -s --noproxy '*' -o ready.html http://$ADDRESS:8080/"
[lab.told]
on = "queue"
command = """echo "$HOST $ADDRESS $FILES $PWD" >index.html
test "$DIR" = "$PWD" && exec python3 -m http.server --bind $ADDRESS 9000"""
ready = "curl -s --noproxy '*' -f -o ../ready.html http://$ADDRESS:9000/"
"#;

/// The machine as a lab finds it: a network namespace that nobody else changes, a fleet file, and a place for labs.
struct Outside {
    network: Lab,
    dir: tempfile::TempDir,
    mark: String,
    program: PathBuf,
    user: u32,
}

impl Outside {
    fn new(fleet: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let mark = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("fleet.toml"), fleet).expect("a file");
        let network = Lab::new();
        let begun = Instant::now();
        // The kernel tells a little later that both ends of a link are up; a snapshot before that would differ.
        while network.app.sh("ip -br link show up").matches(" UP ").count() < 2 {
            assert!(begun.elapsed() < SLACK, "links that do not come up");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { network, dir, mark, program: binary(), user: 0 }
    }

    /// For a user without any rights.
    fn for_anybody(fleet: &str) -> Self {
        let mut outside = Self::new(fleet);
        outside.user = 65_534;
        // The build directory may be closed to others. Made by another process, since a file that this one still writes, in
        // whatever thread, cannot be run.
        let directory = outside.dir.path().join("bin");
        std::fs::create_dir(&directory).expect("a directory");
        outside.program = directory.join("partition-agent");
        let copied = Command::new("cp").arg(binary()).arg(&outside.program).status().expect("cp is there");
        assert!(copied.success());
        std::fs::set_permissions(outside.dir.path(), PermissionsExt::from_mode(0o755)).expect("it is ours");
        chown(outside.dir.path(), Some(outside.user), Some(outside.user)).expect("root may");
        outside
    }

    fn command(&self, words: &[&str]) -> Command {
        let user = self.user.to_string();
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &user, "--regid", &user, "--clear-groups"]).arg(&self.program).args(words);
        command.env(MARK, &self.mark).env("XDG_RUNTIME_DIR", self.dir.path());
        // Of the machine, and nothing to a lab.
        command.env("PARTITION_AGENT_TOKEN_FILE", "/nonexistent");
        command.current_dir(self.dir.path()).stdin(Stdio::null());
        command
    }

    fn lab(&self, words: &[&str]) -> Output {
        self.network.app.run(|| self.command(&[&["lab"], words].concat()).output().expect("setpriv is there"))
    }

    /// It must succeed. What it printed.
    fn lab_ok(&self, words: &[&str]) -> String {
        let done = self.lab(words);
        assert!(done.status.success(), "{words:?}: {}{}", text(&done.stdout), text(&done.stderr));
        text(&done.stdout)
    }

    /// It must fail. What it complained.
    fn lab_fails(&self, words: &[&str]) -> String {
        let done = self.lab(words);
        assert!(!done.status.success(), "{words:?}: {}", text(&done.stdout));
        text(&done.stderr)
    }

    /// A shell command on a host of the lab.
    fn on(&self, host: &str, script: &str) -> Output {
        self.lab(&["exec", host, "--", "sh", "-c", script])
    }

    fn on_ok(&self, host: &str, script: &str) -> String {
        self.lab_ok(&["exec", host, "--", "sh", "-c", script])
    }

    /// Processes of the lab, and of whoever is in it.
    fn processes(&self) -> Vec<u32> {
        let entry = format!("{MARK}={}\0", self.mark).into_bytes();
        let all = std::fs::read_dir("/proc").expect("procfs").flatten();
        let pids = all.filter_map(|process| process.file_name().to_str()?.parse::<u32>().ok());
        let carries = |pid: &u32| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.windows(entry.len()).any(|window| window == entry)
        };
        pids.filter(carries).collect()
    }

    /// Those of them that are `sleep`.
    fn sleeping(&self) -> Vec<u32> {
        let name = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        self.processes().into_iter().filter(|pid| name(*pid) == "sleep\n").collect()
    }

    /// A shell that has gone may have left a child that is still to become one.
    fn until_sleeping(&self, count: usize) {
        let begun = Instant::now();
        while self.sleeping().len() != count {
            assert!(begun.elapsed() < SLACK, "not {count} sleep: {:?}", self.processes());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn until_no_process(&self) {
        let begun = Instant::now();
        while !self.processes().is_empty() {
            assert!(begun.elapsed() < SLACK, "{:?} are left", self.processes());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The process that holds the lab.
    fn holder(&self) -> i32 {
        let told = std::fs::read(self.dir.path().join("partition-agent/labs/lab.json")).expect("a lab is up");
        let told: serde_json::Value = serde_json::from_slice(&told).expect("JSON");
        told["pid"].as_i64().and_then(|pid| pid.try_into().ok()).expect("a process")
    }

    /// All that others could notice.
    fn snapshot(&self) -> (Snapshot, BTreeSet<PathBuf>, String) {
        let mut files = BTreeSet::new();
        for directory in [PathBuf::from("/run"), self.dir.path().to_owned()] {
            files.extend(
                std::fs::read_dir(directory).expect("it is there").flatten().map(|entry| entry.path()),
            );
        }
        // Other tests have theirs.
        files.remove(&PathBuf::from("/run/netns"));
        let mounts = std::fs::read_to_string("/proc/self/mounts").expect("procfs");
        let mounts =
            mounts.lines().filter(|line| !line.contains("/run/netns")).collect::<Vec<_>>().join("\n");
        let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
        (Snapshot::take(&self.network.app), files, mounts + &hosts)
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        // A panic on the way out would hide the one that matters.
        for name in ["lab", "second"] {
            let _ = self.network.app.run(|| self.command(&["lab", "down", "--name", name]).output());
        }
    }
}
