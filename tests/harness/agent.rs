//! A real agent on a host of the lab, spoken to over its socket.

use std::path::PathBuf;
use std::process::{ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use partition_agent_proto::{FaultStatus, History};
use serde_json::Value;

use crate::lab::{Host, Running};
use crate::{binary, text};

/// The process, its directory, and a client.
pub struct Agent {
    process: Running,
    dir: tempfile::TempDir,
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

impl Agent {
    /// With a configuration, as TOML.
    #[must_use]
    pub fn start(host: &Host, config: &str) -> Self {
        Self::start_in(host, config, tempfile::tempdir().expect("a directory"))
    }

    /// As its unit runs it: as nobody in particular, with CAP_NET_ADMIN and no other capability.
    #[must_use]
    pub fn start_as_nobody(host: &Host, config: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        std::os::unix::fs::chown(dir.path(), Some(65534), Some(65534)).expect("root may");
        // A copy that anybody may read: the build directory may be closed to others. Made by another process, since a file
        // that this one still writes, in whatever thread, cannot be run.
        let program = dir.path().join("partition-agent");
        let copied =
            std::process::Command::new("cp").arg(binary()).arg(&program).status().expect("cp is there");
        assert!(copied.success());
        let program = program.display().to_string();
        let nobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
        let only =
            ["--inh-caps=+net_admin", "--ambient-caps=+net_admin", "--bounding-set=-all,+net_admin", "--"];
        Self::launch(host, config, dir, &[&["setpriv"], &nobody[..], &only, &[&program]].concat())
    }

    /// In the directory of an earlier one.
    #[must_use]
    pub fn start_in(host: &Host, config: &str, dir: tempfile::TempDir) -> Self {
        Self::start_by(host, &[], config, dir)
    }

    /// By a program that does something first and becomes the agent then.
    #[must_use]
    pub fn start_by(host: &Host, by: &[&str], config: &str, dir: tempfile::TempDir) -> Self {
        Self::launch(host, config, dir, &[by, &[&binary().display().to_string()]].concat())
    }

    /// One that may die at any moment, so nothing is expected of it but that it listens or is dead when this returns.
    #[must_use]
    pub fn doomed(host: &Host, by: &[&str], config: &str, dir: tempfile::TempDir) -> Self {
        let mut agent = Self::spawn(host, config, dir, &[by, &[&binary().display().to_string()]].concat());
        agent.listens();
        agent
    }

    fn launch(host: &Host, config: &str, dir: tempfile::TempDir, program: &[&str]) -> Self {
        let mut agent = Self::spawn(host, config, dir, program);
        assert!(agent.listens(), "no agent: {}", agent.log());
        // It listens before it has swept; it answers after.
        assert_eq!(agent.ask("GET", "/healthz", None).0, 200, "{}", agent.log());
        agent
    }

    fn spawn(host: &Host, config: &str, dir: tempfile::TempDir, program: &[&str]) -> Self {
        let [socket, state, conf, log] = ["agent.sock", "state", "agent.toml", "log"]
            .map(|name| dir.path().join(name).display().to_string());
        std::fs::write(&conf, config).expect("a file");
        let log = std::fs::File::options().create(true).append(true).open(log).expect("a file");
        let serve = ["serve", "--config", &conf, "--socket", &socket, "--state-dir", &state];
        let arguments = [&program[1..], &serve].concat();
        let process = host.spawn(program[0], &arguments, Stdio::from(log));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let http = reqwest::Client::builder().unix_socket(PathBuf::from(&socket));
        // The agent hangs up after 10 s without a request: a connection that is about to be gone is not used.
        let http = http.pool_idle_timeout(Duration::from_secs(5)).build().expect("a client");
        Self { process, dir, http, runtime }
    }

    /// Waits for it; not, if it has ended.
    fn listens(&mut self) -> bool {
        let socket = self.dir.path().join("agent.sock");
        let begun = Instant::now();
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            if self.is_dead() {
                return false;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "no agent: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }

    pub fn is_dead(&mut self) -> bool {
        self.process.try_wait().expect("a child").is_some()
    }

    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.process.id()).expect("a pid"))
    }

    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    #[must_use]
    pub fn address(&self) -> String {
        format!("unix:{}", self.dir.path().join("agent.sock").display())
    }

    /// Status and body.
    pub fn ask(&self, method: &str, path: &str, body: Option<&str>) -> (u16, Value) {
        self.try_ask(method, path, body).expect("the agent answers")
    }

    /// Of one that may have died.
    ///
    /// # Errors
    /// When there is no whole answer.
    pub fn try_ask(&self, method: &str, path: &str, body: Option<&str>) -> reqwest::Result<(u16, Value)> {
        let method = method.parse().expect("a method");
        let mut request = self.http.request(method, format!("http://localhost{path}"));
        if let Some(body) = body {
            request = request.body(body.to_owned());
        }
        self.runtime.block_on(async {
            let response = request.send().await?;
            let status = response.status().as_u16();
            let bytes = response.bytes().await?;
            Ok((status, serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
        })
    }

    /// Its page of metrics.
    #[must_use]
    pub fn metrics(&self) -> String {
        let scraped = async { self.http.get("http://localhost/metrics").send().await?.text().await };
        self.runtime.block_on(scraped).expect("the agent answers")
    }

    /// Injects and demands that the kernel confirms it.
    pub fn inject(&self, id: &str, spec: &str) -> FaultStatus {
        let (status, body) = self.ask("PUT", &format!("/v1/faults/{id}"), Some(spec));
        assert_eq!(status, 201, "{body}");
        let fault = serde_json::from_value::<FaultStatus>(body).expect("a fault");
        assert_eq!(fault.verdict, partition_agent_proto::Verdict::Confirmed);
        fault
    }

    pub fn restore(&self, id: &str) {
        let (status, body) = self.ask("DELETE", &format!("/v1/faults/{id}"), None);
        assert_eq!(status, 200, "{body}");
    }

    #[must_use]
    pub fn faults(&self) -> Vec<FaultStatus> {
        serde_json::from_value(self.ask("GET", "/v1/faults", None).1).expect("faults")
    }

    #[must_use]
    pub fn history(&self) -> Vec<History> {
        serde_json::from_value(self.ask("GET", "/v1/history?limit=1000", None).1).expect("history")
    }

    /// Until no fault is left, drained and all.
    pub fn until_idle(&self, patience: Duration) {
        let begun = Instant::now();
        while !self.faults().is_empty() {
            assert!(begun.elapsed() < patience, "faults are left: {:?}\n{}", self.faults(), self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The command line, pointed at this agent.
    #[must_use]
    pub fn cli(&self, host: &Host, arguments: &[&str]) -> Output {
        let address = self.address();
        let program = binary().display().to_string();
        host.output(&program, &[&["--agent", &address], arguments].concat())
    }

    /// The command line; it must succeed. What it printed.
    pub fn cli_ok(&self, host: &Host, arguments: &[&str]) -> String {
        let done = self.cli(host, arguments);
        assert!(done.status.success(), "{arguments:?}: {}\n{}", text(&done.stderr), self.log());
        text(&done.stdout)
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("it is our child");
    }

    /// `kill -9`; the directory stays for a later agent.
    #[must_use]
    pub fn kill_9(self) -> tempfile::TempDir {
        self.end(Signal::SIGKILL)
    }

    /// SIGTERM, and wait until it has restored everything.
    #[must_use]
    pub fn terminate(self) -> tempfile::TempDir {
        self.end(Signal::SIGTERM)
    }

    fn end(self, signal: Signal) -> tempfile::TempDir {
        self.signal(signal);
        self.ended().1
    }

    /// Waits until it has ended by itself.
    #[must_use]
    pub fn ended(mut self) -> (ExitStatus, tempfile::TempDir) {
        let status = self.process.wait().expect("a child");
        (status, std::mem::replace(&mut self.dir, tempfile::tempdir().expect("a directory")))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the agent's log:\n{}", self.log());
        }
    }
}
