//! What to do to whom, where, in which direction, when and for how long.

use std::fmt;

use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::text::{legible, steers};
use crate::{Direction, Flap, Host, Kind, KindError, Peer, Protocol, Ramp, Scope, ScopeError, Span, Target};

/// A fault as it is asked for. Two equal specs under one id are one fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(
    json!({ "kinds": [{ "loss": { "percent": 100 } }], "target": { "peers": ["10.0.0.5"] }, "for": "5m" }),
    json!({
        "kinds": [{ "delay": { "latency": "100ms", "jitter": "10ms" } }, { "rate": { "rate": "10mbit" } }],
        "ingress_kinds": [{ "delay": { "latency": "20ms" } }],
        "target": { "peers": ["10.0.0.0/24"], "ports": [443, "6000-6010"], "protocol": "tcp", "except": ["10.0.0.9"] },
        "for": "10m",
        "lease": "30s",
    }),
    json!({ "kinds": [{ "reject": { "with": "tcp_reset" } }], "target": { "local_ports": [8080] }, "flap": { "on": "30s", "off": "10s" } }),
    json!({ "kinds": [{ "dns": { "names": ["*.example.com"], "answer": "nxdomain" } }], "scope": { "user": "www-data" } }),
))]
pub struct FaultSpec {
    /// What happens to the packets: each kind at most once, all of them to the same target.
    #[schema(min_items = 1)]
    pub kinds: Vec<Kind>,
    /// What happens to packets that come in, where that is something else than `kinds`: the down side of a link.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ingress_kinds: Vec<Kind>,
    /// Whose packets, by their far end.
    #[serde(default)]
    pub target: Target,
    /// Whose packets, by their near end.
    #[serde(default, skip_serializing_if = "Scope::is_host")]
    pub scope: Scope,
    /// Which way they travel; both without it.
    #[serde(default)]
    pub direction: Direction,
    /// Act on this interface only; without it, on the interfaces that the routes to the target name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 15, pattern = "^[^/:\\s]+$")]
    pub interface: Option<String>,
    /// What delays and otherwise shapes packets.
    #[serde(default, skip_serializing_if = "Engine::is_auto")]
    pub engine: Engine,
    /// Built now, felt this much later; the duration counts from then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_in: Option<Span>,
    /// Off and on again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flap: Option<Flap>,
    /// Growing to what `kinds` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ramp: Option<Ramp>,
    /// How long, from the moment it is in force; 60 s without it. The kernel ends it, with or without the agent.
    #[serde(rename = "for", default = "FaultSpec::default_duration")]
    pub duration: Span,
    /// It is over this long after its start, or after somebody last renewed it, if nobody renews it again: 2 s at least, and
    /// not longer than it lasts. The kernel ends it, with or without the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Span>,
}

/// What shapes packets: delays, duplicates, corrupts, reorders and paces them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// netem where the kernel has it, else the emulator.
    #[default]
    Auto,
    /// The kernel's `sch_netem`.
    Netem,
    /// The agent itself, behind a TAP device.
    Emulator,
}

impl Engine {
    /// Whether it is the default.
    #[must_use]
    pub fn is_auto(&self) -> bool {
        *self == Self::Auto
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Netem => "netem",
            Self::Emulator => "emulator",
        })
    }
}

