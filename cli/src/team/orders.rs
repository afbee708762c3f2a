//! What each host is told: the fault as it was typed, with the names of the fleet turned into addresses. Pure.

use std::collections::{BTreeMap, BTreeSet};

use partition_agent_proto::fleet::{Fleet, LinkEnd, SelectError};
use partition_agent_proto::{Direction, FaultSpec, Host, Peer, Ports, Target};

use crate::args::{InjectArgs, PeerArg};

/// Why there is nothing to tell a host.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum OrderError {
    #[error(transparent)]
    Select(#[from] SelectError),
    #[error("{0}")]
    Spec(String),
    #[error("{0} is among its own peers, and there is no other: leave it out of --on (`!{0}`)")]
    OnlyItself(String),
    #[error("the fleet has no link `{link}`; it has {known}")]
    NoLink { link: String, known: String },
    #[error("neither end of the link `{0}` has an agent")]
    NoEnd(String),
}

/// A peer, and the host of the fleet that it is.
type Owned = (Option<String>, Peer);

/// The fault on each of these hosts.
pub fn orders(
    fleet: &Fleet,
    hosts: &BTreeSet<String>,
    args: &InjectArgs,
) -> Result<BTreeMap<String, FaultSpec>, OrderError> {
    let peers = peers(fleet, &args.target.peer)?;
    let except = peers_of_all(fleet, &args.target.except)?;
    let order = |host: &String| {
        let others = peers.iter().filter(|(owner, _)| owner.as_ref() != Some(host));
        let others = others.map(|(_, peer)| peer.clone()).collect::<Vec<_>>();
        if others.is_empty() && !peers.is_empty() {
            return Err(OrderError::OnlyItself(host.clone()));
        }
        let target = args.target.target_of(others, except.clone());
        let spec = args.spec_of(target, args.direction.into()).map_err(OrderError::Spec)?;
        Ok((host.clone(), spec))
    };
    hosts.iter().map(order).collect()
}

/// The fault on the hosts at one end of a link; the end that it is named from, where that has agents. One end is
/// enough for both directions, and at two of them packets would be hit twice.
pub fn link_orders(
    fleet: &Fleet,
    name: &str,
    args: &InjectArgs,
) -> Result<BTreeMap<String, FaultSpec>, OrderError> {
    let known = || fleet.links.keys().cloned().collect::<Vec<_>>().join(", ");
    let no_link = || OrderError::NoLink { link: name.to_owned(), known: known() };
    let link = fleet.links.get(name).ok_or_else(no_link)?;
    let near = fleet.select(&link.from)?;
    let agents = |hosts: &BTreeSet<String>| {
        let has_agent = |host: &&String| fleet.hosts.get(*host).is_some_and(|host| host.agent.is_some());
        hosts.iter().filter(has_agent).cloned().collect::<BTreeSet<_>>()
    };
    let (far_hosts, far_peers, ports) = match &link.to {
        LinkEnd::Hosts(selector) => {
            let hosts = fleet.select(selector)?;
            let peers = hosts.iter().flat_map(|host| addresses(fleet, host, None)).collect();
            (hosts, peers, Vec::new())
        }
        LinkEnd::Service(service) => {
            let hosts = fleet.services.get(service).and_then(|service| service.hosts.as_ref());
            let hosts = hosts.map(|hosts| fleet.select(hosts)).transpose()?.unwrap_or_default();
            let ports = fleet.services.get(service).map(|service| service.ports.clone()).unwrap_or_default();
            (hosts, self::service(fleet, service)?, ports)
        }
    };
    let here = agents(&near);
    let (at, peers, local_ports, direction) = if here.is_empty() {
        let peers = near.iter().flat_map(|host| addresses(fleet, host, None)).collect::<Vec<_>>();
        (agents(&far_hosts), peers, ports, Direction::Ingress)
    } else {
        (here, far_peers, Vec::new(), Direction::Egress)
    };
    if at.is_empty() {
        return Err(OrderError::NoEnd(name.to_owned()));
    }
    let except = peers_of_all(fleet, &args.target.except)?;
    let direction = if args.one_way { direction } else { Direction::Both };
    // Two hosts that are in both ends would do to each other's packets what the other does already.
    let theirs = |host: &String, owner: &String| {
        direction == Direction::Both && at.contains(owner) && far_hosts.contains(host) && owner < host
    };
    let mut orders = BTreeMap::new();
    for host in &at {
        let others = peers
            .iter()
            .filter(|(owner, _)| owner.as_ref().is_none_or(|owner| owner != host && !theirs(host, owner)));
        let others = others.map(|(_, peer)| peer.clone()).collect::<Vec<_>>();
        // Its only far end is itself, or what is done at the other end.
        if others.is_empty() {
            continue;
        }
        let target = args.target.target_of(others, except.clone());
        let target = Target { local_ports: local_ports.clone(), ..target };
        orders.insert(host.clone(), args.spec_of(target, direction).map_err(OrderError::Spec)?);
    }
    if orders.is_empty() { Err(OrderError::NoEnd(name.to_owned())) } else { Ok(orders) }
}

