//! A fault's addresses as sets, only those that have elements. The sets of one role never overlap: a packet that matched
//! twice would meet a loss of 30% twice.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnetwork::IpNetwork;
use partition_agent_proto::{Connection, Ports, Protocol};

use super::Address;
use super::element::{Element, End, Shape};
use super::ranges::{self, Family, Range};
use super::ruleset::Set;

/// Whom a fault hits: timed, so that it ends.
pub fn targets(
    mark: &str,
    addresses: &[Address],
    end: End,
    protocol: Option<Protocol>,
) -> impl Iterator<Item = Set> {
    roles(mark, "", true, addresses, end, protocol)
}

/// Whom it spares: not timed, so that it spares them to the end.
pub fn spared(mark: &str, except: &[Address], keep: &[Connection]) -> impl Iterator<Item = Set> {
    let connections = Family::BOTH.map(|family| {
        let elements = keep.iter().filter(|connection| Family::of(connection.peer.ip()) == family);
        let elements = elements.map(|connection| Element::Connection {
            peer: connection.peer.ip(),
            peer_port: connection.peer.port(),
            local_port: connection.local_port,
        });
        Set {
            name: format!("{mark}_keep{}", family.digit()),
            shape: Shape::Connection(family),
            timed: false,
            elements: elements.collect(),
        }
    });
    let connections = connections.into_iter().filter(|set| !set.elements.is_empty());
    roles(mark, "except_", false, except, End::Far, None).chain(connections)
}

/// Says whether the fault is on, whatever the packet.
pub fn live(mark: &str) -> Set {
    let elements = Family::BOTH.map(Element::Ethertype).to_vec();
    Set { name: format!("{mark}_live"), shape: Shape::Ethertype, timed: true, elements }
}

/// Flows that packets have taught.
pub fn flows(mark: &str, family: Family) -> Set {
    let name = format!("{mark}_flow{}", family.digit());
    Set { name, shape: Shape::Flow(family), timed: false, elements: Vec::new() }
}

fn roles(
    mark: &str,
    role: &str,
    timed: bool,
    addresses: &[Address],
    end: End,
    protocol: Option<Protocol>,
) -> impl Iterator<Item = Set> {
    let mut sets = Vec::new();
    for family in Family::BOTH {
        let mut add = |shape_name: &str, shape, elements: Vec<Element>| {
            let name = format!("{mark}_{role}{shape_name}{}", family.digit());
            sets.push(Set { name, shape, timed, elements });
        };
        let whole = addresses.iter().filter(|address| address.ports.is_none() && protocol.is_none());
        let whole = ranges::merge(family, whole.map(|address| &address.net));
        let services = services(family, addresses, &whole, protocol);
        let (hosts, nets) = whole.into_iter().partition::<Vec<_>, _>(|range| range.first == range.last);
        let hosts = hosts.into_iter().map(|host| Element::Host(host.first)).collect();
        add("host", Shape::Host(family), hosts);
        add("net", Shape::Net(family), nets.into_iter().map(Element::Net).collect());
        let name = match end {
            End::Far => "svc",
            End::Near => "local",
        };
        add(name, Shape::Service(family, end), services);
    }
    sets.into_iter().filter(|set| !set.elements.is_empty())
}

/// Addresses on some of their ports, less those that are hit on all of them. Where the ports of two addresses overlap
/// without being the same, the ports are cut where any range begins or ends.
fn services(
    family: Family,
    addresses: &[Address],
    whole: &[Range],
    protocol: Option<Protocol>,
) -> Vec<Element> {
    let some = addresses.iter().filter(|address| Family::of(address.net.ip()) == family);
    let some = some.filter_map(|address| match (address.ports, protocol) {
        (Some(ports), _) => Some((ports, &address.net)),
        (None, Some(_)) => Some((Ports::ALL, &address.net)),
        (None, None) => None,
    });
    let some = some.collect::<Vec<_>>();
    let protocols = protocol.map_or(vec![Protocol::Tcp, Protocol::Udp], |protocol| vec![protocol]);
    let mut elements = Vec::new();
    for (ports, nets) in by_ports(&some) {
        for range in ranges::subtract(family, &ranges::merge(family, nets), whole) {
            elements.extend(protocols.iter().map(|protocol| Element::Service {
                range,
                protocol: *protocol,
                ports,
            }));
        }
    }
    elements
}

/// Disjoint ranges of ports, ascending, each with the networks that have it.
fn by_ports<'a>(some: &[(Ports, &'a IpNetwork)]) -> Vec<(Ports, Vec<&'a IpNetwork>)> {
    // All the same, or apart: the common case, and there may be many of them.
    let mut exact = BTreeMap::<Ports, Vec<&IpNetwork>>::new();
    for (ports, net) in some {
        exact.entry(*ports).or_default().push(net);
    }
    let apart = exact.keys().zip(exact.keys().skip(1)).all(|(one, next)| one.last() < next.first());
    if apart {
        return exact.into_iter().collect();
    }
    let mut cuts = exact
        .keys()
        .flat_map(|ports| [u32::from(ports.first()), u32::from(ports.last()) + 1])
        .collect::<Vec<_>>();
    cuts.sort_unstable();
    cuts.dedup();
    let pieces = cuts.windows(2).filter_map(|cut| {
        let (first, last) = (u16::try_from(*cut.first()?).ok()?, u16::try_from(cut.last()? - 1).ok()?);
        let nets = exact.iter().filter(|(ports, _)| ports.first() <= first && last <= ports.last());
        let nets = nets.flat_map(|(_, nets)| nets.iter().copied()).collect::<Vec<_>>();
        let ports =
            if first == 0 && last == u16::MAX { Ports::ALL } else { Ports::new(first.max(1), last).ok()? };
        (!nets.is_empty()).then_some((ports, nets))
    });
    pieces.collect()
}

impl Family {
    /// Of an address.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}
