//! nftables in small: the tables of several faults, and packets that are walked through them rule by rule.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use partition_agent_proto::Protocol;

use super::packet::{End, Far, Fate, Origin, Packet};
use crate::plan::{
    Base, Element, Expr, Guard, Hook, Plan, RETURNED_FROM, RETURNED_MARK, Rule, Ruleset, Set, Shape, Spot,
    mark,
};

/// One flow as a learned set has it: the far end, the protocol, the port of this end.
type Flow = (IpAddr, Protocol, u16, u16);

/// By table and set: those of two tables may have one name.
type Learned = BTreeMap<(u32, String), BTreeSet<Flow>>;

/// A table: its sets with the faults that they belong to, its rules by chain, its base chains in order of registration.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    sets: BTreeMap<String, (u32, Set)>,
    rules: BTreeMap<String, Vec<Rule>>,
    bases: Vec<(Base, String)>,
}

impl Table {
    fn add(&mut self, slot: u32, ruleset: &Ruleset) {
        for chain in &ruleset.chains {
            self.rules.entry(chain.name.clone()).or_default();
            self.bases.extend(chain.base.clone().map(|base| (base, chain.name.clone())));
        }
        for set in &ruleset.sets {
            let there = self.sets.insert(set.name.clone(), (slot, set.clone()));
            assert_eq!(there, None, "a set of this name is there");
        }
        for rule in &ruleset.rules {
            let chain = self.rules.get_mut(&rule.chain).expect("a rule's chain is there");
            match rule.spot {
                // Every fault comes after those that are older.
                Spot::First | Spot::ByAge => chain.insert(0, rule.clone()),
                Spot::Last => chain.push(rule.clone()),
            }
        }
    }

    /// As the agent does it: the rules that lead to the fault are found by their comments.
    fn remove(&mut self, slot: u32, ruleset: &Ruleset) {
        let comment = Some(mark(slot));
        self.rules.values_mut().for_each(|rules| rules.retain(|rule| rule.comment != comment));
        for chain in &ruleset.chains {
            assert_eq!(self.rules.remove(&chain.name), Some(Vec::new()), "{} has other rules", chain.name);
        }
        for set in &ruleset.sets {
            assert!(self.sets.remove(&set.name).is_some());
        }
    }
}

/// The shared table and those of single faults, newest last.
#[derive(Debug, Clone, PartialEq)]
pub struct Kernel {
    pub shared: Table,
    own: Vec<(u32, Table)>,
    hooked: BTreeMap<u32, BTreeSet<(Hook, String)>>,
    /// Whose timed elements are there.
    pub on: BTreeSet<u32>,
    learned: Learned,
}

impl Kernel {
    pub fn new(guard: &Guard) -> Self {
        let mut shared = Table::default();
        shared.add(0, &guard.skeleton());
        Self {
            shared,
            own: Vec::new(),
            hooked: BTreeMap::new(),
            on: BTreeSet::new(),
            learned: BTreeMap::new(),
        }
    }

    pub fn inject(&mut self, plan: &Plan) {
        let steering = plan.steering().expect("every plan steers");
        self.shared.add(plan.slot, &steering.ruleset);
        if let Some(own) = &steering.own {
            let mut table = Table::default();
            table.add(plan.slot, &own.ruleset);
            self.own.push((plan.slot, table));
        }
        let pairs =
            steering.hooks.iter().flat_map(|hook| steering.interfaces.iter().map(|on| (*hook, on.clone())));
        self.hooked.insert(plan.slot, pairs.collect());
    }

    pub fn remove(&mut self, plan: &Plan) {
        let ruleset = &plan.steering().expect("every plan steers").ruleset;
        self.shared.remove(plan.slot, ruleset);
        self.own.retain(|(slot, _)| *slot != plan.slot);
        self.hooked.remove(&plan.slot);
        self.learned.retain(|(table, set), _| {
            *table != plan.slot && !ruleset.sets.iter().any(|gone| gone.name == *set)
        });
    }

    pub fn send(&mut self, packet: &Packet) -> Fate {
        let Self { shared, own, hooked, on, learned } = self;
        let far = if packet.hook == Hook::Egress { packet.meant } else { packet.far };
        let mark = if packet.returned && packet.hook == Hook::Egress { RETURNED_MARK } else { 0 };
        let mut walk = Walk {
            packet,
            far,
            mark,
            on,
            learned,
            thrown: Vec::new(),
            counted: false,
            jumped: BTreeSet::new(),
        };
        let is_hooked =
            hooked.values().flatten().any(|(hook, on)| *hook == packet.hook && on == packet.interface);
        let interface = |walk: &mut Walk| {
            if is_hooked { walk.chain((0, shared), packet.hook.name()) } else { None }
        };
        let end = match packet.hook {
            Hook::Egress => walk.ip_stack(own).or_else(|| interface(&mut walk)),
            Hook::Ingress => interface(&mut walk).or_else(|| walk.ip_stack(own)),
        };
        Fate { thrown: walk.thrown, end: end.unwrap_or(End::Passes) }
    }
}

