//! nft expressions as netlink attributes. The comment above each builder is the line as `nft` prints it.

use std::net::{IpAddr, SocketAddr};

use netlink_packet_core::DefaultNla;
use netlink_packet_netfilter::nftables::{
    Bitwise, Cmp, DataAttribute, Expressions, Immediate, Lookup, Meta, MetaKey, Operator, Payload, Register,
    Verdict, VerdictAttribute,
};
use partition_agent_proto::{Percent, Protocol, RejectWith};

use super::Bindings;
use super::rewrite::{self, Field};
use crate::plan::{
    End, Expr, FLOW_SEED, FLOW_TIMEOUT_MS, Family, Hook, MODULUS, Shape, protocol_number, stand_in,
};

/// `NFT_PAYLOAD_LL_HEADER`, `NFT_PAYLOAD_NETWORK_HEADER` and `NFT_PAYLOAD_TRANSPORT_HEADER`.
const LINK: u32 = 0;
pub const NETWORK: u32 = 1;
pub const TRANSPORT: u32 = 2;

/// `NF_DROP` and `NF_ACCEPT` of `linux/netfilter.h`.
const NF_DROP: u32 = 0;
const NF_ACCEPT: u32 = 1;

const IPPROTO_ICMPV6: u8 = 58;

const IFNAMSIZ: usize = 16;

/// The kernel's expressions for one of ours. The bindings know what is only known once the steps before are applied.
pub fn encode(expr: &Expr, bindings: &Bindings) -> Vec<Expressions> {
    match expr {
        Expr::Interface(hook, name) => interface(*hook, Operator::Equal, std::slice::from_ref(name)),
        Expr::InterfaceIsNot(hook, names) => interface(*hook, Operator::NotEqual, names),
        Expr::Member(hook, shape, set) => member(*hook, *shape, set),
        Expr::Icmpv6(first, last) => icmpv6(*first, *last),
        Expr::Random(percent) => random(percent.millionths()),
        Expr::FlowBeyond(hook, family, percent) => flow_beyond(*hook, *family, *percent),
        Expr::Is(protocol) => is(Operator::Equal, *protocol),
        Expr::IsNot(protocol) => is(Operator::NotEqual, *protocol),
        Expr::Syn(set) => flag(SYN, *set),
        Expr::Reset => {
            let tcp = is(Operator::Equal, Protocol::Tcp);
            tcp.into_iter().chain(flag(RST, true)).collect()
        }
        Expr::Unreachable(family) => unreachable_message(*family),
        Expr::User(id) => vec![
            meta(MetaKey::SocketUserId, Register::Reg1),
            compare(Operator::Equal, id.to_ne_bytes().to_vec()),
        ],
        Expr::Cgroup { id, level, .. } => cgroup(*id, *level),
        Expr::MarkIs(mark) => {
            vec![meta(MetaKey::Mark, Register::Reg1), compare(Operator::Equal, mark.to_ne_bytes().to_vec())]
        }
        Expr::MarkIsNot(mark) => {
            vec![
                meta(MetaKey::Mark, Register::Reg1),
                compare(Operator::NotEqual, mark.to_ne_bytes().to_vec()),
            ]
        }
        Expr::MarkHas(bit) => mark_bit(*bit, Operator::NotEqual),
        Expr::MarkLacks(bit) => mark_bit(*bit, Operator::Equal),
        Expr::MarkSet(mark) => vec![load(mark.to_ne_bytes().to_vec()), set_mark()],
        // mark = (mark & ~bit) ^ bit
        Expr::MarkAdd(bit) => vec![meta(MetaKey::Mark, Register::Reg1), bitwise(!bit, *bit), set_mark()],
        Expr::MarkDrop(bit) => vec![meta(MetaKey::Mark, Register::Reg1), bitwise(!bit, 0), set_mark()],
        Expr::EtherSource(address) => {
            vec![payload(LINK, 6, 6, Register::Reg1), compare(Operator::Equal, address.to_vec())]
        }
        Expr::Learn(family, set) => learn(*family, set),
        Expr::Asks(server, protocol) => {
            let address = addressed(server.ip(), Field::Destination);
            address.into_iter().chain(from_port(*protocol, Field::Destination, server.port())).collect()
        }
        Expr::Answers(server, protocol) => {
            let address = addressed(stand_in(*server), Field::Source);
            address.into_iter().chain(from_port(*protocol, Field::Source, bindings.port(*server))).collect()
        }
        Expr::ToStandIn(server, protocol) => {
            let at = SocketAddr::new(stand_in(*server), bindings.port(*server));
            rewrite::encode(Field::Destination, at, *protocol)
        }
        Expr::FromStandIn(server, protocol) => rewrite::encode(Field::Source, *server, *protocol),
        Expr::Counter => vec![counter()],
        Expr::Vanish => forward(0),
        Expr::Drop => vec![verdict(Verdict::Other(NF_DROP), None)],
        Expr::Reject(with) => vec![reject(*with)],
        // An interface that is not there has no index: 0 makes its packets vanish rather than escape.
        Expr::Forward(name) => forward(bindings.ifindex.get(name).copied().unwrap_or(0)),
        Expr::Accept => vec![verdict(Verdict::Other(NF_ACCEPT), None)],
        Expr::Return => vec![verdict(Verdict::Return, None)],
        Expr::Jump(chain) => vec![verdict(Verdict::Jump, Some(chain))],
        Expr::Goto(chain) => vec![verdict(Verdict::Goto, Some(chain))],
    }
}

