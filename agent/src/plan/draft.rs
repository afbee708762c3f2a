//! From a resolved fault to its plan: which packets find their way into its chains, and what ends them there.
//!
//! A packet finds its way in by its addresses alone (netdev hooks, nothing else switched on); or, where only the IP stack
//! knows whose it is (a process, a service address before NAT), by a bit of its mark that a chain there has set. What comes
//! in for such packets is known by the flows that went out.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use partition_agent_proto::{Connection, FaultId, FaultSpec, Kind, Percent, RejectWith};

use super::build::Build;
use super::element::End;
use super::expr::Expr;
use super::guard::Guard;
use super::impairment::{Impairment, Role};
use super::ruleset::Hook;
use super::{
    Address, Incarnation, OwnTable, Place, Plan, Resets, Sender, StandIn, Step, TableFamily, Tap, mark,
};

/// Interfaces that one rule can name.
const MOST_INTERFACES: usize = 120;

/// Interfaces that one fault emulates: each has a thread and a TAP for each direction.
const MOST_TAPS: usize = 32;

/// What a plan is made of.
#[derive(Debug)]
pub struct Draft<'a> {
    pub spec: &'a FaultSpec,
    /// The kinds as they are now: a ramp changes them.
    pub egress: &'a [Kind],
    pub ingress: &'a [Kind],
    pub targets: &'a [Address],
    pub except: &'a [Address],
    /// Live connections that this fault leaves alone.
    pub keep: &'a [Connection],
    pub place: &'a Place,
    /// Processes, where the fault is theirs only.
    pub sender: Option<&'a Sender>,
    pub interfaces: &'a [String],
    /// Where nothing is to happen, whatever leads there.
    pub left_out: &'a [String],
    /// The numbers of the interfaces.
    pub which: &'a BTreeMap<String, Incarnation>,
    /// What it has of TAPs already: one whose interface is still there stays as it is.
    pub taps: &'a [Tap],
    /// Those of them whose frames the emulator cannot read.
    pub not_ethernet: &'a [String],
    /// Shaped by the emulator, not by netem.
    pub emulated: bool,
    /// Addresses may be rewritten on their way out.
    pub natted: bool,
    /// A bit of the packet mark that no other fault here has.
    pub bit: Option<u32>,
    /// Name servers that programs here ask.
    pub servers: &'a [SocketAddr],
    pub guard: &'a Guard,
    /// A small number that no other plan has: it names the plan's objects in the kernel.
    pub slot: u32,
    /// Of two faults the newer has the higher one, wherever and whenever they have come.
    pub order: u32,
    /// How long it is in force; without it the plan is built and hits nothing until it is armed.
    pub timeout: Option<Duration>,
}

/// A fault that cannot be had, found before anything was touched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    #[error(
        "the emulator cannot shape what goes through {0}: it reads Ethernet frames, and the kernel refuses packets of loopback \
         that come back from outside of it. Name the other interfaces with --interface, or take a kernel with netem; losses work \
         without either"
    )]
    NotEthernet(String),
    #[error(
        "the emulator would need a device for each of {0} interfaces and direction: name those that matter with --interface, or \
         use a kernel with netem"
    )]
    ManyInterfaces(usize),
    #[error(
        "all {} bits of the packet mark that the agent may use are taken in this network namespace: a fault on processes needs one, \
         and so does every loss and latency where addresses are translated (NAT); restore one of those first",
        super::MARK_BITS.len()
    )]
    NoBit,
    #[error(
        "connections of a control group cannot be told from others in order to reset them: use another scope, or drop the reset"
    )]
    ResetCgroup,
    #[error(
        "the name server {server} is taken by the fault {by}: name all that is to fail in one fault, or restore that one"
    )]
    ServerTaken { server: SocketAddr, by: FaultId },
    #[error("no name server is known here: name those that are asked with --peer")]
    NoServers,
}

/// What becomes of the packets in one direction.
pub enum Sink {
    Null(Percent),
    Shape(Box<Impairment>),
    Reject(RejectWith),
}

impl Plan {
    /// # Errors
    /// See [`Impossible`].
    pub fn new(draft: &Draft) -> Result<Self, Impossible> {
        draft.check()?;
        let mut steps = Vec::new();
        let mut build = Build::new(draft);
        for hook in draft.hooks() {
            for sink in sinks(draft.kinds(hook)) {
                build.add(hook, &sink, &mut steps);
            }
        }
        build.learn();
        build.select();
        let mut dns = draft.egress.iter().filter_map(|kind| match kind {
            Kind::Dns { names, answer } => Some((names, answer)),
            _ => None,
        });
        if let Some((names, answer)) = dns.next() {
            let servers = draft.servers.to_vec();
            steps.push(Step::StandIn(StandIn { servers, names: names.clone(), answer: *answer }));
            build.ask();
        }
        let back = std::mem::take(&mut build.back);
        if !back.chains.is_empty() {
            let family = if draft.is_dns() { TableFamily::Inet } else { TableFamily::Netdev };
            let name = format!("{}_back", draft.table());
            steps.push(Step::AddTable(OwnTable { name, family, ruleset: back }));
        }
        steps.push(Step::Steer(build.steering()));
        let resets = draft.egress.contains(&Kind::Reset {}).then(|| Resets {
            targets: draft.targets.to_vec(),
            near: draft.end() == End::Near,
            except: draft.except.to_vec(),
            keep: draft.keep.to_vec(),
            user: match draft.sender {
                Some(Sender::User(user)) => Some(*user),
                Some(Sender::Cgroup { .. }) | None => None,
            },
        });
        Ok(Self {
            place: draft.place.clone(),
            slot: draft.slot,
            steps,
            resets,
            bit: draft.bit.filter(|_| draft.marks()),
        })
    }
}

