//! A piece of an nftables table as a value: what the kernel edge encodes and what people read are the same thing.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use ipnetwork::IpNetwork;
use partition_agent_proto::Percent;

use super::ranges::{Family, Range};

/// The name of the one table, in family `netdev`.
pub const TABLE: &str = "partition_agent";

/// `numgen` draws from this many, so a [`Percent`] is exact.
pub const RANDOM_MODULUS: u32 = 1_000_000;

/// Where in a packet's way a chain sits, seen from this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hook {
    Egress,
    Ingress,
}

impl Hook {
    pub const BOTH: [Self; 2] = [Self::Egress, Self::Ingress];

    /// As nft spells it; also the name of the chain that every hooked chain goes to.
    pub fn name(self) -> &'static str {
        match self {
            Self::Egress => "egress",
            Self::Ingress => "ingress",
        }
    }

    /// The address and port of the far end, then the port of this end.
    fn fields(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Egress => ("daddr", "dport", "sport"),
            Self::Ingress => ("saddr", "sport", "dport"),
        }
    }
}

/// What the elements of a set are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// The far end's address, one by one: a hash. Also matches fragments and protocols without ports.
    Host(Family),
    /// The same in intervals: a tree, which takes twice the entries and twice the time to load.
    Net(Family),
    /// The far end's address, the protocol, the far end's port.
    Service(Family),
    /// The far end's address and port, and the port of this end, of TCP.
    Connection(Family),
    /// The protocol and the port of this end.
    LocalPort,
}

/// TCP or UDP: what a port alone means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    pub const BOTH: [Self; 2] = [Self::Tcp, Self::Udp];

    /// The IANA number.
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// One element; its variant goes with the [`Shape`] of its set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    Host(IpAddr),
    Net(Range),
    Service { range: Range, protocol: Protocol, port: u16 },
    Connection { peer: IpAddr, peer_port: u16, local_port: u16 },
    LocalPort { protocol: Protocol, port: u16 },
}

/// A named set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    pub name: String,
    pub shape: Shape,
    /// Whether its elements time out with the fault. Only targets do: an exception that went first would let the
    /// fault hit for a moment what it must never hit.
    pub timed: bool,
    pub elements: Vec<Element>,
}

/// A chain, hooked to an interface or reached from another chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    pub name: String,
    pub hook: Option<(Hook, String)>,
}

/// A rule at the end, or at the head, of its chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub chain: String,
    pub head: bool,
    pub exprs: Vec<Expr>,
    /// Which fault it belongs to: how the rules of one fault are found again among those of others.
    pub comment: Option<String>,
}

/// The parts of a rule, matches first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// The interface that the packet leaves by or came in on.
    Interface(Hook, String),
    /// The far end, or this end's port, is in the set.
    Member(Hook, Shape, String),
    /// ICMPv6 of these types, first and last.
    Icmpv6(u8, u8),
    /// True for this share of packets.
    Random(Percent),
    Counter,
    /// The null sink: forward to interface index 0. There is no such interface, so the kernel frees the packet and
    /// tells the sender that it was sent (`nf_fwd_netdev_egress`). A `drop` here would surface as `ENOBUFS`.
    Vanish,
    Drop,
    /// Into a queue of ours; the packet comes back to its own interface by itself.
    Forward(String),
    Accept,
    Return,
    Jump(String),
    Goto(String),
}

/// Sets, chains and rules that are added to the table, or removed from it, together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ruleset {
    pub sets: Vec<Set>,
    pub chains: Vec<Chain>,
    pub rules: Vec<Rule>,
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
            Self::Service { range, protocol, port } => write!(f, "{range} . {protocol} . {port}"),
            Self::Connection { peer, peer_port, local_port } => {
                write!(f, "{peer} . {peer_port} . {local_port}")
            }
            Self::LocalPort { protocol, port } => write!(f, "{protocol} . {port}"),
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
            Self::Service(family) => write!(f, "{} . inet_proto . inet_service", address(family)),
            Self::Connection(family) => write!(f, "{} . inet_service . inet_service", address(family)),
            Self::LocalPort => f.write_str("inet_proto . inet_service"),
        }
    }
}

