//! The rulesets of a plan: how packets find their way into the fault's chains, and what ends them there.

use partition_agent_proto::{Protocol, RejectWith};

use super::draft::{Draft, Sink};
use super::element::{Element, Shape};
use super::expr::{Expr, MODULUS, unharmed};
use super::guard::{LOOPBACK, loss_chain, shape_chain};
use super::impairment::Impairment;
use super::ranges::Family;
use super::ruleset::{Base, Chain, Hook, Rule, Ruleset, Set, Spot};
use super::{OwnTable, RETURNED_MARK, STAND_IN_MARK, Sender, Steering, Step, TableFamily, Tap, sets};

/// A plan in the making.
pub struct Build<'a> {
    draft: &'a Draft<'a>,
    targets: Vec<Set>,
    spared: Vec<Set>,
    /// The part in the shared table.
    shared: Ruleset,
    /// The fault's own table, in the IP stack.
    own: Ruleset,
    /// What brings packets back; it stays until they have drained.
    pub back: Ruleset,
}

impl<'a> Build<'a> {
    pub fn new(draft: &'a Draft<'a>) -> Self {
        let mark = draft.mark();
        let targets = sets::targets(&mark, draft.targets, draft.end(), draft.spec.target.protocol).collect();
        let spared = sets::spared(&mark, draft.except, draft.keep).collect();
        let [shared, own, back] = [(); 3].map(|()| Ruleset::default());
        Self { draft, targets, spared, shared, own, back }
    }

    pub fn add(&mut self, hook: Hook, sink: &Sink, steps: &mut Vec<Step>) {
        match sink {
            Sink::Reject(with) => self.reject(hook, *with),
            Sink::Null(percent) => {
                let random = (percent.millionths() < MODULUS).then_some(Expr::Random(*percent));
                let gone = match hook {
                    Hook::Egress => Expr::Vanish,
                    Hook::Ingress => Expr::Drop,
                };
                let end = random.into_iter().chain([Expr::Counter, gone]).collect();
                self.lead(hook, "loss", &loss_chain(hook), Spot::Last, vec![end]);
                self.unmark(hook);
            }
            Sink::Shape(impairment) => {
                let ends = if self.draft.emulated {
                    self.emulate(hook, impairment, steps)
                } else {
                    self.queue(hook, impairment, steps)
                };
                self.lead(hook, "shape", &shape_chain(hook), Spot::ByAge, ends);
            }
        }
    }

    /// The fault's chain in the shared table, and the rules that lead into it.
    fn lead(&mut self, hook: Hook, name: &str, dispatch: &str, spot: Spot, ends: Vec<Vec<Expr>>) {
        let chain = format!("{}_{}_{name}", self.draft.mark(), hook.name());
        let elsewhere = self.draft.elsewhere(hook);
        let body = elsewhere.into_iter().chain(self.conditions(hook)).chain(ends).collect::<Vec<_>>();
        let comment = Some(self.draft.mark());
        let rule = |exprs| Rule { chain: chain.clone(), spot: Spot::Last, exprs, comment: comment.clone() };
        self.shared.rules.extend(body.into_iter().map(rule));
        self.shared.chains.push(Chain { name: chain.clone(), base: None });
        for entry in self.entries(hook) {
            let exprs = entry.into_iter().chain([Expr::Jump(chain.clone())]).collect();
            let comment = comment.clone();
            self.shared.rules.push(Rule { chain: dispatch.to_owned(), spot, exprs, comment });
        }
    }

    /// A tunnel wraps a packet with its mark: it must not be hit again as what carries it. Where it is shaped as well, that
    /// comes later and takes the mark away itself.
    fn unmark(&mut self, hook: Hook) {
        let draft = self.draft;
        let shaped = Impairment::new(draft.kinds(hook)).is_some();
        let Some(bit) = draft.bit.filter(|_| draft.marks() && hook == Hook::Egress && !shaped) else {
            return;
        };
        let exprs = vec![Expr::MarkHas(bit), Expr::MarkDrop(bit)];
        let comment = Some(draft.mark());
        self.shared.rules.push(Rule { chain: loss_chain(hook), spot: Spot::Last, exprs, comment });
    }

