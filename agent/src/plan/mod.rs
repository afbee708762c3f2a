//! From a resolved fault to the steps that put it into the kernel. Pure: the same input is the same plan, and a plan
//! prints itself in the syntax of `tc`, `ip` and `nft`, so a dry run, the log and the manual show the same text.

mod guard;
mod netem;
mod ranges;
mod ruleset;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use ipnetwork::IpNetwork;
use partition_agent_proto::{Connection, FaultSpec, Kind};

pub use guard::{Guard, ProtectedPort, hooked_chain};
pub use netem::Netem;
pub use ranges::{Family, Range};
pub use ruleset::{Chain, Element, Expr, Hook, Protocol, RANDOM_MODULUS, Rule, Ruleset, Set, Shape, TABLE};

use guard::{delay_chain, loss_chain};

/// Addresses that a name, a network or "everybody" stands for, on all ports or one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    pub net: IpNetwork,
    pub port: Option<u16>,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        partition_agent_proto::Peer { host: partition_agent_proto::Host::Net(self.net), port: self.port }
            .fmt(f)
    }
}

/// The shortest timeout. The kernel counts in jiffies, up to 10 ms long, rounds down, and takes 0 for "never" (before 6.12):
/// less than a jiffy would be a fault without an end.
const SHORTEST: Duration = Duration::from_millis(10);

/// What a plan is made of.
#[derive(Debug)]
pub struct Draft<'a> {
    pub spec: &'a FaultSpec,
    pub targets: &'a [Address],
    pub except: &'a [Address],
    /// Live connections that this fault leaves alone.
    pub keep: &'a [Connection],
    pub interfaces: &'a [String],
    /// A small number that no other fault has: it names the fault's objects in the kernel.
    pub slot: u32,
}

/// Everything that a fault is in the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub slot: u32,
    pub steps: Vec<Step>,
    pub timeout: Duration,
}

/// One change, with an undo of its own. Steps are applied in order and undone in reverse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Undo: delete it, and the qdisc with it.
    AddIfb {
        name: String,
    },
    AddNetem {
        ifb: String,
        netem: Netem,
    },
    SetUp {
        ifb: String,
    },
    /// One nftables transaction, and the only step that touches traffic. Undo: another transaction.
    Steer(Steering),
}

/// The fault's own part of the table, and the interfaces that lead into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Steering {
    pub ruleset: Ruleset,
    pub hooks: Vec<Hook>,
    pub interfaces: Vec<String>,
    pub timeout: Duration,
}

impl Plan {
    pub fn new(draft: &Draft) -> Self {
        let hooks = Hook::BOTH
            .into_iter()
            .filter(|hook| match hook {
                Hook::Egress => draft.spec.direction.has_egress(),
                Hook::Ingress => draft.spec.direction.has_ingress(),
            })
            .collect::<Vec<_>>();
        let timeout = draft.spec.duration.duration().max(SHORTEST);
        let mut steps = Vec::new();
        let mut ruleset = sets(draft);
        for kind in &draft.spec.kinds {
            for hook in hooks.iter().copied() {
                let (chain, dispatch, head, end) = match kind {
                    Kind::Loss { percent } => {
                        let random =
                            (percent.millionths() < RANDOM_MODULUS).then_some(Expr::Random(*percent));
                        let gone = match hook {
                            Hook::Egress => Expr::Vanish,
                            Hook::Ingress => Expr::Drop,
                        };
                        let end = random.into_iter().chain([Expr::Counter, gone]).collect();
                        (draft.chain(hook, "loss"), loss_chain(hook), false, end)
                    }
                    Kind::Delay { latency, jitter } => {
                        let ifb = draft.ifb(hook);
                        let netem = Netem::new(*latency, *jitter);
                        steps.push(Step::AddIfb { name: ifb.clone() });
                        steps.push(Step::AddNetem { ifb: ifb.clone(), netem });
                        steps.push(Step::SetUp { ifb: ifb.clone() });
                        let end = vec![Expr::Counter, Expr::Forward(ifb)];
                        (draft.chain(hook, "delay"), delay_chain(hook), true, end)
                    }
                };
                draft.impair(&mut ruleset, hook, &chain, end);
                draft.dispatch(&mut ruleset, hook, &chain, &dispatch, head);
            }
        }
        let interfaces = draft.interfaces.to_vec();
        steps.push(Step::Steer(Steering { ruleset, hooks, interfaces, timeout }));
        Self { slot: draft.slot, steps, timeout }
    }

