//! A timeline as a whole: steps that know of each other.

use std::collections::BTreeMap;
use std::time::Duration;

use partition_agent_proto::FaultSpec;
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
    at_line: u64,
    at_ms: i64,
    deadline_ms: i64,
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
    if let Some(first) = cuts.iter().min_by_key(|cut| cut.at_ms).filter(|first| all_known && first.at_ms > 0)
    {
        let (step, at) = (first.step, At(first.at_ms));
        let what = format!(
            "{step}: the first fault is at {at}, and T is when it comes: write T+0, and T-5m for what is so long before it"
        );
        mistakes.add(first.at_line, what);
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
    let (line, action) = match action {
        Acts::Nothing => (line, None),
        Acts::Does(line, action) => (line, Some(action)),
        Acts::Restores(line, steps) => {
            (line, Some(Action::Restore(steps.into_iter().map(|(_, step)| step).collect())))
        }
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
        let at_line = draft.timed.at.as_ref().map_or(line, |(line, _)| *line);
        if at_ms < 0 {
            let at = At(at_ms);
            mistakes.add(
                at_line,
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
        let deadline_ms = at_ms.saturating_add(lasts_ms);
        let too_long = lasts > longest;
        cuts.push(Cut { step, line, at_line, at_ms, deadline_ms, ends_ms: deadline_ms, too_long });
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
            if self.all_known
                && let Some(what) = self.nothing_left(cuts)
            {
                mistakes.add(self.line, format!("{called}: restore: {what}"));
            }
            let earlier = cuts.iter_mut().filter(|cut| cut.at_ms < self.at_ms);
            earlier.for_each(|cut| cut.ends_ms = cut.ends_ms.min(self.at_ms));
        }
        for (line, step) in steps {
            let Some(named) = drafts.iter().find(|draft| draft.timed.name.as_ref() == Some(step)) else {
                let what = if drafts.iter().any(|draft| draft.name == *step) {
                    format!("`{step}` has no name of its own: add `name: ...` to it")
                } else {
                    let is_named = |cut: &&Cut<'_>| {
                        drafts.iter().any(|draft| draft.timed.name.as_deref() == Some(cut.step))
                    };
                    let faults = || cuts.iter().filter(is_named).map(|cut| cut.step.to_owned());
                    match faults().next() {
                        Some(_) => format!("there is no step `{step}`; {}", hint(step, faults(), faults())),
                        None => format!(
                            "there is no step `{step}`, and no fault has a name: add `name: ...` to the one that is meant"
                        ),
                    }
                };
                mistakes.add(*line, format!("{called}: restore: {what}"));
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
            if cut.deadline_ms < self.at_ms {
                mistakes.add(*line, format!("{called}: restore: {}", over(cut)));
            }
            cut.ends_ms = cut.ends_ms.min(self.at_ms);
        }
    }

    /// Why there is no fault that it could end. One that another step ends before is no mistake: this one makes sure of it.
    fn nothing_left(&self, cuts: &[Cut<'_>]) -> Option<String> {
        let earlier = cuts.iter().filter(|cut| cut.at_ms < self.at_ms);
        let at = At(self.at_ms);
        match earlier.max_by_key(|cut| cut.deadline_ms) {
            None => Some(format!("no fault is in force at {at}: restore later")),
            Some(last) if last.deadline_ms < self.at_ms => {
                Some(format!("no fault is in force at {at}: {}", over(last)))
            }
            Some(_) => None,
        }
    }
}

fn over(Cut { step, deadline_ms, .. }: &Cut<'_>) -> String {
    let (at, usual) = (At(*deadline_ms), FaultSpec::default_duration());
    format!("the fault of `{step}` is over at {at} already: give it a longer --for ({usual} if not said)")
}