/// `oifname "eth0"`; `oifname != "eth0" oifname != "eth1"`
fn interface(hook: Hook, operator: Operator, names: &[String]) -> Vec<Expressions> {
    let key = match hook {
        Hook::Egress => MetaKey::Oifname,
        Hook::Ingress => MetaKey::Iifname,
    };
    let padded = |name: &String| {
        let mut bytes = name.as_bytes().to_vec();
        bytes.resize(IFNAMSIZ, 0);
        bytes
    };
    let compared = names.iter().map(|name| compare(operator, padded(name)));
    std::iter::once(meta(key, Register::Reg1)).chain(compared).collect()
}

fn member(hook: Hook, shape: Shape, set: &str) -> Vec<Expressions> {
    let (peer_port, local_port) = ports(hook);
    let mut exprs = Vec::new();
    match shape {
        // ip daddr @set
        Shape::Host(family) | Shape::Net(family) => exprs.extend(address(hook, family)),
        // ip daddr . meta l4proto . th dport @set
        Shape::Service(family, end) => {
            exprs.extend(address(hook, family));
            let [second, third, _] = after_address(family);
            let port = match end {
                End::Far => peer_port,
                End::Near => local_port,
            };
            exprs.extend([meta(MetaKey::L4Proto, second), payload(TRANSPORT, port, 2, third)]);
        }
        // meta l4proto tcp ip daddr . th dport . th sport @set
        Shape::Connection(family) => {
            exprs.extend(is(Operator::Equal, Protocol::Tcp));
            exprs.extend(address(hook, family));
            let [second, third, _] = after_address(family);
            exprs
                .extend([payload(TRANSPORT, peer_port, 2, second), payload(TRANSPORT, local_port, 2, third)]);
        }
        // ip daddr . meta l4proto . th dport . th sport @set
        Shape::Flow(family) => exprs.extend(flow(hook, family)),
        // meta l4proto . th sport @set
        Shape::LocalPort => {
            exprs.push(meta(MetaKey::L4Proto, Register::Reg1));
            exprs.push(payload(TRANSPORT, local_port, 2, Register::Reg32_01));
        }
        // meta protocol @set
        Shape::Ethertype => exprs.push(meta(MetaKey::EtherTypeProtocol, Register::Reg1)),
    }
    exprs
        .push(Expressions::Lookup(vec![Lookup::Set(set.to_owned()), Lookup::SourceRegister(Register::Reg1)]));
    exprs
}

/// Ports are the first two 16-bit fields of every transport header that has any, source before destination: the offsets
/// of the far end's and of this end's.
fn ports(hook: Hook) -> (u32, u32) {
    match hook {
        Hook::Egress => (2, 0),
        Hook::Ingress => (0, 2),
    }
}

