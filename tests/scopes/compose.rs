//! A compose project on the real Docker: `app`, two replicas of `redis`, `db`, all from one image made from nothing.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use harness::docker::Image;
pub use harness::docker::docker;
use harness::{has_tool, text};

/// The project and all of its containers and networks go when this does, panic or not.
pub struct Project {
    pub name: String,
    image: Arc<Image>,
    compose: &'static [&'static str],
    /// Two projects at once, of two test programs, would wait for the engine and not for the agent.
    _alone: File,
}

/// A running container, as it is now.
#[derive(Debug, Clone)]
pub struct Container {
    pub id: String,
    pub name: String,
    pub pid: u32,
    pub address: String,
}

impl Project {
    /// The project, up and answering. None, and said so, where there is no Docker.
    pub fn up() -> Option<Self> {
        if !["docker", "redis-server", "redis-cli", "busybox", "nsenter"].iter().all(|tool| has_tool(tool)) {
            return None;
        }
        let Some(compose) = compose_program() else {
            // Says that it is not there, or fails in CI.
            assert!(!has_tool("docker-compose"));
            return None;
        };
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("patest{}x{number}", std::process::id());
        let project = Self { name, image: redis_image(), compose, _alone: alone() };
        project.scale_redis(2);
        Some(project)
    }

    pub fn scale_redis(&self, replicas: u32) {
        let scale = format!("redis={replicas}");
        self.compose(&["up", "-d", "--no-build", "--scale", &scale]);
        let all = ["app", "db", "redis"].map(|service| self.service(service)).concat();
        for container in all {
            // In its own namespace: over loopback, which no test cuts.
            let ready = || container.sh("redis-cli -h 127.0.0.1 ping").contains("PONG");
            crate::until("redis answers in its container", 6 * crate::SLACK, ready);
        }
    }

    pub fn compose(&self, arguments: &[&str]) {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker/compose.yml");
        let [program, first @ ..] = self.compose else { unreachable!("a program") };
        let done = Command::new(program)
            .args(first)
            .args(["--project-name", &self.name, "--file"])
            .arg(file)
            .args(arguments)
            .env("PA_IMAGE", &self.image.0)
            .output()
            .expect("it can be started");
        assert!(done.status.success(), "{arguments:?}: {}{}", text(&done.stdout), text(&done.stderr));
    }

    /// `project/service`, as a scope and a peer name it.
    pub fn path(&self, service: &str) -> String {
        format!("{}/{service}", self.name)
    }

    pub fn image(&self) -> &str {
        &self.image.0
    }

    pub fn network(&self) -> String {
        format!("{}_default", self.name)
    }

    /// The running containers of a service, by name.
    pub fn service(&self, service: &str) -> Vec<Container> {
        let [project, service] = [format!("project={}", self.name), format!("service={service}")]
            .map(|label| format!("label=com.docker.compose.{label}"));
        let ids = docker(&["ps", "-q", "--no-trunc", "--filter", &project, "--filter", &service]);
        let mut all = ids.split_whitespace().map(Container::inspect).collect::<Vec<_>>();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }

    /// The only container of a service.
    pub fn one(&self, service: &str) -> Container {
        let [one] = self.service(service).try_into().expect("one container");
        one
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let label = format!("label=com.docker.compose.project={}", self.name);
        let Ok(ids) = Command::new("docker").args(["ps", "-aq", "--filter", &label]).output() else { return };
        let ids = text(&ids.stdout);
        let ids = ids.split_whitespace();
        // A panic on the way out would hide the one that matters.
        let _ = Command::new("docker").args(["rm", "-f", "-v"]).args(ids).output();
        let _ = Command::new("docker").args(["network", "rm", &self.network()]).output();
    }
}

impl Container {
    pub fn inspect(id: &str) -> Self {
        let format = "{{.Id}} {{.Name}} {{.State.Pid}} \
                      {{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}";
        let said = docker(&["inspect", "--format", format, id]);
        let mut words = said.split_whitespace().map(str::to_owned);
        let mut word = || words.next().unwrap_or_default();
        let (id, name) = (word(), word());
        let pid = word().parse().expect("a pid");
        Self { id, name: name.trim_start_matches('/').to_owned(), pid, address: word() }
    }

    /// As it is after a restart.
    pub fn again(&self) -> Self {
        Self::inspect(&self.id)
    }

