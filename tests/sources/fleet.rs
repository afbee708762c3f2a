//! What `fleet show` says about a source.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use harness::{binary, text};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub struct Fleet {
    pub hosts: Vec<Host>,
    pub groups: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct Host {
    pub name: String,
    pub agent: Option<String>,
    pub addresses: Vec<String>,
    pub labels: BTreeMap<String, String>,
}

impl Fleet {
    /// Name, agent, addresses and labels of each, a line each.
    pub fn lines(&self) -> Vec<String> {
        let line = |host: &Host| {
            let labels = host.labels.iter().map(|(key, value)| format!(" {key}={value}")).collect::<String>();
            let agent = host.agent.as_deref().unwrap_or("none");
            format!("{} {agent} {}{labels}", host.name, host.addresses.join(","))
        };
        self.hosts.iter().map(line).collect()
    }

    #[track_caller]
    pub fn of(shown: &Output) -> Self {
        assert!(shown.status.success(), "{}", text(&shown.stderr));
        serde_json::from_slice(&shown.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", text(&shown.stdout)))
    }
}

/// The program, with nothing of the environment but the way to other programs.
pub fn show(source: &str) -> Command {
    let mut command = Command::new(binary());
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.args(["fleet", "show", "--json", "--fleet", source]).stdin(Stdio::null());
    command
}

#[track_caller]
pub fn shown(source: &str) -> Fleet {
    Fleet::of(&show(source).output().unwrap())
}

/// Read from standard input.
#[track_caller]
pub fn shown_from(source: &str, input: &str) -> Fleet {
    let mut command = show(source);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    Fleet::of(&child.wait_with_output().unwrap())
}

/// What the program says when it cannot; it exits with 1 then.
#[track_caller]
pub fn refused(shown: &Output) -> String {
    assert_eq!((shown.status.code(), text(&shown.stdout)), (Some(1), String::new()));
    text(&shown.stderr)
}