fn sinks(kinds: &[Kind]) -> Vec<Sink> {
    let (impairment, roles) = Impairment::and_roles(kinds);
    let sink = |role: &Role| match role {
        Role::Null(percent) => Some(Sink::Null(*percent)),
        Role::Reject(with) => Some(Sink::Reject(*with)),
        // Together they are one queue.
        Role::Shapes | Role::Elsewhere => None,
    };
    let shape = impairment.map(Box::new).map(Sink::Shape);
    roles.iter().filter_map(sink).chain(shape).collect()
}

impl Draft<'_> {
    fn check(&self) -> Result<(), Impossible> {
        let shapes = [self.egress, self.ingress].into_iter().any(|kinds| Impairment::new(kinds).is_some());
        // Behind NAT every interface is hooked, so one that cannot be emulated may be of no concern.
        let all = self.not_ethernet.len() == self.interfaces.len();
        if self.emulated && shapes && !self.not_ethernet.is_empty() && (all || !self.natted) {
            return Err(Impossible::NotEthernet(self.not_ethernet.join(", ")));
        }
        if self.emulated && shapes && self.interfaces.len() > MOST_TAPS {
            return Err(Impossible::ManyInterfaces(self.interfaces.len()));
        }
        if self.marks() && self.bit.is_none() {
            return Err(Impossible::NoBit);
        }
        if matches!(self.sender, Some(Sender::Cgroup { .. })) && self.egress.contains(&Kind::Reset {}) {
            return Err(Impossible::ResetCgroup);
        }
        if self.is_dns() && self.servers.is_empty() {
            return Err(Impossible::NoServers);
        }
        Ok(())
    }

    fn is_dns(&self) -> bool {
        self.egress.iter().any(|kind| matches!(kind, Kind::Dns { .. }))
    }

    pub fn hooks(&self) -> impl Iterator<Item = Hook> {
        let direction = self.spec.direction;
        Hook::BOTH.into_iter().filter(move |hook| match hook {
            Hook::Egress => direction.has_egress(),
            Hook::Ingress => direction.has_ingress(),
        })
    }

    pub fn kinds(&self, hook: Hook) -> &[Kind] {
        match hook {
            Hook::Egress => self.egress,
            Hook::Ingress => self.ingress,
        }
    }

    /// Whether packets pass netdev hooks because of it; what is rejected is that in the IP stack.
    pub fn steers(&self) -> bool {
        self.hooks().any(|hook| {
            sinks(self.kinds(hook)).iter().any(|sink| match sink {
                Sink::Reject(_) => false,
                Sink::Null(_) | Sink::Shape(_) => true,
            })
        })
    }

    /// Whether packets are marked in the IP stack. Any target may be a service address: no fault is too good for a mark
    /// where there is NAT.
    pub fn marks(&self) -> bool {
        (self.sender.is_some() || self.natted) && self.steers()
    }

    /// Whether what comes in is known by what went out.
    pub fn learns(&self) -> bool {
        self.marks() && self.hooks().any(|hook| hook == Hook::Ingress && !sinks(self.ingress).is_empty())
    }

    pub fn end(&self) -> End {
        if self.spec.target.local_ports.is_empty() { End::Far } else { End::Near }
    }

    pub fn mark(&self) -> String {
        mark(self.slot)
    }

    pub fn table(&self) -> String {
        format!("{}_{}", super::TABLE, self.mark())
    }

    pub fn only_interface(&self, hook: Hook) -> impl Iterator<Item = Expr> {
        self.spec.interface.iter().map(move |name| Expr::Interface(hook, name.clone()))
    }

    /// Only interfaces where anything may happen, where the IP stack does it: hooks are on those alone anyway.
    pub fn aside(&self, hook: Hook) -> Option<Expr> {
        (!self.left_out.is_empty()).then(|| Expr::InterfaceIsNot(hook, self.left_out.to_vec()))
    }

    /// Other faults may have hooked other interfaces, and what passes there is none of this one's business. A rule of
    /// the kernel has 128 expressions at most (`NFT_RULE_MAXEXPRS`); with more interfaces than that it is on all of them.
    pub fn elsewhere(&self, hook: Hook) -> Option<Vec<Expr>> {
        let some = (1..=MOST_INTERFACES).contains(&self.interfaces.len());
        some.then(|| vec![Expr::InterfaceIsNot(hook, self.interfaces.to_vec()), Expr::Return])
    }

    /// The TAP of an interface: the one that there is, or one by a name that none has. So the two may stand side by side
    /// while packets are led from one to the other.
    pub fn tap(&self, hook: Hook, interface: &str, made: &[String]) -> (String, Incarnation) {
        let which = self.which.get(interface).copied().unwrap_or_default();
        let of = |tap: &&Tap| (tap.hook, tap.interface.as_str(), tap.which) == (hook, interface, which);
        let taken = |name: &String| self.taps.iter().any(|tap| tap.name == *name) || made.contains(name);
        let names = (0..).map(|nth| self.link(hook, Some(nth)));
        let name = self.taps.iter().find(of).map(|tap| tap.name.clone());
        (name.or_else(|| names.into_iter().find(|name| !taken(name))).unwrap_or_default(), which)
    }

    /// At most 15 bytes (`IFNAMSIZ` less its terminator).
    pub fn link(&self, hook: Hook, nth: Option<usize>) -> String {
        let direction = match hook {
            Hook::Egress => 'e',
            Hook::Ingress => 'i',
        };
        match nth {
            None => format!("pa-{}-{direction}", self.mark()),
            Some(nth) => format!("pa-{}-{direction}{nth}", self.mark()),
        }
    }
}
