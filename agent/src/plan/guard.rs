//! What no fault may cut: the agent's port, ssh and what the configuration lists, at this end; the port of the other agents
//! of a fleet, at the far end; networks that the configuration lists; IPv6's link control; and, for each fault, the live connection of the person who asked for it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};

use partition_agent_proto::Protocol;

use super::element::{Element, Shape};
use super::expr::Expr;
use super::ranges::{Family, merge};
use super::ruleset::{Base, Chain, Hook, Rule, Ruleset, Set, Spot};
use super::{RETURNED_FROM, RETURNED_MARK};

const PORTS: &str = "guard_ports";
const FAR_PORTS: &str = "guard_far_ports";
pub const LOOPBACK: &str = "lo";

/// What IPv6 itself needs, and IPv4 has in ARP or not at all: neighbour discovery (RFC 4861), multicast listener reports,
/// without which a switch stops to forward neighbour solicitations (RFC 2710, RFC 3810), and "packet too big" (RFC 8201).
const LINK_CONTROL: [(u8, u8); 4] = [(133, 137), (130, 132), (143, 143), (2, 2)];

/// A port of this host that stays reachable, written `tcp/22`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProtectedPort {
    pub protocol: Protocol,
    pub port: u16,
}

impl ProtectedPort {
    fn tcp(port: u16) -> Self {
        Self { protocol: Protocol::Tcp, port }
    }
}

impl FromStr for ProtectedPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a protected port: write it as tcp/22 or udp/68");
        let (protocol, port) = text.split_once('/').ok_or_else(wrong)?;
        let protocol = match protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            _ => return Err(wrong()),
        };
        let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?;
        Ok(Self { protocol, port })
    }
}

impl fmt::Display for ProtectedPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.protocol, self.port)
    }
}

impl Serialize for ProtectedPort {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ProtectedPort {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The ports and networks that no fault touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    ports: Vec<ProtectedPort>,
    /// Of other hosts.
    far: Option<ProtectedPort>,
    /// Of far ends.
    networks: Vec<IpNetwork>,
}

impl Guard {
    /// The configured ports, and the agent's own where it listens on TCP.
    pub fn new(configured: &[ProtectedPort], agent: Option<u16>) -> Self {
        let agent = agent.map(ProtectedPort::tcp);
        let mut ports = configured.iter().copied().chain(agent).collect::<Vec<_>>();
        ports.sort_unstable();
        ports.dedup();
        Self { ports, far: None, networks: Vec::new() }
    }

    /// The same, and this port of other hosts, over TCP: that of the other agents of a fleet. Whoever sits on a host that is cut
    /// off can still heal all of them.
    #[must_use]
    pub fn and_far(self, agents: Option<u16>) -> Self {
        Self { far: agents.map(ProtectedPort::tcp), ..self }
    }

    /// The same, and what goes to these networks and comes from them.
    #[must_use]
    pub fn and_networks(self, networks: &[IpNetwork]) -> Self {
        let whole = |net: &IpNetwork| IpNetwork::new(net.network(), net.prefix()).unwrap_or(*net);
        Self { networks: networks.iter().map(whole).collect(), ..self }
    }

    /// Whether this address is in a protected network.
    pub fn protects_address(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|net| net.contains(address))
    }

    /// Whether this port of this host stays reachable over TCP.
    pub fn protects_tcp(&self, port: u16) -> bool {
        self.ports.contains(&ProtectedPort::tcp(port))
    }

    /// Whether this port of other hosts does.
    pub fn protects_far_tcp(&self, port: u16) -> bool {
        self.far == Some(ProtectedPort::tcp(port))
    }

    /// For people.
    pub fn protects(&self) -> impl Iterator<Item = String> {
        let ports = self.ports.iter().map(|port| format!("local port {port}"));
        let far = self.far.iter().map(|port| format!("far port {port}"));
        let networks = self.networks.iter().map(|net| format!("network {net}"));
        std::iter::once("IPv6 link control".to_owned()).chain(ports).chain(far).chain(networks)
    }

