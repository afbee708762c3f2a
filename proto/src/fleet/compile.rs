//! From who loses whom to what each host does about it.

mod shared;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnetwork::IpNetwork;

use shared::Shared;

use super::Cuts;
use crate::{Direction, FaultSpec, Host, Kind, Peer, Ports, Target};

/// Who can be cut off: a host, or a service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Party {
    /// Where it is, IPv4 and IPv6. Never empty.
    pub addresses: Vec<IpAddr>,
    /// Of a service, which has no agent: only these ports of its addresses. Without any, all of their traffic.
    pub ports: Vec<Ports>,
    /// Whether it has an agent, that can put faults into force.
    pub agent: bool,
}

/// At which end of a pair the fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// At both, where both have agents: a cut stays a cut if one of the agents dies, and cannot be doubled.
    Both,
    /// At one: a loss of 30% at both would be one of 51%, a latency would be there twice.
    One,
}

impl Ends {
    /// Both ends for a fault that lets nothing through at any time while it is on, one for every other.
    #[must_use]
    pub fn of(fault: &FaultSpec) -> Self {
        let cut = |kinds: &[Kind]| kinds.iter().any(Kind::cuts);
        // A share of the connections would not be the same share at both ends: addresses change places in the hash.
        let always = fault.ramp.is_none() && fault.target.flows.is_none();
        if always && cut(fault.egress_kinds()) && cut(fault.ingress_kinds()) { Self::Both } else { Self::One }
    }
}

/// What one host does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFault {
    /// Seen from it.
    pub direction: Direction,
    /// Against whom.
    pub peers: Vec<Peer>,
}

impl HostFault {
    /// The same fault as this one, but against these peers and in this direction.
    #[must_use]
    pub fn like(self, fault: &FaultSpec) -> FaultSpec {
        let target = Target { peers: self.peers, ..fault.target.clone() };
        FaultSpec { target, direction: self.direction, ..fault.clone() }
    }
}

/// Why [`Cuts`] cannot be had by one fault for each host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// Cut, and not among the parties.
    #[error("`{0}` is not known, so it cannot be cut off")]
    Stranger(String),
    /// Nothing to aim at.
    #[error("`{0}` has no address, so nobody can be cut off from it")]
    NoAddress(String),
    /// Nobody to do it.
    #[error(
        "neither `{from}` nor `{to}` has an agent, so nobody can cut them off from each other: run one there, or leave one of them away"
    )]
    NoAgent {
        /// Who sends.
        from: String,
        /// Who would not receive.
        to: String,
    },
    /// Cuts of both directions, with different peers.
    #[error(
        "`{host}` loses what goes to or comes from `{peer}`, but others in another direction, and a fault has one direction on a host: make a partition of each direction"
    )]
    TwoDirections {
        /// Where.
        host: String,
        /// One of those that it loses in one direction only.
        peer: String,
    },
    /// A fault against one hits the other.
    #[error(
        "`{one}` and `{other}` have {address} in common, so a fault of `{host}` against `{one}` would hit `{other}` beyond what was asked for: leave one of them away"
    )]
    Shared {
        /// Where the fault would be.
        host: String,
        /// Against whom it is.
        one: String,
        /// Whom it would hit too, or a second time.
        other: String,
        /// Of both.
        address: IpAddr,
    },
}

/// Whom a host loses by its own doing.
#[derive(Default)]
struct Lost<'a> {
    egress: BTreeSet<&'a str>,
    ingress: BTreeSet<&'a str>,
}

/// One fault for each host that has to do something, so that exactly the pairs of the cuts are hit; each at both ends, or at
/// one. One end is the one with an agent. Where both have one, it is that of the name that sorts first, for both
/// directions; or the sender's, where only one direction is hit.
///
/// # Errors
/// What cannot be hit, or not without something else.
pub fn compile(
    cuts: &Cuts,
    parties: &BTreeMap<String, Party>,
    ends: Ends,
) -> Result<BTreeMap<String, HostFault>, CompileError> {
    let party = |name: &str| parties.get(name).ok_or_else(|| CompileError::Stranger(name.to_owned()));
    let mut hosts = BTreeMap::<&str, Lost>::new();
    for (from, to) in cuts.iter() {
        let (at_sender, at_receiver) = match (party(from)?.agent, party(to)?.agent, ends) {
            (false, false, _) => {
                return Err(CompileError::NoAgent { from: from.to_owned(), to: to.to_owned() });
            }
            (true, true, Ends::One) => {
                let at_sender = !cuts.blocks(to, from) || from < to;
                (at_sender, !at_sender)
            }
            (at_sender, at_receiver, _) => (at_sender, at_receiver),
        };
        if at_sender {
            hosts.entry(from).or_default().egress.insert(to);
        }
        if at_receiver {
            hosts.entry(to).or_default().ingress.insert(from);
        }
    }
    let shared = Shared::among(parties);
    let fault = |(host, lost): (&str, Lost)| {
        let (direction, names) = lost.one_direction(host)?;
        shared.refuse(host, &names, |other| {
            direction.has_egress() && cuts.blocks(host, other)
                || direction.has_ingress() && cuts.blocks(other, host)
        })?;
        let mut peers = BTreeSet::new();
        for name in names {
            peers.extend(party(name)?.peers(name)?);
        }
        Ok((host.to_owned(), HostFault { direction, peers: peers.into_iter().collect() }))
    };
    hosts.into_iter().map(fault).collect()
}

impl<'a> Lost<'a> {
    fn one_direction(self, host: &str) -> Result<(Direction, BTreeSet<&'a str>), CompileError> {
        let Self { egress, ingress } = self;
        if ingress.is_empty() {
            return Ok((Direction::Egress, egress));
        }
        if egress.is_empty() {
            return Ok((Direction::Ingress, ingress));
        }
        match egress.symmetric_difference(&ingress).next() {
            None => Ok((Direction::Both, egress)),
            Some(peer) => {
                Err(CompileError::TwoDirections { host: host.to_owned(), peer: (*peer).to_owned() })
            }
        }
    }
}

impl Party {
    fn peers(&self, name: &str) -> Result<Vec<Peer>, CompileError> {
        if self.addresses.is_empty() {
            return Err(CompileError::NoAddress(name.to_owned()));
        }
        let ports = self.ports.iter().copied().map(Some).collect::<Vec<_>>();
        let ports = if ports.is_empty() { vec![None] } else { ports };
        let peers = self.addresses.iter().flat_map(|address| {
            // An IPv4 address in IPv6's clothes travels as IPv4.
            let host = Host::Net(IpNetwork::from(address.to_canonical()));
            ports.iter().map(move |port| Peer { host: host.clone(), port: *port })
        });
        Ok(peers.collect())
    }
}

#[cfg(test)]
mod tests;
