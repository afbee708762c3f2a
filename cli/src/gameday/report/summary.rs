//! What somebody reads who reads nothing else.

use super::model::{Check, MarkerReport, Outcome, Report, RoundReport};
use super::outage;
use super::words::{count, duration};
use crate::render::each;

/// So many of a kind are named; the rest is counted.
const NAMED: usize = 3;
/// So many probes are named.
const PROBES: usize = 5;

/// The headings of the runbooks' "Executive summary", and what is known of each: a line for each round. No line: a blank, for people.
pub fn executive(report: &Report) -> Vec<(&'static str, Vec<String>)> {
    vec![
        ("Type", per_round(report, kind)),
        ("Duration", per_round(report, took)),
        ("Data impact", per_round(report, data)),
        ("User impact", per_round(report, users)),
    ]
}

/// `consumer did not start; partition passed`, where not all of them are alike.
pub fn headline(report: &Report) -> Option<String> {
    let is_not_started = |round: &RoundReport| round.outcome == Outcome::NotStarted;
    if report.rounds.iter().all(is_not_started) || !report.rounds.iter().any(is_not_started) {
        return None;
    }
    let all = [
        (Outcome::NotStarted, "did not start"),
        (Outcome::Aborted, "was broken off"),
        (Outcome::Failed, "failed"),
        (Outcome::Passed, "passed"),
    ];
    let told = all.into_iter().filter_map(|(outcome, words)| {
        let rounds = report.rounds.iter().filter(|round| round.outcome == outcome);
        let names = rounds.map(|round| format!("`{}`", round.scenario.as_deref().unwrap_or("a round")));
        let names = names.collect::<Vec<_>>();
        (!names.is_empty()).then(|| format!("{} {words}", names.join(", ")))
    });
    Some(told.collect::<Vec<_>>().join("; "))
}

/// What has to be known of a run that was faster than its day will be.
pub fn rehearsal(report: &Report) -> Option<String> {
    (report.faster > 1).then(|| {
        format!(
            "A rehearsal: the timeline was {} times as fast as written; its faults were shorter, so RTO and losses are not those of \
             the real day.",
            report.faster
        )
    })
}

/// `4 of 5 targets met, 3 of 3 expectations as expected`.
pub fn met(report: &Report) -> String {
    let rounds = || report.rounds.iter();
    let (targets, of_targets) = judged(rounds().flat_map(RoundReport::targets));
    let (expected, of_expected) = judged(rounds().flat_map(RoundReport::expectations));
    let mut told = Vec::new();
    if of_targets > 0 {
        told.push(format!("{targets} of {of_targets} targets met"));
    }
    if of_expected > 0 {
        told.push(format!("{expected} of {of_expected} expectations as expected"));
    }
    told.join(", ")
}

/// How many are met, and of how many that is known.
fn judged<'a>(checks: impl Iterator<Item = &'a Check>) -> (usize, usize) {
    let (met, missed) =
        checks.filter(|check| check.met.is_some()).partition::<Vec<_>, _>(|check| check.met == Some(true));
    (met.len(), met.len() + missed.len())
}

/// The expectations of a round in one figure, and what is not as expected. None: nothing was expected.
pub fn expectations(round: &RoundReport) -> Option<(String, Vec<&str>)> {
    let (met, all) = judged(round.expectations());
    let missed = round.expectations().filter(|check| check.met == Some(false));
    let missed = missed.map(|check| check.what.as_str()).collect::<Vec<_>>();
    let told = match missed.len() {
        0 => format!("{met} of {all}"),
        many => format!("{many} of {all} missed"),
    };
    (all > 0).then_some((told, missed))
}

fn listed(all: &[String], most: usize) -> Option<String> {
    let (named, more) = all.split_at(all.len().min(most));
    let mut told = named.join("; ");
    if !more.is_empty() {
        told.push_str(&format!("; and {} more", more.len()));
    }
    Some(told).filter(|told| !told.is_empty())
}

fn per_round(report: &Report, tell: fn(&RoundReport) -> Option<String>) -> Vec<String> {
    let told = report.rounds.iter().filter_map(|round| {
        let told = tell(round)?;
        Some(match &round.scenario {
            Some(scenario) => format!("{scenario}: {told}"),
            None => told,
        })
    });
    told.collect()
}

/// What it is about, then what was typed.
fn kind(round: &RoundReport) -> Option<String> {
    if round.outcome == Outcome::NotStarted {
        return None;
    }
    let kinds = each(round.faults.iter().map(|fault| fault.words.clone()));
    let about = round.about.trim();
    match listed(&kinds, NAMED) {
        Some(words) if about.is_empty() => Some(words),
        Some(words) => Some(format!("{about} ({words})")),
        None => Some(about.to_owned()).filter(|about| !about.is_empty()),
    }
}

fn took(round: &RoundReport) -> Option<String> {
    let first = round.measures.first_fault_ms?;
    let mut told = match round.measures.healed_ms {
        Some(healed) => format!("faults for {}", duration(healed.saturating_sub(first))),
        None => "faults to the end".to_owned(),
    };
    match round.measures.rto_ms {
        Some(rto) => told.push_str(&format!(", recovered {} after the first", duration(rto))),
        None => told.push_str(", not recovered"),
    }
    Some(told)
}

