//! What no fault may cut: the agent's port, ssh and what the configuration lists, at this end; IPv6's link control; and,
//! for each fault, the live connection of the person who asked for it.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use partition_agent_proto::Protocol;

use super::element::{Element, Shape};
use super::expr::Expr;
use super::ruleset::{Base, Chain, Hook, Rule, Ruleset, Set, Spot};
use super::{RETURNED_FROM, RETURNED_MARK};

const PORTS: &str = "guard_ports";
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

impl<'de> Deserialize<'de> for ProtectedPort {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The ports that no fault touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    ports: Vec<ProtectedPort>,
}

impl Guard {
    /// The configured ports, and the agent's own where it listens on TCP.
    pub fn new(configured: &[ProtectedPort], agent: Option<u16>) -> Self {
        let agent = agent.map(|port| ProtectedPort { protocol: Protocol::Tcp, port });
        let mut ports = configured.iter().copied().chain(agent).collect::<Vec<_>>();
        ports.sort_unstable();
        ports.dedup();
        Self { ports }
    }

    /// Whether this port of this host stays reachable over TCP.
    pub fn protects_tcp(&self, port: u16) -> bool {
        self.ports.contains(&ProtectedPort { protocol: Protocol::Tcp, port })
    }

    /// For people.
    pub fn protects(&self) -> impl Iterator<Item = String> {
        let ports = self.ports.iter().map(|port| format!("local port {port}"));
        std::iter::once("IPv6 link control".to_owned()).chain(ports)
    }

    /// What every table begins with: the guard, then losses, then shaping. A loss lets the rest of the packets through;
    /// shaping takes its packet away, so the first one that matches wins.
    pub fn skeleton(&self) -> Ruleset {
        let mut ruleset = Ruleset::default();
        ruleset.sets.push(self.ports());
        for hook in Hook::BOTH {
            let [main, loss, shape] = [hook.name().to_owned(), loss_chain(hook), shape_chain(hook)];
            for name in [&loss, &shape, &main] {
                ruleset.chains.push(Chain { name: name.clone(), base: None });
            }
            let protected = |local: Hook| Expr::Member(local, Shape::LocalPort, PORTS.to_owned());
            // On loopback both ends are this host, so either port may be the protected one.
            let far_end = hook.other();
            // What the emulator gives back has met the faults already.
            let returned = match hook {
                Hook::Egress => Expr::MarkIs(RETURNED_MARK),
                Hook::Ingress => Expr::EtherSource(RETURNED_FROM),
            };
            let control = LINK_CONTROL.map(|(first, last)| vec![Expr::Icmpv6(first, last), Expr::Accept]);
            let steps = [
                vec![returned, Expr::Accept],
                vec![protected(hook), Expr::Accept],
                vec![Expr::Interface(hook, LOOPBACK.to_owned()), protected(far_end), Expr::Accept],
                vec![Expr::Jump(loss)],
                vec![Expr::Goto(shape)],
            ];
            let rule = |exprs| Rule { chain: main.clone(), spot: Spot::Last, exprs, comment: None };
            ruleset.rules.extend(control.into_iter().chain(steps).map(rule));
        }
        ruleset
    }

    /// The same for a fault that rejects in the IP stack, where it has a table of its own: the set, and rules for the head of
    /// a chain.
    pub fn spare(&self, hook: Hook, ruleset: &mut Ruleset, chain: &str) {
        let protected = |local: Hook| Expr::Member(local, Shape::LocalPort, PORTS.to_owned());
        let control = LINK_CONTROL.map(|(first, last)| vec![Expr::Icmpv6(first, last), Expr::Return]);
        let ports = [
            vec![protected(hook), Expr::Return],
            vec![Expr::Interface(hook, LOOPBACK.to_owned()), protected(hook.other()), Expr::Return],
        ];
        if !ruleset.sets.iter().any(|set| set.name == PORTS) {
            ruleset.sets.push(self.ports());
        }
        let rule = |exprs| Rule { chain: chain.to_owned(), spot: Spot::Last, exprs, comment: None };
        ruleset.rules.extend(control.into_iter().chain(ports).map(rule));
    }

    fn ports(&self) -> Set {
        let element = |port: &ProtectedPort| Element::LocalPort { protocol: port.protocol, port: port.port };
        let elements = self.ports.iter().map(element).collect();
        Set { name: PORTS.to_owned(), shape: Shape::LocalPort, timed: false, elements }
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
    fn the_agents_own_port_is_always_guarded() {
        let guard = Guard::new(&["udp/68".parse().unwrap(), "tcp/22".parse().unwrap()], Some(7433));
        let text = guard.protects().collect::<Vec<_>>().join(", ");
        assert_eq!(text, "IPv6 link control, local port tcp/22, local port tcp/7433, local port udp/68");
    }
}