impl Shape {
    /// Whether elements are intervals.
    pub fn interval(self) -> bool {
        match self {
            Self::Net(_) | Self::Service(_) => true,
            Self::Host(_) | Self::Connection(_) | Self::LocalPort => false,
        }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interface(Hook::Egress, name) => write!(f, "oifname \"{name}\""),
            Self::Interface(Hook::Ingress, name) => write!(f, "iifname \"{name}\""),
            Self::Member(hook, shape, set) => {
                let (address, port, local) = hook.fields();
                match shape {
                    Shape::Host(family) | Shape::Net(family) => {
                        write!(f, "{} {address} @{set}", family.nft())
                    }
                    Shape::Service(family) => {
                        write!(f, "{} {address} . meta l4proto . th {port} @{set}", family.nft())
                    }
                    Shape::Connection(family) => {
                        write!(
                            f,
                            "meta l4proto tcp {} {address} . th {port} . th {local} @{set}",
                            family.nft()
                        )
                    }
                    Shape::LocalPort => write!(f, "meta l4proto . th {local} @{set}"),
                }
            }
            Self::Icmpv6(first, last) if first == last => write!(f, "icmpv6 type {first}"),
            Self::Icmpv6(first, last) => write!(f, "icmpv6 type {first}-{last}"),
            Self::Random(percent) => {
                write!(f, "numgen random mod {RANDOM_MODULUS} < {}", percent.millionths())
            }
            Self::Counter => f.write_str("counter"),
            Self::Vanish => f.write_str("fwd to 0"),
            Self::Drop => f.write_str("drop"),
            Self::Forward(interface) => write!(f, "fwd to \"{interface}\""),
            Self::Accept => f.write_str("accept"),
            Self::Return => f.write_str("return"),
            Self::Jump(chain) => write!(f, "jump {chain}"),
            Self::Goto(chain) => write!(f, "goto {chain}"),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, expr) in self.exprs.iter().enumerate() {
            let space = if nth == 0 { "" } else { " " };
            write!(f, "{space}{expr}")?;
        }
        match &self.comment {
            Some(comment) => write!(f, " comment \"{comment}\""),
            None => Ok(()),
        }
    }
}

/// How many elements of a set are printed before the rest is counted.
const PRINTED_ELEMENTS: usize = 16;

impl Ruleset {
    /// In the syntax of `nft -f`, with the timeout that timed elements get.
    pub fn write(&self, f: &mut fmt::Formatter<'_>, timeout: Duration) -> fmt::Result {
        for set in &self.sets {
            let interval = if set.shape.interval() { "interval" } else { "" };
            let timed = if set.timed { "timeout" } else { "" };
            let flags =
                [interval, timed].into_iter().filter(|flag| !flag.is_empty()).collect::<Vec<_>>().join(",");
            writeln!(f, "  set {} {{", set.name)?;
            let flags = if flags.is_empty() { String::new() } else { format!("; flags {flags}") };
            writeln!(f, "    type {}{flags}", set.shape)?;
            let timeout =
                if set.timed { format!(" timeout {}ms", timeout.as_millis()) } else { String::new() };
            let (shown, rest) = set.elements.split_at(set.elements.len().min(PRINTED_ELEMENTS));
            let shown =
                shown.iter().map(|element| format!("{element}{timeout}")).collect::<Vec<_>>().join(", ");
            let rest =
                if rest.is_empty() { String::new() } else { format!(", ... # and {} more", rest.len()) };
            writeln!(f, "    elements = {{ {shown}{rest} }}\n  }}")?;
        }
        for chain in &self.chains {
            writeln!(f, "  chain {} {{", chain.name)?;
            if let Some((hook, interface)) = &chain.hook {
                writeln!(
                    f,
                    "    type filter hook {} device \"{interface}\" priority 0; policy accept;",
                    hook.name()
                )?;
            }
            for rule in self.rules.iter().filter(|rule| rule.chain == chain.name) {
                writeln!(f, "    {rule}")?;
            }
            writeln!(f, "  }}")?;
        }
        let elsewhere = |rule: &&Rule| !self.chains.iter().any(|chain| chain.name == rule.chain);
        for rule in self.rules.iter().filter(elsewhere) {
            let place = if rule.head { "insert" } else { "add" };
            writeln!(f, "  # {place} rule netdev {TABLE} {} {rule}", rule.chain)?;
        }
        Ok(())
    }
}