fn data(round: &RoundReport) -> Option<String> {
    round.measures.first_fault_ms?;
    let told = round.markers.iter().map(|marker| {
        let name = &marker.name;
        match &marker.unread {
            Some(why) => format!("{name}: not known, {why}"),
            None if marker.expendable => format!("{name}: {}", expendable(marker)),
            None => {
                let (lost, twice) = (marker.lost.len(), marker.duplicated.len());
                let twice =
                    if twice == 0 { String::new() } else { format!(", {twice} there more than once") };
                format!("{name}: {lost} of {} acknowledged writes lost{twice}", marker.acknowledged)
            }
        }
    });
    listed(&told.collect::<Vec<_>>(), NAMED)
}

/// Told, and not judged.
fn expendable(marker: &MarkerReport) -> String {
    match marker.lost.len() {
        0 => "no expendable write was lost".to_owned(),
        1 => "1 expendable write was lost".to_owned(),
        lost => format!("{} were lost", count(lost, "expendable write", "expendable writes")),
    }
}

/// What the probes saw from the first fault on, which is what users would have seen where a probe does what they do. An alert that
/// fires is none of it.
fn users(round: &RoundReport) -> Option<String> {
    round.measures.first_fault_ms?;
    let probes = || round.probes.iter().filter(|probe| probe.normally_holds && probe.asked > 0);
    let unwell = probes().map(|probe| (outage::of_faults(round, probe), probe));
    let mut sorted = unwell.filter(|(found, _)| found.count > 0).collect::<Vec<_>>();
    sorted.sort_by_key(|(found, _)| std::cmp::Reverse(found.total_ms));
    let told = sorted.iter().map(|(found, probe)| {
        let still = if found.back_green_ms.is_none() { ", and to the end" } else { "" };
        format!("{} failed for {}{still}", probe.name, duration(found.total_ms))
    });
    let told = listed(&told.collect::<Vec<_>>(), PROBES);
    told.or_else(|| probes().next().map(|_| "no probe failed".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn line(report: &Report, heading: &str) -> String {
        let (_, lines) = executive(report).into_iter().find(|(name, _)| *name == heading).unwrap();
        lines.join("\n")
    }

    #[test]
    fn what_it_is_about_comes_before_what_was_typed() {
        let mut report = sample::failed();
        report.rounds[0].about = "Gateways lose redis.".to_owned();
        let told = line(&report, "Type");
        assert!(told.starts_with("Gateways lose redis. (--loss 100% --peer redis"), "{told}");
    }

    #[test]
    fn what_may_be_lost_is_told_and_not_judged() {
        let mut report = sample::failed();
        assert_eq!(
            line(&report, "Data impact"),
            "orders: 4 of 1508 acknowledged writes lost, 1 there more than once"
        );
        report.rounds[0].markers[0].expendable = true;
        assert_eq!(line(&report, "Data impact"), "orders: 4 expendable writes were lost");
    }

    #[test]
    fn five_probes_are_named_and_only_for_what_began_with_the_faults() {
        let mut report = sample::failed();
        let round = &mut report.rounds[0];
        let first = round.measures.first_fault_ms.unwrap();
        let mut early = round.probes[0].clone();
        early.name = "early".to_owned();
        early.spans.truncate(2);
        (early.spans[1].from_ms, early.spans[1].to_ms) = (first - 1_000, first + 900_000);
        round.probes.push(early);
        let told = line(&report, "User impact");
        assert!(told.starts_with("worker-lag failed for 9m17s; ") && !told.contains("early"), "{told}");
        let round = &mut report.rounds[0];
        let more = round.probes[0].clone();
        round.probes.extend(std::iter::repeat_n(more, 4));
        let told = line(&report, "User impact");
        assert!(told.ends_with("; and 3 more"), "{told}");
        assert_eq!(told.matches("failed for").count(), PROBES);
    }

    #[test]
    fn what_did_not_start_is_named_and_counts_for_nothing() {
        let mut report = sample::aborted();
        assert_eq!(headline(&report).unwrap(), "`slow` did not start; `cut off` was broken off");
        let before = met(&report);
        report.rounds[1].checks =
            report.rounds[0].checks.iter().filter(|check| !check.expectation).cloned().collect();
        assert_eq!(met(&report), before);
        assert_eq!(headline(&sample::failed()), None);
    }

    #[test]
    fn expectations_are_one_figure_and_the_missed_ones_by_name() {
        let expected = Some(("1 of 3 missed".to_owned(), vec!["step degraded mode: api"]));
        assert_eq!(expectations(&sample::failed().rounds[0]), expected);
        assert_eq!(expectations(&sample::passed().rounds[0]), Some(("3 of 3".to_owned(), Vec::new())));
        assert_eq!(expectations(&sample::aborted().rounds[1]), None);
    }
}
