//! What a lab is made of, before anything is: which hosts there are, who is called what, what runs where.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use partition_agent_proto::fleet::{Fleet, LinkEnd};
use url::Url;

use crate::fleet::{LabServer, Loaded};
use crate::render::each;

/// Whoever raises a lab, as hosts of it see them.
pub const CONTROLLER: &str = "controller";
/// From the network for benchmarks of devices (RFC 2544), which nobody routes; and one that was made up.
pub const CONTROLLER_ADDRESSES: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1)), IpAddr::V6(Ipv6Addr::new(0xfd70, 0x6167, 0, 0, 0, 0, 0, 1))];

/// As many as a bridge of Linux has ports for, but one.
const MOST: usize = 1_022;
/// The longest name of a host in the kernel is 64 bytes, and a unix socket's path has room for no more than 107.
const LONGEST_NAME: usize = 60;

/// A host to be made.
#[derive(Debug, PartialEq, Eq)]
pub struct Node {
    pub name: String,
    pub addresses: Vec<IpAddr>,
    /// Where its agent listens, if it has one.
    pub agent: Option<SocketAddr>,
}

/// A server to be started.
#[derive(Debug, PartialEq, Eq)]
pub struct Run {
    pub name: String,
    /// Among the nodes.
    pub node: usize,
    /// Where whoever looks for it looks first.
    pub address: IpAddr,
    pub server: LabServer,
}

#[derive(Debug)]
pub struct Blueprint {
    pub nodes: Vec<Node>,
    /// The nodes behind each name; never none.
    pub places: BTreeMap<String, Vec<usize>>,
    pub runs: Vec<Run>,
    /// `/etc/hosts`.
    pub names: String,
    /// With the agents where they are in the lab.
    pub fleet: Fleet,
}

impl Blueprint {
    /// Of a fleet, on a system with this `/etc/hosts`.
    ///
    /// # Errors
    /// A host that cannot be in a lab.
    pub fn draw(loaded: &Loaded, system: &str) -> Result<Self, String> {
        let mut fleet = loaded.fleet.clone();
        let mut nodes = Vec::new();
        let mut places = BTreeMap::new();
        let mut at = BTreeMap::new();
        for (name, host) in &mut fleet.hosts {
            let first = host.addresses.first().copied();
            let agent =
                host.agent.as_deref().zip(first).map(|(url, first)| listens(url, first, &host.addresses));
            host.agent = agent.map(|agent| format!("http://{agent}"));
            at.extend(host.addresses.iter().map(|address| (*address, nodes.len())));
            places.insert(name.clone(), vec![nodes.len()]);
            nodes.push(Node { name: name.clone(), addresses: host.addresses.clone(), agent });
        }
        for (name, service) in &fleet.services {
            let mut own = service.addresses.clone();
            own.retain(|address| !at.contains_key(address));
            own.dedup();
            if !own.is_empty() {
                at.extend(own.iter().map(|address| (*address, nodes.len())));
                nodes.push(Node { name: name.clone(), addresses: own, agent: None });
            }
            let mut all =
                service.addresses.iter().filter_map(|address| at.get(address).copied()).collect::<Vec<_>>();
            if let Some(hosts) = &service.hosts {
                let hosts = fleet.select(hosts).map_err(|error| error.to_string())?;
                all.extend(hosts.iter().filter_map(|host| places.get(host)).flatten().copied());
            }
            let mut behind = each(all);
            // One of its own comes before what it shares with others.
            behind.sort_by_key(|node| nodes.get(*node).is_none_or(|node| node.name != *name));
            places.insert(name.clone(), behind);
        }
        nodes.iter().try_for_each(fits)?;
        if nodes.len() > MOST {
            return Err(format!("{} hosts: a lab has {MOST} at most", nodes.len()));
        }
        let names = names(&nodes, &places, system);
        let runs = runs(loaded, &fleet, &nodes, &places)?;
        Ok(Self { nodes, places, runs, names, fleet })
    }
}

