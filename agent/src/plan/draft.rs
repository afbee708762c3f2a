//! From a resolved fault to its plan: which packets find their way into its chains, and what ends them there.
//!
//! A packet finds its way in by its addresses alone (netdev hooks, nothing else switched on); or, where only the IP stack
//! knows whose it is (a process, a service address before NAT), by a bit of its mark that a chain there has set. What comes
//! in for such packets is known by the flows that went out.

use std::net::SocketAddr;
use std::time::Duration;

use partition_agent_proto::{Connection, ConnectionState, FaultSpec, Kind, Percent, Protocol, RejectWith};

use super::element::{End, Shape};
use super::expr::{Expr, MODULUS};
use super::guard::{Guard, LOOPBACK, loss_chain, shape_chain};
use super::impairment::Impairment;
use super::ranges::Family;
use super::ruleset::{Base, Chain, Hook, Rule, Ruleset, Set};
use super::{
    Address, OwnTable, Place, Plan, RETURNED_MARK, Resets, STAND_IN_MARK, Sender, StandIn, Steering, Step,
    TableFamily, Tap, mark, sets,
};

/// Interfaces that one rule can name.
const MOST_INTERFACES: usize = 120;

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
    /// How long it is in force; without it the plan is built and hits nothing until it is armed.
    pub timeout: Option<Duration>,
}

/// A fault that cannot be had, found before anything was touched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    #[error(
        "the emulator cannot shape what goes through {0}: it reads Ethernet frames, and the kernel refuses packets of loopback \
         that come back from outside of it. A kernel with netem can, and losses work without either"
    )]
    NotEthernet(String),
    #[error(
        "every bit of the packet mark that the agent may use is taken by other faults on processes here; restore one first"
    )]
    NoBit,
    #[error(
        "connections of a control group cannot be told from others in order to reset them: use another scope, or drop the reset"
    )]
    ResetCgroup,
    #[error("no name server is known here: name those that are asked with --peer")]
    NoServers,
}

/// What becomes of the packets in one direction.
enum Sink {
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
    let mut sinks = Vec::new();
    for kind in kinds {
        match kind {
            Kind::Loss { percent, correlation: None } => sinks.push(Sink::Null(*percent)),
            Kind::Reject { with } => sinks.push(Sink::Reject(*with)),
            // Together they are one queue.
            Kind::Loss { .. }
            | Kind::LossGemodel { .. }
            | Kind::LossState { .. }
            | Kind::Delay { .. }
            | Kind::Duplicate { .. }
            | Kind::Corrupt { .. }
            | Kind::Reorder { .. }
            | Kind::Rate { .. }
            | Kind::Slot { .. } => {}
            // Not done to packets.
            Kind::Reset {} | Kind::Dns { .. } => {}
        }
    }
    sinks.extend(Impairment::new(kinds).map(Box::new).map(Sink::Shape));
    sinks
}