    /// What every table begins with: the guard, then losses, then shaping. A loss lets the rest of the packets through;
    /// shaping takes its packet away, so the first one that matches wins.
    pub fn skeleton(&self) -> Ruleset {
        let mut ruleset = Ruleset::default();
        ruleset.sets.extend(self.sets());
        for hook in Hook::BOTH {
            let [main, loss, shape] = [hook.name().to_owned(), loss_chain(hook), shape_chain(hook)];
            for name in [&loss, &shape, &main] {
                ruleset.chains.push(Chain { name: name.clone(), base: None });
            }
            // What the emulator gives back has met the faults already.
            let returned = match hook {
                Hook::Egress => Expr::MarkIs(RETURNED_MARK),
                Hook::Ingress => Expr::EtherSource(RETURNED_FROM),
            };
            let control = LINK_CONTROL.map(|(first, last)| vec![Expr::Icmpv6(first, last), Expr::Accept]);
            let returned = [vec![returned, Expr::Accept]];
            let faults = [vec![Expr::Jump(loss)], vec![Expr::Goto(shape)]];
            let steps = control.into_iter().chain(returned).chain(self.protected(hook, &Expr::Accept));
            let rule = |exprs| Rule { chain: main.clone(), spot: Spot::Last, exprs, comment: None };
            ruleset.rules.extend(steps.chain(faults).map(rule));
        }
        ruleset
    }

    /// The same for a fault that rejects in the IP stack, where it has a table of its own: the set, and rules for the head of
    /// a chain.
    pub fn spare(&self, hook: Hook, ruleset: &mut Ruleset, chain: &str) {
        let control = LINK_CONTROL.map(|(first, last)| vec![Expr::Icmpv6(first, last), Expr::Return]);
        if !ruleset.sets.iter().any(|set| set.name == PORTS) {
            ruleset.sets.extend(self.sets());
        }
        let rule = |exprs| Rule { chain: chain.to_owned(), spot: Spot::Last, exprs, comment: None };
        ruleset.rules.extend(control.into_iter().chain(self.protected(hook, &Expr::Return)).map(rule));
    }

    /// What is decided by ports and by addresses. The far end's address only: this host may be in a protected network itself.
    fn protected(&self, hook: Hook, verdict: &Expr) -> Vec<Vec<Expr>> {
        // This end of a packet that goes one way is the far end of one that goes the other.
        let [near, far] = [hook, hook.other()];
        let is_in = |end: Hook, set: &str| Expr::Member(end, Shape::LocalPort, set.to_owned());
        // On loopback both ends are this host, so either port may be the protected one.
        let loopback = Expr::Interface(hook, LOOPBACK.to_owned());
        let mut rules = vec![
            vec![is_in(near, PORTS), verdict.clone()],
            vec![loopback, is_in(far, PORTS), verdict.clone()],
        ];
        rules.extend(self.far.map(|_| vec![is_in(far, FAR_PORTS), verdict.clone()]));
        let nets = self.nets().map(|set| vec![Expr::Member(hook, set.shape, set.name), verdict.clone()]);
        rules.extend(nets);
        rules
    }

    fn sets(&self) -> impl Iterator<Item = Set> {
        let element = |port: &ProtectedPort| Element::LocalPort { protocol: port.protocol, port: port.port };
        let set = move |name: &str, ports: &[ProtectedPort]| {
            let elements = ports.iter().map(element).collect();
            Set { name: name.to_owned(), shape: Shape::LocalPort, timed: false, elements }
        };
        let far = self.far.map(|far| set(FAR_PORTS, &[far]));
        std::iter::once(set(PORTS, &self.ports)).chain(far).chain(self.nets())
    }

    /// Those of a family that has any.
    fn nets(&self) -> impl Iterator<Item = Set> {
        let of = |family: Family| {
            let elements = merge(family, &self.networks).into_iter().map(Element::Net).collect();
            let name = format!("guard_net{}", family.digit());
            Set { name, shape: Shape::Net(family), timed: false, elements }
        };
        Family::BOTH.map(of).into_iter().filter(|set| !set.elements.is_empty())
    }
}

/// Where faults that lose packets add their rules, oldest first.
pub fn loss_chain(hook: Hook) -> String {
    format!("{}_loss", hook.name())
}

/// Where faults that shape packets insert theirs, newest first.
pub fn shape_chain(hook: Hook) -> String {
    format!("{}_shape", hook.name())
}