/// On the port of its URL; at its address, if that is one of the host's.
fn listens(url: &str, first: IpAddr, addresses: &[IpAddr]) -> SocketAddr {
    let url = url.parse::<Url>().ok();
    let port = url.as_ref().and_then(Url::port_or_known_default).unwrap_or(crate::fleet::DEFAULT_PORT);
    let written =
        url.as_ref().and_then(Url::host_str).map(|host| host.trim_matches(['[', ']']).parse::<IpAddr>());
    let at = written.and_then(Result::ok).filter(|written| addresses.contains(written));
    SocketAddr::new(at.unwrap_or(first), port)
}

fn fits(node: &Node) -> Result<(), String> {
    let Node { name, addresses, agent: _ } = node;
    if [CONTROLLER, "localhost"].contains(&name.as_str()) {
        return Err(format!("`{name}` is taken in a lab: call that host or service something else"));
    }
    if name.len() > LONGEST_NAME {
        return Err(format!("`{name}` is longer than {LONGEST_NAME} characters, which is the most in a lab"));
    }
    for address in addresses {
        let what = match address {
            address if CONTROLLER_ADDRESSES.contains(address) => "the controller of the lab",
            address if address.is_loopback() => "every host itself",
            address if address.is_unspecified() || address.is_multicast() => "no host",
            IpAddr::V4(address) if address.is_broadcast() => "no host",
            IpAddr::V6(address) if address.is_unicast_link_local() => {
                "one link only, which has to be named with it"
            }
            IpAddr::V4(_) | IpAddr::V6(_) => continue,
        };
        return Err(format!("{name} cannot be in a lab with the address {address}: it is that of {what}"));
    }
    Ok(())
}

fn runs(
    loaded: &Loaded,
    fleet: &Fleet,
    nodes: &[Node],
    places: &BTreeMap<String, Vec<usize>>,
) -> Result<Vec<Run>, String> {
    let mut runs = Vec::new();
    for (name, server) in &loaded.servers {
        if name.len() > LONGEST_NAME {
            return Err(format!("lab.{name}: longer than {LONGEST_NAME} characters"));
        }
        let (hosts, looked_for) = match &server.on {
            LinkEnd::Service(service) => {
                let addresses = fleet.services.get(service).map(|service| service.addresses.clone());
                ([service.clone()].into(), addresses.unwrap_or_default())
            }
            LinkEnd::Hosts(hosts) => (fleet.select(hosts).map_err(|error| error.to_string())?, Vec::new()),
        };
        for &index in hosts.iter().filter_map(|host| places.get(host)).flatten() {
            let Some(node) = nodes.get(index) else { continue };
            let address = looked_for.iter().find(|address| node.addresses.contains(address));
            let Some(&address) = address.or(node.addresses.first()) else { continue };
            runs.push(Run { name: name.clone(), node: index, address, server: server.clone() });
        }
    }
    Ok(runs)
}

/// All names with all addresses, and what the system says of itself.
fn names(nodes: &[Node], places: &BTreeMap<String, Vec<usize>>, system: &str) -> String {
    let mut text = String::new();
    for line in system.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(address) =
            words.next().filter(|word| word.parse::<IpAddr>().is_ok_and(|it| it.is_loopback()))
        else {
            continue;
        };
        let of_the_lab = |name: &&str| {
            let name = name.to_ascii_lowercase();
            name == CONTROLLER || places.contains_key(&name)
        };
        let kept = words.filter(|name| !of_the_lab(name)).collect::<Vec<_>>();
        if !kept.is_empty() {
            text.push_str(&format!("{address} {}\n", kept.join(" ")));
        }
    }
    if !text.split_whitespace().any(|word| word == "localhost") {
        text.push_str("127.0.0.1 localhost\n::1 localhost\n");
    }
    for address in CONTROLLER_ADDRESSES {
        text.push_str(&format!("{address} {CONTROLLER}\n"));
    }
    for (name, behind) in places {
        for address in behind.iter().filter_map(|node| nodes.get(*node)).flat_map(|node| &node.addresses) {
            text.push_str(&format!("{address} {name}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests;
