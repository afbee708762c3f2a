//! The kernel against the model: what is missing, what is too much, what is otherwise.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use partition_agent_proto::Kind;

use crate::model::{Fault, Faults, Is, Room};
use crate::observe::{Element, Rule, Seen, Table};
use crate::region::{Block, difference};
use crate::routing::interfaces;
use crate::rules::{guard, loss, reject, shape};

/// Something that is not as it must be.
#[derive(Debug, Clone)]
pub struct Wrong {
    /// It must never be so, not even for a moment; else it may be about to be put right.
    pub never: bool,
    pub what: String,
}

fn never(what: String) -> Wrong {
    Wrong { never: true, what }
}

fn yet(what: String) -> Wrong {
    Wrong { never: false, what }
}

const SHARED: &str = "partition_agent";

/// All that carries the number of one fault.
#[derive(Debug, Default)]
pub struct Part<'a> {
    /// In the shared table, by what comes after the number.
    pub sets: BTreeMap<&'a str, &'a Vec<Element>>,
    pub chains: BTreeSet<&'a str>,
    pub rules: Vec<&'a Rule>,
    pub own: Option<&'a Table>,
    pub back: Option<&'a Table>,
    pub links: BTreeMap<&'a str, &'a String>,
}

impl<'a> Part<'a> {
    /// Sets of elements that time out, with the fault's targets, wherever they are.
    fn targets(&self) -> impl Iterator<Item = (&'a str, &'a Vec<Element>)> {
        let named = self.sets.iter().map(|(name, elements)| (*name, *elements));
        let own =
            self.own.iter().flat_map(|own| own.sets.iter().map(|(name, elements)| (bare(name), elements)));
        let timed = ["host", "net", "svc", "local", "server"];
        named.chain(own).filter(move |(name, _)| timed.iter().any(|timed| name.starts_with(timed)))
    }

    /// Or what says that it is on, for packets that are known by their flow.
    fn has_targets(&self) -> bool {
        let live = self.sets.get("live").into_iter().any(|elements| !elements.is_empty());
        live || self.targets().any(|(_, elements)| !elements.is_empty())
    }

    fn is_empty(&self) -> bool {
        self.sets.is_empty()
            && self.chains.is_empty()
            && self.rules.is_empty()
            && self.own.is_none()
            && self.back.is_none()
    }
}

/// `f12_host4` is `host4`.
pub fn bare(name: &str) -> &str {
    match numbered(name) {
        Some((_, rest)) => rest,
        None => name,
    }
}

/// The number in `f12_host4`, and what comes after it.
pub fn numbered(name: &str) -> Option<(u32, &str)> {
    let (digits, rest) =
        name.strip_prefix('f')?.split_once(['_', '-']).or_else(|| Some((name.strip_prefix('f')?, "")))?;
    Some((digits.parse().ok()?, rest))
}

fn parts(seen: &Seen) -> BTreeMap<u32, Part<'_>> {
    let mut parts = BTreeMap::<u32, Part<'_>>::new();
    for (name, table) in &seen.tables {
        if name == SHARED {
            for (set, elements) in &table.sets {
                if let Some((slot, rest)) = numbered(set) {
                    parts.entry(slot).or_default().sets.insert(rest, elements);
                }
            }
            for chain in table.chains.keys() {
                if let Some((slot, rest)) = numbered(chain) {
                    parts.entry(slot).or_default().chains.insert(rest);
                }
            }
            for rule in &table.rules {
                if let Some((slot, _)) = numbered(&rule.comment) {
                    parts.entry(slot).or_default().rules.push(rule);
                }
            }
        } else if let Some((slot, rest)) = name.strip_prefix("partition_agent_").and_then(numbered) {
            let part = parts.entry(slot).or_default();
            if rest == "back" { part.back = Some(table) } else { part.own = Some(table) }
        }
    }
    for (name, qdisc) in &seen.links {
        if let Some((slot, rest)) = name.strip_prefix("pa-").and_then(numbered) {
            parts.entry(slot).or_default().links.insert(rest, qdisc);
        }
    }
    parts
}

/// What is being judged.
pub struct Judge<'a> {
    pub room: Room,
    pub seen: &'a Seen,
    /// The kernel's own lateness, and that of reading its clock.
    pub late: Duration,
    /// The agent stands still: only what the kernel does by itself is asked for.
    pub stopped: bool,
}

