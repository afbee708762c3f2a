//! The steps of a timeline, each by itself.

use std::time::Duration;

use super::conditions::Probes;
use super::got::{Got, Several};
use super::model::{Action, Condition, Severity};
use super::raw::{Lasting, RawStep, is_step_name};
use super::times::Timed;
use super::values::{Least, length, some};
use super::words;
use crate::fleet::Text;
use crate::mistakes::Mistakes;

/// Of a command that `run` runs.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The keys that do something; a step has one of them, or only `expect`.
pub const ACTIONS: [&str; 8] =
    ["inject", "partition", "degrade", "restore", "run", "confirm", "observe", "matrix"];

/// What `degrade` does in this game day.
pub struct Degrade {
    pub severity: Severity,
    /// None: they have a mistake, which is told.
    pub words: Option<String>,
}

/// A step whose time is still to be found.
pub struct Draft {
    pub name: String,
    /// Of its name, or without one of the step.
    pub name_line: u64,
    pub line: u64,
    pub timed: Timed,
    pub action: Acts,
    pub expect: Vec<Condition>,
}

/// What a step does.
pub enum Acts {
    Nothing,
    /// In this line.
    Does(u64, Action),
    /// Steps by their names and their lines; none named: all.
    Restores(u64, Vec<(u64, String)>),
    /// It has a mistake, which is told.
    Broken,
}

impl Acts {
    /// The line of a fault and how long it lasts.
    pub fn fault(&self) -> Option<(u64, Duration)> {
        match self {
            Self::Does(line, Action::Inject { args, .. }) => Some((*line, args.timing.duration.duration())),
            Self::Does(line, Action::Partition { args, .. }) => {
                Some((*line, args.timing.duration.duration()))
            }
            Self::Does(
                _,
                Action::Restore(_)
                | Action::Run { .. }
                | Action::Confirm(_)
                | Action::Observe(_)
                | Action::Matrix(_),
            )
            | Self::Nothing
            | Self::Restores(..)
            | Self::Broken => None,
        }
    }
}

/// The step at this place of the timeline, 1 is the first.
pub fn draft(
    nth: usize,
    step: Got<RawStep>,
    probes: &Probes,
    degrade: &Degrade,
    mistakes: &mut Mistakes,
) -> Draft {
    let line = step.line().unwrap_or(1);
    let unnamed = format!("step {nth}");
    let Some(mut raw) = step.into_value() else {
        let timed = Timed { name: None, at: None };
        return Draft {
            name: unnamed,
            name_line: line,
            line,
            timed,
            action: Acts::Broken,
            expect: Vec::new(),
        };
    };
    let name = name(&raw.name, mistakes);
    let called = name.clone().unwrap_or(unnamed);
    let missing = format!("{called}: add `at`, when it is done: T+5m, or after another step as cut+30s");
    let at = std::mem::replace(&mut raw.at, Got::Missing).needed(line, &missing, mistakes);
    let at = at.map(|(line, Text(moment))| (line, moment.when().clone()));
    let name_line = raw.name.line().unwrap_or(line);
    let expect = std::mem::replace(&mut raw.expect, Got::Missing);
    let expects = expect.line().is_some();
    let expect = probes.all(&format!("{called}: expect"), expect, mistakes);
    let action = Stepper { called: &called, line, degrade, mistakes }.action(raw, expects);
    Draft { name: called, name_line, line, timed: Timed { name, at }, action, expect }
}

fn name(name: &Got<String>, mistakes: &mut Mistakes) -> Option<String> {
    let Got::There(line, name) = name else { return None };
    if !is_step_name(name) {
        let what = format!(
            "name: `{name}` cannot be the name of a step: use at most 32 of a-z, 0-9, `-`, `_` and `.`, and begin with a letter"
        );
        mistakes.add(*line, what);
        return None;
    }
    if name == "all" {
        mistakes.add(*line, "name: `all` are all faults: call it something else");
        return None;
    }
    let length =
        name.rsplit_once('-').map(|(step, length)| (step, length, length.parse::<Lasting>().is_ok()));
    if let Some((step, length, true)) = length {
        let what =
            format!("name: `{name}` reads as {length} before the step `{step}`: call it something else");
        mistakes.add(*line, what);
        return None;
    }
    Some(name.clone())
}

