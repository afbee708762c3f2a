//! Which interfaces a fault acts on.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;
use netlink_packet_route::address::AddressAttribute;
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use nix::errno::Errno;
use rtnetlink::RouteMessageBuilder;

use super::{Link, Rtnl, collect};
use crate::kernel::Refusal;
use crate::plan::Address;

/// More targets than this are not looked up one by one: every interface with an address is hooked instead, which costs
/// the traffic on it one set lookup and nothing else.
const LOOKUPS: usize = 64;

/// The routing state that one choice of interfaces needs.
pub struct Interfaces<'a> {
    rtnl: &'a Rtnl,
    links: Vec<Link>,
    addresses: Vec<(u32, IpAddr)>,
}

impl<'a> Interfaces<'a> {
    pub async fn read(rtnl: &'a Rtnl) -> Result<Self, Refusal> {
        let links = rtnl.links().await?;
        let messages = collect("ip address show", rtnl.handle.address().get().execute()).await?;
        let address = |message: &netlink_packet_route::address::AddressMessage| {
            let ip = message.attributes.iter().find_map(|attribute| match attribute {
                AddressAttribute::Local(ip) | AddressAttribute::Address(ip) => Some(*ip),
                _ => None,
            })?;
            Some((message.header.index, ip))
        };
        Ok(Self { rtnl, links, addresses: messages.iter().filter_map(address).collect() })
    }

    /// The interfaces of the routes to the targets. Everything, many targets, several paths to one target, or a target
    /// without a route: every interface that carries an address. Loopback only where a target is on it.
    pub async fn towards(&self, targets: &[Address]) -> Result<Vec<String>, Refusal> {
        let nets = targets.iter().map(|target| target.net).collect::<BTreeSet<_>>();
        let mut chosen = BTreeSet::new();
        let mut all = nets.len() > LOOKUPS;
        let mut routes = None;
        for net in nets.iter().filter(|net| !self.is_local(net)) {
            if all || net.prefix() == 0 {
                all = true;
                break;
            }
            if routes.is_none() {
                routes = Some(self.routes().await?);
            }
            all |= self.add_routes(*net, routes.as_deref().unwrap_or_default(), &mut chosen).await?;
        }
        if all {
            chosen.extend(
                self.addresses.iter().map(|(index, _)| *index).filter(|index| !self.is_loopback(*index)),
            );
        }
        if nets.iter().any(|net| self.is_local(net)) {
            chosen.extend(self.links.iter().filter(|link| link.loopback).map(|link| link.index));
        }
        let names = self.links.iter().filter(|link| chosen.contains(&link.index) && !link.ours);
        let names = names.map(|link| link.name.clone()).collect::<Vec<_>>();
        if names.is_empty() {
            let act = "ip route get, for the target";
            return Err(Refusal::new(act, Errno::ENETUNREACH, None).hint(
                "no interface leads to the target and none carries an address: name one with --interface",
            ));
        }
        Ok(names)
    }

    /// The given interface, if there is one.
    pub fn only(&self, name: &str) -> Result<Vec<String>, Refusal> {
        if self.links.iter().any(|link| link.name == name) {
            return Ok(vec![name.to_owned()]);
        }
        let known = self.links.iter().filter(|link| !link.ours).map(|link| link.name.as_str());
        let known = known.collect::<Vec<_>>().join(", ");
        let refusal = Refusal::new(format!("ip link show {name}"), Errno::ENODEV, None);
        Err(refusal.hint(format!("the interfaces here are {known}")))
    }

    /// Adds the interface of the route to the network, and those of longer routes inside it. True if that does not
    /// tell them all: no route, or several paths.
    async fn add_routes(
        &self,
        net: IpNetwork,
        routes: &[RouteMessage],
        chosen: &mut BTreeSet<u32>,
    ) -> Result<bool, Refusal> {
        if routes.iter().any(|route| several_paths(route) && overlaps(destination(route), net)) {
            return Ok(true);
        }
        let inside = routes.iter().filter(|route| {
            destination(route)
                .is_some_and(|inner| inner.prefix() > net.prefix() && net.contains(inner.network()))
        });
        chosen.extend(inside.filter_map(interface));
        match self.lookup(net.network()).await {
            Ok(Some(index)) => {
                chosen.insert(index);
                Ok(false)
            }
            Ok(None) => Ok(true),
            Err(refusal) if matches!(refusal.errno, Errno::ENETUNREACH | Errno::EHOSTUNREACH) => Ok(true),
            Err(refusal) => Err(refusal),
        }
    }

    /// `ip route get ADDRESS`
    async fn lookup(&self, address: IpAddr) -> Result<Option<u32>, Refusal> {
        let question = host_route(address);
        let answer = self.rtnl.handle.route().get(question).execute();
        let answer = collect(&format!("ip route get {address}"), answer).await?;
        Ok(answer.first().and_then(interface))
    }

    /// Every route of both families.
    async fn routes(&self) -> Result<Vec<RouteMessage>, Refusal> {
        let v4 = RouteMessageBuilder::<Ipv4Addr>::new().build();
        let v6 = RouteMessageBuilder::<Ipv6Addr>::new().build();
        let mut routes = collect("ip route show", self.rtnl.handle.route().get(v4).execute()).await?;
        routes.extend(collect("ip -6 route show", self.rtnl.handle.route().get(v6).execute()).await?);
        Ok(routes)
    }

    /// One of this host's own addresses, or loopback.
    fn is_local(&self, net: &IpNetwork) -> bool {
        let host = match net {
            IpNetwork::V4(net) => net.prefix() == 32,
            IpNetwork::V6(net) => net.prefix() == 128,
        };
        let loopback = match net {
            IpNetwork::V4(net) => net.ip().is_loopback() && net.prefix() >= 8,
            IpNetwork::V6(net) => net.ip().is_loopback() && net.prefix() == 128,
        };
        loopback || host && self.addresses.iter().any(|(_, address)| *address == net.ip())
    }

    fn is_loopback(&self, index: u32) -> bool {
        self.links.iter().any(|link| link.index == index && link.loopback)
    }
}

fn host_route(address: IpAddr) -> RouteMessage {
    match address {
        IpAddr::V4(address) => RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(address, 32).build(),
        IpAddr::V6(address) => {
            RouteMessageBuilder::<Ipv6Addr>::new().destination_prefix(address, 128).build()
        }
    }
}

fn interface(route: &RouteMessage) -> Option<u32> {
    route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Oif(index) => Some(*index),
        _ => None,
    })
}

fn several_paths(route: &RouteMessage) -> bool {
    route
        .attributes
        .iter()
        .any(|attribute| matches!(attribute, RouteAttribute::MultiPath(paths) if paths.len() > 1))
}

/// A route without a destination is the default route of its family; it overlaps every target of that family.
fn destination(route: &RouteMessage) -> Option<IpNetwork> {
    let address = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(address)) => Some(IpAddr::V4(*address)),
        RouteAttribute::Destination(RouteAddress::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    })?;
    IpNetwork::new(address, route.header.destination_prefix_length).ok()
}

fn overlaps(route: Option<IpNetwork>, net: IpNetwork) -> bool {
    route.is_none_or(|route| route.contains(net.network()) || net.contains(route.network()))
}
