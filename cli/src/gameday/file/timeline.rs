//! A timeline as a whole: steps that know of each other.

use std::collections::BTreeMap;
use std::time::Duration;

use partition_agent_proto::fleet::hint;

use super::conditions::Probes;
use super::got::Got;
use super::model::{Action, Step};
use super::raw::RawStep;
use super::steps::{Acts, Degrade, Draft, draft};
use super::times::{At, Length, resolve};
use crate::mistakes::Mistakes;

/// What the steps of a timeline may name, and how long they may take.
pub struct Bounds<'a> {
    pub probes: &'a Probes,
    pub degrade: &'a Degrade,
    pub longest: Duration,
}

/// A fault of the timeline.
struct Cut<'a> {
    step: &'a str,
    line: u64,
    at_ms: i64,
    /// At its deadline, or when it is restored.
    ends_ms: i64,
    /// Which is told.
    too_long: bool,
}

/// The steps, in the order of their times; those of one time in the order of the file. `line` is that of the timeline.
pub fn timeline(
    line: u64,
    steps: Vec<Got<RawStep>>,
    bounds: &Bounds<'_>,
    mistakes: &mut Mistakes,
) -> Vec<Step> {
    let drafts = steps.into_iter().zip(1..);
    let drafts = drafts.map(|(step, nth)| draft(nth, step, bounds.probes, bounds.degrade, mistakes));
    let drafts = drafts.collect::<Vec<_>>();
    twice(&drafts, mistakes);
    let times = resolve(&drafts.iter().map(|draft| &draft.timed).collect::<Vec<_>>(), mistakes);
    let begins = times.iter().flatten().copied().min().unwrap_or(0).min(0);
    let mut cuts = cuts(&drafts, &times, bounds.longest, mistakes);
    // Faults that cannot be read are missed by nobody else.
    let all_known = drafts.iter().zip(&times).all(|(draft, at_ms)| {
        !matches!(draft.action, Acts::Broken) && (at_ms.is_some() || draft.action.fault().is_none())
    });
    if all_known && cuts.is_empty() {
        let what = "a game day in which nothing is cut: add a step with inject, partition or degrade";
        mistakes.add(line, what);
    }
    for (draft, at_ms) in drafts.iter().zip(&times) {
        if let (Acts::Restores(line, steps), Some(at_ms)) = (&draft.action, at_ms) {
            let restore = Restore { called: &draft.name, line: *line, at_ms: *at_ms, all_known };
            restore.check(steps, &drafts, &mut cuts, mistakes);
        }
    }
    for Cut { step, line, ends_ms, .. } in cuts.iter().filter(|cut| !cut.too_long) {
        let takes = between(begins, *ends_ms);
        if takes > bounds.longest {
            let (ends, takes, longest) = (At(*ends_ms), Length(takes), Length(bounds.longest));
            let what = format!(
                "{step}: its fault lasts until {ends}, {takes} after the first step, and longest is {longest}: shorten --for, \
                 restore it, or raise longest"
            );
            mistakes.add(*line, what);
        }
    }
    drop(cuts);
    let steps = drafts.into_iter().zip(times).filter_map(|(draft, at_ms)| step(draft, at_ms?));
    let mut steps = steps.collect::<Vec<_>>();
    steps.sort_by_key(|step| step.at_ms);
    steps
}

/// From one time to a later one.
pub fn between(from_ms: i64, to_ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(to_ms.saturating_sub(from_ms)).unwrap_or(0))
}

fn step(Draft { name, line, action, expect, .. }: Draft, at_ms: i64) -> Option<Step> {
    let action = match action {
        Acts::Nothing => None,
        Acts::Does(_, action) => Some(action),
        Acts::Restores(_, steps) => Some(Action::Restore(steps.into_iter().map(|(_, step)| step).collect())),
        Acts::Broken => return None,
    };
    Some(Step { name, line, at_ms, action, expect })
}

fn twice(drafts: &[Draft], mistakes: &mut Mistakes) {
    let mut seen = BTreeMap::new();
    for draft in drafts {
        let Some(name) = &draft.timed.name else { continue };
        match seen.get(name) {
            Some(first) => {
                let what = format!("name: another step is called `{name}`, too: the one in line {first}");
                mistakes.add(draft.name_line, what);
            }
            None => drop(seen.insert(name, draft.name_line)),
        }
    }
}

fn cuts<'a>(
    drafts: &'a [Draft],
    times: &[Option<i64>],
    longest: Duration,
    mistakes: &mut Mistakes,
) -> Vec<Cut<'a>> {
    let mut cuts = Vec::new();
    for (draft, at_ms) in drafts.iter().zip(times) {
        let step = draft.name.as_str();
        let (Some((line, lasts)), Some(at_ms)) = (draft.action.fault(), *at_ms) else { continue };
        if at_ms < 0 {
            let line = draft.timed.at.as_ref().map_or(line, |(line, _)| *line);
            let at = At(at_ms);
            mistakes.add(
                line,
                format!("{step}: a fault at {at}, and T is when the first one is: write T+0 or later"),
            );
        }
        if lasts > longest {
            let (lasts, longest) = (Length(lasts), Length(longest));
            let what = format!(
                "{step}: its fault lasts {lasts}, and longest is {longest}: shorten --for, or raise longest"
            );
            mistakes.add(line, what);
        }
        let lasts_ms = i64::try_from(lasts.as_millis()).unwrap_or(i64::MAX);
        let ends_ms = at_ms.saturating_add(lasts_ms);
        cuts.push(Cut { step, line, at_ms, ends_ms, too_long: lasts > longest });
    }
    cuts
}

/// A step that ends faults before their time.
struct Restore<'a> {
    called: &'a str,
    line: u64,
    at_ms: i64,
    /// Whether all that the timeline does is known.
    all_known: bool,
}

impl Restore<'_> {
    fn check(
        &self,
        steps: &[(u64, String)],
        drafts: &[Draft],
        cuts: &mut [Cut<'_>],
        mistakes: &mut Mistakes,
    ) {
        let called = self.called;
        if steps.is_empty() {
            let mut earlier = cuts.iter_mut().filter(|cut| cut.at_ms < self.at_ms).peekable();
            if earlier.peek().is_none() && self.all_known {
                let at = At(self.at_ms);
                let what = format!("{called}: restore: no fault is in force at {at}: restore later");
                mistakes.add(self.line, what);
            }
            earlier.for_each(|cut| cut.ends_ms = cut.ends_ms.min(self.at_ms));
        }
        for (line, step) in steps {
            let Some(named) = drafts.iter().find(|draft| draft.timed.name.as_ref() == Some(step)) else {
                let faults = || cuts.iter().map(|cut| cut.step.to_owned());
                let hint = hint(step, faults(), faults());
                mistakes.add(*line, format!("{called}: restore: there is no step `{step}`; {hint}"));
                continue;
            };
            let Some(cut) = cuts.iter_mut().find(|cut| cut.step == step) else {
                if named.action.fault().is_none() && !matches!(named.action, Acts::Broken) {
                    let what = format!(
                        "{called}: restore: the step `{step}` makes no fault: name one that does, or `all`"
                    );
                    mistakes.add(*line, what);
                }
                continue;
            };
            if cut.at_ms >= self.at_ms {
                let (at, comes) = (At(self.at_ms), At(cut.at_ms));
                let what = format!(
                    "{called}: restore: it is at {at}, and the fault of `{step}` only comes at {comes}: restore later"
                );
                mistakes.add(*line, what);
            }
            cut.ends_ms = cut.ends_ms.min(self.at_ms);
        }
    }
}
