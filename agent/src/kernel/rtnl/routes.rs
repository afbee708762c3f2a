//! Which interfaces a fault acts on.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteFlags, RouteMessage};
use nix::errno::Errno;
use rtnetlink::RouteMessageBuilder;

use super::{Link, Rtnl, collect};
use crate::kernel::Refusal;
use crate::plan::Address;

/// More targets than this are not looked up one by one: every interface with an address is hooked instead, which costs
/// the traffic on it one set lookup and nothing else.
const LOOKUPS: usize = 64;

/// What the kernel answers without a route, and with an unreachable, a blackhole and a prohibit route.
const NO_ROUTE: [Errno; 4] = [Errno::ENETUNREACH, Errno::EHOSTUNREACH, Errno::EINVAL, Errno::EACCES];

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
        let address = |message: &AddressMessage| Some((message.header.index, own(message)?));
        Ok(Self { rtnl, links, addresses: messages.iter().filter_map(address).collect() })
    }

    /// The interfaces of the routes to the targets, every path of them. Everything, many targets, or a target without a
    /// route: every interface that carries an address. Loopback only where a target is on it.
    pub async fn towards(&self, targets: &[Address]) -> Result<Vec<String>, Refusal> {
        let nets = targets.iter().map(|target| target.net).collect::<BTreeSet<_>>();
        let mut chosen = BTreeSet::new();
        let mut all = nets.len() > LOOKUPS;
        all |= nets.iter().any(|net| net.prefix() == 0);
        for net in nets.iter().filter(|net| !self.is_local(net)) {
            if all {
                break;
            }
            let through = self.lookup(net.network()).await?;
            all |= through.is_empty();
            chosen.extend(through);
        }
        if !all && nets.iter().any(|net| !is_host(net)) {
            // Longer routes inside a network may lead elsewhere than the one to its first address.
            for route in self.routes().await? {
                if destination(&route).is_some_and(|inner| nets.iter().any(|net| inside(net, &inner))) {
                    chosen.extend(interfaces(&route));
                }
            }
        }
        if all {
            chosen.extend(
                self.addresses.iter().map(|(index, _)| *index).filter(|index| !self.is_loopback(*index)),
            );
        }
        if nets.iter().any(|net| self.is_local(net)) {
            chosen.extend(self.links.iter().filter(|link| link.loopback).map(|link| link.index));
        }
        // A packet of a VLAN passes the interface below it as well; hooked on both, it would be hit twice.
        let hit_below = |link: &&Link| link.vlan_on.is_some_and(|below| chosen.contains(&below));
        let names = self.links.iter().filter(|link| chosen.contains(&link.index) && !link.ours);
        let names = names.filter(|link| !hit_below(link));
        let names = names.map(|link| link.name.clone()).collect::<Vec<_>>();
        if names.is_empty() {
            let act = "ip route get, for the target";
            return Err(Refusal::new(act, Errno::ENETUNREACH, None).hint(
                "no interface leads to the target and none carries an address: name one with --interface",
            ));
        }
        Ok(names)
    }

    /// Besides those of the routes to the targets, every interface that any route or address names: an address that is
    /// rewritten on its way out has the route of another.
    pub async fn everywhere(&self, targets: &[Address]) -> Result<Vec<String>, Refusal> {
        let mut chosen = self.towards(targets).await?.into_iter().collect::<BTreeSet<_>>();
        let mut named = self.addresses.iter().map(|(index, _)| *index).collect::<BTreeSet<_>>();
        for route in self.routes().await? {
            named.extend(interfaces(&route));
        }
        let there =
            |index: &u32| self.links.iter().any(|link| link.index == *index && chosen.contains(&link.name));
        let chosen_already = named.iter().copied().filter(there).collect::<BTreeSet<_>>();
        let below = |link: &Link| link.vlan_on.is_some_and(|below| named.contains(&below));
        let more = self
            .links
            .iter()
            .filter(|link| named.contains(&link.index) && !chosen_already.contains(&link.index));
        let more = more.filter(|link| !link.loopback && !link.ours && !below(link));
        chosen.extend(more.map(|link| link.name.clone()));
        // In the kernel's order, as always.
        Ok(self
            .links
            .iter()
            .filter(|link| chosen.contains(&link.name))
            .map(|link| link.name.clone())
            .collect())
    }

    /// Whether loopback is up.
    pub fn loopback(&self) -> Result<(), Refusal> {
        if self.links.iter().any(|link| link.loopback && link.up) {
            return Ok(());
        }
        let refusal = Refusal::new("ip link show lo", Errno::ENETUNREACH, None);
        Err(refusal.hint("loopback is down, and questions for names are turned to it: ip link set lo up"))
    }

    /// The numbers of these.
    pub fn indexes(&self, names: &[String]) -> BTreeMap<String, u32> {
        let named = self.links.iter().filter(|link| names.contains(&link.name));
        named.map(|link| (link.name.clone(), link.index)).collect()
    }

    /// Of these, the ones whose frames the emulator cannot read.
    pub fn without_ethernet(&self, names: &[String]) -> Vec<String> {
        let strange = self.links.iter().filter(|link| !link.ethernet && names.contains(&link.name));
        strange.map(|link| link.name.clone()).collect()
    }

    /// The given interface, if there is one.
    pub fn only(&self, name: &str) -> Result<Vec<String>, Refusal> {
        if self.links.iter().any(|link| link.name == name && !link.ours) {
            return Ok(vec![name.to_owned()]);
        }
        let known = self.links.iter().filter(|link| !link.ours).map(|link| link.name.as_str());
        let known = known.collect::<Vec<_>>().join(", ");
        let refusal = Refusal::new(format!("ip link show {name}"), Errno::ENODEV, None);
        Err(refusal.hint(format!("the interfaces here are {known}")))
    }

    /// `ip route get fibmatch ADDRESS`: the interfaces of the route itself, all paths of it. None without a route.
    async fn lookup(&self, address: IpAddr) -> Result<Vec<u32>, Refusal> {
        let answer = self.rtnl.handle.route().get(host_route(address)).execute();
        match collect(&format!("ip route get fibmatch {address}"), answer).await {
            Ok(routes) => Ok(routes.iter().flat_map(interfaces).collect()),
            Err(refusal) if NO_ROUTE.contains(&refusal.errno) => Ok(Vec::new()),
            Err(refusal) => Err(refusal),
        }
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
        let loopback = match net {
            IpNetwork::V4(net) => net.ip().is_loopback() && net.prefix() >= 8,
            IpNetwork::V6(net) => net.ip().is_loopback() && net.prefix() == 128,
        };
        loopback || is_host(net) && self.addresses.iter().any(|(_, address)| *address == net.ip())
    }

    fn is_loopback(&self, index: u32) -> bool {
        self.links.iter().any(|link| link.index == index && link.loopback)
    }
}

