//! How the tests run the program.

use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use harness::fake_agent::FakeAgent;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::de::DeserializeOwned;

/// Long enough for the slowest machine; a program that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Of the environment, what would change the outcome.
const AMBIENT: [&str; 14] = [
    "PARTITION_AGENT",
    "PARTITION_AGENT_COMPLETE",
    "PARTITION_AGENT_FLEET",
    "PARTITION_AGENT_LOG",
    "PARTITION_AGENT_TOKEN_FILE",
    "PARTITION_AGENT_GRAFANA_TOKEN_FILE",
    "PARTITION_AGENT_TLS_CA",
    "PARTITION_AGENT_TLS_CERT",
    "PARTITION_AGENT_TLS_KEY",
    "SSL_CERT_FILE",
    "SSH_CONNECTION",
    "RUST_LOG",
    "http_proxy",
    "HTTP_PROXY",
];

/// What is left of a program that has ended.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// The program with these words; nobody has told it yet where the agent is.
pub fn program(words: &str) -> Command {
    let mut command = Command::new(harness::binary());
    for name in AMBIENT {
        command.env_remove(name);
    }
    command.args(words.split_whitespace()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The program, pointed at the unix socket of an agent.
pub fn program_at(agent: &FakeAgent, words: &str) -> Command {
    let mut command = program(words);
    command.env("PARTITION_AGENT", unix(agent));
    command
}

pub fn unix(agent: &FakeAgent) -> String {
    format!("unix:{}", agent.socket.display())
}

/// To its end.
pub fn run(agent: &FakeAgent, words: &str) -> Run {
    finish(program_at(agent, words).spawn().unwrap())
}

/// Waits for the end; a program that hangs is killed and fails the test.
pub fn finish(child: Child) -> Run {
    let pid = pid(&child);
    let (sender, end) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    let output = end.recv_timeout(PATIENCE).unwrap_or_else(|_| {
        kill(pid, Signal::SIGKILL).unwrap();
        panic!("the program did not end in {PATIENCE:?}");
    });
    let output = output.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Of a process that still runs.
pub fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap())
}

/// Until it is true.
pub fn until(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "{what}: not in {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Run {
    /// Standard output of a program that did what it was asked to, and had nothing to complain about.
    #[track_caller]
    pub fn done(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{self:?}");
        self.stdout
    }

    /// The same, read as JSON.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(self) -> T {
        let text = self.done();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Standard error of a program that failed with this status and printed nothing else.
    #[track_caller]
    pub fn failed(self, code: i32) -> String {
        assert_eq!((self.code, self.stdout.as_str()), (Some(code), ""), "{self:?}");
        self.stderr
    }
}
