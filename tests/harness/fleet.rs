//! Ten hosts with an agent each and a controller, all on one switch, and the file that names them.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::agent::Agent;
use crate::lab::{Host, Running, batch};
use crate::{binary, text};

/// How many hosts have an agent.
pub const HOSTS: usize = 10;

/// The hosts and all in them go when this does, panic or not.
pub struct Fleet {
    pub hosts: Vec<Host>,
    /// None: it was ended by the test, or never started.
    pub agents: Vec<Option<Agent>>,
    pub controller: Host,
    switch: Host,
    dir: tempfile::TempDir,
}

/// `h0` to `h9`, as the fleet file has them.
#[must_use]
pub fn names() -> Vec<String> {
    (0..HOSTS).map(|nth| format!("h{nth}")).collect()
}

#[must_use]
pub fn address_of(nth: usize) -> String {
    format!("10.78.0.{}", nth + 1)
}

impl Fleet {
    /// Hosts without agents: `h0` to `h4` are in the zone a, the others in b.
    ///
    /// # Panics
    /// Without root, or without iproute2.
    #[must_use]
    pub fn without_agents() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = |role: &str| format!("pa-fleet-{}-{number}-{role}", std::process::id());
        let [switch, controller] = ["switch", "controller"].map(name);
        let hosts = names().iter().map(|host| name(host)).collect::<Vec<_>>();
        let mut made = format!("netns add {switch}\nnetns add {controller}\n");
        for (nth, host) in hosts.iter().enumerate() {
            made.push_str(&format!("netns add {host}\n"));
            made.push_str(&format!("link add eth0 netns {host} type veth peer name p{nth} netns {switch}\n"));
        }
        made.push_str(&format!("link add eth0 netns {controller} type veth peer name pc netns {switch}\n"));
        batch(&[], &made);
        // No DAD and no link-local addresses: what comes by itself would differ from one snapshot to the next.
        let up = |address: &str| {
            format!(
                "link set eth0 addrgenmode none\nlink set lo up\nlink set eth0 up\naddr add {address}/24 dev eth0\n"
            )
        };
        let mut ports =
            "link add br0 type bridge\nlink set br0 addrgenmode none\nlink set br0 up\n".to_owned();
        for port in (0..HOSTS).map(|nth| format!("p{nth}")).chain(["pc".to_owned()]) {
            ports.push_str(&format!("link set {port} addrgenmode none\nlink set {port} master br0 up\n"));
        }
        batch(&["-n", &switch], &ports);
        for (nth, host) in hosts.iter().enumerate() {
            batch(&["-n", host], &up(&address_of(nth)));
        }
        batch(&["-n", &controller], &up("10.78.0.100"));

        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("token"), "the-token-of-ten-agents\n").expect("a file");
        let open = |path: &str| {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            std::fs::set_permissions(dir.path().join(path), mode).expect("it is ours");
        };
        open("token");
        let mut file = format!("token_file = '{}'\n", dir.path().join("token").display());
        for (nth, name) in names().iter().enumerate() {
            let zone = if nth < HOSTS / 2 { "a" } else { "b" };
            let address = address_of(nth);
            file.push_str(&format!(
                "[hosts.{name}]\naddress = '{address}'\nlabels = {{ zone = '{zone}' }}\n"
            ));
        }
        std::fs::write(dir.path().join("fleet.toml"), file).expect("a file");
        Self {
            hosts: hosts.into_iter().map(Host::open).collect(),
            agents: (0..HOSTS).map(|_| None).collect(),
            controller: Host::open(controller),
            switch: Host::open(switch),
            dir,
        }
    }

    /// With an agent on each of them.
    #[must_use]
    pub fn start() -> Self {
        let mut fleet = Self::without_agents();
        for nth in 0..HOSTS {
            fleet.start_agent(nth, "");
        }
        fleet
    }

    /// With more of a configuration.
    pub fn start_agent(&mut self, nth: usize, config: &str) {
        self.agents[nth] = Some(Agent::start(&self.hosts[nth], &self.config(nth, config)));
    }

    /// On a machine that was booted so many seconds earlier, as far as the agent can tell.
    pub fn start_agent_booted_earlier(&mut self, nth: usize, seconds: u32) {
        let dir = tempfile::tempdir().expect("a directory");
        let by = ["unshare", "--time", "--boottime", &seconds.to_string(), "--"];
        self.agents[nth] = Some(Agent::start_by(&self.hosts[nth], &by, &self.config(nth, ""), dir));
    }

    /// The command line, as a program that is still running.
    #[must_use]
    pub fn cli_running(&self, arguments: &[&str]) -> Running {
        let fleet = self.file().display().to_string();
        let arguments = [&["--fleet", &fleet], arguments].concat();
        self.controller.spawn(&binary().display().to_string(), &arguments, Stdio::null())
    }

    #[must_use]
    pub fn config(&self, nth: usize, more: &str) -> String {
        let token = self.dir.path().join("token");
        format!("listen = '{}:7433'\ntoken_file = '{}'\n{more}", address_of(nth), token.display())
    }

    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.dir.path().join("fleet.toml")
    }

    /// More for the fleet file.
    pub fn add(&self, more: &str) {
        let mut text = std::fs::read_to_string(self.file()).expect("it was written");
        text.push_str(more);
        std::fs::write(self.file(), text).expect("a file");
    }

    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The command line, on the controller.
    #[must_use]
    pub fn cli(&self, arguments: &[&str]) -> Output {
        let fleet = self.file().display().to_string();
        self.controller.output(&binary().display().to_string(), &[&["--fleet", &fleet], arguments].concat())
    }

    /// The same; it must succeed. What it printed.
    pub fn cli_ok(&self, arguments: &[&str]) -> String {
        let done = self.cli(arguments);
        assert!(done.status.success(), "{arguments:?}: {}{}", text(&done.stdout), text(&done.stderr));
        text(&done.stdout)
    }

    /// The same, in JSON, whatever the exit status is.
    #[must_use]
    pub fn json(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let done = self.cli(&[&["--json"], arguments].concat());
        let read = serde_json::from_slice(&done.stdout);
        let value = read.unwrap_or_else(|error| {
            panic!("{arguments:?}: {error}: {}{}", text(&done.stdout), text(&done.stderr))
        });
        (done.status.code(), value)
    }

    /// The agents that run.
    pub fn running(&self) -> impl Iterator<Item = (usize, &Agent)> {
        self.agents.iter().enumerate().filter_map(|(nth, agent)| Some((nth, agent.as_ref()?)))
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for host in self.hosts.iter().chain([&self.controller, &self.switch]) {
            // A panic on the way out would hide the one that matters.
            let _ = std::process::Command::new("ip").args(["netns", "del", &host.namespace]).status();
        }
    }
}