fn flow(hook: Hook, family: Family) -> Vec<Expressions> {
    let (peer_port, local_port) = ports(hook);
    let [second, third, fourth] = after_address(family);
    let rest = [
        meta(MetaKey::L4Proto, second),
        payload(TRANSPORT, peer_port, 2, third),
        payload(TRANSPORT, local_port, 2, fourth),
    ];
    address(hook, family).into_iter().chain(rest).collect()
}

/// `update @set { ip daddr . meta l4proto . th dport . th sport timeout 300s }`
fn learn(family: Family, set: &str) -> Vec<Expressions> {
    const NFT_DYNSET_OP_UPDATE: u32 = 1;
    let mut exprs = flow(Hook::Egress, family);
    let mut name = set.as_bytes().to_vec();
    name.push(0);
    let attributes = vec![
        DefaultNla::new(1, name),
        u32_nla(3, NFT_DYNSET_OP_UPDATE),
        u32_nla(4, u32::from(Register::Reg1)),
        DefaultNla::new(6, FLOW_TIMEOUT_MS.to_be_bytes().to_vec()),
    ];
    exprs.push(other("dynset", attributes));
    exprs
}

/// `jhash ip daddr . th dport . th sport mod 1000000 seed 0x7061 >= N`
fn flow_beyond(hook: Hook, family: Family, percent: Percent) -> Vec<Expressions> {
    const NFT_HASH_JENKINS: u32 = 0;
    let (peer_port, local_port) = ports(hook);
    let [second, third, _] = after_address(family);
    let length = match family {
        Family::V4 => 12,
        Family::V6 => 24,
    };
    let reg = u32::from(Register::Reg1);
    let mut exprs = address(hook, family).to_vec();
    exprs.extend([payload(TRANSPORT, peer_port, 2, second), payload(TRANSPORT, local_port, 2, third)]);
    let hash = vec![
        u32_nla(1, reg),
        u32_nla(2, reg),
        u32_nla(3, length),
        u32_nla(4, MODULUS),
        u32_nla(5, FLOW_SEED),
        u32_nla(7, NFT_HASH_JENKINS),
    ];
    exprs.push(other("hash", hash));
    exprs.extend(in_network_order());
    exprs.push(compare(Operator::GreatherThanEqual, percent.millionths().to_be_bytes().to_vec()));
    exprs
}

/// `meta l4proto tcp`; of ICMP, that of either family.
fn is(operator: Operator, protocol: Protocol) -> Vec<Expressions> {
    let number = protocol_number(protocol, Family::V4);
    vec![meta(MetaKey::L4Proto, Register::Reg1), compare(operator, vec![number])]
}

/// Bits of the 14th byte of the TCP header (RFC 9293).
const SYN: u8 = 0x02;
const RST: u8 = 0x04;

/// `tcp flags & syn == syn`, and `== 0`
fn flag(bit: u8, set: bool) -> Vec<Expressions> {
    let masked = Expressions::Bitwise(vec![
        Bitwise::SourceRegister(Register::Reg1),
        Bitwise::DestinationRegister(Register::Reg1),
        Bitwise::Length(1),
        Bitwise::Mask(DataAttribute::Value(vec![bit])),
        Bitwise::Xor(DataAttribute::Value(vec![0])),
    ]);
    let operator = if set { Operator::NotEqual } else { Operator::Equal };
    vec![payload(TRANSPORT, 13, 1, Register::Reg1), masked, compare(operator, vec![0])]
}

/// `icmp type destination-unreachable`: 3 in RFC 792, 1 in RFC 4443.
fn unreachable_message(family: Family) -> Vec<Expressions> {
    let kind = match family {
        Family::V4 => 3,
        Family::V6 => 1,
    };
    let number = protocol_number(Protocol::Icmp, family);
    vec![
        meta(MetaKey::L4Proto, Register::Reg1),
        compare(Operator::Equal, vec![number]),
        payload(TRANSPORT, 0, 1, Register::Reg1),
        compare(Operator::Equal, vec![kind]),
    ]
}

