//! From one ruleset of a fault to another with as little as possible in between: rules that lead to the fault keep their
//! place among those of other faults, and counters their count, wherever what they belong to stays.

use std::time::Duration;

use super::Bindings;
use super::dispatch::Dispatch;
use super::message::{self, Act, In};
use crate::kernel::Refusal;
use crate::plan::{Rule, Ruleset, Steering};

/// A ruleset and the timeout of its timed elements; none while it is off.
pub type Timed<'a> = (&'a Ruleset, Option<Duration>);

/// Whether the fault is on somebody else now, in whichever of its tables that shows.
pub fn is_retargeted(old: &Steering, new: &Steering) -> bool {
    let targets = |steering: &Steering| {
        let own = steering.own.iter().flat_map(|own| &own.ruleset.sets);
        steering.ruleset.sets.iter().chain(own).filter(|set| set.timed).cloned().collect::<Vec<_>>()
    };
    targets(old) != targets(new)
}

/// The part of the transaction that is in one table, and whether counters begin anew. The dispatch rules are only asked for
/// where they change.
pub fn acts(
    at: In,
    retargeted: bool,
    (before, old): Timed,
    (after, new): Timed,
    bindings: &Bindings,
    dispatch: impl FnOnce() -> Result<Dispatch, Refusal>,
) -> Result<(Vec<Act>, bool), Refusal> {
    let mut anew = false;
    let is_in = |ruleset: &Ruleset, name: &String| ruleset.sets.iter().any(|set| set.name == *name);
    let added = Ruleset {
        sets: after.sets.iter().filter(|set| !is_in(before, &set.name)).cloned().collect(),
        chains: after.chains.iter().filter(|chain| !before.chains.contains(chain)).cloned().collect(),
        rules: Vec::new(),
    };
    let mut acts = message::add(at, &added, new, bindings);
    for chain in &after.chains {
        let rules = |ruleset: &Ruleset| {
            ruleset.rules.iter().filter(|rule| rule.chain == chain.name).cloned().collect::<Vec<_>>()
        };
        let (was, is) = (rules(before), rules(after));
        if was != is {
            anew = true;
            acts.push(message::flush_chain(at, &chain.name));
            let rules = Ruleset { rules: is, ..Ruleset::default() };
            acts.extend(message::add(at, &rules, new, bindings));
        }
    }
    if outside(before) != outside(after) {
        let there = dispatch()?;
        for rule in outside(after) {
            acts.push(message::add_rule(at, rule, there.position(rule), bindings));
        }
        acts.extend(there.own.iter().map(|(chain, handle)| message::delete_rule(at, chain, *handle)));
    }
    let gone = before.chains.iter().filter(|chain| !after.chains.contains(chain));
    acts.extend(gone.map(|chain| message::delete_chain(at, &chain.name)));
    for set in &before.sets {
        let Some(other) = after.sets.iter().find(|other| other.name == set.name) else {
            acts.push(message::delete_set(at, &set.name));
            continue;
        };
        // What packets to the earlier targets have taught must not be hit any longer.
        let unlearn = set.shape.learned() && retargeted;
        let refill = other.elements != set.elements || (set.timed && old != new);
        if unlearn || refill {
            acts.push(message::flush_set(at, &set.name));
        }
        if refill && (new.is_some() || !set.timed) {
            acts.extend(message::elements(at, other, new, true));
        }
    }
    Ok((acts, anew))
}

/// The rules that lead to the fault's chains from those of all.
fn outside(ruleset: &Ruleset) -> Vec<&Rule> {
    let own = |rule: &&Rule| ruleset.chains.iter().any(|chain| chain.name == rule.chain);
    ruleset.rules.iter().filter(|rule| !own(rule)).collect()
}