    /// The plan of the same fault with another deadline.
    pub fn set_timeout(&mut self, timeout: Duration) {
        let timeout = timeout.max(SHORTEST);
        self.timeout = timeout;
        for step in &mut self.steps {
            match step {
                Step::Steer(steering) => steering.timeout = timeout,
                Step::AddIfb { .. } | Step::AddNetem { .. } | Step::SetUp { .. } => {}
            }
        }
    }

    /// The transaction that steers packets.
    pub fn steering(&self) -> Option<&Steering> {
        self.steps.iter().find_map(|step| match step {
            Step::Steer(steering) => Some(steering),
            Step::AddIfb { .. } | Step::AddNetem { .. } | Step::SetUp { .. } => None,
        })
    }

    /// The delay queues.
    pub fn queues(&self) -> impl Iterator<Item = (&str, &Netem)> {
        self.steps.iter().filter_map(|step| match step {
            Step::AddNetem { ifb, netem } => Some((ifb.as_str(), netem)),
            Step::AddIfb { .. } | Step::SetUp { .. } | Step::Steer(_) => None,
        })
    }

    /// How long to leave the queues alone after the last packet was steered into them.
    pub fn drain(&self) -> Duration {
        self.queues().map(|(_, netem)| netem.drain()).max().unwrap_or_default()
    }
}

/// The comment on every rule of the fault in a slot.
pub fn mark(slot: u32) -> String {
    format!("f{slot}")
}

impl Draft<'_> {
    fn chain(&self, hook: Hook, kind: &str) -> String {
        format!("{}_{}_{kind}", mark(self.slot), hook.name())
    }

    /// At most 15 bytes (`IFNAMSIZ` less its terminator).
    fn ifb(&self, hook: Hook) -> String {
        let end = match hook {
            Hook::Egress => "eg",
            Hook::Ingress => "in",
        };
        format!("pa-{}-{end}", mark(self.slot))
    }

    /// The fault's chain: what it leaves alone returns, the rest meets its end.
    fn impair(&self, ruleset: &mut Ruleset, hook: Hook, chain: &str, end: Vec<Expr>) {
        let spared = ruleset.sets.iter().filter(|set| !set.timed).map(|set| (set.shape, set.name.clone()));
        let spared =
            spared.map(|(shape, set)| vec![Expr::Member(hook, shape, set), Expr::Return]).collect::<Vec<_>>();
        for exprs in spared.into_iter().chain([end]) {
            let comment = Some(mark(self.slot));
            ruleset.rules.push(Rule { chain: chain.to_owned(), head: false, exprs, comment });
        }
        ruleset.chains.push(Chain { name: chain.to_owned(), hook: None });
    }

    /// The rules that lead the target's packets into the fault's chain: the lookup is what ends the fault.
    fn dispatch(&self, ruleset: &mut Ruleset, hook: Hook, chain: &str, dispatch: &str, head: bool) {
        let targets = ruleset.sets.iter().filter(|set| set.timed).map(|set| (set.shape, set.name.clone()));
        for (shape, set) in targets.collect::<Vec<_>>() {
            let interface = self.spec.interface.iter().map(|name| Expr::Interface(hook, name.clone()));
            let rest = [Expr::Member(hook, shape, set), Expr::Jump(chain.to_owned())];
            ruleset.rules.push(Rule {
                chain: dispatch.to_owned(),
                head,
                exprs: interface.chain(rest).collect(),
                comment: Some(mark(self.slot)),
            });
        }
    }
}