/// `IFA_ADDRESS` is the far end where a link has one, and then this end is in `IFA_LOCAL`; otherwise it is this end, and IPv6
/// has it alone.
fn own(message: &AddressMessage) -> Option<IpAddr> {
    let mut attributes = message.attributes.iter();
    let local = attributes.clone().find_map(|attribute| match attribute {
        AddressAttribute::Local(ip) => Some(*ip),
        _ => None,
    });
    local.or_else(|| {
        attributes.find_map(|attribute| match attribute {
            AddressAttribute::Address(ip) => Some(*ip),
            _ => None,
        })
    })
}

fn is_host(net: &IpNetwork) -> bool {
    match net {
        IpNetwork::V4(net) => net.prefix() == 32,
        IpNetwork::V6(net) => net.prefix() == 128,
    }
}

fn host_route(address: IpAddr) -> RouteMessage {
    let mut question = match address {
        IpAddr::V4(address) => RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(address, 32).build(),
        IpAddr::V6(address) => {
            RouteMessageBuilder::<Ipv6Addr>::new().destination_prefix(address, 128).build()
        }
    };
    // The route as it stands in the table, not the one path that a single flow would take (Linux 4.13).
    question.header.flags |= RouteFlags::FibMatch;
    question
}

fn interfaces(route: &RouteMessage) -> Vec<u32> {
    let mut through = Vec::new();
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Oif(index) => through.push(*index),
            RouteAttribute::MultiPath(paths) => through.extend(paths.iter().map(|path| path.interface_index)),
            _ => {}
        }
    }
    through
}

/// Where a route leads to; the default routes lead nowhere in particular.
fn destination(route: &RouteMessage) -> Option<IpNetwork> {
    let address = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(address)) => Some(IpAddr::V4(*address)),
        RouteAttribute::Destination(RouteAddress::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    })?;
    IpNetwork::new(address, route.header.destination_prefix_length).ok()
}

/// Whether the second network is a part of the first, and smaller.
fn inside(outer: &IpNetwork, inner: &IpNetwork) -> bool {
    inner.prefix() > outer.prefix() && outer.contains(inner.network())
}

#[cfg(feature = "fuzz")]
pub fn fuzz_address(message: &AddressMessage) {
    let _ = own(message);
}

#[cfg(feature = "fuzz")]
pub fn fuzz_route(route: &RouteMessage) {
    let _ = interfaces(route);
    if let Some(net) = destination(route) {
        assert!(!inside(&net, &net));
    }
}
