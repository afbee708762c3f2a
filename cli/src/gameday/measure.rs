//! What a round came to: from what was seen, to figures, to whether they are as promised. Pure.

use super::file::{Round, Targets};
use super::report::model::{Check, MarkerReport, Measures, Outcome};
use super::report::words::duration as span;
use super::watch::millis;

/// What was seen of a round. Times are milliseconds from the start of the run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    pub first_fault: Option<u64>,
    pub healed: Option<u64>,
    pub detected: Option<u64>,
    pub alerted: Option<u64>,
    /// Since when everything had recovered, and stayed so.
    pub recovered: Option<u64>,
    /// When a guard or a person ended it.
    pub aborted: Option<u64>,
}

impl Seen {
    pub fn measures(self, rpo_ms: Option<u64>) -> Measures {
        let after = |from: Option<u64>, to: Option<u64>| Some(to?.saturating_sub(from?));
        Measures {
            first_fault_ms: self.first_fault,
            healed_ms: self.healed,
            detect_ms: after(self.first_fault, self.detected),
            alert_ms: after(self.first_fault, self.alerted),
            rto_ms: after(self.first_fault, self.recovered),
            recovery_ms: after(self.healed, self.recovered),
            rpo_ms,
            abort_ms: after(self.aborted, self.healed),
        }
    }
}

/// Every target against what was measured. What has neither a target nor a figure is left out.
pub fn checks(round: &Round, targets: &Targets, measures: &Measures, markers: &[MarkerReport]) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut time =
        |what: &str, target: Option<std::time::Duration>, measured: Option<u64>, possible: bool| {
            if !possible || (target.is_none() && measured.is_none()) {
                return;
            }
            let target = target.map(millis);
            checks.push(Check {
                what: what.to_owned(),
                target: target.map(|target| format!("at most {}", span(target))).unwrap_or_default(),
                measured: measured.map_or_else(|| "never".to_owned(), span),
                target_ms: target,
                measured_ms: measured,
                met: target.map(|target| measured.is_some_and(|measured| measured <= target)),
                expectation: false,
            });
        };
    time(Check::DETECT, targets.detect, measures.detect_ms, round.detected.is_some());
    time(Check::ALERT, targets.alert, measures.alert_ms, round.alerted.is_some());
    let recovers = !round.recovery.holds.is_empty();
    time(Check::RTO, targets.rto, measures.rto_ms, recovers);
    let within = Some(round.recovery.within);
    time(Check::RECOVERY, within, measures.recovery_ms, recovers);
    let counting = markers.iter().filter(|marker| !marker.expendable).collect::<Vec<_>>();
    // The worst of them; unknown, if one of them is.
    let rpo = counting.iter().map(|marker| marker.rpo_ms).collect::<Option<Vec<_>>>();
    let rpo = rpo.and_then(|all| all.into_iter().max());
    match targets.rpo {
        Some(_) => time(Check::RPO, targets.rpo, rpo, !counting.is_empty()),
        // Nothing is promised, so everything is told.
        None => time(Check::RPO, None, measures.rpo_ms, !markers.is_empty()),
    }
    for marker in counting {
        let mut count = |what: &str, target: Option<u64>, found: &[u64]| {
            let found = u64::try_from(found.len()).unwrap_or(u64::MAX);
            let unread = marker.unread.is_some();
            checks.push(Check {
                what: format!("{}: {what}", marker.name),
                target: target.map(|target| format!("at most {target}")).unwrap_or_default(),
                measured: if unread { "not read back".to_owned() } else { found.to_string() },
                target_ms: None,
                measured_ms: None,
                met: target.map(|target| !unread && found <= target),
                expectation: false,
            });
        };
        count(Check::LOST, targets.lost, &marker.lost);
        count(Check::DUPLICATED, targets.duplicated, &marker.duplicated);
    }
    checks
}

/// Of a round that ran to its end.
pub fn outcome(checks: &[Check]) -> Outcome {
    if checks.iter().any(|check| check.met == Some(false)) { Outcome::Failed } else { Outcome::Passed }
}

