//! The parts of a rule, matches first, and how nft spells them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use partition_agent_proto::{ConnectionState, Percent, Protocol, RejectWith, Target};

use super::element::{End, Shape};
use super::need::Need;
use super::ranges::Family;
use super::ruleset::Hook;

/// `numgen` and `jhash` draw from this many, so a [`Percent`] is exact.
pub const MODULUS: u32 = 1_000_000;

/// The same in both directions and in every fault: two faults on 10% of the connections hit the same ones.
pub const FLOW_SEED: u32 = 0x7061;

/// How long a learned flow is remembered after its last packet, in milliseconds. What ends the fault is another lookup.
pub const FLOW_TIMEOUT_MS: u64 = 300_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// The interface that the packet leaves by or came in on.
    Interface(Hook, String),
    /// None of these.
    InterfaceIsNot(Hook, Vec<String>),
    /// The far end, or this end's port, is in the set.
    Member(Hook, Shape, String),
    /// ICMPv6 of these types, first and last.
    Icmpv6(u8, u8),
    /// True for this share of packets.
    Random(Percent),
    /// True for the flows that are not among this share of them.
    FlowBeyond(Hook, Family, Percent),
    Is(Protocol),
    IsNot(Protocol),
    /// A TCP packet that opens a connection, or one that does not.
    Syn(bool),
    /// A TCP packet that refuses or breaks off a connection.
    Reset,
    /// An ICMP message that says that something could not be delivered.
    Unreachable(Family),
    /// The socket's owner.
    User(u32),
    /// The socket's control group, or one above it: its number, its depth, and what people call it.
    Cgroup {
        id: u64,
        level: u32,
        path: String,
    },
    /// All of the packet's mark.
    MarkIs(u32),
    MarkIsNot(u32),
    /// A bit of the packet's mark.
    MarkHas(u32),
    MarkLacks(u32),
    MarkSet(u32),
    MarkAdd(u32),
    MarkDrop(u32),
    /// The address that the frame says it comes from.
    EtherSource([u8; 6]),
    /// Remembers the flow of the packet in a set.
    Learn(Family, String),
    /// The packet asks this name server, or comes from the port that stands in for it.
    Asks(SocketAddr, Protocol),
    Answers(SocketAddr, Protocol),
    /// Turns the packet to the port that stands in for the name server, and back.
    ToStandIn(SocketAddr, Protocol),
    FromStandIn(SocketAddr, Protocol),
    Counter,
    /// The null sink: forward to interface index 0. There is no such interface, so the kernel frees the packet and
    /// tells the sender that it was sent (`nf_fwd_netdev_egress`). A `drop` here would surface as `ENOBUFS`.
    Vanish,
    Drop,
    Reject(RejectWith),
    /// Out of another interface: into a queue of ours, or back from the emulator.
    Forward(String),
    Accept,
    Return,
    Jump(String),
    Goto(String),
}

impl Expr {
    /// What of the kernel it takes that not every kernel has.
    pub(super) fn need(&self) -> Option<Need> {
        match self {
            Self::Random(_) => Some(Need::Numgen),
            Self::FlowBeyond(..) => Some(Need::Hash),
            Self::Reject(_) => Some(Need::Reject),
            Self::Cgroup { .. } => Some(Need::Cgroup),
            Self::Learn(..) => Some(Need::Flows),
            Self::Asks(..) | Self::Answers(..) | Self::ToStandIn(..) | Self::FromStandIn(..) => {
                Some(Need::Rewrite)
            }
            Self::Interface(..)
            | Self::InterfaceIsNot(..)
            | Self::Member(..)
            | Self::Icmpv6(..)
            | Self::Is(_)
            | Self::IsNot(_)
            | Self::Syn(_)
            | Self::Reset
            | Self::Unreachable(_)
            | Self::User(_)
            | Self::MarkIs(_)
            | Self::MarkIsNot(_)
            | Self::MarkHas(_)
            | Self::MarkLacks(_)
            | Self::MarkSet(_)
            | Self::MarkAdd(_)
            | Self::MarkDrop(_)
            | Self::EtherSource(_)
            | Self::Counter
            | Self::Vanish
            | Self::Drop
            | Self::Forward(_)
            | Self::Accept
            | Self::Return
            | Self::Jump(_)
            | Self::Goto(_) => None,
        }
    }
}

/// What returns from a fault's chains unharmed because of what its target says of packets, beyond their addresses.
pub(super) fn unharmed(target: &Target, hook: Hook) -> Vec<Vec<Expr>> {
    let mut returns = Vec::new();
    if let Some(state) = target.state {
        let opens = state == ConnectionState::New;
        returns.push(vec![Expr::IsNot(Protocol::Tcp), Expr::Return]);
        returns.push(vec![Expr::Syn(!opens), Expr::Return]);
    }
    if let Some(share) = target.flows.filter(|share| share.millionths() < MODULUS) {
        let beyond = Family::BOTH.map(|family| vec![Expr::FlowBeyond(hook, family, share), Expr::Return]);
        returns.extend(beyond);
    }
    returns
}

/// The loopback address that stands in for a name server of this family.
pub fn stand_in(server: SocketAddr) -> IpAddr {
    match server {
        SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    }
}

