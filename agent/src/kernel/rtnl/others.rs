//! What links, addresses, routes, qdiscs and filters there are that no agent made, each with what it is.

use std::collections::BTreeMap;

use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::route::{RouteAttribute, RouteFlags, RouteMessage, RouteProtocol};
use netlink_packet_route::tc::{TcAttribute, TcHandle, TcMessage};

use super::{Link, Rtnl, collect, index};
use crate::kernel::Refusal;
use crate::kernel::before::hash;

/// Their options have counters in them.
const COUNTING: [&str; 2] = ["htb", "gred"];

impl Rtnl {
    pub async fn things_of_others(&self) -> Result<BTreeMap<String, String>, Refusal> {
        let (ours, others): (Vec<_>, Vec<_>) = self.links().await?.into_iter().partition(|link| link.ours);
        let mut things = BTreeMap::new();
        for link in &others {
            things.insert(format!("link {}", link.name), if link.up { "up" } else { "down" }.to_owned());
        }
        let addresses = collect("ip address show", self.handle.address().get().execute()).await?;
        things.extend(addresses.iter().filter_map(|message| address(message, &others)));
        for (family, name) in [(AddressFamily::Inet, "IPv4"), (AddressFamily::Inet6, "IPv6")] {
            let count = self.routes_of_others(family, &ours).await?;
            things.insert(format!("the number of {name} routes"), count.to_string());
        }
        for qdisc in collect("tc qdisc show", self.handle.qdisc().get().execute()).await? {
            let Some(link) = others.iter().find(|link| index(link.index) == qdisc.header.index) else {
                continue;
            };
            let TcHandle { major, minor } = qdisc.header.parent;
            things.insert(format!("qdisc of {} at {major:x}:{minor:x}", link.name), describe(&qdisc));
            if qdisc.header.handle.major != 0 {
                things.extend(self.filters(&qdisc, link).await?);
            }
        }
        Ok(things)
    }

    /// Those that lead to links of ours come and go with other faults, and exceptions that the kernel learned with traffic. Those
    /// that the kernel makes itself follow links and addresses, which are compared themselves, or routers' advertisements.
    async fn routes_of_others(&self, family: AddressFamily, ours: &[Link]) -> Result<usize, Refusal> {
        let mut question = RouteMessage::default();
        question.header.address_family = family;
        let routes = collect("ip route show", self.handle.route().get(question).execute()).await?;
        let leads_to_us = |route: &RouteMessage| {
            route.attributes.iter().any(|attribute| match attribute {
                RouteAttribute::Oif(index) => ours.iter().any(|link| link.index == *index),
                _ => false,
            })
        };
        let learned = |route: &RouteMessage| route.header.flags.contains(RouteFlags::Cloned);
        let made =
            |route: &RouteMessage| matches!(route.header.protocol, RouteProtocol::Kernel | RouteProtocol::Ra);
        Ok(routes.iter().filter(|route| !leads_to_us(route) && !learned(route) && !made(route)).count())
    }

    /// How many entries the lists of filters have that hang on this qdisc.
    async fn filters(&self, qdisc: &TcMessage, link: &Link) -> Result<BTreeMap<String, String>, Refusal> {
        let all = || self.handle.traffic_filter(index(link.index)).get();
        let lists = match kind(qdisc) {
            "clsact" | "ingress" => vec![("ingress", all().ingress()), ("egress", all().egress())],
            _ if qdisc.header.parent == TcHandle::ROOT => vec![("root", all())],
            _ => Vec::new(),
        };
        let mut filters = BTreeMap::new();
        for (at, question) in lists {
            let act = format!("tc filter show dev {} {at}", link.name);
            let count = collect(&act, question.execute()).await?.len();
            filters.insert(format!("the number of filters on {at} of {}", link.name), count.to_string());
        }
        Ok(filters)
    }
}

fn address(message: &AddressMessage, others: &[Link]) -> Option<(String, String)> {
    let link = others.iter().find(|link| link.index == message.header.index)?;
    let ip = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(ip) | AddressAttribute::Address(ip) => Some(*ip),
        _ => None,
    })?;
    Some((format!("address {ip}/{} of {}", message.header.prefix_len, link.name), "there".to_owned()))
}

fn kind(qdisc: &TcMessage) -> &str {
    let kind = qdisc.attributes.iter().find_map(|attribute| match attribute {
        TcAttribute::Kind(kind) => Some(kind.as_str()),
        _ => None,
    });
    kind.unwrap_or("unknown")
}

fn describe(qdisc: &TcMessage) -> String {
    let kind = kind(qdisc);
    let named = format!("{kind} {:x}:", qdisc.header.handle.major);
    let options = qdisc.attributes.iter().filter(|attribute| match attribute {
        TcAttribute::Options(options) => !options.is_empty(),
        TcAttribute::Other(_) => true,
        _ => false,
    });
    let options = options.map(|options| format!("{options:?}")).collect::<String>();
    if options.is_empty() || COUNTING.contains(&kind) {
        return named;
    }
    format!("{named} with hash {}", hash(options))
}

#[cfg(feature = "fuzz")]
pub fn fuzz(qdisc: &TcMessage) {
    assert!(!describe(qdisc).is_empty());
}
