//! nft expressions as netlink attributes. The comment above each builder is the line as `nft` prints it.

use std::collections::BTreeMap;

use netlink_packet_core::DefaultNla;
use netlink_packet_netfilter::nftables::{
    Cmp, DataAttribute, Expressions, Immediate, Lookup, Meta, MetaKey, Operator, Payload, Register, Verdict,
    VerdictAttribute,
};

use crate::plan::{Expr, Family, Hook, Protocol, RANDOM_MODULUS, Shape};

/// `NFT_PAYLOAD_NETWORK_HEADER` and `NFT_PAYLOAD_TRANSPORT_HEADER`.
const NETWORK: u32 = 1;
const TRANSPORT: u32 = 2;

/// `NF_DROP` and `NF_ACCEPT` of `linux/netfilter.h`.
const NF_DROP: u32 = 0;
const NF_ACCEPT: u32 = 1;

const IPPROTO_ICMPV6: u8 = 58;

const IFNAMSIZ: usize = 16;

/// The kernel's expressions for one of ours. `ifindex` knows the interfaces that a rule may forward to.
pub fn encode(expr: &Expr, ifindex: &BTreeMap<String, u32>) -> Vec<Expressions> {
    match expr {
        Expr::Interface(hook, name) => interface(*hook, name),
        Expr::Member(hook, shape, set) => member(*hook, *shape, set),
        Expr::Icmpv6(first, last) => icmpv6(*first, *last),
        Expr::Random(percent) => random(percent.millionths()),
        Expr::Counter => vec![counter()],
        Expr::Vanish => forward(0),
        Expr::Drop => vec![verdict(Verdict::Other(NF_DROP), None)],
        // A queue that is not there has no index: 0 makes its packets vanish rather than escape.
        Expr::Forward(name) => forward(ifindex.get(name).copied().unwrap_or(0)),
        Expr::Accept => vec![verdict(Verdict::Other(NF_ACCEPT), None)],
        Expr::Return => vec![verdict(Verdict::Return, None)],
        Expr::Jump(chain) => vec![verdict(Verdict::Jump, Some(chain))],
        Expr::Goto(chain) => vec![verdict(Verdict::Goto, Some(chain))],
    }
}

/// `oifname "eth0"`
fn interface(hook: Hook, name: &str) -> Vec<Expressions> {
    let key = match hook {
        Hook::Egress => MetaKey::Oifname,
        Hook::Ingress => MetaKey::Iifname,
    };
    let mut padded = name.as_bytes().to_vec();
    padded.resize(IFNAMSIZ, 0);
    vec![meta(key, Register::Reg1), compare(Operator::Equal, padded)]
}

fn member(hook: Hook, shape: Shape, set: &str) -> Vec<Expressions> {
    // Ports are the first two 16-bit fields of every transport header that has any: source, then destination.
    let (peer_port, local_port) = match hook {
        Hook::Egress => (2, 0),
        Hook::Ingress => (0, 2),
    };
    let mut exprs = Vec::new();
    match shape {
        // ip daddr @set
        Shape::Host(family) | Shape::Net(family) => exprs.extend(address(hook, family)),
        // ip daddr . meta l4proto . th dport @set
        Shape::Service(family) => {
            exprs.extend(address(hook, family));
            let [second, third] = after_address(family);
            exprs.extend([meta(MetaKey::L4Proto, second), payload(TRANSPORT, peer_port, 2, third)]);
        }
        // meta l4proto tcp ip daddr . th dport . th sport @set
        Shape::Connection(family) => {
            exprs.push(meta(MetaKey::L4Proto, Register::Reg1));
            exprs.push(compare(Operator::Equal, vec![Protocol::Tcp.number()]));
            exprs.extend(address(hook, family));
            let [second, third] = after_address(family);
            exprs
                .extend([payload(TRANSPORT, peer_port, 2, second), payload(TRANSPORT, local_port, 2, third)]);
        }
        // meta l4proto . th sport @set
        Shape::LocalPort => {
            exprs.push(meta(MetaKey::L4Proto, Register::Reg1));
            exprs.push(payload(TRANSPORT, local_port, 2, Register::Reg32_01));
        }
    }
    exprs
        .push(Expressions::Lookup(vec![Lookup::Set(set.to_owned()), Lookup::SourceRegister(Register::Reg1)]));
    exprs
}

/// The address of the far end in register 1, for packets of the family.
fn address(hook: Hook, family: Family) -> [Expressions; 3] {
    // ETH_P_IP and ETH_P_IPV6; then the offsets of source and destination in RFC 791 and RFC 8200.
    let (ethertype, source, destination, length) = match family {
        Family::V4 => (0x0800_u16, 12, 16, 4),
        Family::V6 => (0x86dd_u16, 8, 24, 16),
    };
    let offset = match hook {
        Hook::Egress => destination,
        Hook::Ingress => source,
    };
    [
        meta(MetaKey::EtherTypeProtocol, Register::Reg1),
        compare(Operator::Equal, ethertype.to_be_bytes().to_vec()),
        payload(NETWORK, offset, length, Register::Reg1),
    ]
}

/// A concatenation fills 32-bit registers one after the other, an IPv6 address four of them.
fn after_address(family: Family) -> [Register; 2] {
    match family {
        Family::V4 => [Register::Reg32_01, Register::Reg32_02],
        Family::V6 => [Register::Reg32_04, Register::Reg32_05],
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

/// `numgen random mod 1000000 < N`: numgen writes its register in host order and `cmp` compares bytes, so the
/// register is turned around between the two.
fn random(below: u32) -> Vec<Expressions> {
    const NFT_NG_RANDOM: u32 = 1;
    const NFT_BYTEORDER_HTON: u32 = 1;
    let reg = u32::from(Register::Reg1);
    let numgen = vec![u32_nla(1, reg), u32_nla(2, RANDOM_MODULUS), u32_nla(3, NFT_NG_RANDOM), u32_nla(4, 0)];
    let byteorder = vec![
        u32_nla(1, reg),
        u32_nla(2, reg),
        u32_nla(3, NFT_BYTEORDER_HTON),
        u32_nla(4, 4), // NFTA_BYTEORDER_LEN
        u32_nla(5, 4), // NFTA_BYTEORDER_SIZE
    ];
    vec![
        other("numgen", numgen),
        other("byteorder", byteorder),
        compare(Operator::LessThan, below.to_be_bytes().to_vec()),
    ]
}

/// `counter`, from zero.
fn counter() -> Expressions {
    let zero = |kind| DefaultNla::new(kind, vec![0; 8]);
    other("counter", vec![zero(1), zero(2)])
}

/// `fwd to N`: the interface index is immediate data, so in host order.
fn forward(ifindex: u32) -> Vec<Expressions> {
    let load = Expressions::Immediate(vec![
        Immediate::DestinationRegister(Register::Reg1),
        Immediate::Data(DataAttribute::Value(ifindex.to_ne_bytes().to_vec())),
    ]);
    vec![load, other("fwd", vec![u32_nla(1, u32::from(Register::Reg1))])]
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
