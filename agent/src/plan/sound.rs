//! What holds for every plan, whatever was asked for; checked by the property tests and by the fuzzer.

use super::{Element, Expr, Plan, Range, Rule, Ruleset, Shape, mark};

/// What is wrong with it.
///
/// # Errors
/// The first rule that is broken, and by what.
pub fn check(plan: &Plan) -> Result<(), String> {
    let Some(steering) = plan.steering() else { return Ok(()) };
    let none = Ruleset::default();
    let own = steering.own.as_ref().map_or(&none, |own| &own.ruleset);
    for ruleset in [&steering.ruleset, own] {
        for rule in entries(ruleset) {
            let marked =
                rule.exprs.iter().any(|expr| matches!(expr, Expr::MarkHas(bit) if plan.bit == Some(*bit)));
            demand(marked || looks_in_a_timed_set(ruleset, rule), || format!("{rule} leads in for ever"))?;
        }
        for rule in &ruleset.rules {
            let marks = rule.exprs.iter().any(|expr| matches!(expr, Expr::MarkAdd(_)));
            demand(!marks || looks_in_a_timed_set(ruleset, rule), || format!("{rule} marks for ever"))?;
        }
        targets_apart(ruleset)?;
    }
    // What ends a fault never ends an exception.
    for set in steering.ruleset.sets.iter().chain(&own.sets) {
        let spares = ["except", "keep", "guard"].iter().any(|word| set.name.contains(word));
        demand(set.timed == (!spares && !set.shape.learned()), || {
            format!("{} is timed: {}", set.name, set.timed)
        })?;
    }
    // The rules of the shared table are found again by their comments, and no other fault has a chain of that name.
    let ours = mark(plan.slot);
    for rule in &steering.ruleset.rules {
        demand(rule.comment.as_ref() == Some(&ours), || format!("{rule} is not marked {ours}"))?;
    }
    for chain in &steering.ruleset.chains {
        demand(chain.name.starts_with(&format!("{ours}_")), || format!("{} is not of {ours}", chain.name))?;
    }
    for (link, _) in plan.queues() {
        demand(link.len() <= 15, || format!("{link} is too long for a link"))?;
    }
    Ok(())
}

fn demand(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

fn looks_in_a_timed_set(ruleset: &Ruleset, rule: &Rule) -> bool {
    rule.exprs.iter().any(|expr| match expr {
        Expr::Member(_, _, name) => ruleset.sets.iter().any(|set| set.timed && set.name == *name),
        _ => false,
    })
}

/// Rules that lead to a chain of the fault from one that is not.
fn entries(ruleset: &Ruleset) -> impl Iterator<Item = &Rule> {
    let reached =
        |name: &String| ruleset.chains.iter().any(|chain| chain.base.is_none() && chain.name == *name);
    let jumps = move |rule: &&Rule| matches!(rule.exprs.last(), Some(Expr::Jump(chain)) if reached(chain));
    ruleset.rules.iter().filter(move |rule| !reached(&rule.chain)).filter(jumps)
}

/// The kernel refuses elements that overlap.
fn targets_apart(ruleset: &Ruleset) -> Result<(), String> {
    let targets = ruleset.sets.iter().filter(|set| set.timed && set.shape != Shape::Ethertype);
    let elements = targets.flat_map(|set| &set.elements).collect::<Vec<_>>();
    for (nth, one) in elements.iter().enumerate() {
        for other in elements.iter().skip(nth + 1) {
            demand(!overlap(one, other), || format!("{one} and {other} overlap"))?;
        }
    }
    Ok(())
}

/// As the addresses, protocols and ports that they hold.
fn overlap(one: &Element, other: &Element) -> bool {
    let parts = |element: &Element| match *element {
        Element::Host(address) => Some((Range { first: address, last: address }, None)),
        Element::Net(range) => Some((range, None)),
        Element::Service { range, protocol, ports } => Some((range, Some((protocol, ports)))),
        // These are no targets, and have no place among them.
        Element::Connection { .. } | Element::LocalPort { .. } | Element::Ethertype(_) => None,
    };
    let (Some((one, on)), Some((other, at))) = (parts(one), parts(other)) else { return true };
    let ports = match (on, at) {
        (Some((protocol, ports)), Some((its, at))) => {
            protocol == its && ports.first() <= at.last() && at.first() <= ports.last()
        }
        (Some(_) | None, _) => true,
    };
    one.first <= other.last && other.first <= one.last && ports
}