/// As nft spells the header of an address.
pub fn header(address: IpAddr) -> &'static str {
    match address {
        IpAddr::V4(_) => Family::V4.nft(),
        IpAddr::V6(_) => Family::V6.nft(),
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interface(Hook::Egress, name) => write!(f, "oifname \"{name}\""),
            Self::Interface(Hook::Ingress, name) => write!(f, "iifname \"{name}\""),
            Self::InterfaceIsNot(hook, names) => {
                let key = match hook {
                    Hook::Egress => "oifname",
                    Hook::Ingress => "iifname",
                };
                let names = names.iter().map(|name| format!("{key} != \"{name}\"")).collect::<Vec<_>>();
                f.write_str(&names.join(" "))
            }
            Self::Member(hook, shape, set) => member(f, *hook, *shape, set),
            Self::Icmpv6(first, last) if first == last => write!(f, "icmpv6 type {first}"),
            Self::Icmpv6(first, last) => write!(f, "icmpv6 type {first}-{last}"),
            Self::Random(percent) => {
                write!(f, "numgen random mod {MODULUS} < {}", percent.millionths())
            }
            Self::FlowBeyond(hook, family, percent) => {
                let (address, port, local) = hook.fields();
                let share = percent.millionths();
                let family = family.nft();
                write!(
                    f,
                    "jhash {family} {address} . th {port} . th {local} mod {MODULUS} seed {FLOW_SEED:#x} >= {share}"
                )
            }
            Self::Is(protocol) => write!(f, "meta l4proto {protocol}"),
            Self::IsNot(protocol) => write!(f, "meta l4proto != {protocol}"),
            Self::Syn(true) => f.write_str("tcp flags & syn == syn"),
            Self::Syn(false) => f.write_str("tcp flags & syn == 0"),
            Self::Reset => f.write_str("tcp flags rst"),
            Self::Unreachable(Family::V4) => f.write_str("icmp type destination-unreachable"),
            Self::Unreachable(Family::V6) => f.write_str("icmpv6 type destination-unreachable"),
            Self::User(id) => write!(f, "meta skuid {id}"),
            Self::Cgroup { level, path, .. } => write!(f, "socket cgroupv2 level {level} \"{path}\""),
            Self::MarkIs(mark) => write!(f, "meta mark {mark:#x}"),
            Self::MarkIsNot(mark) => write!(f, "meta mark != {mark:#x}"),
            Self::MarkHas(bit) => write!(f, "meta mark & {bit:#x} != 0"),
            Self::MarkLacks(bit) => write!(f, "meta mark & {bit:#x} == 0"),
            Self::MarkSet(mark) => write!(f, "meta mark set {mark:#x}"),
            Self::MarkAdd(bit) => write!(f, "meta mark set meta mark | {bit:#x}"),
            Self::MarkDrop(bit) => write!(f, "meta mark set meta mark & {:#x}", !bit),
            Self::EtherSource([a, b, c, d, e, g]) => {
                write!(f, "ether saddr {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
            }
            Self::Learn(family, set) => {
                let family = family.nft();
                let seconds = FLOW_TIMEOUT_MS / 1000;
                write!(
                    f,
                    "update @{set} {{ {family} daddr . meta l4proto . th dport . th sport timeout {seconds}s }}"
                )
            }
            Self::Asks(server, protocol) => {
                write!(f, "{} daddr {} {protocol} dport {}", header(server.ip()), server.ip(), server.port())
            }
            Self::Answers(server, protocol) => {
                let local = stand_in(*server);
                write!(f, "{} saddr {local} {protocol} sport $port_of_{}", header(local), server.ip())
            }
            Self::ToStandIn(server, protocol) => {
                let local = stand_in(*server);
                write!(f, "{} daddr set {local} {protocol} dport set $port_of_{}", header(local), server.ip())
            }
            Self::FromStandIn(server, protocol) => {
                let (ip, port) = (server.ip(), server.port());
                write!(f, "{} saddr set {ip} {protocol} sport set {port}", header(ip))
            }
            Self::Counter => f.write_str("counter"),
            Self::Vanish => f.write_str("fwd to 0"),
            Self::Drop => f.write_str("drop"),
            Self::Reject(with) => f.write_str(match with {
                RejectWith::TcpReset => "reject with tcp reset",
                RejectWith::PortUnreachable => "reject with icmpx port-unreachable",
                RejectWith::HostUnreachable => "reject with icmpx host-unreachable",
                RejectWith::AdminProhibited => "reject with icmpx admin-prohibited",
            }),
            Self::Forward(interface) => write!(f, "fwd to \"{interface}\""),
            Self::Accept => f.write_str("accept"),
            Self::Return => f.write_str("return"),
            Self::Jump(chain) => write!(f, "jump {chain}"),
            Self::Goto(chain) => write!(f, "goto {chain}"),
        }
    }
}

fn member(f: &mut fmt::Formatter<'_>, hook: Hook, shape: Shape, set: &str) -> fmt::Result {
    let (address, port, local) = hook.fields();
    match shape {
        Shape::Host(family) | Shape::Net(family) => write!(f, "{} {address} @{set}", family.nft()),
        Shape::Service(family, end) => {
            let port = match end {
                End::Far => port,
                End::Near => local,
            };
            write!(f, "{} {address} . meta l4proto . th {port} @{set}", family.nft())
        }
        Shape::Connection(family) => {
            write!(f, "meta l4proto tcp {} {address} . th {port} . th {local} @{set}", family.nft())
        }
        Shape::Flow(family) => {
            write!(f, "{} {address} . meta l4proto . th {port} . th {local} @{set}", family.nft())
        }
        Shape::LocalPort => write!(f, "meta l4proto . th {local} @{set}"),
        Shape::Ethertype => write!(f, "meta protocol @{set}"),
    }
}
