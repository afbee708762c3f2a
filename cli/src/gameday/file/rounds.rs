//! Rounds: one, or one for each scenario.

use std::collections::BTreeSet;
use std::time::Duration;

use super::conditions::Probes;
use super::got::{Got, Named};
use super::model::{Condition, Guard, Recovery, Round};
use super::raw::{RawRecovery, RawScenario, RawStep, Said};
use super::timeline::{Bounds, timeline};
use super::values::{Least, length};
use crate::fleet::Text;
use crate::mistakes::Mistakes;

const STABLE: Duration = Duration::from_secs(5);
const WITHIN: Duration = Duration::from_secs(10 * 60);

/// What is so in all rounds, unless a scenario has its own.
pub struct Usual {
    pub steady: Vec<Condition>,
    pub steady_within: Duration,
    pub always: Vec<Condition>,
    pub detected: Option<Sign>,
    pub alerted: Option<Sign>,
    pub guards: Vec<Guard>,
    pub recovery: Recovering,
}

/// A condition that tells of a fault, and its line.
#[derive(Clone)]
pub struct Sign {
    line: u64,
    condition: Condition,
}

impl Sign {
    pub fn read(key: &str, said: Got<Text<Said>>, probes: &Probes, mistakes: &mut Mistakes) -> Option<Self> {
        let line = said.line()?;
        probes.one(key, said, mistakes).map(|condition| Self { line, condition })
    }

    /// In the steady state it must not hold: it would tell of nothing.
    fn of(self, key: &str, steady: &[Condition], early: &mut Early) -> Condition {
        let Self { line, condition } = self;
        if steady.contains(&condition) {
            let other = Condition { holds: !condition.holds, probe: condition.probe.clone() };
            let what =
                format!("{key}: `{condition}` holds in the steady state already: did you mean `{other}`?");
            early.insert((line, what));
        }
        condition
    }
}

/// Signs of the steady state, by line; those of the whole file once, however many rounds have them.
type Early = BTreeSet<(u64, String)>;

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
    let (mut rounds, mut early) = (Vec::new(), Early::new());
    if let Some((line, steps)) = own_timeline.there() {
        let sign = |key, sign: &Option<Sign>, early: &mut Early| {
            sign.clone().map(|sign| sign.of(key, &usual.steady, early))
        };
        rounds.push(Round {
            scenario: None,
            about: String::new(),
            steady: usual.steady.clone(),
            steady_within: usual.steady_within,
            always: usual.always.clone(),
            detected: sign("detected", &usual.detected, &mut early),
            alerted: sign("alerted", &usual.alerted, &mut early),
            guards: usual.guards.clone(),
            steps: timeline(line, steps, bounds, mistakes),
            recovery: usual.recovery.clone().of(&usual.steady),
        });
    }
    if let Some((line, Named(scenarios))) = scenarios.there() {
        if scenarios.is_empty() {
            mistakes.add(line, "scenarios: there is none: name one, with its timeline");
        }
        for (name, scenario) in scenarios {
            let Some((line, raw)) = scenario.there() else { continue };
            rounds.push(round(name, line, raw, usual, bounds, &mut early, mistakes));
        }
    }
    early.into_iter().for_each(|(line, what)| mistakes.add(line, what));
    rounds
}

fn round(
    name: String,
    line: u64,
    raw: RawScenario,
    usual: &Usual,
    bounds: &Bounds<'_>,
    early: &mut Early,
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
        Some(_) => Sign::read("detected", detected, probes, mistakes),
        None => usual.detected.clone(),
    };
    let alerted = match alerted.line() {
        Some(_) => Sign::read("alerted", alerted, probes, mistakes),
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
        detected: detected.map(|sign| sign.of("detected", &steady, early)),
        alerted: alerted.map(|sign| sign.of("alerted", &steady, early)),
        guards: usual.guards.clone(),
        steady_within: usual.steady_within,
        steps: steps.map(|(line, steps)| timeline(line, steps, bounds, mistakes)).unwrap_or_default(),
        recovery: recovery.of(&steady),
        steady,
    }
}
