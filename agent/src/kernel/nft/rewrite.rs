//! Rewriting addresses and ports without connection tracking: `ip daddr set 127.0.0.1 udp dport set 5353`.

use std::net::{IpAddr, SocketAddr};

use netlink_packet_netfilter::nftables::{ChecksumFlags, ChecksumType, Expressions, Payload, Register};
use partition_agent_proto::Protocol;

use super::expr::{NETWORK, TRANSPORT, load};

/// Which end of the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    Source,
    Destination,
}

/// Both of one end, with every checksum that they are part of.
pub fn encode(field: Field, to: SocketAddr, protocol: Protocol) -> Vec<Expressions> {
    let mut exprs = address(field, to.ip());
    exprs.extend(port(field, to.port(), protocol));
    exprs
}

fn address(field: Field, to: IpAddr) -> Vec<Expressions> {
    // Offsets of RFC 791 and RFC 8200; the checksum of the IPv4 header is at 10, IPv6 has none. The flag has the checksum
    // of TCP or UDP updated, too, which covers the addresses (RFC 9293, RFC 768).
    let (offset, octets, checksum) = match (to, field) {
        (IpAddr::V4(to), Field::Source) => (12, to.octets().to_vec(), ChecksumType::Inet),
        (IpAddr::V4(to), Field::Destination) => (16, to.octets().to_vec(), ChecksumType::Inet),
        (IpAddr::V6(to), Field::Source) => (8, to.octets().to_vec(), ChecksumType::None),
        (IpAddr::V6(to), Field::Destination) => (24, to.octets().to_vec(), ChecksumType::None),
    };
    let length = if to.is_ipv4() { 4 } else { 16 };
    let write = Expressions::Payload(vec![
        Payload::SourceRegister(Register::Reg1),
        Payload::Base(NETWORK),
        Payload::Offset(offset),
        Payload::Len(length),
        Payload::CsumType(checksum),
        Payload::CsumOffset(10),
        Payload::CsumFlags(ChecksumFlags::L4PseudoHeader),
    ]);
    vec![load(octets), write]
}

fn port(field: Field, to: u16, protocol: Protocol) -> Vec<Expressions> {
    let offset = match field {
        Field::Source => 0,
        Field::Destination => 2,
    };
    let checksum = match protocol {
        Protocol::Tcp => 16,
        Protocol::Udp => 6,
        // Not what name servers are asked with.
        Protocol::Sctp | Protocol::Icmp => return Vec::new(),
    };
    let write = Expressions::Payload(vec![
        Payload::SourceRegister(Register::Reg1),
        Payload::Base(TRANSPORT),
        Payload::Offset(offset),
        Payload::Len(2),
        Payload::CsumType(ChecksumType::Inet),
        Payload::CsumOffset(checksum),
    ]);
    vec![load(to.to_be_bytes().to_vec()), write]
}
