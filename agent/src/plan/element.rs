//! What is in a set: shapes and elements, and how nft spells them.

use std::fmt;
use std::net::IpAddr;

use ipnetwork::IpNetwork;
use partition_agent_proto::{Ports, Protocol};

use super::ranges::{Family, Range};

/// Whose port: that of the far end, or that of this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Far,
    Near,
}

/// What the elements of a set are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// The far end's address, one by one: a hash. Also matches fragments and protocols without ports.
    Host(Family),
    /// The same in intervals: a tree, which takes twice the entries and twice the time to load.
    Net(Family),
    /// The far end's address, the protocol, the port of one end, in intervals.
    Service(Family, End),
    /// The far end's address and port, and the port of this end, of TCP.
    Connection(Family),
    /// The far end's address, the protocol, the far end's port and that of this end; learned from packets.
    Flow(Family),
    /// The protocol and the port of this end.
    LocalPort,
    /// IPv4 or IPv6: holds both, so that looking in it says no more than whether the fault is on.
    Ethertype,
}

/// The IANA number.
pub fn protocol_number(protocol: Protocol, family: Family) -> u8 {
    match (protocol, family) {
        (Protocol::Tcp, _) => 6,
        (Protocol::Udp, _) => 17,
        (Protocol::Sctp, _) => 132,
        (Protocol::Icmp, Family::V4) => 1,
        (Protocol::Icmp, Family::V6) => 58,
    }
}

/// One element; its variant goes with the [`Shape`] of its set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    Host(IpAddr),
    Net(Range),
    Service { range: Range, protocol: Protocol, ports: Ports },
    Connection { peer: IpAddr, peer_port: u16, local_port: u16 },
    LocalPort { protocol: Protocol, port: u16 },
    Ethertype(Family),
}

impl Shape {
    /// Whether elements are intervals.
    pub fn interval(self) -> bool {
        match self {
            Self::Net(_) | Self::Service(..) => true,
            Self::Host(_) | Self::Connection(_) | Self::Flow(_) | Self::LocalPort | Self::Ethertype => false,
        }
    }

    /// IPv4 or IPv6, where it is addresses.
    pub fn family(self) -> Option<Family> {
        match self {
            Self::Host(family)
            | Self::Net(family)
            | Self::Service(family, _)
            | Self::Connection(family)
            | Self::Flow(family) => Some(family),
            Self::LocalPort | Self::Ethertype => None,
        }
    }

    /// Whether packets add the elements.
    pub fn learned(self) -> bool {
        match self {
            Self::Flow(_) => true,
            Self::Host(_)
            | Self::Net(_)
            | Self::Service(..)
            | Self::Connection(_)
            | Self::LocalPort
            | Self::Ethertype => false,
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            return self.first.fmt(f);
        }
        match prefix(self) {
            Some(prefix) => write!(f, "{}/{prefix}", self.first),
            None => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

/// The prefix length, where a range is one network.
fn prefix(range: &Range) -> Option<u8> {
    let bits = match (range.first, range.last) {
        (IpAddr::V4(first), IpAddr::V4(last)) => (u32::from(first) ^ u32::from(last)).leading_zeros(),
        (IpAddr::V6(first), IpAddr::V6(last)) => (u128::from(first) ^ u128::from(last)).leading_zeros(),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return None,
    };
    let bits = u8::try_from(bits).ok()?;
    let net = IpNetwork::new(range.first, bits).ok()?;
    (net.network() == range.first && net.broadcast() == range.last).then_some(bits)
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(address) => address.fmt(f),
            Self::Net(range) => range.fmt(f),
            Self::Service { range, protocol: Protocol::Icmp, ports } => {
                let family = if range.first.is_ipv4() { "icmp" } else { "icmpv6" };
                write!(f, "{range} . {family} . {ports}")
            }
            Self::Service { range, protocol, ports } => write!(f, "{range} . {protocol} . {ports}"),
            Self::Connection { peer, peer_port, local_port } => {
                write!(f, "{peer} . {peer_port} . {local_port}")
            }
            Self::LocalPort { protocol, port } => write!(f, "{protocol} . {port}"),
            Self::Ethertype(family) => f.write_str(family.nft()),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = |family: &Family| match family {
            Family::V4 => "ipv4_addr",
            Family::V6 => "ipv6_addr",
        };
        match self {
            Self::Host(family) | Self::Net(family) => f.write_str(address(family)),
            Self::Service(family, _) => write!(f, "{} . inet_proto . inet_service", address(family)),
            Self::Connection(family) => write!(f, "{} . inet_service . inet_service", address(family)),
            Self::Flow(family) => write!(f, "{} . inet_proto . inet_service . inet_service", address(family)),
            Self::LocalPort => f.write_str("inet_proto . inet_service"),
            Self::Ethertype => f.write_str("ether_type"),
        }
    }
}
