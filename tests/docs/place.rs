//! A host of its own for a section of a page: a network namespace with the addresses of the pages, and a mount namespace in which
//! `/etc`, `/usr`, `/var/lib` and `/run` may be changed, and nobody else's are.

use std::cell::RefCell;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use harness::lab::{Host, Running, batch};
use harness::{binary, has_tool};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::page::top;

/// For a program to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the configuration of the agent says, unless the page says otherwise.
const CONFIG: &str = "[peers]\nredis = ['10.0.0.5:6379']\ndatabases = ['10.0.1.0/24:5432']\n";

/// Mounts that end with the last process in here. `$1` is a directory of the test's own, `$2` the program, `$3` the source tree.
const PRIVATE: &str = r#"
mount -t tmpfs tmpfs "$1/over"
for dir in etc usr var/lib; do
    mkdir -p "$1/over/$dir/upper" "$1/over/$dir/work"
    mount -t overlay overlay -o "lowerdir=/$dir,upperdir=$1/over/$dir/upper,workdir=$1/over/$dir/work" "/$dir"
done
mkdir "$1/over/engines"
[ ! -S /run/docker.sock ] || { touch "$1/over/engines/docker.sock"; mount --bind /run/docker.sock "$1/over/engines/docker.sock"; }
mount -t tmpfs tmpfs /run
[ ! -e "$1/over/engines/docker.sock" ] || { touch /run/docker.sock; mount --bind "$1/over/engines/docker.sock" /run/docker.sock; }
install -D /dev/null /usr/lib/partition-agent-under-test
mount --bind "$2" /usr/lib/partition-agent-under-test
ln -s /usr/lib/partition-agent-under-test /usr/bin/partition-agent
systemd-sysusers "$3/systemd/sysusers.conf" >"$1/sysusers" 2>&1
install -d -g partition-agent -m 770 /var/lib/partition-agent
mkdir -p /etc/partition-agent
mknod -m 666 /run/tun c 10 200
mount --bind /run/tun /dev/net/tun
printf 'nameserver 10.0.0.53\n' > /etc/resolv.conf
printf '10.0.0.6 api.example.com\n' >> /etc/hosts
touch "$1/ready"
exec sleep infinity
"#;

pub struct Place {
    app: Host,
    far: Host,
    /// Holds the mount namespace.
    holder: Running,
    _redis: Running,
    agent: RefCell<Option<Running>>,
    fleet: RefCell<bool>,
    dir: tempfile::TempDir,
}

/// A command that runs, with all that it has started.
pub struct Group(pub Child);

impl Drop for Group {
    fn drop(&mut self) {
        // What it has left in the background is in its group, too. Nobody may be left.
        let _ = killpg(pid(&self.0), Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

pub fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("a pid"))
}

impl Place {
    /// None, where a tool is missing.
    pub fn new() -> Option<Self> {
        if !["redis-server", "redis-cli", "nsenter", "systemd-sysusers"].into_iter().all(has_tool) {
            return None;
        }
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let [app, far] = ["app", "far"].map(|role| format!("pa-docs-{}-{number}-{role}", std::process::id()));
        batch(
            &[],
            &format!(
                "netns add {app}\nnetns add {far}\nlink add eth0 netns {app} type veth peer name eth0 netns {far}\n"
            ),
        );
        let up = "link set eth0 addrgenmode none\nlink set lo up\nlink set eth0 up\n";
        batch(
            &["-n", &app],
            &format!("{up}addr add 10.0.0.11/24 dev eth0\nroute add default via 10.0.0.1\n"),
        );
        let addresses = ["10.0.0.1", "10.0.0.5", "10.0.0.6", "10.0.0.53", "10.0.1.7"];
        let addresses = addresses.map(|address| format!("addr add {address}/24 dev eth0\n")).concat();
        batch(&["-n", &far], &format!("{up}{addresses}"));
        let (app, far) = (Host::open(app), Host::open(far));

        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("over")).expect("a directory");
        let path = dir.path().display().to_string();
        let program = binary().display().to_string();
        let tree = top().display().to_string();
        let hold =
            ["--mount", "--propagation", "private", "bash", "-ec", PRIVATE, "hold", &path, &program, &tree];
        let holder = app.spawn("unshare", &hold, Stdio::inherit());
        let serve = ["--bind", "10.0.0.5", "--save", "", "--protected-mode", "no", "--dir", &path];
        let redis = far.spawn("redis-server", &serve, Stdio::null());
        let place = Self {
            app,
            far,
            holder,
            _redis: redis,
            agent: RefCell::default(),
            fleet: RefCell::default(),
            dir,
        };
        harness::until("the place is ready", PATIENCE, || place.dir.path().join("ready").exists());
        place.lay_out();
        place.configure(CONFIG);
        place.shell_ok("until redis-cli -h 10.0.0.5 ping; do sleep 0.1; done");
        Some(place)
    }

    /// The host that the pages are typed on.
    pub fn app(&self) -> &Host {
        &self.app
    }

    /// A checkout, as the pages are read in: with what they name, and a program that is built.
    fn lay_out(&self) {
        let work = self.work();
        std::fs::create_dir_all(work.join("target/release")).expect("a directory");
        for name in ["systemd", "docs", "README.md"] {
            std::os::unix::fs::symlink(top().join(name), work.join(name)).expect("a link");
        }
        std::os::unix::fs::symlink(binary(), work.join("target/release/partition-agent")).expect("a link");
        std::fs::copy(top().join("tests/docs/fleet.toml"), self.dir.path().join("fleet.toml"))
            .expect("a file");
    }