    fn queue(&self, hook: Hook, impairment: &Impairment, steps: &mut Vec<Step>) -> Vec<Vec<Expr>> {
        let ifb = self.draft.link(hook, None);
        steps.push(Step::AddIfb { name: ifb.clone() });
        steps.push(Step::AddNetem { ifb: ifb.clone(), impairment: impairment.clone() });
        steps.push(Step::SetUp { ifb: ifb.clone() });
        let bit = self.draft.bit.filter(|_| self.draft.marks() && hook == Hook::Egress);
        let unmark = bit.map(Expr::MarkDrop);
        vec![unmark.into_iter().chain([Expr::Counter, Expr::Forward(ifb)]).collect()]
    }

    /// A TAP for each interface, since a frame does not remember where it came from, and the way back.
    fn emulate(&mut self, hook: Hook, impairment: &Impairment, steps: &mut Vec<Step>) -> Vec<Vec<Expr>> {
        let mut ends = Vec::new();
        let mut made = Vec::new();
        let ethernet = |interface: &&String| !self.draft.not_ethernet.contains(interface);
        for interface in self.draft.interfaces.iter().filter(ethernet) {
            let (name, which) = self.draft.tap(hook, interface, &made);
            made.push(name.clone());
            steps.push(Step::AddTap(Tap {
                name: name.clone(),
                hook,
                interface: interface.clone(),
                which,
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
                    self.back.rules.push(Rule { chain, spot: Spot::Last, exprs, comment: None });
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
        Family::BOTH
            .into_iter()
            .filter(|family| self.targets.iter().any(|set| set.shape.family() == Some(*family)))
    }

    /// What returns from the fault's chains unharmed.
    fn conditions(&self, hook: Hook) -> Vec<Vec<Expr>> {
        let spared =
            self.spared.iter().map(|set| vec![Expr::Member(hook, set.shape, set.name.clone()), Expr::Return]);
        spared.chain(unharmed(&self.draft.spec.target, hook)).collect()
    }

    /// Marked packets teach their flows before any of them is lost.
    pub fn learn(&mut self) {
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
        let rule = |exprs| Rule { chain: chain.clone(), spot: Spot::Last, exprs, comment: comment.clone() };
        self.shared.rules.extend(rules.into_iter().map(rule));
        self.shared.chains.push(Chain { name: chain.clone(), base: None });
        let exprs = draft.only_interface(Hook::Egress).chain([Expr::MarkHas(bit), Expr::Jump(chain.clone())]);
        let exprs = exprs.collect();
        self.shared.rules.push(Rule { chain: loss_chain(Hook::Egress), spot: Spot::First, exprs, comment });
    }

    /// Marks packets where the IP stack still knows whose they are and whom the program meant: before NAT (-100), after
    /// those who set marks of their own (-150).
    pub fn select(&mut self) {
        let draft = self.draft;
        let Some(bit) = draft.bit.filter(|_| draft.marks()) else { return };
        let output = Chain { name: "output".to_owned(), base: Some(Base::Output(-101)) };
        let forwarded = Chain { name: "prerouting".to_owned(), base: Some(Base::Prerouting(-101)) };
        let chains =
            if draft.sender.is_some() { vec![output.clone()] } else { vec![output.clone(), forwarded] };
        for chain in &chains {
            let spared =
                |set: &Set| vec![Expr::Member(Hook::Egress, set.shape, set.name.clone()), Expr::Return];
            // Where a packet that is forwarded will leave is not known before it is routed.
            let aside = draft.aside(Hook::Egress).filter(|_| *chain == output);
            let hit = |set: &Set| {
                let member = Expr::Member(Hook::Egress, set.shape, set.name.clone());
                let sender = draft.sender.map(Sender::expr);
                aside.iter().cloned().chain(sender).chain([member, Expr::MarkAdd(bit)]).collect()
            };
            let rules = self.spared.iter().map(spared).chain(self.targets.iter().map(hit));
            self.own.rules.extend(rules.map(|exprs| own_rule(&chain.name, exprs)));
        }
        self.own.chains.extend(chains);
    }

    /// The kernel refuses `reject` on the egress of an interface, and many have none on its ingress
    /// (`CONFIG_NFT_REJECT_NETDEV`), so it is done in the IP stack.
    fn reject(&mut self, hook: Hook, with: RejectWith) {
        let draft = self.draft;
        let chain = format!("{}_reject", hook.name());
        draft.guard.spare(hook, &mut self.own, &chain);
        // Refusals pass: those of the other direction are sent on this one.
        let refusals = [Expr::Reset, Expr::Unreachable(Family::V4), Expr::Unreachable(Family::V6)];
        let refusals = refusals.map(|refusal| vec![refusal, Expr::Return]);
        let body = refusals.into_iter().chain(self.conditions(hook)).chain(rejects(with));
        self.own.rules.extend(body.map(|exprs| own_rule(&chain, exprs)));
        self.own.chains.push(Chain { name: chain.clone(), base: None });
        let mut bases = match hook {
            // Before NAT, for the address that the program meant.
            Hook::Egress => vec![("meant", Base::Output(-101))],
            Hook::Ingress => vec![("received", Base::Input(0))],
        };
        if draft.natted && hook == Hook::Egress {
            bases.push(("sent", Base::Output(0)));
        }
        if draft.sender.is_none() {
            let name = match hook {
                Hook::Egress => "forwarded",
                Hook::Ingress => "forwarded_back",
            };
            bases.push((name, Base::Forward(0)));
        }
        let entries = match (hook, draft.sender) {
            (Hook::Ingress, Some(sender)) => self.known_flows(sender),
            (Hook::Egress, Some(_)) | (Hook::Egress | Hook::Ingress, None) => {
                let sender = draft.sender.map(Sender::expr);
                let entry = |set: &Set| sender.iter().cloned().chain([member(hook, set)]).collect::<Vec<_>>();
                self.targets.iter().map(entry).collect()
            }
        };
        // Interfaces are hooked for other kinds; here loopback has to be left out where it is not among them.
        let on_loopback = draft.interfaces.iter().any(|name| name == LOOPBACK);
        let off_loopback = (!on_loopback).then(|| Expr::InterfaceIsNot(hook, vec![LOOPBACK.to_owned()]));
        let aside = draft.aside(hook);
        for (name, base) in bases {
            for entry in &entries {
                let only = draft.only_interface(hook).chain(off_loopback.clone()).chain(aside.clone());
                let exprs = only.chain(entry.iter().cloned()).chain([Expr::Jump(chain.clone())]).collect();
                self.own.rules.push(own_rule(name, exprs));
            }
            self.own.chains.push(Chain { name: name.to_owned(), base: Some(base) });
        }
    }

    /// What comes in for some processes only, known by what they have sent: in the fault's own table, since sets are not
    /// shared between two.
    fn known_flows(&mut self, sender: &Sender) -> Vec<Vec<Expr>> {
        let mark = self.draft.mark();
        let teach = "teach";
        self.own.chains.push(Chain { name: teach.to_owned(), base: Some(Base::Output(-101)) });
        for set in &self.targets {
            if let Some(family) = set.shape.family() {
                let learn = Expr::Learn(family, sets::flows(&mark, family).name);
                self.own.rules.push(own_rule(teach, vec![sender.expr(), member(Hook::Egress, set), learn]));
            }
        }
        let live = sets::live(&mark);
        let families = self.families().collect::<Vec<_>>();
        let known = |family: &Family| {
            let flows = sets::flows(&mark, *family);
            vec![member(Hook::Ingress, &live), member(Hook::Ingress, &flows)]
        };
        let entries = families.iter().map(known).collect();
        self.own.sets.extend(families.iter().map(|family| sets::flows(&mark, *family)));
        self.own.sets.push(live);
        entries
    }

    /// Turns questions to the name servers to the ports that stand in for them, without connection tracking: there and
    /// back are rewritten packet by packet, so nothing remembers it when the fault is over.
    pub fn ask(&mut self) {
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
                elements: vec![Element::Host(server.ip())],
            };
            for protocol in [Protocol::Udp, Protocol::Tcp] {
                let own = [Expr::MarkIsNot(STAND_IN_MARK)].into_iter();
                let own = own.chain(draft.aside(Hook::Egress)).chain(draft.sender.map(Sender::expr));
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

    pub fn steering(mut self) -> Steering {
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
            order: draft.order,
            timeout: draft.timeout.map(|timeout| timeout.max(super::SHORTEST)),
        }
    }
}

fn member(hook: Hook, set: &Set) -> Expr {
    Expr::Member(hook, set.shape, set.name.clone())
}

fn own_rule(chain: &str, exprs: Vec<Expr>) -> Rule {
    Rule { chain: chain.to_owned(), spot: Spot::Last, exprs, comment: None }
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