/// `socket cgroupv2 level 2 "system.slice/redis.service"`: the number of the directory, 64 bits in host order.
fn cgroup(id: u64, level: u32) -> Vec<Expressions> {
    const NFT_SOCKET_CGROUPV2: u32 = 3;
    let attributes =
        vec![u32_nla(1, NFT_SOCKET_CGROUPV2), u32_nla(2, u32::from(Register::Reg1)), u32_nla(3, level)];
    vec![other("socket", attributes), compare(Operator::Equal, id.to_ne_bytes().to_vec())]
}

/// `meta mark & 0x1000000 != 0`
fn mark_bit(bit: u32, operator: Operator) -> Vec<Expressions> {
    vec![meta(MetaKey::Mark, Register::Reg1), bitwise(bit, 0), compare(operator, vec![0; 4])]
}

fn set_mark() -> Expressions {
    Expressions::Meta(vec![Meta::Key(MetaKey::Mark), Meta::SourceRegister(Register::Reg1)])
}

/// Register 1 becomes (register 1 & mask) ^ xor; marks are in host order.
fn bitwise(mask: u32, xor: u32) -> Expressions {
    Expressions::Bitwise(vec![
        Bitwise::SourceRegister(Register::Reg1),
        Bitwise::DestinationRegister(Register::Reg1),
        Bitwise::Length(4),
        Bitwise::Mask(DataAttribute::Value(mask.to_ne_bytes().to_vec())),
        Bitwise::Xor(DataAttribute::Value(xor.to_ne_bytes().to_vec())),
    ])
}

/// `reject with tcp reset`; the rest is spelled the same for IPv4 and IPv6 (`NFT_REJECT_ICMPX_*`).
fn reject(with: RejectWith) -> Expressions {
    const NFT_REJECT_TCP_RST: u32 = 1;
    const NFT_REJECT_ICMPX_UNREACH: u32 = 2;
    let code = match with {
        RejectWith::TcpReset => return other("reject", vec![u32_nla(1, NFT_REJECT_TCP_RST)]),
        RejectWith::PortUnreachable => 1,
        RejectWith::HostUnreachable => 2,
        RejectWith::AdminProhibited => 3,
    };
    other("reject", vec![u32_nla(1, NFT_REJECT_ICMPX_UNREACH), DefaultNla::new(2, vec![code])])
}

/// `ip daddr 192.0.2.53`
fn addressed(address: IpAddr, field: Field) -> Vec<Expressions> {
    let (family, octets) = match address {
        IpAddr::V4(address) => (Family::V4, address.octets().to_vec()),
        IpAddr::V6(address) => (Family::V6, address.octets().to_vec()),
    };
    let hook = match field {
        Field::Destination => Hook::Egress,
        Field::Source => Hook::Ingress,
    };
    let mut exprs = self::address(hook, family).to_vec();
    exprs.push(compare(Operator::Equal, octets));
    exprs
}

/// `udp dport 53`
fn from_port(protocol: Protocol, field: Field, port: u16) -> Vec<Expressions> {
    let offset = match field {
        Field::Destination => 2,
        Field::Source => 0,
    };
    let mut exprs = is(Operator::Equal, protocol);
    exprs.extend([
        payload(TRANSPORT, offset, 2, Register::Reg1),
        compare(Operator::Equal, port.to_be_bytes().to_vec()),
    ]);
    exprs
}

/// The address of the far end in register 1, for packets of the family.
fn address(hook: Hook, family: Family) -> [Expressions; 3] {
    // The offsets of source and destination in RFC 791 and RFC 8200.
    let (source, destination, length) = match family {
        Family::V4 => (12, 16, 4),
        Family::V6 => (8, 24, 16),
    };
    let offset = match hook {
        Hook::Egress => destination,
        Hook::Ingress => source,
    };
    [
        meta(MetaKey::EtherTypeProtocol, Register::Reg1),
        compare(Operator::Equal, family.ethertype().to_be_bytes().to_vec()),
        payload(NETWORK, offset, length, Register::Reg1),
    ]
}

