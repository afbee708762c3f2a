//! What to do to whom, in which direction, for how long.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Peer, Percent, Span};

/// A fault as it is asked for. Two equal specs under one id are one fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FaultSpec {
    /// What happens to the packets: each kind at most once, all of them to the same target.
    pub kinds: Vec<Kind>,
    /// Whose packets.
    pub target: Target,
    /// Which way they travel.
    #[serde(default)]
    pub direction: Direction,
    /// Act on this interface only; without it, on the interfaces that the routes to the target name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// How long, from the moment it is in force. The kernel ends it, with or without the agent.
    #[serde(rename = "for", default = "FaultSpec::default_duration")]
    pub duration: Span,
}

/// One impairment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Kind {
    /// Packets vanish, each with this probability; 100 cuts the target off.
    Loss {
        /// The share of packets lost.
        percent: Percent,
    },
    /// Packets arrive later, in their order.
    Delay {
        /// One way, for each direction: at most 60 seconds.
        latency: Span,
        /// Each packet waits `latency` plus or minus up to this much, evenly spread, and never less than the packet before
        /// it; at most `latency`, and at most 2 seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        jitter: Option<Span>,
    },
}

/// Whose packets a fault hits. An empty target is refused: everything takes `all_traffic`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Hosts and networks, each with an optional port of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>, examples(json!(["redis", "10.0.0.5:6379", "10.0.0.0/24", "[fd00::1]:80"])))]
    pub peers: Vec<Peer>,
    /// Ports at the other end, 1 to 65535 (TCP and UDP), for every peer that names none, or for every peer there is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<u16>,
    /// Hosts, networks and their ports that the fault leaves alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub except: Vec<Peer>,
    /// Everybody, IPv4 and IPv6.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all_traffic: bool,
}

/// Seen from the host that applies the fault.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// What this host sends to the target.
    Egress,
    /// What the target sends to this host.
    Ingress,
    /// Both ways.
    #[default]
    Both,
}

impl Direction {
    /// Whether packets to the target are hit.
    #[must_use]
    pub fn has_egress(self) -> bool {
        match self {
            Self::Egress | Self::Both => true,
            Self::Ingress => false,
        }
    }

    /// Whether packets from the target are hit.
    #[must_use]
    pub fn has_ingress(self) -> bool {
        match self {
            Self::Ingress | Self::Both => true,
            Self::Egress => false,
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Egress => "egress",
            Self::Ingress => "ingress",
            Self::Both => "egress and ingress",
        })
    }
}

/// Why a well-formed [`FaultSpec`] makes no sense.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SpecError {
    /// `kinds` is empty.
    #[error("nothing to do: ask for a loss, a latency, or both")]
    NoKind,
    /// The same kind twice.
    #[error("a fault has each kind at most once; inject a second fault instead")]
    RepeatedKind,
    /// More than a minute of latency.
    #[error(
        "a latency of {0} is too long: at most 60s; to hold packets for longer, cut the peer off with a loss of 100%"
    )]
    LongLatency(Span),
    /// netem keeps its jitter in 31 bits of nanoseconds and cuts the rest off.
    #[error("a jitter of {0} is too much: netem can do at most 2s")]
    LongJitter(Span),
    /// Jitter beyond the latency would ask for packets that arrive before they are sent.
    #[error(
        "a jitter of {jitter} is more than the latency of {latency}: no packet arrives before it was sent"
    )]
    Jitter {
        /// As asked.
        jitter: Span,
        /// As asked.
        latency: Span,
    },
    /// No peer, no port, no `all_traffic`.
    #[error("an empty target: name a peer or a port, or ask for all traffic on purpose (--all-traffic)")]
    EmptyTarget,
    /// `all_traffic` and a narrower target at once.
    #[error("all traffic and {0} contradict each other: drop one of the two")]
    AllAnd(&'static str),
    /// Port 0.
    #[error("0 is not a port: a port is 1 to 65535")]
    PortZero,
    /// Not a name that the kernel would take.
    #[error("`{0}` cannot be an interface: a name has 1 to 15 bytes, no slash, no colon, no white space")]
    Interface(String),
}

impl FaultSpec {
    /// How long a fault lasts when nobody says: 60 seconds.
    #[must_use]
    pub const fn default_duration() -> Span {
        Span::from_secs(60)
    }

    /// The loss that is asked for.
    #[must_use]
    pub fn loss(&self) -> Option<Percent> {
        self.kinds.iter().find_map(|kind| match kind {
            Kind::Loss { percent } => Some(*percent),
            Kind::Delay { .. } => None,
        })
    }

    /// The latency and jitter that are asked for.
    #[must_use]
    pub fn delay(&self) -> Option<(Span, Option<Span>)> {
        self.kinds.iter().find_map(|kind| match kind {
            Kind::Delay { latency, jitter } => Some((*latency, *jitter)),
            Kind::Loss { .. } => None,
        })
    }

    /// # Errors
    /// The first thing that makes no sense.
    pub fn validate(&self) -> Result<(), SpecError> {
        if self.kinds.is_empty() {
            return Err(SpecError::NoKind);
        }
        for (nth, kind) in self.kinds.iter().enumerate() {
            let same = |other: &Kind| std::mem::discriminant(other) == std::mem::discriminant(kind);
            if self.kinds.iter().skip(nth + 1).any(same) {
                return Err(SpecError::RepeatedKind);
            }
        }
        if let Some((latency, jitter)) = self.delay() {
            if latency.duration() > Duration::from_secs(60) {
                return Err(SpecError::LongLatency(latency));
            }
            if let Some(jitter) = jitter.filter(|jitter| jitter.duration() > Duration::from_secs(2)) {
                return Err(SpecError::LongJitter(jitter));
            }
            if let Some(jitter) = jitter.filter(|jitter| *jitter > latency) {
                return Err(SpecError::Jitter { jitter, latency });
            }
        }
        self.target.validate()?;
        match &self.interface {
            Some(name) if !interface_name(name) => Err(SpecError::Interface(name.clone())),
            Some(_) | None => Ok(()),
        }
    }
}

