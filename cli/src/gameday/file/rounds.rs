//! Rounds: one, or one for each scenario.

use std::time::Duration;

use super::conditions::Probes;
use super::got::{Got, Named};
use super::model::{Condition, Guard, Recovery, Round};
use super::raw::{RawRecovery, RawScenario, RawStep};
use super::timeline::{Bounds, timeline};
use super::values::{Least, length};
use crate::mistakes::Mistakes;

const STABLE: Duration = Duration::from_secs(5);
const WITHIN: Duration = Duration::from_secs(10 * 60);

/// What is so in all rounds, unless a scenario has its own.
pub struct Usual {
    pub steady: Vec<Condition>,
    pub steady_within: Duration,
    pub always: Vec<Condition>,
    pub detected: Option<Condition>,
    pub alerted: Option<Condition>,
    pub guards: Vec<Guard>,
    pub recovery: Recovering,
}

/// A recovery of a round that is still to be known.
#[derive(Clone)]
pub struct Recovering {
    /// None: the steady state of the round.
    holds: Option<Vec<Condition>>,
    stable: Duration,
    within: Duration,
}

impl Recovering {
    pub fn read(raw: Got<RawRecovery>, probes: &Probes, mistakes: &mut Mistakes) -> Self {
        let Some(RawRecovery { holds, stable, within }) = raw.into_value() else {
            return Self { holds: None, stable: STABLE, within: WITHIN };
        };
        let holds = holds.line().map(|_| probes.all("holds", holds, mistakes));
        let stable = length("stable", stable, STABLE, Least::Nothing, mistakes);
        let within = length("within", within, WITHIN, Least::Something, mistakes);
        Self { holds, stable, within }
    }

    fn of(self, steady: &[Condition]) -> Recovery {
        let Self { holds, stable, within } = self;
        Recovery { holds: holds.unwrap_or_else(|| steady.to_vec()), stable, within }
    }
}

pub fn rounds(
    own_timeline: Got<Vec<Got<RawStep>>>,
    scenarios: Got<Named<RawScenario>>,
    usual: &Usual,
    bounds: &Bounds<'_>,
    mistakes: &mut Mistakes,
) -> Vec<Round> {
    match (own_timeline.line(), scenarios.line()) {
        (None, None) => {
            mistakes
                .add(1, "a game day has a timeline: write `timeline:`, or `scenarios:` with several of them");
        }
        (Some(_), Some(line)) => {
            mistakes.add(line, "scenarios: there is a timeline, too: move it into a scenario");
        }
        (Some(_), None) | (None, Some(_)) => {}
    }
    let mut rounds = Vec::new();
    if let Some((line, steps)) = own_timeline.there() {
        rounds.push(Round {
            scenario: None,
            about: String::new(),
            steady: usual.steady.clone(),
            steady_within: usual.steady_within,
            always: usual.always.clone(),
            detected: usual.detected.clone(),
            alerted: usual.alerted.clone(),
            guards: usual.guards.clone(),
            steps: timeline(line, steps, bounds, mistakes),
            recovery: usual.recovery.clone().of(&usual.steady),
        });
    }
    let Some((line, Named(scenarios))) = scenarios.there() else { return rounds };
    if scenarios.is_empty() {
        mistakes.add(line, "scenarios: there is none: name one, with its timeline");
    }
    for (name, scenario) in scenarios {
        let Some((line, raw)) = scenario.there() else { continue };
        rounds.push(round(name, line, raw, usual, bounds, mistakes));
    }
    rounds
}

fn round(
    name: String,
    line: u64,
    raw: RawScenario,
    usual: &Usual,
    bounds: &Bounds<'_>,
    mistakes: &mut Mistakes,
) -> Round {
    if name.trim().is_empty() {
        mistakes.add(line, "scenarios: a scenario has a name");
    }
    let RawScenario { about, timeline: steps, steady, always, detected, alerted, recovery } = raw;
    let probes = bounds.probes;
    let own = steady.line().map(|_| probes.all("steady", steady, mistakes));
    let steady = own.unwrap_or_else(|| usual.steady.clone());
    let always = match always.line() {
        Some(_) => probes.all("always", always, mistakes),
        None => usual.always.clone(),
    };
    let detected = match detected.line() {
        Some(_) => probes.one("detected", detected, mistakes),
        None => usual.detected.clone(),
    };
    let alerted = match alerted.line() {
        Some(_) => probes.one("alerted", alerted, mistakes),
        None => usual.alerted.clone(),
    };
    let recovery = match recovery.line() {
        Some(_) => Recovering::read(recovery, probes, mistakes),
        None => usual.recovery.clone(),
    };
    let missing = format!("scenario {name}: add `timeline`, what is done when");
    let steps = steps.needed(line, &missing, mistakes);
    Round {
        scenario: Some(name),
        about: about.into_value().unwrap_or_default(),
        always,
        detected,
        alerted,
        guards: usual.guards.clone(),
        steady_within: usual.steady_within,
        steps: steps.map(|(line, steps)| timeline(line, steps, bounds, mistakes)).unwrap_or_default(),
        recovery: recovery.of(&steady),
        steady,
    }
}
