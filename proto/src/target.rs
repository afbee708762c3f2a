//! Whose packets, and which way they travel.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Peer, Percent, Ports, SpecError};

/// Whose packets a fault hits. An empty target is refused: everything takes `all_traffic`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Hosts and networks, each with optional ports of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<Peer>,
    /// Ports at the other end, for every peer that names none, or for every peer there is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Ports>,
    /// Ports at this end: a service that this host offers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub local_ports: Vec<Ports>,
    /// Only this protocol. Ports alone mean TCP and UDP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// Only packets of TCP connections in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<ConnectionState>,
    /// Only this share of the connections, all packets of each; which ones, is drawn by their addresses and ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flows: Option<Percent>,
    /// Hosts, networks and their ports that the fault leaves alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<Peer>,
    /// Everybody, IPv4 and IPv6.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all_traffic: bool,
}

/// A protocol above IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// With ports.
    Tcp,
    /// With ports; QUIC and DNS are in here.
    Udp,
    /// With ports.
    Sctp,
    /// ICMP and ICMPv6: ping. What IPv6 itself needs of it is never hit.
    Icmp,
}

impl Protocol {
    /// Whether its packets carry ports.
    #[must_use]
    pub fn has_ports(self) -> bool {
        match self {
            Self::Tcp | Self::Udp | Self::Sctp => true,
            Self::Icmp => false,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
            Self::Icmp => "icmp",
        })
    }
}

/// By the flags of TCP, so that no connection tracking is switched on for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionState {
    /// The packets that open a connection (SYN): those that exist go on, new ones are hit.
    New,
    /// All the others.
    Established,
}

impl fmt::Display for ConnectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::New => "new",
            Self::Established => "established",
        })
    }
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

impl Target {
    /// What it says of packets, beyond whose they are: such a thing cannot be said of a connection.
    #[must_use]
    pub fn of_packets(&self) -> Option<&'static str> {
        let flows = self.flows.map(|_| "share of the connections");
        flows.or(self.state.map(|_| "state"))
    }

    /// Those that need something of a kernel that nothing else needs, by what people call them.
    #[must_use]
    pub fn examples() -> [(&'static str, Self); 1] {
        let flows = Self { flows: Percent::new(50.0).ok(), ..Self::default() };
        [("a share of the connections (--flows)", flows)]
    }

    /// Whether it names anybody or anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let narrow = self.peers.is_empty() && self.ports.is_empty() && self.local_ports.is_empty();
        narrow && self.protocol.is_none() && !self.all_traffic
    }

    /// # Errors
    /// The first thing that makes no sense.
    pub fn validate(&self) -> Result<(), SpecError> {
        if self.is_empty() {
            return Err(SpecError::EmptyTarget);
        }
        let contradiction = [
            (!self.peers.is_empty(), "a peer"),
            (!self.ports.is_empty(), "a port"),
            (!self.local_ports.is_empty(), "a local port"),
            (self.protocol.is_some(), "a protocol"),
        ];
        if let Some((_, what)) = contradiction.into_iter().find(|(given, _)| *given && self.all_traffic) {
            return Err(SpecError::AllAnd(what));
        }
        let far_ports = !self.ports.is_empty() || self.peers.iter().any(|peer| peer.port.is_some());
        if far_ports && !self.local_ports.is_empty() {
            return Err(SpecError::BothPorts);
        }
        match self.protocol {
            Some(protocol) if !protocol.has_ports() && (far_ports || !self.local_ports.is_empty()) => {
                Err(SpecError::NoPorts(protocol))
            }
            Some(protocol) if self.state.is_some() && protocol != Protocol::Tcp => {
                Err(SpecError::Stateless(protocol))
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.all_traffic {
            f.write_str("all traffic")?;
        } else if self.peers.is_empty() {
            f.write_str("everybody")?;
        } else {
            f.write_str(&list(&self.peers))?;
        }
        if !self.ports.is_empty() {
            write!(f, " on port {}", list(&self.ports))?;
        }
        if !self.local_ports.is_empty() {
            write!(f, " on local port {}", list(&self.local_ports))?;
        }
        self.protocol.map_or(Ok(()), |protocol| write!(f, ", {protocol}"))?;
        self.state.map_or(Ok(()), |state| write!(f, ", {state} connections"))?;
        self.flows.map_or(Ok(()), |flows| write!(f, ", {flows} of the connections"))?;
        if !self.except.is_empty() {
            write!(f, " except {}", list(&self.except))?;
        }
        Ok(())
    }
}

pub(crate) fn list<T: fmt::Display>(items: &[T]) -> String {
    let text = |items: &[T]| items.iter().map(T::to_string).collect::<Vec<_>>().join(", ");
    match items {
        [first, second, _, rest @ ..] if !rest.is_empty() => {
            format!("{first}, {second} and {} more", rest.len() + 1)
        }
        few => text(few),
    }
}