/// Why a well-formed [`FaultSpec`] makes no sense.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SpecError {
    /// `kinds` is empty.
    #[error("nothing to do: ask for a loss, a latency or another kind of fault")]
    NoKind,
    /// The same kind twice.
    #[error("a fault has each kind at most once; inject a second fault instead")]
    RepeatedKind,
    /// Two kinds that would fight over the same packets.
    #[error("{0} and {1} do not go together in one fault; inject a second one instead")]
    Apart(&'static str, &'static str),
    /// Nothing to overtake.
    #[error("a reorder lets packets overtake delayed ones: add a latency")]
    ReorderNothing,
    /// Of one kind.
    #[error("{0}")]
    Kind(#[from] KindError),
    /// No peer, no port, no protocol, no `all_traffic`.
    #[error("an empty target: name a peer or a port, or ask for all traffic on purpose (--all-traffic)")]
    EmptyTarget,
    /// `all_traffic` and a narrower target at once.
    #[error("all traffic and {0} contradict each other: drop one of the two")]
    AllAnd(&'static str),
    /// Ports at both ends.
    #[error("ports at this end and ports at the other end at once: inject a second fault instead")]
    BothPorts,
    /// Ports of a protocol without any.
    #[error("{0} has no ports: drop the ports or the protocol")]
    NoPorts(Protocol),
    /// A connection state of something else than TCP.
    #[error("{0} has no connections that could be new or established: only TCP has")]
    Stateless(Protocol),
    /// A fault on names with a target that is not name servers.
    #[error(
        "a DNS fault acts on names: its target can only be peers without ports, the addresses of the name servers that are asked"
    )]
    DnsTarget,
    /// A fault on names with what is only for packets.
    #[error(
        "a DNS fault acts on names, not on packets: drop the interface, and inject a second fault for what comes in"
    )]
    DnsAlone,
    /// What is done to connections and names among what happens to packets that come in.
    #[error("{0} does not happen to what comes in: ask for it in `kinds`")]
    NotIngress(&'static str),
    /// A reset of a share of the connections, or of those that are yet to come.
    #[error("a reset ends every connection to the target that exists: drop the {0}")]
    ResetSome(&'static str),
    /// A reset of connections to everybody.
    #[error("a reset of every connection of the host: name a peer or a port")]
    ResetAll,
    /// Not where it acts.
    #[error("{0}")]
    Scope(#[from] ScopeError),
    /// Not a name that the kernel would take.
    #[error(
        "`{}` cannot be an interface: a name has 1 to 15 bytes, no slash, no colon, no white space, no control character",
        legible(.0).collect::<String>()
    )]
    Interface(String),
    /// `ingress_kinds` on a fault that does not go both ways.
    #[error("a fault with something else for what comes in goes both ways: drop the direction")]
    OneWay,
    /// A flap of less than 100 ms.
    #[error("a flap is on and off for at least 100ms each")]
    FastFlap,
    /// Two clocks on one fault.
    #[error("a ramp and a flap do not go together")]
    RampAndFlap,
    /// A ramp of what does not grow.
    #[error("{} cannot grow: a ramp is for {}", .0, crate::kind::growing())]
    NoRamp(&'static str),
    /// What would be a cut if it began with nothing.
    #[error("a ramp of a {0} needs the {0} that it begins with: write --{0} FIRST..LAST")]
    RampFromNothing(&'static str),
    /// A beginning of nothing.
    #[error("the ramp begins with a {0} that the fault does not have")]
    RampFrom(&'static str),
    /// The ramp outlives the fault.
    #[error("the ramp takes {over}, and the fault ends after {duration}")]
    LongRamp {
        /// As asked.
        over: Span,
        /// As asked.
        duration: Span,
    },
    /// A lease that no renewal could be sure to reach in time.
    #[error("a lease of {0} is too short to be renewed in time: at least {shortest}", shortest = FaultSpec::SHORTEST_LEASE)]
    ShortLease(Span),
    /// A lease that would never run out.
    #[error(
        "the lease is {lease}, and the fault ends after {duration} anyway: drop the lease, or make it shorter"
    )]
    LongLease {
        /// As asked.
        lease: Span,
        /// As asked.
        duration: Span,
    },
}

impl FaultSpec {
    /// A lease is renewed every third of it, over a network that may lose the first packet of each renewal.
    pub const SHORTEST_LEASE: Span = Span::from_secs(2);

    /// How long a fault lasts when nobody says: 60 seconds.
    #[must_use]
    pub const fn default_duration() -> Span {
        Span::from_secs(60)
    }

    /// What happens to packets that go out.
    #[must_use]
    pub fn egress_kinds(&self) -> &[Kind] {
        &self.kinds
    }

    /// What happens to packets that come in.
    #[must_use]
    pub fn ingress_kinds(&self) -> &[Kind] {
        if self.ingress_kinds.is_empty() { &self.kinds } else { &self.ingress_kinds }
    }

    /// Every kind of either direction.
    pub fn all_kinds(&self) -> impl Iterator<Item = &Kind> {
        self.kinds.iter().chain(&self.ingress_kinds)
    }

    /// # Errors
    /// The first thing that makes no sense.
    pub fn validate(&self) -> Result<(), SpecError> {
        if self.kinds.is_empty() {
            return Err(SpecError::NoKind);
        }
        together(&self.kinds)?;
        together(&self.ingress_kinds)?;
        if !self.ingress_kinds.is_empty() && self.direction != Direction::Both {
            return Err(SpecError::OneWay);
        }
        if self.kinds.iter().any(|kind| matches!(kind, Kind::Dns { .. })) {
            let servers = Target { peers: self.target.peers.clone(), ..Target::default() };
            if self.target != servers || !servers.peers.iter().all(is_name_server) {
                return Err(SpecError::DnsTarget);
            }
            if self.interface.is_some() || !self.ingress_kinds.is_empty() {
                return Err(SpecError::DnsAlone);
            }
        } else {
            self.target.validate()?;
        }
        let apart = |kind: &&Kind| matches!(kind, Kind::Reset {} | Kind::Dns { .. });
        if let Some(kind) = self.ingress_kinds.iter().find(apart) {
            return Err(SpecError::NotIngress(kind.name()));
        }
        if self.kinds.contains(&Kind::Reset {}) {
            self.validate_reset()?;
        }
        self.scope.validate()?;
        self.validate_timing()?;
        match &self.interface {
            Some(name) if !interface_name(name) => Err(SpecError::Interface(name.clone())),
            Some(_) | None => Ok(()),
        }
    }

    fn validate_reset(&self) -> Result<(), SpecError> {
        let target = &self.target;
        if target.peers.is_empty() && target.ports.is_empty() && target.local_ports.is_empty() {
            return Err(SpecError::ResetAll);
        }
        match (target.protocol, target.of_packets(), &self.interface) {
            (Some(protocol), ..) if protocol != Protocol::Tcp => Err(SpecError::Stateless(protocol)),
            (_, Some(what), _) => Err(SpecError::ResetSome(what)),
            (_, None, Some(_)) => Err(SpecError::ResetSome("interface")),
            (_, None, None) => Ok(()),
        }
    }

    fn validate_timing(&self) -> Result<(), SpecError> {
        if let Some(flap) = self.flap {
            flap.validate()?;
        }
        if let Some(lease) = self.lease {
            if lease < Self::SHORTEST_LEASE {
                return Err(SpecError::ShortLease(lease));
            }
            if lease > self.duration {
                return Err(SpecError::LongLease { lease, duration: self.duration });
            }
        }
        let Some(ramp) = &self.ramp else { return Ok(()) };
        if self.flap.is_some() {
            return Err(SpecError::RampAndFlap);
        }
        if ramp.over > self.duration {
            return Err(SpecError::LongRamp { over: ramp.over, duration: self.duration });
        }
        ramp.validate(&self.kinds)?;
        if self.ingress_kinds.is_empty() { Ok(()) } else { ramp.validate(&self.ingress_kinds) }
    }
}

/// Whether these kinds make one fault.
fn together(kinds: &[Kind]) -> Result<(), SpecError> {
    for (nth, kind) in kinds.iter().enumerate() {
        kind.validate()?;
        let same = |other: &Kind| std::mem::discriminant(other) == std::mem::discriminant(kind);
        if kinds.iter().skip(nth + 1).any(same) {
            return Err(SpecError::RepeatedKind);
        }
    }
    let has = |name: &str| kinds.iter().any(|kind| kind.name() == name);
    if has("reorder") && !has("latency") {
        return Err(SpecError::ReorderNothing);
    }
    let losses =
        ["loss", "loss-gemodel", "loss-state"].into_iter().filter(|name| has(name)).collect::<Vec<_>>();
    if let [one, other, ..] = losses.as_slice() {
        return Err(SpecError::Apart(one, other));
    }
    // A rejected packet is not there to be shaped, and a question for a name is no packet of the target.
    let pair = kinds.iter().find_map(|alone| {
        let beside = |kind: &&Kind| match alone {
            Kind::Reject { .. } => *kind != alone && !matches!(kind, Kind::Reset {}),
            Kind::Dns { .. } => *kind != alone,
            _ => false,
        };
        Some((alone.name(), kinds.iter().find(beside)?.name()))
    });
    match pair {
        Some((one, other)) => Err(SpecError::Apart(one, other)),
        None => Ok(()),
    }
}

/// One address without ports, or a name for some.
fn is_name_server(peer: &Peer) -> bool {
    let one = match &peer.host {
        Host::Net(IpNetwork::V4(net)) => net.prefix() == 32,
        Host::Net(IpNetwork::V6(net)) => net.prefix() == 128,
        Host::Name(_) | Host::Compose(_) => true,
    };
    one && peer.port.is_none()
}

/// The rule of `dev_valid_name` in the kernel's `net/core/dev.c`, and nothing that a terminal takes for a command.
fn interface_name(name: &str) -> bool {
    (1..=15).contains(&name.len())
        && name != "."
        && name != ".."
        && !name.chars().any(|c| c == '/' || c == ':' || c.is_whitespace() || steers(c))
}

impl fmt::Display for FaultSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |kinds: &[Kind]| kinds.iter().map(Kind::to_string).collect::<Vec<_>>().join(" and ");
        f.write_str(&list(&self.kinds))?;
        if !self.ingress_kinds.is_empty() {
            write!(f, " out, {} in", list(&self.ingress_kinds))?;
        }
        let dns = self.kinds.iter().any(|kind| matches!(kind, Kind::Dns { .. }));
        match (dns, self.target.is_empty()) {
            (true, true) => f.write_str(", asked of any name server")?,
            (true, false) => write!(f, ", asked of {}", self.target)?,
            (false, _) => write!(f, ", {}, {}", self.target, self.direction)?,
        }
        if !self.scope.is_host() {
            write!(f, ", in {}", self.scope)?;
        }
        self.interface.iter().try_for_each(|interface| write!(f, ", on {interface}"))?;
        self.start_in.iter().try_for_each(|start_in| write!(f, ", starting in {start_in}"))?;
        self.flap.iter().try_for_each(|flap| write!(f, ", {flap}"))?;
        self.ramp.iter().try_for_each(|ramp| write!(f, ", {ramp}"))?;
        self.lease.iter().try_for_each(|lease| write!(f, ", with a lease of {lease}"))
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
    fn a_fault_with_everything_reads_back() {
        let json = r#"{"kinds":[{"loss":{"percent":5,"correlation":25}},
            {"delay":{"latency":"100ms","jitter":"10ms","distribution":"normal"}},{"duplicate":{"percent":1}},
            {"corrupt":{"percent":1}},{"reorder":{"percent":10,"gap":5}},{"rate":{"rate":"10mbit"}},
            {"slot":{"min":"1ms","max":"2ms","packets":10}}],
            "target":{"peers":["10.0.0.5:80-90"],"protocol":"tcp","state":"established","flows":30},
            "scope":{"compose":"shop/redis"},"interface":"eth0","engine":"emulator","start_in":"5s",
            "flap":{"on":"30s","off":"30s"},"for":"10m","lease":"20s"}"#;
        let spec = spec(json).unwrap();
        let again = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<FaultSpec>(&again).unwrap(), spec);
        assert!(spec.to_string().ends_with(
            ", in compose shop/redis, on eth0, starting in 5s, 30s on, 30s off, with a lease of 20s"
        ));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_reason() {
        let with = |kinds: &str| format!(r#"{{"kinds":[{kinds}],"target":{{"ports":[1]}}}}"#);
        let to = |target: &str| format!(r#"{{"kinds":[{{"loss":{{"percent":1}}}}],"target":{target}}}"#);
        let cases = [
            (with(""), "nothing to do"),
            (with(r#"{"loss":{"percent":1}},{"loss":{"percent":2}}"#), "at most once"),
            (with(r#"{"loss":{"percent":1}},{"loss_gemodel":{"p":2}}"#), "do not go together"),
            (with(r#"{"reject":{"with":"tcp_reset"}},{"loss":{"percent":2}}"#), "do not go together"),
            (with(r#"{"reorder":{"percent":2}}"#), "add a latency"),
            (with(r#"{"loss":{"percent":1,"p":2}}"#), "unknown field"),
            (with(r#"{"delay":{"latency":"10ms","jitter":"11ms"}}"#), "jitter"),
            (with(r#"{"delay":{"latency":"10ms","distribution":"normal"}}"#), "add a jitter"),
            (with(r#"{"delay":{"latency":"1s","jitter":"1s","distribution":{"table":[1]}}}"#), "16 to 8192"),
            (with(r#"{"delay":{"latency":"61s"}}"#), "too long"),
            (with(r#"{"delay":{"latency":"9s","jitter":"3s"}}"#), "at most 2s"),
            (with(r#"{"loss_state":{"p13":60,"p14":50}}"#), "more than 100%"),
            (with(r#"{"slot":{"min":"2ms","max":"1ms"}}"#), "a slot of"),
            (with(r#"{"rate":{"rate":"10mbps"}}"#), "not a rate"),
            (with(r#"{"dns":{"names":[],"answer":"nxdomain"}}"#), "needs the names"),
            (with(r#"{"dns":{"names":["a.b"],"answer":"nxdomain"}}"#), "acts on names"),
            (with(r#"{"teleport":{}}"#), "unknown variant"),
            (to("{}"), "empty target"),
            (to(r#"{"all_traffic":true,"peers":["a"]}"#), "contradict"),
            (to(r#"{"all_traffic":true,"protocol":"udp"}"#), "contradict"),
            (to(r#"{"ports":[0]}"#), "neither a port"),
            (to(r#"{"ports":[1],"local_ports":[2]}"#), "ports at this end"),
            (to(r#"{"ports":[1],"protocol":"icmp"}"#), "icmp has no ports"),
            (to(r#"{"ports":[1],"protocol":"udp","state":"new"}"#), "only TCP has"),
            (to(r#"{"peer":["a"]}"#), "unknown field"),
            (to(r#"{"ports":[1]},"interface":"a/b""#), "interface"),
            (to(r#"{"ports":[1]},"for":"-1s""#), "length of time"),
            (to(r#"{"ports":[1]},"scope":{"compose":"a"}"#), "project/service"),
            (to(r#"{"ports":[1]},"flap":{"on":"1ms","off":"1s"}"#), "100ms"),
            (to(r#"{"ports":[1]},"ramp":{"over":"2m"}"#), "the fault ends after"),
            (to(r#"{"ports":[1]},"lease":"1999ms""#), "too short to be renewed in time: at least 2s"),
            (to(r#"{"ports":[1]},"for":"10s","lease":"11s""#), "the fault ends after 10s anyway"),
            (to(r#"{"ports":[1]},"ramp":{"over":"1s"},"flap":{"on":"1s","off":"1s"}"#), "do not go together"),
            (
                to(r#"{"ports":[1]},"direction":"egress","ingress_kinds":[{"corrupt":{"percent":1}}]"#),
                "goes both ways",
            ),
            (
                r#"{"kinds":[{"reset":{}}],"target":{"all_traffic":true}}"#.to_owned(),
                "reset of every connection",
            ),
        ];
        for (json, reason) in cases {
            let error = spec(&json).unwrap_err();
            assert!(error.contains(reason), "{json}: {error}");
        }
    }
}