/// The sets of a fault, only those that have elements: targets timed, the rest not.
fn sets(draft: &Draft) -> Ruleset {
    let mut sets = Vec::new();
    for (role, timed, addresses) in [("", true, draft.targets), ("except_", false, draft.except)] {
        for family in Family::BOTH {
            let name = |shape: &str| format!("{}_{role}{shape}{}", mark(draft.slot), family.digit());
            // The sets of a fault never overlap: a packet that matched twice would meet a loss of 30% twice.
            let on_all_ports = addresses.iter().filter(|a| a.port.is_none()).map(|a| &a.net);
            let on_all_ports = ranges::merge(family, on_all_ports);
            let services = services(family, addresses, &on_all_ports);
            let (hosts, nets) =
                on_all_ports.into_iter().partition::<Vec<_>, _>(|range| range.first == range.last);
            let hosts = hosts.into_iter().map(|host| Element::Host(host.first)).collect();
            let nets = nets.into_iter().map(Element::Net).collect();
            sets.push(Set { name: name("host"), shape: Shape::Host(family), timed, elements: hosts });
            sets.push(Set { name: name("net"), shape: Shape::Net(family), timed, elements: nets });
            sets.push(Set { name: name("svc"), shape: Shape::Service(family), timed, elements: services });
        }
    }
    for family in Family::BOTH {
        let elements = draft.keep.iter().filter_map(|connection| {
            let peer = connection.peer.ip();
            let fits = match (family, peer) {
                (Family::V4, IpAddr::V4(_)) | (Family::V6, IpAddr::V6(_)) => true,
                (Family::V4, IpAddr::V6(_)) | (Family::V6, IpAddr::V4(_)) => false,
            };
            let (peer_port, local_port) = (connection.peer.port(), connection.local_port);
            fits.then_some(Element::Connection { peer, peer_port, local_port })
        });
        let name = format!("{}_keep{}", mark(draft.slot), family.digit());
        sets.push(Set { name, shape: Shape::Connection(family), timed: false, elements: elements.collect() });
    }
    sets.retain(|set| !set.elements.is_empty());
    Ruleset { sets, ..Ruleset::default() }
}

/// Addresses on one port, less those that are hit on all of them.
fn services(family: Family, addresses: &[Address], on_all_ports: &[Range]) -> Vec<Element> {
    let mut by_port = BTreeMap::<u16, Vec<&IpNetwork>>::new();
    for address in addresses {
        if let Some(port) = address.port {
            by_port.entry(port).or_default().push(&address.net);
        }
    }
    let element = |(port, nets): (u16, Vec<&IpNetwork>)| {
        let ranges = ranges::subtract(family, &ranges::merge(family, nets), on_all_ports);
        ranges.into_iter().flat_map(move |range| {
            Protocol::BOTH.into_iter().map(move |protocol| Element::Service { range, protocol, port })
        })
    };
    by_port.into_iter().flat_map(element).collect()
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddIfb { name } => write!(f, "ip link add {name} type ifb"),
            Self::AddNetem { ifb, netem } => write!(f, "tc qdisc add dev {ifb} root {netem}"),
            Self::SetUp { ifb } => write!(f, "ip link set {ifb} up"),
            Self::Steer(steering) => {
                writeln!(f, "table netdev {TABLE} {{ # flags owner: the kernel deletes it with the agent")?;
                steering.ruleset.write(f, steering.timeout)?;
                for hook in &steering.hooks {
                    for interface in &steering.interfaces {
                        hooked_chain(*hook, interface).write(f, steering.timeout)?;
                    }
                }
                write!(f, "}}")
            }
        }
    }
}

impl Step {
    /// A line for errors and logs; the steering transaction is too long for one.
    pub fn summary(&self) -> String {
        match self {
            Self::AddIfb { .. } | Self::AddNetem { .. } | Self::SetUp { .. } => self.to_string(),
            Self::Steer(steering) => {
                let elements = steering.ruleset.sets.iter().map(|set| set.elements.len()).sum::<usize>();
                let on = steering.interfaces.join(", ");
                format!("nft: steer {elements} elements of table netdev {TABLE} on {on}")
            }
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