/// A concatenation fills 32-bit registers one after the other, an IPv6 address four of them.
fn after_address(family: Family) -> [Register; 3] {
    match family {
        Family::V4 => [Register::Reg32_01, Register::Reg32_02, Register::Reg32_03],
        Family::V6 => [Register::Reg32_04, Register::Reg32_05, Register::Reg32_06],
    }
}

/// `icmpv6 type 133-137`
fn icmpv6(first: u8, last: u8) -> Vec<Expressions> {
    vec![
        meta(MetaKey::L4Proto, Register::Reg1),
        compare(Operator::Equal, vec![IPPROTO_ICMPV6]),
        payload(TRANSPORT, 0, 1, Register::Reg1),
        compare(Operator::GreatherThanEqual, vec![first]),
        compare(Operator::LessThanEqual, vec![last]),
    ]
}

/// `numgen random mod 1000000 < N`
fn random(below: u32) -> Vec<Expressions> {
    const NFT_NG_RANDOM: u32 = 1;
    let reg = u32::from(Register::Reg1);
    let numgen = vec![u32_nla(1, reg), u32_nla(2, MODULUS), u32_nla(3, NFT_NG_RANDOM), u32_nla(4, 0)];
    let mut exprs = vec![other("numgen", numgen)];
    exprs.extend(in_network_order());
    exprs.push(compare(Operator::LessThan, below.to_be_bytes().to_vec()));
    exprs
}

/// numgen and hash write their register in host order and `cmp` compares bytes, so the register is turned around between
/// the two.
fn in_network_order() -> [Expressions; 1] {
    const NFT_BYTEORDER_HTON: u32 = 1;
    let reg = u32::from(Register::Reg1);
    let byteorder = vec![
        u32_nla(1, reg),
        u32_nla(2, reg),
        u32_nla(3, NFT_BYTEORDER_HTON),
        u32_nla(4, 4), // NFTA_BYTEORDER_LEN
        u32_nla(5, 4), // NFTA_BYTEORDER_SIZE
    ];
    [other("byteorder", byteorder)]
}

/// `counter`, from zero.
fn counter() -> Expressions {
    let zero = |kind| DefaultNla::new(kind, vec![0; 8]);
    other("counter", vec![zero(1), zero(2)])
}

/// `fwd to N`: the interface index is immediate data, so in host order.
fn forward(ifindex: u32) -> Vec<Expressions> {
    vec![load(ifindex.to_ne_bytes().to_vec()), other("fwd", vec![u32_nla(1, u32::from(Register::Reg1))])]
}

pub fn load(bytes: Vec<u8>) -> Expressions {
    Expressions::Immediate(vec![
        Immediate::DestinationRegister(Register::Reg1),
        Immediate::Data(DataAttribute::Value(bytes)),
    ])
}

fn verdict(code: Verdict, chain: Option<&str>) -> Expressions {
    let chain = chain.map(|chain| VerdictAttribute::Chain(chain.to_owned()));
    let verdict = [VerdictAttribute::Code(code)].into_iter().chain(chain).collect();
    Expressions::Immediate(vec![
        Immediate::DestinationRegister(Register::Verdict),
        Immediate::Data(DataAttribute::Verdict(verdict)),
    ])
}

fn meta(key: MetaKey, register: Register) -> Expressions {
    Expressions::Meta(vec![Meta::Key(key), Meta::DestinationRegister(register)])
}

fn compare(operator: Operator, bytes: Vec<u8>) -> Expressions {
    Expressions::Cmp(vec![
        Cmp::SourceRegister(Register::Reg1),
        Cmp::Op(operator),
        Cmp::Data(DataAttribute::Value(bytes)),
    ])
}

fn payload(base: u32, offset: u32, length: u32, register: Register) -> Expressions {
    Expressions::Payload(vec![
        Payload::DestinationRegister(register),
        Payload::Base(base),
        Payload::Offset(offset),
        Payload::Len(length),
    ])
}

fn other(expression_type: &str, attributes: Vec<DefaultNla>) -> Expressions {
    Expressions::Other { expression_type: expression_type.to_owned(), attributes }
}

fn u32_nla(kind: u16, value: u32) -> DefaultNla {
    DefaultNla::new(kind, value.to_be_bytes().to_vec())
}
