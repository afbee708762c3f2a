//! What a fan-out has come to, while it runs: a line for each host on a terminal, plain lines where somebody else reads.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::render;

/// How far a host has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    Waiting,
    Asked,
    Prepared,
    Armed,
    Started,
    Restored,
    Failed,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting => "waiting",
            Self::Asked => "answered",
            Self::Prepared => "prepared",
            Self::Armed => "armed",
            Self::Started => "started",
            Self::Restored => "restored",
            Self::Failed => "failed",
        })
    }
}

/// Whom to tell.
enum To {
    Nobody,
    /// A line for each step of each host.
    Pipe,
    /// One line that changes: how many hosts are where, and who is waited for.
    Terminal(ProgressBar),
}

pub struct Progress {
    to: To,
    steps: RefCell<BTreeMap<String, Step>>,
}

/// As many names as fit on a line.
const NAMES: usize = 6;

impl Progress {
    /// On standard error, so that the answer can be piped on.
    pub fn new(names: impl IntoIterator<Item = String>, quiet: bool) -> Self {
        let steps = names.into_iter().map(|name| (name, Step::Waiting)).collect::<BTreeMap<_, _>>();
        let to = match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => To::Nobody,
            (false, false) => To::Pipe,
            (false, true) => {
                let bar = ProgressBar::with_draw_target(
                    Some(u64::try_from(steps.len()).unwrap_or(u64::MAX)),
                    ProgressDrawTarget::stderr(),
                );
                let style = ProgressStyle::with_template("{spinner} {wide_msg}");
                To::Terminal(style.map_or(bar.clone(), |style| bar.with_style(style)))
            }
        };
        Self { to, steps: RefCell::new(steps) }
    }

    /// That nobody sees.
    pub fn nobody() -> Self {
        Self::new([], true)
    }

    /// One host is where it was not before.
    pub fn tell(&self, name: &str, step: Step) {
        let before = self.steps.borrow_mut().insert(name.to_owned(), step);
        if before == Some(step) {
            return;
        }
        match &self.to {
            // Who has answered is in the answer.
            To::Pipe if step == Step::Asked => {}
            To::Nobody => {}
            To::Pipe => render::progress(&format!("{name}: {step}")),
            To::Terminal(bar) => {
                bar.set_message(summary(&self.steps.borrow()));
                bar.tick();
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let To::Terminal(bar) = &self.to {
            bar.finish_and_clear();
        }
    }
}

/// `prepared 7, waiting 2 (db-1, db-2), failed 1 (web-3)`.
fn summary(steps: &BTreeMap<String, Step>) -> String {
    let mut at = BTreeMap::<Step, Vec<&str>>::new();
    for (name, step) in steps {
        at.entry(*step).or_default().push(name);
    }
    let line = |(step, names): (&Step, &Vec<&str>)| {
        let count = names.len();
        let named = matches!(step, Step::Waiting | Step::Failed) && count <= NAMES;
        if named { format!("{step} {count} ({})", names.join(", ")) } else { format!("{step} {count}") }
    };
    at.iter().map(line).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_names_those_that_are_waited_for() {
        let steps = [("a", Step::Prepared), ("b", Step::Waiting), ("c", Step::Failed), ("d", Step::Prepared)];
        let steps = steps.map(|(name, step)| (name.to_owned(), step)).into();
        assert_eq!(summary(&steps), "waiting 1 (b), prepared 2, failed 1 (c)");
        let many = (0..20).map(|n| (format!("h{n}"), Step::Waiting)).collect();
        assert_eq!(summary(&many), "waiting 20");
    }
}
