//! A whole file: all that is written in it, as it is meant.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use super::conditions::Probes;
use super::environment::Environment;
use super::got::{Got, Named, Several};
use super::model::{GameDay, Guard, Probe, Round, Severity, Targets, directory};
use super::outside::{hooks, markers};
use super::probes::Checker;
use super::raw::{Lasting, RawDay, RawGuard, RawProbe, RawSeverities, RawTargets};
use super::rounds::{Recovering, Sign, Usual, rounds};
use super::steps::Degrade;
use super::timeline::{Bounds, between};
use super::times::Length;
use super::values::{Least, length, some};
use super::words;
use crate::fleet::Text;
use crate::mistakes::Mistakes;

const LONGEST: Duration = Duration::from_secs(2 * 60 * 60);
const STEADY_WITHIN: Duration = Duration::from_secs(30);

/// The game day, if nothing is wrong with it; what is wrong is among the mistakes.
pub fn check(
    path: &Path,
    raw: RawDay,
    severity: Option<Severity>,
    environment: Environment<'_>,
    mistakes: &mut Mistakes,
) -> Option<GameDay> {
    let lines = lines(&raw);
    let name = raw.name.needed(1, "a game day has a name: write `name: ...`", mistakes);
    let name = name.and_then(|name| some("name", name, mistakes)).unwrap_or_default();
    let severity = severity.or(raw.severity.into_value()).unwrap_or(Severity::High);
    let degrade = Degrade { severity, words: severities(raw.severities, severity, mistakes) };
    let fleet = raw.fleet.there().and_then(|fleet| some("fleet", fleet, mistakes));
    let fleet = fleet.map(|fleet| path.parent().unwrap_or(Path::new("")).join(fleet));
    let longest_line = raw.longest.line();
    let longest = length("longest", raw.longest, LONGEST, Least::Something, mistakes);
    let (probes, names) = probes(raw.probes, &directory(path), environment, mistakes);
    let known = Probes(names);
    let usual = Usual {
        steady: known.all("steady", raw.steady, mistakes),
        steady_within: length("steady_within", raw.steady_within, STEADY_WITHIN, Least::Nothing, mistakes),
        always: known.all("always", raw.always, mistakes),
        detected: Sign::read("detected", raw.detected, &known, mistakes),
        alerted: Sign::read("alerted", raw.alerted, &known, mistakes),
        guards: guards(raw.guards, &known, mistakes),
        recovery: Recovering::read(raw.recovery, &known, mistakes),
    };
    let bounds = Bounds { probes: &known, degrade: &degrade, longest };
    let rounds_line = raw.timeline.line().or(raw.scenarios.line());
    let rounds = rounds(raw.timeline, raw.scenarios, &usual, &bounds, mistakes);
    let takes = rounds.iter().map(takes).sum::<Duration>();
    if takes > longest {
        let (takes, is) = (Length(takes), Length(longest));
        let what = format!("longest: it is {is}, and the timeline takes {takes}: raise it");
        mistakes.add(longest_line.or(rounds_line).unwrap_or(1), what);
    }
    let markers = markers(raw.markers, mistakes);
    let targets = targets(raw.targets, &rounds, !markers.is_empty(), mistakes);
    let hooks = hooks(raw.hooks, environment, mistakes);
    let texts =
        |texts: Got<Several<String>>| texts.into_value().map(Several::into_values).unwrap_or_default();
    let day = GameDay {
        path: path.to_owned(),
        name,
        about: raw.about.into_value().unwrap_or_default(),
        participants: texts(raw.participants),
        severity,
        fleet,
        longest,
        targets,
        probes,
        rounds,
        markers,
        hooks,
        questions: texts(raw.questions),
        lines,
    };
    mistakes.is_empty().then_some(day)
}

/// Of every `from`, and of `fleet`.
fn lines(raw: &RawDay) -> BTreeMap<String, u64> {
    let probes = raw.probes.value().into_iter().flat_map(|Named(probes)| probes);
    let probes =
        probes.map(|(name, probe)| ("probe", name, probe.value().and_then(|probe| probe.from.line())));
    let markers = raw.markers.value().into_iter().flat_map(|Named(markers)| markers);
    let markers =
        markers.map(|(name, marker)| ("marker", name, marker.value().and_then(|marker| marker.from.line())));
    let named =
        probes.chain(markers).filter_map(|(what, name, line)| Some((format!("{what} {name}"), line?)));
    named.chain(raw.fleet.line().map(|line| ("fleet".to_owned(), line))).collect()
}

/// From the first step to the last.
fn takes(round: &Round) -> Duration {
    let times = round.steps.iter().map(|step| step.at_ms);
    between(times.clone().min().unwrap_or(0).min(0), times.max().unwrap_or(0).max(0))
}

