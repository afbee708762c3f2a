//! Conditions: of probes that there are.

use std::collections::BTreeSet;

use partition_agent_proto::fleet::hint;

use super::got::{Got, Several};
use super::model::Condition;
use super::raw::Said;
use crate::fleet::Text;
use crate::mistakes::Mistakes;

/// The names of all probes, those with mistakes, too.
pub struct Probes(pub BTreeSet<String>);

impl Probes {
    /// All that could be read. `what` is the key that they stand at.
    pub fn all(&self, what: &str, said: Got<Several<Text<Said>>>, mistakes: &mut Mistakes) -> Vec<Condition> {
        let Some(Several(said)) = said.into_value() else { return Vec::new() };
        let mut conditions = Vec::<Condition>::new();
        for said in said {
            let Some(line) = said.line() else { continue };
            let Some(condition) = self.one(what, said, mistakes) else { continue };
            match conditions.iter().find(|other| other.probe == condition.probe) {
                Some(other) if *other == condition => {
                    mistakes.add(line, format!("{what}: `{condition}` is there twice"));
                }
                Some(other) => {
                    mistakes.add(line, format!("{what}: `{other}` and `{condition}` are never so at once"));
                }
                None => conditions.push(condition),
            }
        }
        conditions
    }

    pub fn one(&self, what: &str, said: Got<Text<Said>>, mistakes: &mut Mistakes) -> Option<Condition> {
        let (line, Text(Said(condition))) = said.there()?;
        if !self.0.contains(&condition.probe) {
            let known = || self.0.iter().cloned();
            let hint = hint(&condition.probe, known(), known());
            mistakes.add(line, format!("{what}: there is no probe `{}`; {hint}", condition.probe));
            return None;
        }
        Some(condition)
    }
}