fn peers_of_all(fleet: &Fleet, named: &[PeerArg]) -> Result<Vec<Peer>, OrderError> {
    Ok(peers(fleet, named)?.into_iter().map(|(_, peer)| peer).collect())
}

/// What is a host, a service or a group of the fleet, by its addresses; everything else as it was typed: the agents know it.
fn peers(fleet: &Fleet, named: &[PeerArg]) -> Result<Vec<Owned>, OrderError> {
    let mut peers = Vec::new();
    for named in named {
        match named {
            PeerArg::Group(group, ports) => {
                let hosts = fleet.select(group)?;
                peers.extend(hosts.iter().flat_map(|host| addresses(fleet, host, *ports)));
            }
            PeerArg::Peer(Peer { host: Host::Name(name), port }) if fleet.hosts.contains_key(name) => {
                peers.extend(addresses(fleet, name, *port));
            }
            PeerArg::Peer(Peer { host: Host::Name(name), port }) if fleet.services.contains_key(name) => {
                let all = service(fleet, name)?.into_iter();
                // Another port than the service's own is what was typed.
                peers.extend(all.map(|(owner, peer)| {
                    let port = (*port).or(peer.port);
                    (owner, Peer { port, ..peer })
                }));
            }
            PeerArg::Peer(peer) => peers.push((None, peer.clone())),
        }
    }
    peers.sort();
    peers.dedup();
    Ok(peers)
}

fn addresses(fleet: &Fleet, host: &str, port: Option<Ports>) -> Vec<Owned> {
    let addresses = fleet.hosts.get(host).map(|host| host.addresses.as_slice()).unwrap_or_default();
    let peer = |address: &std::net::IpAddr| Peer { host: Host::Net((*address).into()), port };
    addresses.iter().map(|address| (Some(host.to_owned()), peer(address))).collect()
}

fn service(fleet: &Fleet, name: &str) -> Result<Vec<Owned>, OrderError> {
    let Some(service) = fleet.services.get(name) else { return Ok(Vec::new()) };
    let mut places = service.addresses.iter().map(|address| (None, *address)).collect::<Vec<_>>();
    if let Some(hosts) = &service.hosts {
        for host in fleet.select(hosts)? {
            let addresses = fleet.hosts.get(&host).map(|host| host.addresses.clone()).unwrap_or_default();
            places.extend(addresses.into_iter().map(|address| (Some(host.clone()), address)));
        }
    }
    let ports = service.ports.iter().copied().map(Some).collect::<Vec<_>>();
    let ports = if ports.is_empty() { vec![None] } else { ports };
    let peer = |(owner, address): &(Option<String>, std::net::IpAddr)| {
        let each =
            |port: &Option<Ports>| (owner.clone(), Peer { host: Host::Net((*address).into()), port: *port });
        ports.iter().map(each).collect::<Vec<_>>()
    };
    Ok(places.iter().flat_map(peer).collect())
}
