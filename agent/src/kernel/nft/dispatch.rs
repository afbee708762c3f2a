//! The rules that lead to the chains of one fault, and their place among those of others.

use super::message::Position;
use crate::plan::{Rule, Spot};

/// What is there of them, by chain and handle, in the order of the kernel's list.
#[derive(Debug, Clone, Default)]
pub struct Dispatch {
    /// Those of the fault itself.
    pub own: Vec<(String, u64)>,
    /// Those of faults that are older.
    pub older: Vec<(String, u64)>,
}

impl Dispatch {
    /// Where this rule goes, so that what comes in the place of another has its place.
    pub fn position(&self, rule: &Rule) -> Position {
        let mut own = in_chain(&self.own, rule);
        match rule.spot {
            Spot::First => Position::Head,
            Spot::ByAge => own
                .next()
                .or_else(|| in_chain(&self.older, rule).next())
                .map_or(Position::End, Position::Before),
            // Its first one there may be one that goes before all others.
            Spot::Last => own.last().map_or(Position::End, Position::Before),
        }
    }
}

fn in_chain<'a>(rules: &'a [(String, u64)], rule: &'a Rule) -> impl Iterator<Item = u64> + 'a {
    rules.iter().filter(|(chain, _)| *chain == rule.chain).map(|(_, handle)| *handle)
}

#[cfg(test)]
mod tests;
