//! Three hosts: `app`, where the agent runs, with one link to `redis` and one to `db`.

use std::fs::File;
use std::io::Write;
use std::net::IpAddr;
use std::ops::{Deref, DerefMut};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sched::{CloneFlags, setns};

use crate::text;

pub const REDIS: &str = "10.77.1.2";
pub const REDIS6: &str = "fd77:1::2";
pub const DB: &str = "10.77.2.2";
pub const APP_TO_REDIS: &str = "10.77.1.1";

/// A network namespace of the test's own.
pub struct Host {
    pub namespace: String,
    file: File,
}

/// A program that is killed when the test is over, panic or not.
pub struct Running(Child);

impl Deref for Running {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Running {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already dead is fine.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The hosts; they and everything in them go when this does, panic or not.
pub struct Lab {
    pub app: Host,
    pub redis: Host,
    pub db: Host,
}

impl Lab {
    /// # Panics
    /// Without root, or without iproute2.
    #[must_use]
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = |role: &str| format!("pa-test-{}-{number}-{role}", std::process::id());
        let [app, redis, db] = ["app", "redis", "db"].map(name);
        batch(
            &[],
            &format!(
                "netns add {app}\nnetns add {redis}\nnetns add {db}\n\
             link add to-redis netns {app} type veth peer name eth0 netns {redis}\n\
             link add to-db netns {app} type veth peer name eth0 netns {db}\n"
            ),
        );
        let lab = Self { app: Host::open(app), redis: Host::open(redis), db: Host::open(db) };
        // nodad and no link-local addresses: what there is of IPv6 is there at once, and does not change later.
        lab.app.ip("link set to-redis addrgenmode none\nlink set to-db addrgenmode none\n\
             link set lo up\nlink set to-redis up\nlink set to-db up\n\
                    addr add 10.77.1.1/24 dev to-redis\naddr add 10.77.2.1/24 dev to-db\n\
                    addr add fd77:1::1/64 dev to-redis nodad\naddr add fd77:2::1/64 dev to-db nodad\n");
        lab.redis.ip("link set eth0 addrgenmode none\nlink set lo up\nlink set eth0 up\naddr add 10.77.1.2/24 dev eth0\n\
                      addr add fd77:1::2/64 dev eth0 nodad\n");
        lab.db.ip("link set eth0 addrgenmode none\nlink set lo up\nlink set eth0 up\naddr add 10.77.2.2/24 dev eth0\n\
                   addr add fd77:2::2/64 dev eth0 nodad\n");
        lab
    }
}

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}

impl Host {
    /// One that `ip netns add` has made.
    ///
    /// # Panics
    /// If there is no such namespace.
    #[must_use]
    pub fn open(namespace: String) -> Self {
        let file = File::open(format!("/run/netns/{namespace}")).expect("`ip netns add` made it");
        Self { namespace, file }
    }

    /// Runs on this host: on a thread of its own, since a thread's network namespace is its own.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                setns(&self.file, CloneFlags::CLONE_NEWNET).expect("root may enter");
                work()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Runs on this host in the background, for as long as the test lives.
    pub fn background(&self, work: impl FnOnce() + Send + 'static) {
        let file = self.file.try_clone().expect("a file can be cloned");
        let (ready, wait) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            setns(&file, CloneFlags::CLONE_NEWNET).expect("root may enter");
            let _ = ready.send(());
            work();
        });
        wait.recv().expect("the thread starts");
    }

    /// A program on this host; a child inherits the namespace of the thread that starts it.
    #[must_use]
    pub fn spawn(&self, program: &str, arguments: &[&str], stderr: Stdio) -> Running {
        let started = self.run(|| {
            Command::new(program)
                .args(arguments)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(stderr)
                .spawn()
        });
        Running(started.unwrap_or_else(|error| panic!("{program}: {error}")))
    }

    #[must_use]
    pub fn output(&self, program: &str, arguments: &[&str]) -> Output {
        let done = self.run(|| Command::new(program).args(arguments).output());
        done.unwrap_or_else(|error| panic!("{program}: {error}"))
    }

    /// A shell command that must work, and what it printed.
    pub fn sh(&self, script: &str) -> String {
        let done = self.output("bash", &["-c", script]);
        assert!(done.status.success(), "{script}: {}", text(&done.stderr));
        text(&done.stdout)
    }

    fn ip(&self, batch: &str) {
        self::batch(&["-n", &self.namespace], batch);
    }
}

/// One call of `ip` for many lines.
///
/// # Panics
/// If one of them fails, or without iproute2.
pub fn batch(arguments: &[&str], batch: &str) {
    let mut child = Command::new("ip")
        .args(arguments)
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("iproute2 is installed");
    child.stdin.take().expect("piped").write_all(batch.as_bytes()).expect("ip reads its batch");
    assert!(child.wait().expect("ip ends").success(), "ip {arguments:?} failed (root?)");
}

impl Drop for Lab {
    fn drop(&mut self) {
        for host in [&self.app, &self.redis, &self.db] {
            // A panic on the way out would hide the one that matters.
            let _ = Command::new("ip").args(["netns", "del", &host.namespace]).status();
        }
    }
}

/// Parses an address of the lab.
#[must_use]
pub fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}