/// A packet on its way.
struct Walk<'a> {
    packet: &'a Packet,
    /// NAT changes it at priority -100.
    far: Far,
    mark: u32,
    on: &'a BTreeSet<u32>,
    learned: &'a mut Learned,
    thrown: Vec<u32>,
    counted: bool,
    /// Chains of the shared table that it was in.
    jumped: BTreeSet<String>,
}

/// What a part of a rule says.
enum Says {
    Yes,
    No,
    Return,
    Into(String, bool),
    Over(Option<End>),
}

impl Walk<'_> {
    /// What the netdev hooks do not see. A packet that is forwarded passes one hook for both of its ways; which of them is
    /// looked at is what tells its chains apart.
    fn ip_stack(&mut self, own: &[(u32, Table)]) -> Option<End> {
        let out = self.packet.hook == Hook::Egress;
        if out && self.packet.returned {
            return None;
        }
        let priority = |base: &Base, chain: &str| match (base, self.packet.origin) {
            (Base::Input(priority), Origin::Local { .. }) if !out => Some((0, *priority)),
            (Base::Forward(priority), Origin::Forwarded) if !out && chain == "forwarded_back" => {
                Some((1, *priority))
            }
            _ if !out => None,
            (Base::Forward(_), Origin::Forwarded) if chain == "forwarded_back" => None,
            (Base::Output(priority), Origin::Local { .. }) => Some((0, *priority)),
            (Base::Prerouting(priority), Origin::Forwarded) => Some((0, *priority)),
            (Base::Forward(priority), Origin::Forwarded) => Some((1, *priority)),
            (
                Base::Device(..)
                | Base::Output(_)
                | Base::Input(_)
                | Base::Forward(_)
                | Base::Prerouting(_)
                | Base::Route(_),
                _,
            ) => None,
        };
        // Of equal priority the one that was registered last comes first (`nf_hook_entries_grow`).
        let bases = own
            .iter()
            .rev()
            .flat_map(|(slot, table)| table.bases.iter().rev().map(move |base| (*slot, table, base)));
        let mut bases = bases
            .filter_map(|(slot, table, (base, chain))| Some((priority(base, chain)?, slot, table, chain)))
            .collect::<Vec<_>>();
        bases.sort_by_key(|(priority, ..)| *priority);
        for ((stage, priority), slot, table, chain) in bases {
            self.far = if stage == 0 && priority < -100 { self.packet.meant } else { self.packet.far };
            if let Some(end) = self.chain((slot, table), chain) {
                return Some(end);
            }
        }
        self.far = self.packet.far;
        None
    }

    /// `None`: it goes on behind the chain.
    fn chain(&mut self, (slot, table): (u32, &Table), name: &str) -> Option<End> {
        match self.rules((slot, table), name) {
            Says::Over(end) => end,
            Says::Yes | Says::No | Says::Return | Says::Into(..) => None,
        }
    }

    fn rules(&mut self, (slot, table): (u32, &Table), name: &str) -> Says {
        for rule in table.rules.get(name).expect("a chain that is jumped to is there") {
            let of = rule
                .comment
                .as_deref()
                .and_then(|comment| comment.strip_prefix('f')?.parse().ok())
                .unwrap_or(slot);
            self.counted = false;
            for expr in &rule.exprs {
                match self.part(of, (slot, table), expr) {
                    Says::Yes => continue,
                    Says::No => break,
                    Says::Return => return Says::Return,
                    over @ Says::Over(_) => return over,
                    Says::Into(chain, comes_back) => {
                        assert!(
                            slot != 0 || self.jumped.insert(chain.clone()),
                            "{chain} twice: {:?}",
                            self.packet
                        );
                        match self.rules((slot, table), &chain) {
                            over @ Says::Over(_) => return over,
                            Says::Yes | Says::No | Says::Return | Says::Into(..) if comes_back => break,
                            Says::Yes | Says::No | Says::Return | Says::Into(..) => return Says::Return,
                        }
                    }
                }
            }
        }
        Says::Return
    }

    fn part(&mut self, slot: u32, table: (u32, &Table), expr: &Expr) -> Says {
        let packet = self.packet;
        let over = |walk: &Self, end| {
            assert!(walk.counted, "{expr} is not counted");
            Says::Over(Some(end))
        };
        let holds = match expr {
            Expr::Interface(hook, name) => {
                assert_eq!(*hook, packet.hook);
                packet.interface == name
            }
            Expr::InterfaceIsNot(hook, names) => {
                assert_eq!(*hook, packet.hook);
                !names.iter().any(|name| name == packet.interface)
            }
            Expr::Member(hook, shape, set) => self.member(table, *hook, *shape, set),
            Expr::Icmpv6(first, last) => {
                packet.protocol == Protocol::Icmp
                    && self.far.address.is_ipv6()
                    && (*first..=*last).contains(&packet.icmp_type)
            }
            Expr::Random(percent) => {
                self.thrown.push(slot);
                packet.draw(slot) < percent.millionths()
            }
            Expr::FlowBeyond(hook, family, share) => {
                assert_eq!(*hook, packet.hook);
                crate::plan::Family::of(self.far.address) == *family
                    && packet.flow_draw(self.far) >= share.millionths()
            }
            Expr::Is(protocol) => packet.protocol == *protocol,
            Expr::IsNot(protocol) => packet.protocol != *protocol,
            Expr::Syn(set) => packet.protocol == Protocol::Tcp && packet.syn == *set,
            // None of the packets here resets.
            Expr::Reset => false,
            Expr::Unreachable(family) => {
                crate::plan::Family::of(self.far.address) == *family && packet.is_refusal(self.far)
            }
            Expr::User(id) => matches!(packet.origin, Origin::Local { user, .. } if user == *id),
            Expr::Cgroup { id, .. } => matches!(packet.origin, Origin::Local { cgroup, .. } if cgroup == *id),
            Expr::MarkIs(mark) => self.mark == *mark,
            Expr::MarkIsNot(mark) => self.mark != *mark,
            Expr::MarkHas(bit) => self.mark & bit != 0,
            Expr::MarkLacks(bit) => self.mark & bit == 0,
            Expr::MarkSet(mark) => {
                self.mark = *mark;
                true
            }
            Expr::MarkAdd(bit) => {
                self.mark |= bit;
                true
            }
            Expr::MarkDrop(bit) => {
                self.mark &= !bit;
                true
            }
            Expr::EtherSource(address) => {
                assert_eq!((packet.hook, *address), (Hook::Ingress, RETURNED_FROM));
                packet.returned
            }
            Expr::Learn(family, set) => {
                // A packet of the other family breaks the rule, as one without the header would.
                let holds = crate::plan::Family::of(self.far.address) == *family;
                if holds {
                    let flow = (self.far.address, packet.protocol, self.far.port, packet.near_port);
                    self.learned.entry((table.0, set.clone())).or_default().insert(flow);
                }
                holds
            }
            Expr::Asks(..) | Expr::Answers(..) | Expr::ToStandIn(..) | Expr::FromStandIn(..) => {
                panic!("{expr} is for names, not for packets")
            }
            Expr::Counter => {
                self.counted = true;
                true
            }
            Expr::Vanish => {
                assert_eq!(packet.hook, Hook::Ingress.other());
                return over(self, End::Vanishes(slot));
            }
            Expr::Drop => {
                assert_eq!(packet.hook, Hook::Ingress);
                return over(self, End::Dropped(slot));
            }
            Expr::Reject(with) => return over(self, End::Rejected(slot, *with)),
            Expr::Forward(queue) => return over(self, End::Queued(slot, queue.clone())),
            Expr::Accept => return Says::Over(None),
            Expr::Return => return Says::Return,
            Expr::Jump(chain) => return Says::Into(chain.clone(), true),
            Expr::Goto(chain) => return Says::Into(chain.clone(), false),
        };
        if holds { Says::Yes } else { Says::No }
    }

    fn member(&self, (id, table): (u32, &Table), hook: Hook, shape: Shape, name: &str) -> bool {
        let packet = self.packet;
        let (owner, set) = table.sets.get(name).unwrap_or_else(|| panic!("no set {name}"));
        assert_eq!(set.shape, shape, "{name}");
        assert!(hook == packet.hook || shape == Shape::LocalPort, "{name} is looked in the wrong way round");
        if set.timed && !self.on.contains(owner) {
            return false;
        }
        if shape.learned() {
            let flow = (self.far.address, packet.protocol, self.far.port, packet.near_port);
            return self.learned.get(&(id, name.to_owned())).is_some_and(|flows| flows.contains(&flow));
        }
        let (far, near) = (self.far, packet.near_port);
        set.elements.iter().any(|element| match (element, shape) {
            (Element::Host(address), Shape::Host(_)) => *address == far.address,
            (Element::Net(range), Shape::Net(_)) => range.first <= far.address && far.address <= range.last,
            (Element::Service { range, protocol, ports }, Shape::Service(_, end)) => {
                let port = match end {
                    crate::plan::End::Far => far.port,
                    crate::plan::End::Near => near,
                };
                range.first <= far.address
                    && far.address <= range.last
                    && *protocol == packet.protocol
                    && (ports.first()..=ports.last()).contains(&port)
            }
            (Element::Connection { peer, peer_port, local_port }, Shape::Connection(_)) => {
                packet.protocol == Protocol::Tcp
                    && (*peer, *peer_port, *local_port) == (far.address, far.port, near)
            }
            (Element::LocalPort { protocol, port }, Shape::LocalPort) => {
                let seen = if hook == packet.hook { near } else { far.port };
                *protocol == packet.protocol && *port == seen
            }
            (Element::Ethertype(family), Shape::Ethertype) => crate::plan::Family::of(far.address) == *family,
            (element, shape) => panic!("{element} in a set of {shape}"),
        })
    }
}
