//! The file of a game day: YAML, read strictly, and everything that is wrong with it at once.

mod against;
mod check;
mod conditions;
mod environment;
#[cfg(feature = "fuzz")]
pub mod fuzzing;
mod got;
mod model;
mod node;
mod outside;
mod probes;
mod raw;
mod reader;
mod rehearsal;
mod rounds;
mod schema;
mod steps;
mod timeline;
mod times;
mod values;
mod words;

use std::cell::RefCell;
use std::path::Path;

use crate::mistakes::Mistakes;
use environment::Environment;
use node::{Node, Value};

pub use against::Ground;
pub use model::*;
pub use schema::schema;
pub use times::{At, Length};

/// The game day that a file describes. `severity` goes before the file's own, and `environment` is asked for `${NAME}`.
///
/// # Errors
/// All that is wrong with it, each as `PATH:LINE: what is wrong; what to do`.
pub fn read(
    path: &Path,
    text: &str,
    severity: Option<Severity>,
    environment: Environment<'_>,
) -> Result<GameDay, Vec<String>> {
    let mut mistakes = Mistakes::new(path);
    let node = match Node::read(text) {
        Ok(node) => node,
        Err(unreadable) => {
            mistakes.add(unreadable.line, unreadable.why);
            return Err(mistakes.told());
        }
    };
    if node.value == Value::Nothing {
        mistakes.add(1, "there is nothing in it: a game day has at least a name and a timeline");
        return Err(mistakes.told());
    }
    let found = RefCell::new(mistakes);
    let raw = reader::read(&node, &found);
    let mut mistakes = found.into_inner();
    let day = raw.and_then(|raw| check::check(path, raw, severity, environment, &mut mistakes));
    match day {
        Some(day) if mistakes.is_empty() => Ok(day),
        Some(_) | None => Err(mistakes.told()),
    }
}

#[cfg(test)]
mod tests;