impl Target {
    fn validate(&self) -> Result<(), SpecError> {
        match (self.all_traffic, self.peers.is_empty(), self.ports.is_empty()) {
            (false, true, true) => return Err(SpecError::EmptyTarget),
            (true, false, _) => return Err(SpecError::AllAnd("a peer")),
            (true, true, false) => return Err(SpecError::AllAnd("a port")),
            (true, true, true) | (false, _, _) => {}
        }
        if self.ports.contains(&0) { Err(SpecError::PortZero) } else { Ok(()) }
    }
}

/// The rule of `dev_valid_name` in the kernel's `net/core/dev.c`.
fn interface_name(name: &str) -> bool {
    (1..=15).contains(&name.len())
        && name != "."
        && name != ".."
        && !name.chars().any(|c| c == '/' || c == ':' || c == '\0' || c.is_whitespace())
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loss { percent } => write!(f, "loss {percent}"),
            Self::Delay { latency, jitter: None } => write!(f, "latency {latency} one way"),
            Self::Delay { latency, jitter: Some(jitter) } => {
                write!(f, "latency {latency} ± {jitter} one way")
            }
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |items: &[String]| match items {
            [first, second, _, rest @ ..] if !rest.is_empty() => {
                format!("{first}, {second} and {} more", rest.len() + 1)
            }
            few => few.join(", "),
        };
        let strings = |peers: &[Peer]| peers.iter().map(Peer::to_string).collect::<Vec<_>>();
        if self.all_traffic {
            f.write_str("all traffic")?;
        } else if self.peers.is_empty() {
            f.write_str("everybody")?;
        } else {
            f.write_str(&list(&strings(&self.peers)))?;
        }
        if !self.ports.is_empty() {
            let ports = self.ports.iter().map(u16::to_string).collect::<Vec<_>>();
            write!(f, " on port {}", list(&ports))?;
        }
        if !self.except.is_empty() {
            write!(f, " except {}", list(&strings(&self.except)))?;
        }
        Ok(())
    }
}

impl fmt::Display for FaultSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = self.kinds.iter().map(Kind::to_string).collect::<Vec<_>>().join(" and ");
        write!(f, "{kinds}, {}, {}", self.target, self.direction)?;
        match &self.interface {
            Some(interface) => write!(f, ", on {interface}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(json: &str) -> Result<FaultSpec, String> {
        let spec = serde_json::from_str::<FaultSpec>(json).map_err(|error| error.to_string())?;
        spec.validate().map_err(|error| error.to_string())?;
        Ok(spec)
    }

    #[test]
    fn the_smallest_fault_has_every_default() {
        let spec = spec(r#"{"kinds":[{"loss":{"percent":100}}],"target":{"peers":["redis"]}}"#).unwrap();
        assert_eq!(spec.direction, Direction::Both);
        assert_eq!(spec.duration.to_string(), "1m");
        assert_eq!(spec.to_string(), "loss 100%, redis, egress and ingress");
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_reason() {
        let cases = [
            (r#"{"kinds":[],"target":{"peers":["a"]}}"#, "nothing to do"),
            (
                r#"{"kinds":[{"loss":{"percent":1}},{"loss":{"percent":2}}],"target":{"peers":["a"]}}"#,
                "at most once",
            ),
            (r#"{"kinds":[{"loss":{"percent":1}}],"target":{}}"#, "empty target"),
            (
                r#"{"kinds":[{"loss":{"percent":1}}],"target":{"all_traffic":true,"peers":["a"]}}"#,
                "contradict",
            ),
            (r#"{"kinds":[{"loss":{"percent":1}}],"target":{"ports":[0]}}"#, "not a port"),
            (r#"{"kinds":[{"loss":{"percent":1}}],"target":{"ports":[1]},"interface":"a/b"}"#, "interface"),
            (r#"{"kinds":[{"loss":{"percent":1}}],"target":{"ports":[1]},"for":"-1s"}"#, "length of time"),
            (
                r#"{"kinds":[{"loss":{"percent":1}}],"target":{"ports":[1]},"hostnames":["a"]}"#,
                "unknown field",
            ),
            (r#"{"kinds":[{"loss":{"percent":1,"p":2}}],"target":{"ports":[1]}}"#, "unknown field"),
            (r#"{"kinds":[{"loss":{"percent":1}}],"target":{"peer":["a"]}}"#, "unknown field"),
            (r#"{"kinds":[{"delay":{"latency":"10ms","jitter":"11ms"}}],"target":{"ports":[1]}}"#, "jitter"),
            (r#"{"kinds":[{"delay":{"latency":"61s"}}],"target":{"ports":[1]}}"#, "too long"),
            (r#"{"kinds":[{"delay":{"latency":"9s","jitter":"3s"}}],"target":{"ports":[1]}}"#, "at most 2s"),
            (r#"{"kinds":[{"teleport":{}}],"target":{"ports":[1]}}"#, "unknown variant"),
        ];
        for (json, reason) in cases {
            let error = spec(json).unwrap_err();
            assert!(error.contains(reason), "{json}: {error}");
        }
    }
}
