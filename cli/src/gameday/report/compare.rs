//! How game days became better or worse.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use super::model::{Check, MarkerReport, Outcome, Report, RoundReport};
use super::outage;
use super::words::{Clock, count, duration};
use crate::render::each;

/// The outages of so many probes of a round are shown.
const OUTAGES: usize = 5;

/// Milliseconds. Probes are asked once a second or so: less than this is no change.
const FINE: f64 = 100.0;

/// A column for each report, in the order of their time.
#[derive(Debug, Serialize)]
pub struct Trend {
    pub reports: Vec<Column>,
    pub rows: Vec<Row>,
    /// Which rows people are not shown, in words.
    pub left_out: Vec<String>,
    /// What makes them hard to compare.
    pub differences: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct Column {
    pub name: String,
    pub run: String,
    pub started_at: String,
    /// As people read it.
    pub date: String,
    pub outcome: Outcome,
}

#[derive(Debug, Serialize)]
pub struct Row {
    /// None: of the whole game day, or of its only round.
    pub round: Option<String>,
    pub measure: String,
    /// To people. The others are the same in all reports, or short outages beside longer ones.
    pub shown: bool,
    pub cells: Vec<Cell>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cell {
    /// Empty: it was not measured.
    pub text: String,
    /// From the report before, in words.
    pub change: String,
    pub verdict: Verdict,
}

/// Beside the report before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The first, or one of them was not measured.
    Incomparable,
    Same,
    Better,
    Worse,
}

impl Verdict {
    /// Never told by a colour alone.
    pub fn word(self) -> &'static str {
        match self {
            Self::Incomparable => "",
            Self::Same => "same",
            Self::Better => "better",
            Self::Worse => "worse",
        }
    }
}

/// What was measured; less is better.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Value {
    Missing,
    Millis(u64),
    Count(u64),
    /// It should have been, and was not.
    Never,
    Outcome(Outcome),
}

/// # Errors
/// The time of one is not known, or two are of the same run.
pub fn trend(reports: &[Report]) -> Result<Trend, String> {
    let mut sorted = Vec::new();
    for report in reports {
        let at = report.started_at.parse::<Timestamp>().map_err(|error| {
            format!("the report of run {} does not say when it was: started_at: {error}", report.run)
        })?;
        sorted.push((at, report));
    }
    sorted.sort_by_key(|(at, _)| *at);
    let sorted = sorted.into_iter().map(|(_, report)| report).collect::<Vec<_>>();
    let mut runs = BTreeSet::new();
    if let Some(twice) = sorted.iter().find(|report| !runs.insert(&report.run)) {
        return Err(format!(
            "the report of run {} is there more than once: leave one of them out",
            twice.run
        ));
    }
    let mut rows = vec![row(None, "outcome", sorted.iter().map(|report| Value::Outcome(report.outcome)))];
    let mut left_out = Vec::new();
    // How the whole went is none of them.
    let mut same = 0;
    for scenario in scenarios(&sorted) {
        let rounds = sorted
            .iter()
            .map(|report| report.rounds.iter().find(|round| round.scenario == scenario))
            .collect::<Vec<_>>();
        let mut of_round = round(scenario.as_ref(), &rounds);
        let outages = outages(scenario.as_ref(), &rounds);
        let more = outages.iter().filter(|row| !row.shown).count();
        if more > 0 {
            let of = scenario.map_or_else(String::new, |scenario| format!("{scenario}: "));
            left_out.push(format!("{of}{} with shorter outages", count(more, "more probe", "more probes")));
        }
        of_round.extend(outages);
        for row in of_round.iter_mut().filter(|row| row.shown && row.is_same(&rounds)) {
            row.shown = false;
            same += 1;
        }
        rows.extend(of_round);
    }
    rows.retain(|row| row.cells.iter().any(|cell| !cell.text.is_empty()));
    if same > 0 {
        left_out.push(format!(
            "{} that {} the same in all reports that have the scenario",
            count(same, "row", "rows"),
            if same == 1 { "is" } else { "are" }
        ));
    }
    Ok(Trend {
        reports: sorted.iter().map(|report| column(report)).collect(),
        rows,
        left_out,
        differences: differences(&sorted),
    })
}

