//! From one ruleset of a fault to another with as little as possible in between: rules that lead to the fault keep their
//! place among those of other faults, and counters their count, wherever what they belong to stays.

use super::Bindings;
use super::message::{self, Act};
use super::table::SHARED;
use crate::kernel::Refusal;
use crate::plan::{Rule, Ruleset, Steering};

/// The part of the transaction that is in the shared table, and whether counters begin anew. The dispatch rules are only
/// asked for where they change.
pub fn acts(
    old: &Steering,
    new: &Steering,
    bindings: &Bindings,
    dispatch: impl FnOnce() -> Result<Vec<(String, u64)>, Refusal>,
) -> Result<(Vec<Act>, bool), Refusal> {
    let (before, after) = (&old.ruleset, &new.ruleset);
    if outside(before) != outside(after) || before.chains != after.chains {
        let mut acts = message::remove(SHARED, before, &dispatch()?);
        acts.extend(message::add(SHARED, after, new.timeout, bindings));
        return Ok((acts, true));
    }
    let mut acts = Vec::new();
    let mut anew = false;
    let is_in = |ruleset: &Ruleset, name: &String| ruleset.sets.iter().any(|set| set.name == *name);
    let added = Ruleset {
        sets: after.sets.iter().filter(|set| !is_in(before, &set.name)).cloned().collect(),
        ..Ruleset::default()
    };
    acts.extend(message::add(SHARED, &added, new.timeout, bindings));
    for chain in &after.chains {
        let rules = |ruleset: &Ruleset| {
            ruleset.rules.iter().filter(|rule| rule.chain == chain.name).cloned().collect::<Vec<_>>()
        };
        let (was, is) = (rules(before), rules(after));
        if was != is {
            anew = true;
            acts.push(message::flush_chain(SHARED, &chain.name));
            let rules = Ruleset { rules: is, ..Ruleset::default() };
            acts.extend(message::add(SHARED, &rules, new.timeout, bindings));
        }
    }
    for set in &before.sets {
        match after.sets.iter().find(|other| other.name == set.name) {
            None => acts.push(message::delete_set(SHARED, &set.name)),
            Some(other) if other.elements != set.elements || (set.timed && old.timeout != new.timeout) => {
                acts.push(message::flush_set(SHARED, &set.name));
                if new.timeout.is_some() || !set.timed {
                    acts.extend(message::elements(SHARED, other, new.timeout, true));
                }
            }
            Some(_) => {}
        }
    }
    Ok((acts, anew))
}

/// The rules that lead to the fault's chains from those of all.
fn outside(ruleset: &Ruleset) -> Vec<&Rule> {
    let own = |rule: &&Rule| ruleset.chains.iter().any(|chain| chain.name == rule.chain);
    ruleset.rules.iter().filter(|rule| !own(rule)).collect()
}