struct Stepper<'a> {
    called: &'a str,
    line: u64,
    degrade: &'a Degrade,
    mistakes: &'a mut Mistakes,
}

impl Stepper<'_> {
    fn wrong(&mut self, line: u64, what: &str) {
        self.mistakes.add(line, format!("{}: {what}", self.called));
    }

    fn action(&mut self, raw: RawStep, expects: bool) -> Acts {
        let lines = [
            raw.inject.line(),
            raw.partition.line(),
            raw.degrade.line(),
            raw.restore.line(),
            raw.run.line(),
            raw.confirm.line(),
            raw.observe.line(),
            raw.matrix.line(),
        ];
        if let (Some(line), None) = (raw.timeout.line(), raw.run.line()) {
            self.wrong(line, "timeout goes with run: leave it out");
        }
        let there = ACTIONS.into_iter().zip(lines).filter_map(|(key, line)| Some((key, line?)));
        match there.collect::<Vec<_>>().as_slice() {
            [] if expects => Acts::Nothing,
            [] => {
                self.wrong(
                    self.line,
                    &format!("it does nothing: write one of {}, or expect", ACTIONS.join(", ")),
                );
                Acts::Broken
            }
            [_] => self.only(raw).unwrap_or(Acts::Broken),
            [(one, _), (other, line), ..] => {
                self.wrong(*line, &format!("{one} and {other} are two things to do: make a step of each"));
                Acts::Broken
            }
        }
    }

    /// Of a step with one action.
    fn only(&mut self, raw: RawStep) -> Option<Acts> {
        let RawStep { inject, partition, degrade, restore, run, timeout, confirm, observe, matrix, .. } = raw;
        let (line, action) = if let Some((line, words)) = inject.there() {
            (line, self.inject(line, "inject", words)?)
        } else if let Some((line, words)) = partition.there() {
            let read = words::partition(&words);
            let (on, args) = read.map_err(|why| self.wrong(line, &format!("partition: {why}"))).ok()?;
            (line, Action::Partition { words, on, args })
        } else if let Some((line, words)) = degrade.there() {
            let kinds = self.degrade.words.as_ref()?;
            let whole = format!("{kinds} {words}");
            let key = format!("degrade ({}: {kinds})", self.degrade.severity);
            let plain = words::without_command(&words, "inject");
            plain.map_err(|why| self.wrong(line, &format!("{key}: {why}"))).ok()?;
            (line, self.inject(line, &key, whole)?)
        } else if let Some((line, steps)) = restore.there() {
            return self.restore(line, steps);
        } else if let Some((line, command)) = run.there() {
            let key = format!("{}: timeout", self.called);
            let timeout = length(&key, timeout, TIMEOUT, Least::Something, self.mistakes);
            (line, Action::Run { command: self.some(line, "run", command)?, timeout })
        } else if let Some((line, question)) = confirm.there() {
            (line, Action::Confirm(self.some(line, "confirm", question)?))
        } else if let Some((line, question)) = observe.there() {
            (line, Action::Observe(self.some(line, "observe", question)?))
        } else {
            let (line, look) = matrix.there()?;
            (line, Action::Matrix(look))
        };
        Some(Acts::Does(line, action))
    }

    fn inject(&mut self, line: u64, key: &str, words: String) -> Option<Action> {
        let read = words::inject(&words);
        let (on, args) = read.map_err(|why| self.wrong(line, &format!("{key}: {why}"))).ok()?;
        Some(Action::Inject { words, on, args })
    }

    fn restore(&mut self, line: u64, Several(steps): Several<String>) -> Option<Acts> {
        let steps = steps.into_iter().map(Got::there).collect::<Option<Vec<_>>>()?;
        if steps.is_empty() {
            self.wrong(line, "restore: an empty list: write `all`, or the names of steps");
            return None;
        }
        let all = steps.iter().any(|(_, step)| step == "all");
        if all && steps.len() > 1 {
            self.wrong(line, "restore: `all` has everything in it: leave the others out");
        }
        Some(Acts::Restores(line, if all { Vec::new() } else { steps }))
    }

    fn some(&mut self, line: u64, key: &str, text: String) -> Option<String> {
        some(&format!("{}: {key}", self.called), (line, text), self.mistakes)
    }
}