    /// A shell command with the tools of the host in the network of the container; what it printed, whether it worked or not.
    pub fn sh(&self, script: &str) -> String {
        text(&self.enter(script).stdout)
    }

    /// The same, and it must work.
    pub fn sh_ok(&self, script: &str) -> String {
        let done = self.enter(script);
        assert!(done.status.success(), "in {}: {script}: {}", self.name, text(&done.stderr));
        text(&done.stdout)
    }

    fn enter(&self, script: &str) -> Output {
        let pid = self.pid.to_string();
        Command::new("nsenter").args(["-t", &pid, "-n", "bash", "-c", script]).output().expect("nsenter")
    }

    /// Whether redis in the other container answers within a second.
    pub fn reaches(&self, other: &Self) -> bool {
        self.reaches_address(&other.address)
    }

    pub fn reaches_address(&self, address: &str) -> bool {
        self.sh(&format!("timeout -k 0.1 1 redis-cli -h {address} ping")).trim() == "PONG"
    }

    /// The shortest of five pings, in milliseconds.
    pub fn ping(&self, other: &Self) -> f64 {
        let said = self.sh_ok(&format!("ping -c 5 -i 0.2 -W 3 {}", other.address));
        // rtt min/avg/max/mdev = 0.041/...
        let times = said.rsplit("= ").next().and_then(|times| times.split('/').next());
        times.and_then(|least| least.parse().ok()).unwrap_or_else(|| panic!("no times: {said}"))
    }

    /// What the agent must leave as it was. Without the counters of the rules that Docker has there.
    pub fn snapshot(&self) -> String {
        self.sh_ok("nft -s list ruleset; tc qdisc show; ip -d link show; ip rule; ip route; ss -Hxl | grep -c @partition-agent || true")
    }

    /// Its network namespace, held open.
    pub fn netns(&self) -> File {
        File::open(format!("/proc/{}/ns/net", self.pid)).expect("it runs")
    }

    /// `net:[4026532000]`.
    pub fn netns_id(&self) -> String {
        let link = std::fs::read_link(format!("/proc/{}/ns/net", self.pid)).expect("it runs");
        link.display().to_string()
    }
}

/// An image of redis, removed with the last project that uses it.
pub fn redis_image() -> Arc<Image> {
    static SHARED: Mutex<Weak<Image>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let image = Arc::new(build());
        *shared = Arc::downgrade(&image);
        image
    })
}

/// From the programs of this machine and the libraries that the loader says they need.
fn build() -> Image {
    let context = tempfile::tempdir().expect("a temporary file");
    let name = format!("partition-agent-test-redis:{}", std::process::id());
    // busybox is static: ldd says that it is no dynamic executable, and fails.
    let copy = "set -euo pipefail; cd \"$0\"; mkdir -p root/bin root/tmp
        for program in redis-server redis-cli busybox; do
            path=$(command -v $program); cp -L \"$path\" root/bin/
            for library in $( (ldd \"$path\" 2>/dev/null || true) | grep -o '/[^ ]*' || true); do
                mkdir -p \"root${library%/*}\"; cp -L \"$library\" \"root$library\"
            done
        done
        cp root/bin/busybox root/bin/sh
        cp \"$1/Dockerfile\" .; docker build -q -t \"$2\" .";
    let docker = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker");
    let built = Command::new("bash")
        .args(["-c", copy])
        .arg(context.path())
        .arg(docker)
        .arg(&name)
        .env("DOCKER_BUILDKIT", "0")
        .output()
        .expect("it can be started");
    assert!(built.status.success(), "{}", text(&built.stderr));
    Image(name)
}

/// For as long as it is kept, no other test has a project.
pub fn alone() -> File {
    let alone = File::create(std::env::temp_dir().join("partition-agent-tests-docker.lock"));
    let alone = alone.expect("a temporary file");
    alone.lock().expect("nobody panicked with it");
    alone
}

/// Of the first version, or the plugin of the second.
pub fn compose_program() -> Option<&'static [&'static str]> {
    let programs: [&[&str]; 2] = [&["docker", "compose"], &["docker-compose"]];
    let works = |words: &&[&str]| {
        let [program, rest @ ..] = words else { return false };
        let tried = Command::new(program).args(rest).arg("version").output();
        tried.is_ok_and(|output| output.status.success())
    };
    programs.into_iter().find(works)
}