/// The chain that sits on one interface. One for each, not one with a list: before kernel 6.4 the list of a chain
/// cannot grow, and 6.1 deletes a chain along with the interface it sits on.
pub fn hooked_chain(hook: Hook, interface: &str) -> Ruleset {
    let name = format!("{}_{interface}", hook.name());
    Ruleset {
        sets: Vec::new(),
        rules: vec![Rule {
            chain: name.clone(),
            spot: Spot::Last,
            exprs: vec![Expr::Goto(hook.name().to_owned())],
            comment: None,
        }],
        chains: vec![Chain { name, base: Some(Base::Device(hook, interface.to_owned())) }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_and_refused() {
        assert_eq!("tcp/22".parse::<ProtectedPort>().unwrap().to_string(), "tcp/22");
        for text in ["", "22", "tcp/0", "tcp/65536", "sctp/1", "tcp/x"] {
            assert!(text.parse::<ProtectedPort>().is_err(), "{text}");
        }
    }

    #[test]
    fn either_end_of_a_loopback_connection_is_guarded() {
        let rules =
            Guard::new(&[], Some(7433)).skeleton().rules.iter().map(ToString::to_string).collect::<Vec<_>>();
        for rule in [
            "oifname \"lo\" meta l4proto . th dport @guard_ports accept",
            "iifname \"lo\" meta l4proto . th sport @guard_ports accept",
        ] {
            assert!(rules.contains(&rule.to_owned()), "{rules:?}");
        }
    }

    #[test]
    fn the_port_of_other_agents_is_guarded_at_the_far_end_where_there_are_any() {
        let rules =
            |guard: &Guard| guard.skeleton().rules.iter().map(ToString::to_string).collect::<Vec<_>>();
        let alone = Guard::new(&[], Some(7433));
        let fleet = alone.clone().and_far(Some(7433));
        for rule in [
            "meta l4proto . th dport @guard_far_ports accept",
            "meta l4proto . th sport @guard_far_ports accept",
        ] {
            assert!(rules(&fleet).contains(&rule.to_owned()), "{:?}", rules(&fleet));
            assert!(!rules(&alone).contains(&rule.to_owned()), "{:?}", rules(&alone));
        }
        let mut spared = Ruleset::default();
        for hook in Hook::BOTH {
            fleet.spare(hook, &mut spared, "f1");
        }
        let far = spared.sets.iter().filter(|set| set.name == FAR_PORTS).flat_map(|set| &set.elements);
        assert_eq!(far.map(ToString::to_string).collect::<Vec<_>>(), ["tcp . 7433"]);
        let returns = |rule: &&Rule| rule.to_string().ends_with("@guard_far_ports return");
        assert_eq!(spared.rules.iter().filter(returns).count(), 2);
        let text = fleet.protects().collect::<Vec<_>>().join(", ");
        assert_eq!(text, "IPv6 link control, local port tcp/7433, far port tcp/7433");
    }

    #[test]
    fn protected_networks_are_guarded_at_the_far_end_in_every_table() {
        let nets = ["10.0.9.7/24", "10.0.8.0/24", "fd00:9::/64"].map(|net| net.parse().unwrap());
        let guard = Guard::new(&[], None).and_networks(&nets);
        let skeleton = guard.skeleton();
        let rules = skeleton.rules.iter().map(ToString::to_string).collect::<Vec<_>>();
        for rule in [
            "ip daddr @guard_net4 accept",
            "ip saddr @guard_net4 accept",
            "ip6 daddr @guard_net6 accept",
            "ip6 saddr @guard_net6 accept",
        ] {
            assert!(rules.contains(&rule.to_owned()), "{rules:?}");
        }
        let sets = skeleton.sets.iter().filter(|set| set.name.starts_with("guard_net"));
        let sets =
            sets.map(|set| (set.timed, set.elements.iter().map(ToString::to_string).collect::<Vec<_>>()));
        assert_eq!(
            sets.collect::<Vec<_>>(),
            [(false, vec!["10.0.8.0/23".to_owned()]), (false, vec!["fd00:9::/64".to_owned()])]
        );
        let mut spared = Ruleset::default();
        guard.spare(Hook::Egress, &mut spared, "f1");
        assert!(spared.rules.iter().any(|rule| rule.to_string().ends_with("ip daddr @guard_net4 return")));
        assert_eq!(guard.protects().last().unwrap(), "network fd00:9::/64");
        assert!(guard.protects().any(|text| text == "network 10.0.9.0/24"), "without the bits of a host");
        for (address, protected) in
            [("10.0.9.1", true), ("10.0.7.1", false), ("fd00:9::1", true), ("fd00::1", false)]
        {
            assert_eq!(guard.protects_address(address.parse().unwrap()), protected, "{address}");
        }
    }

    #[test]
    fn the_agents_own_port_is_always_guarded() {
        let guard = Guard::new(&["udp/68".parse().unwrap(), "tcp/22".parse().unwrap()], Some(7433));
        let text = guard.protects().collect::<Vec<_>>().join(", ");
        assert_eq!(text, "IPv6 link control, local port tcp/22, local port tcp/7433, local port udp/68");
    }
}
