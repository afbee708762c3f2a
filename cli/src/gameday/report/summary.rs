//! What somebody reads who reads nothing else. None: a blank, for people.

use super::model::{Check, Report, RoundReport};
use super::{outage, words};

/// So many of a kind are named; the rest is counted.
const NAMED: usize = 3;

/// The headings of the runbooks' "Executive summary", and what is known of each.
pub fn executive(report: &Report) -> Vec<(&'static str, Option<String>)> {
    vec![
        ("Type", kind(report)),
        ("Duration", per_round(report, took)),
        ("Data impact", per_round(report, data)),
        ("User impact", per_round(report, users)),
    ]
}

/// `4 of 5 targets met, 3 of 3 expectations as expected`.
pub fn met(report: &Report) -> String {
    let judged = |expectations: bool| {
        let all = report.rounds.iter().flat_map(|round| &round.checks);
        let judged = all.filter(|check| check.expectation == expectations && check.met.is_some());
        let (met, missed) = judged.partition::<Vec<&Check>, _>(|check| check.met == Some(true));
        (met.len(), met.len() + missed.len())
    };
    let ((targets, of_targets), (expected, of_expected)) = (judged(false), judged(true));
    let mut told = Vec::new();
    if of_targets > 0 {
        told.push(format!("{targets} of {of_targets} targets met"));
    }
    if of_expected > 0 {
        told.push(format!("{expected} of {of_expected} expectations as expected"));
    }
    told.join(", ")
}

fn kind(report: &Report) -> Option<String> {
    let mut kinds = Vec::new();
    for fault in report.rounds.iter().flat_map(|round| &round.faults) {
        if !kinds.contains(&&fault.words) {
            kinds.push(&fault.words);
        }
    }
    listed(&kinds.into_iter().cloned().collect::<Vec<_>>())
}

fn listed(all: &[String]) -> Option<String> {
    let (named, more) = all.split_at(all.len().min(NAMED));
    let mut told = named.join("; ");
    if !more.is_empty() {
        told.push_str(&format!("; and {} more", more.len()));
    }
    Some(told).filter(|told| !told.is_empty())
}

fn per_round(report: &Report, tell: fn(&RoundReport) -> Option<String>) -> Option<String> {
    let told = report.rounds.iter().filter_map(|round| {
        let told = tell(round)?;
        Some(match &round.scenario {
            Some(scenario) => format!("{scenario}: {told}"),
            None => told,
        })
    });
    Some(told.collect::<Vec<_>>().join("; ")).filter(|told| !told.is_empty())
}

fn took(round: &RoundReport) -> Option<String> {
    let first = round.measures.first_fault_ms?;
    let mut told = match round.measures.healed_ms {
        Some(healed) => format!("faults for {}", words::duration(healed.saturating_sub(first))),
        None => "faults to the end".to_owned(),
    };
    match round.measures.rto_ms {
        Some(rto) => told.push_str(&format!(", recovered {} after the first", words::duration(rto))),
        None => told.push_str(", not recovered"),
    }
    Some(told)
}

fn data(round: &RoundReport) -> Option<String> {
    let told = round.markers.iter().map(|marker| {
        if let Some(why) = &marker.unread {
            return format!("{}: not known, {why}", marker.name);
        }
        let (lost, twice) = (marker.lost.len(), marker.duplicated.len());
        let kept = format!("{} of {} acknowledged writes lost", lost, marker.acknowledged);
        let twice = if twice == 0 { String::new() } else { format!(", {twice} there more than once") };
        format!("{}: {kept}{twice}", marker.name)
    });
    listed(&told.collect::<Vec<_>>())
}

/// What the probes saw, which is what users would have seen where a probe does what they do. An alert that fires is none of it.
fn users(round: &RoundReport) -> Option<String> {
    let probes = || round.probes.iter().filter(|probe| probe.normally_holds && probe.asked > 0);
    let mut unwell = probes().map(|probe| (outage::of(probe), probe)).filter(|(found, _)| found.count > 0);
    let mut sorted = unwell.by_ref().collect::<Vec<_>>();
    sorted.sort_by_key(|(found, _)| std::cmp::Reverse(found.total_ms));
    let told = sorted.iter().map(|(found, probe)| {
        let still = if found.back_green_ms.is_none() { ", and to the end" } else { "" };
        format!("{} failed for {}{still}", probe.name, words::duration(found.total_ms))
    });
    let told = listed(&told.collect::<Vec<_>>());
    told.or_else(|| probes().next().map(|_| "no probe failed".to_owned()))
}