    pub fn work(&self) -> std::path::PathBuf {
        self.dir.path().join("work")
    }

    /// Into `agent.toml`, in the place of what is there.
    pub fn configure(&self, config: &str) {
        let file = self.dir.path().join("agent.toml");
        std::fs::write(&file, config).expect("a file");
        self.shell_ok(&format!("install -m 644 {} /etc/partition-agent/agent.toml", file.display()));
    }

    /// With more of a configuration than the usual one.
    pub fn configure_more(&self, first: &str) {
        self.configure(&format!("{first}{CONFIG}"));
    }

    /// What a shell in here is started by.
    pub fn enter(&self, script: &str) -> Vec<String> {
        let mounts = format!("--mount=/proc/{}/ns/mnt", self.holder.id());
        let net = format!("--net=/run/netns/{}", self.app.namespace);
        let work = format!("--wdns={}", self.work().display());
        let words = ["nsenter", &net, &mounts, &work, "bash", "-c", script];
        words.map(str::to_owned).into()
    }

    /// The same, on the controller of a fleet, which is a lab in here.
    pub fn enter_fleet(&self, script: &str) -> Vec<String> {
        if !self.fleet.replace(true) {
            let file = self.dir.path().join("fleet.toml");
            self.shell_ok(&format!("partition-agent lab up {} --name docs", file.display()));
        }
        let script = script.replace('\'', r"'\''");
        self.enter(&format!("exec partition-agent lab exec --name docs controller -- bash -c '{script}'"))
    }

    /// Starts a program, with all it prints in one pipe.
    pub fn start(&self, words: &[String]) -> Group {
        let merged =
            [&["bash".to_owned(), "-c".into(), r#"exec "$@" 2>&1"#.into(), "merged".into()], words].concat();
        let mut command = Command::new(&merged[0]);
        command.args(&merged[1..]).process_group(0).stdin(Stdio::null()).stdout(Stdio::piped());
        command.env("XDG_RUNTIME_DIR", self.dir.path()).env("USER", "root").env("HOME", self.dir.path());
        command.env("LC_ALL", "C.UTF-8").env_remove("SSH_CONNECTION").env_remove("PARTITION_AGENT");
        Group(command.spawn().expect("bash is installed"))
    }

    /// It must succeed.
    pub fn shell_ok(&self, script: &str) {
        let group = self.start(&self.enter(script));
        let (status, printed) = finish(group);
        assert!(status, "{script}: {printed}");
    }

    /// What systemd does here, as far as the pages ask for it. The real one is in tests/packages.
    pub fn systemctl(&self, words: &[&str]) {
        match words {
            ["daemon-reload"] => {}
            ["start" | "restart", "partition-agent"] | ["enable", "--now", "partition-agent"] => {
                self.start_agent()
            }
            // As `Restart=` of the unit says.
            ["kill", "-s", "KILL", "partition-agent"] => self.start_agent(),
            ["stop", "partition-agent"] => {
                let agent = self.agent.borrow_mut().take();
                let mut agent = agent.expect("it runs");
                kill(pid(&agent), Signal::SIGTERM).expect("it is our child");
                agent.wait().expect("a child");
            }
            words => panic!("no stand-in for systemctl {words:?}"),
        }
    }

    /// By root, on its default socket and with its default configuration.
    pub fn start_agent(&self) {
        // `kill -9` for the one that runs.
        drop(self.agent.borrow_mut().take());
        self.shell_ok(
            "install -d -g partition-agent -m 750 /run/partition-agent; rm -f /run/partition-agent/*",
        );
        let log = std::fs::File::create(self.dir.path().join("log")).expect("a file");
        let words = self.enter("exec partition-agent serve");
        let words = words.iter().map(String::as_str).collect::<Vec<_>>();
        let mut agent = self.app.spawn(words[0], &words[1..], Stdio::from(log));
        let begun = Instant::now();
        while !finish(
            self.start(&self.enter("test -S /run/partition-agent/agent.sock && partition-agent status")),
        )
        .0
        {
            let ended = agent.try_wait().expect("a child").is_some();
            assert!(!ended && begun.elapsed() < PATIENCE, "no agent: {}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        *self.agent.borrow_mut() = Some(agent);
    }

    /// Whether packets can be shaped by the kernel.
    pub fn has_netem(&self) -> bool {
        finish(
            self.start(&self.enter("tc qdisc add dev lo root netem delay 1ms && tc qdisc del dev lo root")),
        )
        .0
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

/// Whether it succeeded, and what it printed.
fn finish(mut group: Group) -> (bool, String) {
    let printed = std::io::read_to_string(group.0.stdout.take().expect("piped")).unwrap_or_default();
    (group.0.wait().expect("a child").success(), printed)
}

impl Drop for Place {
    fn drop(&mut self) {
        // Labs outlive their terminal. A panic on the way out would hide the one that matters.
        for name in ["docs", "lab"] {
            let _ = finish(self.start(&self.enter(&format!("partition-agent lab down --name {name}"))));
        }
        drop(self.agent.borrow_mut().take());
        for host in [&self.app, &self.far] {
            let _ = Command::new("ip").args(["netns", "del", &host.namespace]).status();
        }
    }
}
