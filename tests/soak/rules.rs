//! The rules of one fault: those that lead to its end, and that end, as `nft` prints them.

use std::collections::BTreeSet;

use partition_agent_proto::RejectWith;

use crate::clock::Window;
use crate::judge::{Part, bare, numbered};
use crate::model::Fault;
use crate::observe::{Rule, Seen, Table};
use crate::region::{Block, difference};
use crate::soak::PROTECTED_NET;

impl Fault {
    /// Whether packets are caught on interfaces for it.
    pub fn steers(&self) -> bool {
        !self.is_reject() && !self.is_dns()
    }

    /// How chains call them, and links.
    pub fn directions(&self) -> Vec<(&'static str, &'static str)> {
        let direction = self.spec.direction;
        let both = [(direction.has_egress(), ("egress", "e")), (direction.has_ingress(), ("ingress", "i"))];
        both.into_iter().filter(|(has, _)| *has).map(|(_, names)| names).collect()
    }
}

/// The rules of one chain of a fault.
fn chain<'a>(part: &'a Part<'_>, name: &str) -> Vec<&'a Rule> {
    part.rules
        .iter()
        .copied()
        .filter(|rule| bare(&rule.chain) == name && numbered(&rule.chain).is_some())
        .collect()
}

/// The rules that lead into a chain.
fn leading<'a>(part: &'a Part<'_>, into: &str) -> Vec<&'a Rule> {
    let leads = |rule: &&Rule| after(&rule.text, "jump").is_some_and(|target| bare(target) == into);
    part.rules.iter().copied().filter(leads).collect()
}

/// The word after this one.
fn after<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let mut words = text.split_whitespace();
    words.find(|found| *found == word)?;
    words.next().map(|next| next.trim_matches('"'))
}

/// The interfaces that a chain of the fault says it is on.
fn named(rules: &[&Rule]) -> BTreeSet<String> {
    let elsewhere = rules.iter().filter(|rule| rule.text.ends_with(" return"));
    let words = elsewhere.flat_map(|rule| rule.text.split("ifname != ").skip(1));
    words.filter_map(|name| name.split('"').nth(1).map(str::to_owned)).collect()
}

fn entries(fault: &Fault, part: &Part<'_>, into: &str) -> Option<String> {
    let sets = part
        .sets
        .keys()
        .filter(|name| ["host", "net", "svc", "local"].iter().any(|role| name.starts_with(role)));
    let sets = sets.count();
    let leading = leading(part, into).len();
    let expected = if fault.is_of_user() { leading.max(1) } else { sets };
    (leading != expected).then(|| format!("{leading} rules lead into {into}, not {expected}"))
}

pub fn loss(
    fault: &Fault,
    part: &Part<'_>,
    way: &str,
    millionths: u32,
    on: Option<&BTreeSet<String>>,
    at: Window,
) -> Vec<String> {
    let name = format!("{way}_loss");
    let rules = chain(part, &name);
    let mut wrong = entries(fault, part, &name).into_iter().collect::<Vec<_>>();
    let Some(end) = rules.last() else { return vec![format!("no chain {name}")] };
    let gone = if way == "egress" { " fwd to 0" } else { " drop" };
    let random = end.text.starts_with(&format!("numgen random mod 1000000 < {millionths} "));
    let certain = !end.text.contains("numgen");
    let share = !fault.is_grown(at) || if millionths == 1_000_000 { certain } else { random };
    if !end.text.ends_with(gone) || !share {
        wrong.push(format!("{name} ends with {}", end.text));
    }
    if on.is_some_and(|on| named(&rules) != *on) {
        wrong.push(format!("{name} is on {:?}, not {on:?}", named(&rules)));
    }
    wrong
}

pub fn shape(part: &Part<'_>, (way, letter): (&str, &str), on: Option<&BTreeSet<String>>) -> Vec<String> {
    let name = format!("{way}_shape");
    let rules = chain(part, &name);
    let mut wrong = Vec::new();
    let into = rules.iter().filter_map(|rule| {
        let to = after(&rule.text, "to")?;
        let of = rule.text.split_once("ifname \"").and_then(|(_, rest)| rest.split('"').next());
        Some((of, to.strip_prefix("pa-").map_or(to, bare)))
    });
    let into = into.collect::<Vec<_>>();
    let links = part.links.iter().filter(|(link, _)| link.starts_with(letter)).collect::<Vec<_>>();
    if leading(part, &name).is_empty() || into.is_empty() {
        wrong.push(format!("nothing is led into {name}"));
    }
    for (_, to) in &into {
        if !part.links.contains_key(to) {
            wrong.push(format!("{name} leads into {to}, which is not there"));
        }
    }
    if links.len() != into.len() {
        wrong.push(format!("{name} leads into {into:?}, and there are {links:?}"));
    }
    match links.as_slice() {
        // netem: one for all interfaces, and the latency as asked.
        [(_, qdisc)] if qdisc.starts_with("netem") => {
            if !qdisc.contains("\"delay\":0.005") {
                wrong.push(format!("{name}: {qdisc}"));
            }
        }
        _ => {
            let of = into.iter().filter_map(|(of, _)| of.map(str::to_owned)).collect::<BTreeSet<_>>();
            if on.is_some_and(|on| of != *on) {
                wrong.push(format!("{name} is for {of:?}, not {on:?}"));
            }
        }
    }
    if on.is_some_and(|on| named(&rules) != *on) {
        wrong.push(format!("{name} is on {:?}, not {on:?}", named(&rules)));
    }
    wrong
}

/// Wherever packets can be hit, those of the protected network have passed before.
pub fn guard(seen: &Seen) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, table) in &seen.tables {
        for chain in ["egress", "ingress", "egress_reject", "ingress_reject"] {
            if !table.chains.contains_key(chain) {
                continue;
            }
            let spares = |rule: &Rule| {
                rule.chain == chain && goes_on(&rule.text) && rule.text.contains(" @guard_net4 ")
            };
            let elements = table.sets.get("guard_net4").into_iter().flatten();
            let nets = elements.filter_map(|element| Block::element(&element.text)).collect::<Vec<_>>();
            let differs = difference(&[Block::net(PROTECTED_NET)], &nets);
            if !table.rules.iter().any(spares) || differs.is_some() {
                wrong.push(format!("{chain} of {name} does not spare {PROTECTED_NET}: {nets:?}"));
            }
        }
    }
    wrong
}

/// Whether a packet that a rule is for goes on its way.
fn goes_on(rule: &str) -> bool {
    rule.ends_with(" accept") || rule.ends_with(" return")
}

pub fn reject(fault: &Fault, own: &Table, with: RejectWith) -> Option<String> {
    let words = match with {
        RejectWith::TcpReset => "reject with tcp reset",
        RejectWith::PortUnreachable => "reject",
        RejectWith::HostUnreachable => "host-unreachable",
        RejectWith::AdminProhibited => "admin-prohibited",
    };
    for (way, base) in [("egress", "meant"), ("ingress", "received")] {
        let expected = fault.directions().iter().any(|(own, _)| *own == way);
        let name = format!("{way}_reject");
        let rejects = own.rules.iter().any(|rule| rule.chain == name && rule.text.contains(words));
        let hooked = own.chains.get(base).copied().unwrap_or_default();
        if rejects != expected || hooked != expected {
            return Some(format!("{name} rejects: {rejects}, hooked: {hooked}"));
        }
    }
    None
}