/// A line for each check that is not met.
pub fn unmet(checks: &[Check]) -> impl Iterator<Item = String> {
    let unmet = checks.iter().filter(|check| check.met == Some(false));
    unmet.map(|Check { what, target, measured, .. }| match target.as_str() {
        "" => format!("{what}: {measured}"),
        target => format!("{what}: {measured}, and it should be {target}"),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::file::{Condition, Recovery};
    use super::*;

    fn round() -> Round {
        let up = Condition { probe: "up".to_owned(), holds: true };
        Round {
            scenario: None,
            about: String::new(),
            steady: Vec::new(),
            steady_within: Duration::from_secs(1),
            always: Vec::new(),
            detected: Some(Condition { probe: "up".to_owned(), holds: false }),
            alerted: None,
            guards: Vec::new(),
            steps: Vec::new(),
            recovery: Recovery { holds: vec![up], stable: Duration::ZERO, within: Duration::from_secs(20) },
        }
    }

    fn marker(lost: &[u64]) -> MarkerReport {
        MarkerReport {
            name: "orders".to_owned(),
            written: 9,
            acknowledged: 9,
            found: 9,
            lost: lost.to_vec(),
            duplicated: Vec::new(),
            uncertain: Vec::new(),
            phases: Default::default(),
            spans: Vec::new(),
            rpo_ms: Some(0),
            expendable: false,
            unread: None,
        }
    }

    #[test]
    fn times_are_from_the_first_fault_and_the_recovery_from_its_end() {
        let seen = Seen {
            first_fault: Some(1_000),
            detected: Some(3_500),
            healed: Some(11_000),
            recovered: Some(13_000),
            ..Seen::default()
        };
        let measures = seen.measures(Some(0));
        assert_eq!((measures.detect_ms, measures.rto_ms), (Some(2_500), Some(12_000)));
        assert_eq!((measures.recovery_ms, measures.alert_ms), (Some(2_000), None));
        // What failed over while it was cut needed no recovery.
        let early = Seen { recovered: Some(5_000), ..seen }.measures(None);
        assert_eq!((early.rto_ms, early.recovery_ms), (Some(4_000), Some(0)));
    }

    #[test]
    fn what_is_promised_and_never_comes_is_not_met() {
        let targets = Targets {
            detect: Some(Duration::from_secs(2)),
            rto: Some(Duration::from_secs(10)),
            ..Targets::default()
        };
        let seen =
            Seen { first_fault: Some(0), healed: Some(5_000), detected: Some(1_999), ..Seen::default() };
        let checks = checks(&round(), &targets, &seen.measures(None), &[]);
        let told = checks.iter().map(|check| (check.what.as_str(), check.measured.as_str(), check.met));
        assert_eq!(
            told.collect::<Vec<_>>(),
            [
                ("time to detect", "2s", Some(true)),
                ("RTO", "never", Some(false)),
                ("recovery time", "never", Some(false)),
            ]
        );
        assert_eq!(outcome(&checks), Outcome::Failed);
        assert_eq!(unmet(&checks).next().unwrap(), "RTO: never, and it should be at most 10s");
    }

    #[test]
    fn markers_are_counted_against_their_targets_and_those_that_were_not_read_are_not_met() {
        let targets = Targets { lost: Some(1), ..Targets::default() };
        let check = |marker: MarkerReport| {
            let all = checks(&round(), &targets, &Measures::default(), &[marker]);
            all.into_iter().find(|check| check.what == "orders: markers lost").unwrap().met
        };
        assert_eq!(check(marker(&[4])), Some(true));
        assert_eq!(check(marker(&[4, 5])), Some(false));
        let all = checks(
            &round(),
            &targets,
            &Measures::default(),
            &[MarkerReport { expendable: true, ..marker(&[4, 5]) }],
        );
        assert!(all.iter().all(|check| !check.what.contains("lost")), "nothing is promised of them: {all:?}");
        assert_eq!(check(MarkerReport { unread: Some("refused".to_owned()), ..marker(&[]) }), Some(false));
    }

    #[test]
    fn the_rpo_is_of_those_that_nobody_may_lose_or_of_all_where_nothing_is_promised() {
        let told = |target: Option<u64>, of: [MarkerReport; 2]| {
            let targets = Targets { rpo: target.map(Duration::from_secs), ..Targets::default() };
            let measures = Seen::default().measures(Some(31_000));
            let all = checks(&round(), &targets, &measures, &of);
            let rpo = all.into_iter().find(|check| check.what == Check::RPO).unwrap();
            (rpo.measured, rpo.target_ms, rpo.measured_ms, rpo.met)
        };
        let kept = MarkerReport { rpo_ms: Some(1_500), ..marker(&[4, 5]) };
        let spare = MarkerReport { expendable: true, rpo_ms: Some(31_000), ..marker(&[1, 2, 3]) };
        let both = || [kept.clone(), spare.clone()];
        assert_eq!(told(Some(2), both()), ("1.5s".to_owned(), Some(2_000), Some(1_500), Some(true)));
        assert_eq!(told(None, both()), ("31s".to_owned(), None, Some(31_000), None));
        let unread = MarkerReport { rpo_ms: None, unread: Some("refused".to_owned()), ..kept.clone() };
        assert_eq!(told(Some(2), [unread, spare.clone()]).3, Some(false));
    }
}