fn column(report: &Report) -> Column {
    Column {
        name: report.name.clone(),
        run: report.run.clone(),
        started_at: report.started_at.clone(),
        date: Clock::new(&report.started_at).date(),
        outcome: report.outcome,
    }
}

/// Each once, in the order of the first.
fn scenarios(reports: &[&Report]) -> Vec<Option<String>> {
    each(reports.iter().flat_map(|report| &report.rounds).map(|round| round.scenario.clone()))
}

fn round(scenario: Option<&String>, rounds: &[Option<&RoundReport>]) -> Vec<Row> {
    let of = |measure: &str, value: &dyn Fn(&RoundReport) -> Value| {
        row(scenario, measure, rounds.iter().map(|round| round.map_or(Value::Missing, value)))
    };
    let mut rows = Vec::new();
    if scenario.is_some() {
        rows.push(of("outcome", &|round| Value::Outcome(round.outcome)));
    }
    let times = [Check::DETECT, Check::ALERT, Check::RTO, Check::RECOVERY, Check::RPO];
    rows.extend(times.map(|name| of(name, &|round| time(round, name))));
    rows.push(of(Check::LOST, &|round| markers(round, |marker| &marker.lost)));
    rows.push(of(Check::DUPLICATED, &|round| markers(round, |marker| &marker.duplicated)));
    rows
}

/// Of the probes that failed since the first fault in one of the reports, the longest first.
fn outages(scenario: Option<&String>, rounds: &[Option<&RoundReport>]) -> Vec<Row> {
    let mut longest = BTreeMap::<&String, u64>::new();
    for round in rounds.iter().flatten() {
        for probe in round.probes.iter().filter(|probe| probe.normally_holds && probe.asked > 0) {
            let found = outage::of_faults(round, probe);
            if found.count > 0 {
                let before = longest.entry(&probe.name).or_default();
                *before = (*before).max(found.longest_ms);
            }
        }
    }
    let mut longest = longest.into_iter().collect::<Vec<_>>();
    longest.sort_by_key(|(_, ms)| Reverse(*ms));
    let rows = longest.iter().enumerate().map(|(nth, (name, _))| {
        let value = |round: &RoundReport| {
            let probe = round.probes.iter().find(|probe| probe.name == **name && probe.asked > 0);
            match probe {
                Some(probe) if round.measures.first_fault_ms.is_some() => {
                    Value::Millis(outage::of_faults(round, probe).longest_ms)
                }
                Some(_) | None => Value::Missing,
            }
        };
        let values = rounds.iter().map(|round| round.map_or(Value::Missing, value));
        Row { shown: nth < OUTAGES, ..row(scenario, &format!("longest outage of {name}"), values) }
    });
    rows.collect()
}

impl Row {
    /// In all reports that have the round, and there are several.
    fn is_same(&self, rounds: &[Option<&RoundReport>]) -> bool {
        let cells = self.cells.iter().zip(rounds).filter(|(_, round)| round.is_some());
        let mut later = cells.map(|(cell, _)| cell.verdict).skip(1).peekable();
        later.peek().is_some() && later.all(|verdict| verdict == Verdict::Same)
    }
}

/// What was promised, and is not measured, has never been.
fn time(round: &RoundReport, name: &str) -> Value {
    match round.targets().find(|check| check.what == name) {
        Some(check) => check.measured_ms.map_or(Value::Never, Value::Millis),
        None => Value::Missing,
    }
}

fn markers(round: &RoundReport, which: fn(&MarkerReport) -> &Vec<u64>) -> Value {
    let nothing_cut = round.outcome == Outcome::NotStarted;
    if nothing_cut || round.kept().next().is_none() || round.kept().any(|marker| marker.unread.is_some()) {
        return Value::Missing;
    }
    let count = round.kept().map(|marker| which(marker).len()).sum::<usize>();
    Value::Count(u64::try_from(count).unwrap_or(u64::MAX))
}

