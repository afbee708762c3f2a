//! A packet with all that a rule can ask about it, and what may become of it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use partition_agent_proto::{Protocol, RejectWith};

use crate::plan::{Hook, MODULUS};

/// The other end of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Far {
    pub address: IpAddr,
    pub port: u16,
}

/// Whose packet goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Local { user: u32, cgroup: u64 },
    Forwarded,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    pub hook: Hook,
    pub interface: &'static str,
    pub protocol: Protocol,
    /// As it is on the wire.
    pub far: Far,
    /// As the program wrote it, where NAT rewrites it on the way out.
    pub meant: Far,
    pub near_port: u16,
    pub syn: bool,
    pub icmp_type: u8,
    pub origin: Origin,
    /// The emulator gives it back.
    pub returned: bool,
    /// What each fault draws for it, by slot.
    pub draws: [u32; 5],
}

impl Packet {
    pub fn draw(&self, slot: u32) -> u32 {
        self.draws[slot as usize - 1]
    }

    /// Tells a sender that something could not be delivered: RFC 792, RFC 4443.
    pub fn is_refusal(&self, far: Far) -> bool {
        let unreachable = if far.address.is_ipv4() { 3 } else { 1 };
        self.protocol == Protocol::Icmp && self.icmp_type == unreachable
    }

    /// Where the flow of the packet lies between 0 and [`MODULUS`]; it stands for the kernel's hash.
    pub fn flow_draw(&self, far: Far) -> u32 {
        let mut hasher = DefaultHasher::new();
        (far, self.near_port).hash(&mut hasher);
        u32::try_from(hasher.finish() % u64::from(MODULUS)).unwrap()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    Passes,
    /// On its way out; the sender is told that it was sent.
    Vanishes(u32),
    /// On its way in.
    Dropped(u32),
    /// Into this queue.
    Queued(u32, String),
    Rejected(u32, RejectWith),
}

/// Whose dice were thrown for a packet, in order, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fate {
    pub thrown: Vec<u32>,
    pub end: End,
}
