//! A tool at work on the bed: ours by its two ways in, or one of the others.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use harness::agent::Agent;
use harness::text;

use crate::bed::{Bed, DEVICE};
use crate::peers::{self, Fault, Peer, Replay, Way};

/// A request may have 64 KiB: more addresses than that are a name in the agent's configuration.
const IN_A_REQUEST: usize = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// A request to the agent.
    Api,
    /// The command line, which makes that request.
    Command,
    Peer(Peer),
}

/// A tool that knows what to do to whom. What it takes to say so is not measured; what it takes to hear it is.
pub struct Ready {
    doing: Doing,
    way: Way,
}

enum Doing {
    Api { agent: Agent, spec: String },
    Command { agent: Agent, inject: Vec<String> },
    Replay(Replay),
}

impl Tool {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Api => "partition-agent, a request",
            Self::Command => "partition-agent, a command",
            Self::Peer(peer) => peer.name(),
        }
    }

    #[must_use]
    pub fn way(self, fault: Fault) -> Way {
        match (self, fault) {
            (Self::Peer(peer), Fault::Cut(_)) => peer.way(),
            (Self::Api | Self::Command, _) | (Self::Peer(_), Fault::Delay(..)) => Way::Out,
        }
    }

    /// Ours has an agent started for it, which is not measured either: it runs all the time.
    ///
    /// # Errors
    /// Why the tool does not do that.
    pub fn ready(self, bed: &Bed, fault: Fault) -> Result<Ready, String> {
        let doing = match self {
            Self::Peer(peer) => Doing::Replay(peer.replay(fault, DEVICE)?),
            Self::Api => Doing::Api { agent: agent(bed, fault), spec: spec(fault, "10m") },
            Self::Command => Doing::Command { agent: agent(bed, fault), inject: words(fault) },
        };
        Ok(Ready { doing, way: self.way(fault) })
    }
}

impl Ready {
    #[must_use]
    pub fn way(&self) -> Way {
        self.way
    }

    /// Until the tool says that it is done; when it was asked.
    ///
    /// # Errors
    /// What the tool says.
    pub fn inject(&self, bed: &Bed, longest: Duration) -> Result<Instant, String> {
        match &self.doing {
            Doing::Api { agent, spec } => asked(agent, "PUT", Some(spec), 201),
            Doing::Command { agent, inject } => commanded(bed, agent, inject),
            Doing::Replay(replay) => replayed(bed, &replay.inject, longest),
        }
    }

    /// Likewise.
    ///
    /// # Errors
    /// What the tool says.
    pub fn restore(&self, bed: &Bed, longest: Duration) -> Result<Instant, String> {
        match &self.doing {
            Doing::Api { agent, .. } => asked(agent, "DELETE", None, 200),
            Doing::Command { agent, .. } => commanded(bed, agent, &["restore".to_owned(), "f".to_owned()]),
            Doing::Replay(replay) => replayed(bed, &replay.restore, longest),
        }
    }

    /// As if it had never been there. Not measured.
    pub fn clean(&self, bed: &Bed) {
        match &self.doing {
            // What was delayed is still on its way.
            Doing::Api { agent, .. } | Doing::Command { agent, .. } => {
                agent.until_idle(Duration::from_secs(60))
            }
            Doing::Replay(_) => bed.clean(),
        }
    }
}

fn asked(agent: &Agent, method: &str, body: Option<&str>, expected: u16) -> Result<Instant, String> {
    let begun = Instant::now();
    let (status, answer) = agent.ask(method, "/v1/faults/f", body);
    if status == expected { Ok(begun) } else { Err(answer.to_string()) }
}

fn commanded(bed: &Bed, agent: &Agent, words: &[String]) -> Result<Instant, String> {
    let words = words.iter().map(String::as_str).collect::<Vec<_>>();
    let begun = Instant::now();
    let done = agent.cli(&bed.lab.app, &words);
    if done.status.success() { Ok(begun) } else { Err(text(&done.stderr)) }
}

fn replayed(bed: &Bed, calls: &[peers::Call], longest: Duration) -> Result<Instant, String> {
    let begun = Instant::now();
    bed.lab.app.run(|| peers::run(calls, longest)).map(|()| begun)
}

fn addresses(fault: Fault<'_>) -> &[Ipv4Addr] {
    match fault {
        Fault::Cut(targets) | Fault::Delay(targets, _) => targets,
    }
}

fn agent(bed: &Bed, fault: Fault) -> Agent {
    let config = if is_named(fault) {
        let all = addresses(fault).iter().map(|target| format!("'{target}'")).collect::<Vec<_>>();
        format!("[peers]\nmany = [{}]\n", all.join(","))
    } else {
        String::new()
    };
    Agent::start(&bed.lab.app, &config)
}

fn is_named(fault: Fault) -> bool {
    addresses(fault).len() > IN_A_REQUEST
}

fn named(fault: Fault) -> Vec<String> {
    if is_named(fault) {
        return vec!["many".to_owned()];
    }
    addresses(fault).iter().map(ToString::to_string).collect()
}

/// The body of a request.
#[must_use]
pub fn spec(fault: Fault, lasting: &str) -> String {
    let kind = match fault {
        Fault::Cut(_) => serde_json::json!({"loss": {"percent": 100}}),
        Fault::Delay(_, by) => serde_json::json!({"delay": {"latency": format!("{}ms", by.as_millis())}}),
    };
    serde_json::json!({
        "kinds": [kind], "target": {"peers": named(fault)}, "direction": "egress", "for": lasting
    })
    .to_string()
}

fn words(fault: Fault) -> Vec<String> {
    let kind = match fault {
        Fault::Cut(_) => "--loss=100%".to_owned(),
        Fault::Delay(_, by) => format!("--latency={}ms", by.as_millis()),
    };
    let peers = format!("--peer={}", named(fault).join(","));
    [
        "inject".to_owned(),
        "--id=f".to_owned(),
        kind,
        peers,
        "--direction=egress".to_owned(),
        "--for=10m".to_owned(),
    ]
    .into()
}