fn row(round: Option<&String>, measure: &str, values: impl Iterator<Item = Value>) -> Row {
    let mut before = Value::Missing;
    let cells = values.map(|value| {
        let (verdict, change) = change(before, value);
        before = value;
        Cell { text: told(value), change, verdict }
    });
    Row { round: round.cloned(), measure: measure.to_owned(), shown: true, cells: cells.collect() }
}

fn told(value: Value) -> String {
    match value {
        Value::Missing => String::new(),
        Value::Millis(ms) => duration(ms),
        Value::Count(count) => count.to_string(),
        Value::Never => "never".to_owned(),
        Value::Outcome(outcome) => outcome.word().to_lowercase(),
    }
}

fn change(before: Value, now: Value) -> (Verdict, String) {
    let signed = |apart: String, is_more: bool| format!("{}{apart}", if is_more { '+' } else { '-' });
    let verdict = |before: u64, now: u64| if now < before { Verdict::Better } else { Verdict::Worse };
    match (before, now) {
        (Value::Millis(before), Value::Millis(now)) if (before.abs_diff(now) as f64) < FINE => {
            (Verdict::Same, String::new())
        }
        (Value::Millis(before), Value::Millis(now)) => {
            (verdict(before, now), signed(duration(before.abs_diff(now)), now > before))
        }
        (Value::Count(before), Value::Count(now)) if before == now => (Verdict::Same, String::new()),
        (Value::Count(before), Value::Count(now)) => {
            (verdict(before, now), signed(before.abs_diff(now).to_string(), now > before))
        }
        (Value::Never, Value::Never) => (Verdict::Same, String::new()),
        (Value::Never, Value::Millis(_)) => (Verdict::Better, String::new()),
        (Value::Millis(_), Value::Never) => (Verdict::Worse, String::new()),
        (Value::Outcome(before), Value::Outcome(now)) => match (before, now) {
            (before, now) if before == now => (Verdict::Same, String::new()),
            (_, Outcome::Passed) => (Verdict::Better, String::new()),
            (Outcome::Passed, _) => (Verdict::Worse, String::new()),
            // One way of not passing is not better than another.
            (_, Outcome::Failed | Outcome::Aborted | Outcome::NotStarted) => {
                (Verdict::Incomparable, String::new())
            }
        },
        (Value::Missing | Value::Millis(_) | Value::Count(_) | Value::Never | Value::Outcome(_), _) => {
            (Verdict::Incomparable, String::new())
        }
    }
}

/// Of what was run, and how.
fn differences(reports: &[&Report]) -> Vec<String> {
    let mut told = Vec::new();
    let mut tell = |what: &str, of: &dyn Fn(&Report) -> String| {
        let values = each(reports.iter().map(|report| of(report)));
        if values.len() > 1 {
            told.push(format!("not of the same {what}: {}", values.join(", ")));
        }
    };
    tell("game day", &|report| report.name.clone());
    tell("severity", &|report| report.severity.clone());
    tell("place", &|report| if report.lab { "a lab" } else { "real hosts" }.to_owned());
    tell("speed", &|report| match report.faster {
        0 | 1 => "as written".to_owned(),
        faster => format!("{faster} times as fast"),
    });
    let partly = scenarios(reports).into_iter().flatten().filter_map(|scenario| {
        let has =
            |report: &&&Report| report.rounds.iter().any(|round| round.scenario.as_ref() == Some(&scenario));
        let among = reports.iter().filter(has).count();
        (among < reports.len()).then(|| format!("{scenario} in {among} of {}", reports.len()))
    });
    let partly = partly.collect::<Vec<_>>();
    if !partly.is_empty() {
        told.push(format!("not of the same scenarios: {}", partly.join(", ")));
    }
    told
}