impl Draft<'_> {
    fn check(&self) -> Result<(), Impossible> {
        let shapes = [self.egress, self.ingress].into_iter().any(|kinds| Impairment::new(kinds).is_some());
        if self.emulated && shapes && !self.not_ethernet.is_empty() {
            return Err(Impossible::NotEthernet(self.not_ethernet.join(", ")));
        }
        if self.sender.is_some() && self.steers() && self.bit.is_none() {
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

    fn hooks(&self) -> impl Iterator<Item = Hook> {
        let direction = self.spec.direction;
        Hook::BOTH.into_iter().filter(move |hook| match hook {
            Hook::Egress => direction.has_egress(),
            Hook::Ingress => direction.has_ingress(),
        })
    }

    fn kinds(&self, hook: Hook) -> &[Kind] {
        match hook {
            Hook::Egress => self.egress,
            Hook::Ingress => self.ingress,
        }
    }

    /// Whether packets pass netdev hooks because of it; an egress reject alone is done in the IP stack.
    fn steers(&self) -> bool {
        self.hooks().any(|hook| {
            sinks(self.kinds(hook)).iter().any(|sink| match (sink, hook) {
                (Sink::Reject(_), Hook::Egress) => false,
                (Sink::Null(_) | Sink::Shape(_), _) | (Sink::Reject(_), Hook::Ingress) => true,
            })
        })
    }

    /// Whether packets are marked in the IP stack.
    fn marks(&self) -> bool {
        (self.sender.is_some() || self.natted) && self.bit.is_some() && self.steers()
    }

    /// Whether what comes in is known by what went out.
    fn learns(&self) -> bool {
        self.marks() && self.hooks().any(|hook| hook == Hook::Ingress && !sinks(self.ingress).is_empty())
    }

    fn end(&self) -> End {
        if self.spec.target.local_ports.is_empty() { End::Far } else { End::Near }
    }

    fn mark(&self) -> String {
        mark(self.slot)
    }

    fn table(&self) -> String {
        format!("{}_{}", super::TABLE, self.mark())
    }

    fn only_interface(&self, hook: Hook) -> impl Iterator<Item = Expr> {
        self.spec.interface.iter().map(move |name| Expr::Interface(hook, name.clone()))
    }

    /// Other faults may have hooked other interfaces, and what passes there is none of this one's business. A rule of
    /// the kernel has 128 expressions at most (`NFT_RULE_MAXEXPRS`); with more interfaces than that it is on all of them.
    fn elsewhere(&self, hook: Hook) -> Option<Vec<Expr>> {
        let some = (1..=MOST_INTERFACES).contains(&self.interfaces.len());
        some.then(|| vec![Expr::InterfaceIsNot(hook, self.interfaces.to_vec()), Expr::Return])
    }

    /// At most 15 bytes (`IFNAMSIZ` less its terminator).
    fn link(&self, hook: Hook, nth: Option<usize>) -> String {
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

/// A plan in the making.
struct Build<'a> {
    draft: &'a Draft<'a>,
    targets: Vec<Set>,
    spared: Vec<Set>,
    /// The part in the shared table.
    shared: Ruleset,
    /// The fault's own table, in the IP stack.
    own: Ruleset,
    /// What brings packets back; it stays until they have drained.
    back: Ruleset,
}

impl<'a> Build<'a> {
    fn new(draft: &'a Draft<'a>) -> Self {
        let mark = draft.mark();
        let targets = sets::targets(&mark, draft.targets, draft.end(), draft.spec.target.protocol).collect();
        let spared = sets::spared(&mark, draft.except, draft.keep).collect();
        let [shared, own, back] = [(); 3].map(|()| Ruleset::default());
        Self { draft, targets, spared, shared, own, back }
    }

    fn add(&mut self, hook: Hook, sink: &Sink, steps: &mut Vec<Step>) {
        match (sink, hook) {
            (Sink::Reject(with), Hook::Egress) => return self.reject_output(*with),
            (Sink::Null(_) | Sink::Shape(_), _) | (Sink::Reject(_), Hook::Ingress) => {}
        }
        let (name, dispatch, head) = match sink {
            Sink::Null(_) => ("loss", loss_chain(hook), false),
            Sink::Reject(_) => ("reject", loss_chain(hook), false),
            Sink::Shape(_) => ("shape", shape_chain(hook), true),
        };
        let chain = format!("{}_{}_{name}", self.draft.mark(), hook.name());
        let ends = match sink {
            Sink::Null(percent) => {
                let random = (percent.millionths() < MODULUS).then_some(Expr::Random(*percent));
                let gone = match hook {
                    Hook::Egress => Expr::Vanish,
                    Hook::Ingress => Expr::Drop,
                };
                vec![random.into_iter().chain([Expr::Counter, gone]).collect()]
            }
            Sink::Reject(with) => rejects(*with),
            Sink::Shape(impairment) if self.draft.emulated => self.emulate(hook, impairment, steps),
            Sink::Shape(impairment) => {
                let ifb = self.draft.link(hook, None);
                steps.push(Step::AddIfb { name: ifb.clone() });
                steps.push(Step::AddNetem { ifb: ifb.clone(), impairment: (**impairment).clone() });
                steps.push(Step::SetUp { ifb: ifb.clone() });
                vec![vec![Expr::Counter, Expr::Forward(ifb)]]
            }
        };
        let elsewhere = self.draft.elsewhere(hook);
        let body = elsewhere.into_iter().chain(self.conditions(hook)).chain(ends).collect::<Vec<_>>();
        let comment = Some(self.draft.mark());
        let rule = |exprs| Rule { chain: chain.clone(), head: false, exprs, comment: comment.clone() };
        self.shared.rules.extend(body.into_iter().map(rule));
        self.shared.chains.push(Chain { name: chain.clone(), base: None });
        for entry in self.entries(hook) {
            let exprs = entry.into_iter().chain([Expr::Jump(chain.clone())]).collect();
            self.shared.rules.push(Rule { chain: dispatch.clone(), head, exprs, comment: comment.clone() });
        }
    }

    /// A TAP for each interface, since a frame does not remember where it came from, and the way back.
    fn emulate(&mut self, hook: Hook, impairment: &Impairment, steps: &mut Vec<Step>) -> Vec<Vec<Expr>> {
        let mut ends = Vec::new();
        for (nth, interface) in self.draft.interfaces.iter().enumerate() {
            let name = self.draft.link(hook, Some(nth));
            steps.push(Step::AddTap(Tap {
                name: name.clone(),
                hook,
                interface: interface.clone(),
                impairment: impairment.clone(),
            }));
            ends.push(vec![
                Expr::Interface(hook, interface.clone()),
                Expr::Counter,
                Expr::Forward(name.clone()),
            ]);
            match hook {
                Hook::Egress => {
                    let chain = format!("back_{name}");
                    let base = Some(Base::Device(Hook::Ingress, name));
                    let exprs = vec![Expr::MarkSet(RETURNED_MARK), Expr::Forward(interface.clone())];
                    self.back.chains.push(Chain { name: chain.clone(), base });
                    self.back.rules.push(Rule { chain, head: false, exprs, comment: None });
                }
                // nftables cannot hand a packet to the ingress of another interface; a tc filter on the TAP does.
                Hook::Ingress => {}
            }
        }
        ends
    }

    /// How packets get into the fault's chains: all of these, and no packet by two of them.
    fn entries(&self, hook: Hook) -> Vec<Vec<Expr>> {
        let draft = self.draft;
        let by_address = |first: Option<Expr>| {
            let entry = move |set: &Set| {
                let member = Expr::Member(hook, set.shape, set.name.clone());
                draft.only_interface(hook).chain(first.clone()).chain([member]).collect::<Vec<_>>()
            };
            self.targets.iter().map(entry).collect::<Vec<_>>()
        };
        let Some(bit) = draft.bit.filter(|_| draft.marks()) else { return by_address(None) };
        let mut entries = match (hook, draft.sender) {
            (Hook::Egress, Some(_)) => Vec::new(),
            (Hook::Egress, None) => by_address(Some(Expr::MarkLacks(bit))),
            (Hook::Ingress, Some(_)) => Vec::new(),
            (Hook::Ingress, None) => by_address(None),
        };
        match hook {
            Hook::Egress => entries.push(draft.only_interface(hook).chain([Expr::MarkHas(bit)]).collect()),
            Hook::Ingress => entries.extend(self.families().map(|family| {
                let flows = sets::flows(&draft.mark(), family);
                let live = sets::live(&draft.mark());
                let known = [live, flows].map(|set| Expr::Member(hook, set.shape, set.name));
                draft.only_interface(hook).chain(known).collect()
            })),
        }
        entries
    }

    fn families(&self) -> impl Iterator<Item = Family> {
        Family::BOTH.into_iter().filter(|family| {
            self.targets.iter().any(|set| match set.shape {
                Shape::Host(of)
                | Shape::Net(of)
                | Shape::Service(of, _)
                | Shape::Connection(of)
                | Shape::Flow(of) => of == *family,
                Shape::LocalPort | Shape::Ethertype => false,
            })
        })
    }

    /// What returns from the fault's chains unharmed.
    fn conditions(&self, hook: Hook) -> Vec<Vec<Expr>> {
        let target = &self.draft.spec.target;
        let spared =
            self.spared.iter().map(|set| vec![Expr::Member(hook, set.shape, set.name.clone()), Expr::Return]);
        let mut returns = spared.collect::<Vec<_>>();
        if let Some(state) = target.state {
            let opens = state == ConnectionState::New;
            returns.push(vec![Expr::IsNot(Protocol::Tcp), Expr::Return]);
            returns.push(vec![Expr::Syn(!opens), Expr::Return]);
        }
        if let Some(share) = target.flows.filter(|share| share.millionths() < MODULUS) {
            let beyond = Family::BOTH.map(|family| vec![Expr::FlowBeyond(hook, family, share), Expr::Return]);
            returns.extend(beyond);
        }
        returns
    }

    /// Marked packets teach their flows before any of them is lost.
    fn learn(&mut self) {
        let draft = self.draft;
        let Some(bit) = draft.bit.filter(|_| draft.learns()) else { return };
        let chain = format!("{}_learn", draft.mark());
        let comment = Some(draft.mark());
        let mut rules = draft.elsewhere(Hook::Egress).into_iter().collect::<Vec<_>>();
        if draft.sender.is_none() {
            // What is known by its address needs no teaching, and must not be hit twice.
            let known =
                |set: &Set| vec![Expr::Member(Hook::Egress, set.shape, set.name.clone()), Expr::Return];
            rules.extend(self.targets.iter().map(known));
        }
        let families = self.families().collect::<Vec<_>>();
        for family in families {
            let set = sets::flows(&draft.mark(), family);
            rules.push(vec![Expr::Learn(family, set.name.clone())]);
            self.shared.sets.push(set);
        }
        self.shared.sets.push(sets::live(&draft.mark()));
        let rule = |exprs| Rule { chain: chain.clone(), head: false, exprs, comment: comment.clone() };
        self.shared.rules.extend(rules.into_iter().map(rule));
        self.shared.chains.push(Chain { name: chain.clone(), base: None });
        let exprs = draft.only_interface(Hook::Egress).chain([Expr::MarkHas(bit), Expr::Jump(chain.clone())]);
        let exprs = exprs.collect();
        self.shared.rules.push(Rule { chain: loss_chain(Hook::Egress), head: true, exprs, comment });
    }

    /// Marks packets where the IP stack still knows whose they are and whom the program meant: before NAT (-100), after
    /// those who set marks of their own (-150).
    fn select(&mut self) {
        let draft = self.draft;
        let Some(bit) = draft.bit.filter(|_| draft.marks()) else { return };
        let output = Chain { name: "output".to_owned(), base: Some(Base::Output(-101)) };
        let forwarded = Chain { name: "prerouting".to_owned(), base: Some(Base::Prerouting(-101)) };
        let chains = if draft.sender.is_some() { vec![output] } else { vec![output, forwarded] };
        for chain in &chains {
            let spared =
                |set: &Set| vec![Expr::Member(Hook::Egress, set.shape, set.name.clone()), Expr::Return];
            let hit = |set: &Set| {
                let member = Expr::Member(Hook::Egress, set.shape, set.name.clone());
                draft.sender.map(Sender::expr).into_iter().chain([member, Expr::MarkAdd(bit)]).collect()
            };
            let rules = self.spared.iter().map(spared).chain(self.targets.iter().map(hit));
            self.own.rules.extend(rules.map(|exprs| own_rule(&chain.name, exprs)));
        }
        self.own.chains.extend(chains);
    }

    /// `reject` is refused on the egress of an interface, so it is done in the IP stack: before NAT, for the address that
    /// the program meant, and after it.
    fn reject_output(&mut self, with: RejectWith) {
        let draft = self.draft;
        let chain = "egress_reject";
        draft.guard.spare_output(&mut self.own, chain);
        let body = self.conditions(Hook::Egress).into_iter().chain(rejects(with));
        self.own.rules.extend(body.map(|exprs| own_rule(chain, exprs)));
        self.own.chains.push(Chain { name: chain.to_owned(), base: None });
        // Interfaces are hooked for other kinds; here loopback has to be left out where it is not among them.
        let on_loopback = draft.interfaces.iter().any(|name| name == LOOPBACK);
        let off_loopback =
            (!on_loopback).then(|| Expr::InterfaceIsNot(Hook::Egress, vec![LOOPBACK.to_owned()]));
        let mut bases = vec![("meant", Base::Output(-101))];
        if draft.natted {
            bases.push(("sent", Base::Output(0)));
        }
        if draft.sender.is_none() {
            bases.push(("forwarded", Base::Forward(0)));
        }
        for (name, base) in bases {
            let entry = |set: &Set| {
                let member = Expr::Member(Hook::Egress, set.shape, set.name.clone());
                let sender = draft.sender.map(Sender::expr);
                let jump = Expr::Jump(chain.to_owned());
                let only = draft.only_interface(Hook::Egress).chain(off_loopback.clone());
                only.chain(sender).chain([member, jump]).collect()
            };
            self.own.rules.extend(self.targets.iter().map(entry).map(|exprs| own_rule(name, exprs)));
            self.own.chains.push(Chain { name: name.to_owned(), base: Some(base) });
        }
    }

    /// Turns questions to the name servers to the ports that stand in for them, without connection tracking: there and
    /// back are rewritten packet by packet, so nothing remembers it when the fault is over.
    fn ask(&mut self) {
        let draft = self.draft;
        let [ask, answer] = ["ask", "answer"];
        // Before connection tracking (-200) on the way out and after it on the way back: it sees the same packets twice.
        self.own.chains.push(Chain { name: ask.to_owned(), base: Some(Base::Route(-300)) });
        self.back.chains.push(Chain { name: answer.to_owned(), base: Some(Base::Prerouting(-150)) });
        for (nth, server) in draft.servers.iter().enumerate() {
            let family = Family::of(server.ip());
            let set = Set {
                name: format!("server{nth}"),
                shape: Shape::Host(family),
                timed: true,
                elements: vec![super::element::Element::Host(server.ip())],
            };
            for protocol in [Protocol::Udp, Protocol::Tcp] {
                let own = [Expr::MarkIsNot(STAND_IN_MARK)].into_iter().chain(draft.sender.map(Sender::expr));
                let turn = [
                    Expr::Member(Hook::Egress, set.shape, set.name.clone()),
                    Expr::Asks(*server, protocol),
                    Expr::Counter,
                    Expr::ToStandIn(*server, protocol),
                ];
                self.own.rules.push(own_rule(ask, own.chain(turn).collect()));
                let back = [
                    Expr::Interface(Hook::Ingress, "lo".to_owned()),
                    Expr::Answers(*server, protocol),
                    Expr::FromStandIn(*server, protocol),
                ];
                self.back.rules.push(own_rule(answer, back.to_vec()));
            }
            self.own.sets.push(set);
        }
    }

    fn steering(mut self) -> Steering {
        let draft = self.draft;
        let uses = |ruleset: &Ruleset, set: &Set| {
            let names = ruleset.rules.iter().flat_map(|rule| &rule.exprs);
            names.into_iter().any(|expr| matches!(expr, Expr::Member(_, _, name) if *name == set.name))
        };
        for ruleset in [&mut self.shared, &mut self.own] {
            let used = self.targets.iter().chain(&self.spared).filter(|set| uses(ruleset, set));
            let used = used.cloned().collect::<Vec<_>>();
            ruleset.sets.splice(0..0, used);
        }
        let steers = !self.shared.chains.is_empty();
        let mut hooks = draft.hooks().filter(|_| steers).collect::<Vec<_>>();
        if draft.learns() && !hooks.contains(&Hook::Egress) {
            hooks.insert(0, Hook::Egress);
        }
        let own = (!self.own.chains.is_empty()).then(|| OwnTable {
            name: draft.table(),
            family: TableFamily::Inet,
            ruleset: self.own,
        });
        Steering {
            ruleset: self.shared,
            hooks,
            interfaces: if steers { draft.interfaces.to_vec() } else { Vec::new() },
            own,
            timeout: draft.timeout.map(|timeout| timeout.max(super::SHORTEST)),
        }
    }
}

fn own_rule(chain: &str, exprs: Vec<Expr>) -> Rule {
    Rule { chain: chain.to_owned(), head: false, exprs, comment: None }
}

/// A reset is TCP's; the rest gets the ICMP message that closed ports answer with.
fn rejects(with: RejectWith) -> Vec<Vec<Expr>> {
    match with {
        RejectWith::TcpReset => vec![
            vec![Expr::Is(Protocol::Tcp), Expr::Counter, Expr::Reject(RejectWith::TcpReset)],
            vec![Expr::Counter, Expr::Reject(RejectWith::PortUnreachable)],
        ],
        RejectWith::PortUnreachable | RejectWith::HostUnreachable | RejectWith::AdminProhibited => {
            vec![vec![Expr::Counter, Expr::Reject(with)]]
        }
    }
}
