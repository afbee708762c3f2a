//! Of two faults that shape the same packets, the newer one takes them; the older waits behind it.

use std::net::IpAddr;

use partition_agent_proto::Protocol;

use super::element::{Element, End, Shape};
use super::ranges::Range;
use super::{Base, Chain, Hook, Plan};

/// Whether some packet that the older plan would shape is shaped by the newer one.
pub fn shadows(newer: &Plan, older: &Plan) -> bool {
    newer.place.id == older.place.id
        && order(newer) > order(older)
        && Hook::BOTH.into_iter().any(|hook| shapes(newer, hook) && shapes(older, hook))
        && share_an_interface(newer, older)
        && reach(newer).iter().any(|one| reach(older).iter().any(|other| one.overlaps(other)))
}

fn order(plan: &Plan) -> Option<u32> {
    plan.steering().map(|steering| steering.order)
}

fn shapes(plan: &Plan, hook: Hook) -> bool {
    let shape = format!("_{}_shape", hook.name());
    let chains = plan.steering().map(|steering| steering.ruleset.chains.as_slice()).unwrap_or_default();
    chains.iter().any(|Chain { name, base }| match base {
        None => name.ends_with(&shape),
        Some(
            Base::Device(..)
            | Base::Output(_)
            | Base::Input(_)
            | Base::Forward(_)
            | Base::Prerouting(_)
            | Base::Route(_),
        ) => false,
    })
}

fn share_an_interface(one: &Plan, other: &Plan) -> bool {
    let interfaces =
        |plan: &Plan| plan.steering().map(|steering| steering.interfaces.clone()).unwrap_or_default();
    let there = interfaces(other);
    interfaces(one).iter().any(|interface| there.contains(interface))
}

/// Addresses with their ports at the far end; a fault on ports of this end may meet any at the other.
struct Reach {
    range: Range,
    ports: (u16, u16),
    /// None: all of them.
    protocol: Option<Protocol>,
}

impl Reach {
    fn overlaps(&self, other: &Self) -> bool {
        let addresses = self.range.first <= other.range.last && other.range.first <= self.range.last;
        let protocol = self.protocol.is_none() || other.protocol.is_none() || self.protocol == other.protocol;
        let same_family = self.range.first.is_ipv4() == other.range.first.is_ipv4();
        same_family && protocol && addresses && self.ports.0 <= other.ports.1 && other.ports.0 <= self.ports.1
    }
}

fn reach(plan: &Plan) -> Vec<Reach> {
    let Some(steering) = plan.steering() else { return Vec::new() };
    let own = steering.own.iter().flat_map(|own| &own.ruleset.sets);
    let sets = steering.ruleset.sets.iter().chain(own).filter(|set| set.timed);
    let every = (0, u16::MAX);
    let mut reach = Vec::new();
    for set in sets {
        for element in &set.elements {
            let one = |address: &IpAddr| Range { first: *address, last: *address };
            reach.push(match element {
                Element::Host(address) => Reach { range: one(address), ports: every, protocol: None },
                Element::Net(range) => Reach { range: *range, ports: every, protocol: None },
                Element::Service { range, ports, protocol } => {
                    let ports = match set.shape {
                        Shape::Service(_, End::Near) => every,
                        Shape::Service(_, End::Far)
                        | Shape::Host(_)
                        | Shape::Net(_)
                        | Shape::Connection(_)
                        | Shape::Flow(_)
                        | Shape::LocalPort
                        | Shape::Ethertype => (ports.first(), ports.last()),
                    };
                    Reach { range: *range, ports, protocol: Some(*protocol) }
                }
                Element::Connection { .. } | Element::LocalPort { .. } | Element::Ethertype(_) => continue,
            });
        }
    }
    reach
}