fn severities(raw: Got<RawSeverities>, severity: Severity, mistakes: &mut Mistakes) -> Option<String> {
    let [low, medium, high] = match raw {
        Got::There(_, RawSeverities { low, medium, high }) => [low, medium, high],
        Got::Missing => [Got::Missing, Got::Missing, Got::Missing],
        Got::Broken(_) => return None,
    };
    let mut all = [
        (Severity::Low, low, "--latency 50ms --jitter 10ms"),
        (Severity::Medium, medium, "--latency 200ms --jitter 40ms --loss 5%"),
        (Severity::High, high, "--loss 100%"),
    ]
    .map(|(which, written, default)| {
        let words = match written {
            Got::Missing => Some(default.to_owned()),
            Got::Broken(_) => None,
            Got::There(line, words) => match words::kinds(&words) {
                Ok(()) => Some(words),
                Err(why) => {
                    mistakes.add(line, format!("{which}: {why}"));
                    None
                }
            },
        };
        (which, words)
    });
    all.iter_mut().find(|(which, _)| *which == severity).and_then(|(_, words)| words.take())
}

fn probes(
    raw: Got<Named<RawProbe>>,
    directory: &Path,
    environment: Environment<'_>,
    mistakes: &mut Mistakes,
) -> (BTreeMap<String, Probe>, BTreeSet<String>) {
    let Some(Named(raw)) = raw.into_value() else { return (BTreeMap::new(), BTreeSet::new()) };
    let (mut probes, mut names) = (BTreeMap::new(), BTreeSet::new());
    for (name, probe) in raw {
        let line = probe.line().unwrap_or(1);
        if name.is_empty() || name == "not" || name.contains(char::is_whitespace) {
            let what = format!(
                "`{name}` cannot be the name of a probe: conditions could not name it; leave out white space"
            );
            mistakes.add(line, what);
        }
        names.insert(name.clone());
        let Some(probe) = probe.into_value() else { continue };
        let checker = Checker { name: &name, line, directory, environment, mistakes };
        if let Some(probe) = checker.probe(probe) {
            probes.insert(name, probe);
        }
    }
    (probes, names)
}

fn guards(raw: Got<Vec<Got<RawGuard>>>, known: &Probes, mistakes: &mut Mistakes) -> Vec<Guard> {
    let mut guards = Vec::new();
    for guard in raw.into_value().into_iter().flatten() {
        let Some((line, RawGuard { when, lasts, because })) = guard.there() else { continue };
        let lasts = length("for", lasts, Duration::ZERO, Least::Nothing, mistakes);
        let when_line = when.line();
        if when_line.is_none() {
            mistakes.add(line, "a guard says when the run aborts: add `when: not NAME`");
        }
        let Some(when) = known.one("when", when, mistakes) else { continue };
        let because = because.into_value().filter(|because| !because.trim().is_empty());
        guards.push(Guard { lasts, because: because.unwrap_or_else(|| when.to_string()), when });
    }
    guards
}

fn targets(raw: Got<RawTargets>, rounds: &[Round], has_markers: bool, mistakes: &mut Mistakes) -> Targets {
    let Some(raw) = raw.into_value() else { return Targets::default() };
    let RawTargets { detect, alert, rto, rpo, lost, duplicated } = raw;
    let all_known = mistakes.is_empty();
    let some_round = |has: fn(&Round) -> bool| rounds.iter().any(has);
    let measured = [
        (
            "detect",
            detect.line(),
            some_round(|round| round.detected.is_some()),
            "write `detected: CONDITION`",
        ),
        ("alert", alert.line(), some_round(|round| round.alerted.is_some()), "write `alerted: CONDITION`"),
        (
            "rto",
            rto.line(),
            some_round(|round| !round.recovery.holds.is_empty()),
            "write `steady: [...]`, or `recovery: {holds: [...]}`",
        ),
        ("rpo", rpo.line(), has_markers, "write `markers:`"),
        ("lost", lost.line(), has_markers, "write `markers:`"),
        ("duplicated", duplicated.line(), has_markers, "write `markers:`"),
    ];
    // What is not there may only be wrong.
    for (target, line, is_measured, what) in measured.into_iter().filter(|_| all_known) {
        if let (Some(line), false) = (line, is_measured) {
            mistakes.add(
                line,
                format!("{target}: nothing says how it is measured: {what}, or leave the target out"),
            );
        }
    }
    let length = |length: Got<Text<Lasting>>| length.into_value().map(|Text(Lasting(length))| length);
    Targets {
        detect: length(detect),
        alert: length(alert),
        rto: length(rto),
        rpo: length(rpo),
        lost: lost.into_value(),
        duplicated: duplicated.into_value(),
    }
}