impl Judge<'_> {
    /// Of one namespace. Notes in the faults which number they have there, and when flaps are on.
    pub fn judge(&self, faults: &mut Faults) -> Vec<Wrong> {
        let mut wrong = Vec::new();
        let mut parts = parts(self.seen);
        let mut hooks = BTreeSet::new();
        let mut may_hook = BTreeSet::new();
        let (known, unknown) = faults
            .values_mut()
            .filter(|fault| fault.room == self.room)
            .partition::<Vec<_>, _>(|fault| fault.slot.is_some());
        // Those that have a number first: what is left over is of those that have none.
        for fault in known.into_iter().chain(unknown) {
            let slot = fault.slot.or_else(|| self.find(fault, &parts));
            let part = slot.and_then(|slot| parts.remove(&slot));
            match (part, fault.is_there(self.seen.at)) {
                (Some(part), is_there) => {
                    fault.slot = slot;
                    wrong.extend(self.judge_part(fault, &part, is_there));
                }
                (None, Is::So) if !self.stopped => {
                    let others = parts.iter().map(|(slot, part)| (slot, self.differences(fault, part)));
                    let others = others.collect::<BTreeMap<_, _>>();
                    let what = format!("{}: nothing of it is in {:?}, only {others:?}", fault.id, self.room);
                    wrong.push(if fault.was_on && fault.is_on(self.seen.at, self.late) == Is::So {
                        never(what)
                    } else {
                        yet(what)
                    });
                }
                (None, Is::So | Is::Not | Is::Either) => {}
            }
            let (on, left) = self.hooks(fault);
            if fault.is_there(self.seen.at) == Is::So {
                hooks.extend(on.clone())
            }
            may_hook.extend(on.into_iter().chain(left));
        }
        for (slot, part) in parts {
            let what = format!(
                "f{slot} is in {:?} and nobody's: {:?}{:?}",
                self.room,
                part.chains,
                part.links.keys()
            );
            if !self.stopped {
                wrong.push(yet(what));
            }
        }
        if !self.stopped {
            wrong.extend(self.judge_hooks(&hooks, &may_hook));
        }
        wrong.extend(guard(self.seen).into_iter().map(never));
        wrong
    }

    /// Which of those that are nobody's is this fault's: what hits the same packets in the same way.
    fn find(&self, fault: &Fault, parts: &BTreeMap<u32, Part<'_>>) -> Option<u32> {
        let fits = |part: &&Part<'_>| !part.is_empty() && self.differences(fault, part).is_empty();
        parts.iter().find(|(_, part)| fits(part)).map(|(slot, _)| *slot)
    }

    /// What keeps a part from being this fault's.
    fn differences(&self, fault: &Fault, part: &Part<'_>) -> Vec<String> {
        let wrong = self.judge_part(&mut fault.clone(), part, Is::Either);
        let wrong = wrong.into_iter().filter(|wrong| wrong.never).map(|wrong| wrong.what);
        let built = part.own.is_some() == self.has_own(fault) && part.chains.is_empty() != fault.steers();
        wrong.chain((!built).then(|| "other chains".to_owned())).collect()
    }

    fn judge_part(&self, fault: &mut Fault, part: &Part<'_>, is_there: Is) -> Vec<Wrong> {
        let mut wrong = Vec::new();
        let id = fault.id.clone();
        let on = fault.is_on(self.seen.at, self.late);
        match (part.has_targets(), on) {
            (true, Is::Not) => {
                wrong.push(never(format!("{id}: it is over, or off, and its targets are in the kernel")))
            }
            (false, Is::So) if fault.was_on => {
                wrong.push(never(format!("{id}: its targets are gone before its time")))
            }
            (false, Is::So) => wrong.push(yet(format!("{id}: its targets are not in the kernel"))),
            (true, Is::So | Is::Either) => fault.was_on = true,
            (false, Is::Not | Is::Either) => {}
        }
        if part.has_targets() {
            wrong.extend(self.judge_elements(fault, part));
        }
        if self.stopped {
            return wrong;
        }
        if part.has_targets() {
            fault.note_flap(self.seen.at);
        }
        match is_there {
            Is::Either => {}
            Is::So => wrong
                .extend(self.judge_rules(fault, part).into_iter().map(|what| yet(format!("{id}: {what}")))),
            Is::Not => {
                if !part.sets.is_empty()
                    || !part.chains.is_empty()
                    || !part.rules.is_empty()
                    || part.own.is_some()
                {
                    wrong.push(yet(format!("{id}: it is over, and rules of it are there")));
                }
                let drained = fault.end().map(|ended| ended.latest + fault.drains());
                if drained.is_none_or(|drained| drained < self.seen.at.earliest)
                    && (part.back.is_some() || !part.links.is_empty())
                {
                    wrong.push(yet(format!("{id}: it has drained, and {:?} are there", part.links.keys())));
                }
            }
        }
        wrong
    }

    fn has_own(&self, fault: &Fault) -> bool {
        fault.is_reject() || fault.is_dns() || fault.is_of_user()
    }

    /// Which packets, and for how long.
    fn judge_elements(&self, fault: &Fault, part: &Part<'_>) -> Vec<Wrong> {
        let mut wrong = Vec::new();
        let elements = part.targets().flat_map(|(_, elements)| elements).collect::<Vec<_>>();
        let found = elements.iter().map(|element| Block::element(&element.text)).collect::<Option<Vec<_>>>();
        let expected = fault.targets();
        // A list that is written while they time out has some of them.
        let is_ending = fault.slot.is_some() && fault.is_on(self.seen.at, self.late) == Is::Either;
        match found.map(|found| difference(&expected, &found).filter(|_| !is_ending)) {
            None => wrong.push(never(format!("{}: elements that cannot be read: {elements:?}", fault.id))),
            Some(Some(packet)) => {
                wrong.push(never(format!("{}: its sets differ from its target in {packet}", fault.id)))
            }
            Some(None) => {}
        }
        let Some((least, most)) = fault.left(self.seen.at, self.late) else { return wrong };
        for element in elements {
            match element.expires {
                Some(expires) if (least..=most).contains(&expires) => {}
                other => wrong.push(never(format!(
                    "{}: {} is kept for {other:?}, and {least:?} to {most:?} are left",
                    fault.id, element.text
                ))),
            }
        }
        wrong
    }

    /// Base chains: where any fault needs one, and nowhere else.
    fn judge_hooks(&self, hooks: &BTreeSet<String>, may: &BTreeSet<String>) -> Vec<Wrong> {
        let found = self.seen.tables.get(SHARED).map(|table| {
            let based = table.chains.iter().filter(|(_, hooked)| **hooked);
            based.map(|(name, _)| name.clone()).collect::<BTreeSet<_>>()
        });
        let mut wrong = Vec::new();
        if found.is_some() && may.is_empty() {
            wrong.push(yet(format!("there is a table in {:?} without a fault", self.room)));
        }
        let found = found.unwrap_or_default();
        let missing = hooks.difference(&found).collect::<Vec<_>>();
        let more = found.difference(may).collect::<Vec<_>>();
        if !missing.is_empty() || !more.is_empty() {
            wrong.push(yet(format!("hooks in {:?}: {missing:?} are missing, {more:?} too many", self.room)));
        }
        wrong
    }

    /// The base chains that a fault needs, and those that it may have kept: with nothing that leads to its target it stays as
    /// it is.
    fn hooks(&self, fault: &Fault) -> (Vec<String>, Vec<String>) {
        if !fault.steers() {
            return (Vec::new(), Vec::new());
        }
        let mut directions = fault.directions();
        if fault.is_of_user() && !directions.iter().any(|(way, _)| *way == "egress") {
            // What comes in for a user is known by what has gone out.
            directions.push(("egress", "e"));
        }
        let each = |names: &BTreeSet<String>| {
            let of = |(way, _): &(&str, &str)| {
                names.iter().map(|name| format!("{way}_{name}")).collect::<Vec<_>>()
            };
            directions.iter().flat_map(of).collect::<Vec<_>>()
        };
        match interfaces(&fault.spec, &fault.nets(), self.seen) {
            Some(on) => (each(&on), Vec::new()),
            None => (Vec::new(), each(&["to-redis", "to-db", "to-extra", "eth0"].map(str::to_owned).into())),
        }
    }

    /// Everything but the targets.
    fn judge_rules(&self, fault: &Fault, part: &Part<'_>) -> Vec<String> {
        let mut wrong = Vec::new();
        let on = interfaces(&fault.spec, &fault.nets(), self.seen);
        if fault.steers() {
            for (way, letter) in fault.directions() {
                if let Some(millionths) = fault.loses() {
                    wrong.extend(loss(fault, part, way, millionths, on.as_ref(), self.seen.at));
                }
                if fault.shapes() {
                    wrong.extend(shape(part, (way, letter), on.as_ref()));
                }
            }
        }
        let direct = fault.directions().iter().map(|(_, letter)| *letter).collect::<Vec<_>>();
        for link in part.links.keys() {
            if !direct.iter().any(|letter| link.starts_with(letter)) {
                wrong.push(format!("a link {link} that it does not need"));
            }
        }
        if part.own.is_some() != self.has_own(fault) {
            wrong.push(format!(
                "a table of its own is {}",
                if part.own.is_some() { "too much" } else { "missing" }
            ));
        }
        match fault.kind() {
            Kind::Reject { with } => wrong.extend(part.own.and_then(|own| reject(fault, own, *with))),
            Kind::Dns { .. } => {
                let rules = part.own.map_or(0, |own| own.rules.len());
                if rules != 2 || part.back.is_none_or(|back| back.rules.len() != 2) {
                    wrong.push("questions are not led there and back".to_owned());
                }
            }
            _ if fault.is_of_user() => {
                let marked =
                    part.own.is_some_and(|own| own.rules.iter().any(|rule| rule.text.contains("meta skuid")));
                if !marked {
                    wrong.push("nobody marks the packets of its user".to_owned());
                }
            }
            _ => {}
        }
        let spared = part.sets.iter().map(|(name, elements)| (*name, *elements));
        let own =
            part.own.iter().flat_map(|own| own.sets.iter().map(|(name, elements)| (bare(name), elements)));
        let spared = spared.chain(own).filter(|(name, _)| name.starts_with("except"));
        let spared = spared
            .flat_map(|(_, elements)| elements.iter().filter_map(|element| Block::element(&element.text)));
        if let Some(packet) = difference(&fault.except(), &spared.collect::<Vec<_>>()) {
            wrong.push(format!("its exceptions differ in {packet}"));
        }
        wrong
    }
}
