//! How game days became better or worse.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use super::model::{Check, MarkerReport, Outcome, Report, RoundReport};
use super::outage;
use super::words::{Clock, duration};

/// Milliseconds. Probes are asked once a second or so: less than this is no change.
const FINE: f64 = 100.0;

/// A column for each report, in the order of their time.
#[derive(Debug, Serialize)]
pub struct Trend {
    pub reports: Vec<Column>,
    pub rows: Vec<Row>,
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
    for scenario in scenarios(&sorted) {
        let rounds = sorted
            .iter()
            .map(|report| report.rounds.iter().find(|round| round.scenario == scenario))
            .collect::<Vec<_>>();
        rows.extend(round(scenario.as_ref(), &rounds));
    }
    rows.retain(|row| row.cells.iter().any(|cell| !cell.text.is_empty()));
    Ok(Trend {
        reports: sorted.iter().map(|report| column(report)).collect(),
        rows,
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

fn each<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut unique = Vec::new();
    for one in all {
        if !unique.contains(&one) {
            unique.push(one);
        }
    }
    unique
}

fn round(scenario: Option<&String>, rounds: &[Option<&RoundReport>]) -> Vec<Row> {
    let of = |measure: &str, value: &dyn Fn(&RoundReport) -> Value| {
        row(scenario, measure, rounds.iter().map(|round| round.map_or(Value::Missing, value)))
    };
    let mut rows = Vec::new();
    if scenario.is_some() {
        rows.push(of("outcome", &|round| Value::Outcome(round.outcome)));
    }
    rows.push(of(Check::DETECT, &|round| time(round, Check::DETECT, round.measures.detect_ms)));
    rows.push(of(Check::ALERT, &|round| time(round, Check::ALERT, round.measures.alert_ms)));
    rows.push(of(Check::RTO, &|round| time(round, Check::RTO, round.measures.rto_ms)));
    rows.push(of(Check::RECOVERY, &|round| time(round, Check::RECOVERY, round.measures.recovery_ms)));
    rows.push(of(Check::RPO, &|round| time(round, Check::RPO, round.measures.rpo_ms)));
    rows.push(of(Check::LOST, &|round| markers(round, |marker| &marker.lost)));
    rows.push(of(Check::DUPLICATED, &|round| markers(round, |marker| &marker.duplicated)));
    let probes =
        each(rounds.iter().flatten().flat_map(|round| &round.probes).filter(|probe| probe.normally_holds));
    for name in each(probes.into_iter().map(|probe| &probe.name)) {
        rows.push(of(&format!("longest outage of {name}"), &|round| {
            let probe = round.probes.iter().find(|probe| probe.name == *name && probe.asked > 0);
            probe.map_or(Value::Missing, |probe| Value::Millis(outage::of(probe).longest_ms))
        }));
    }
    rows
}

/// What is not measured, and was promised, has never been.
fn time(round: &RoundReport, name: &str, measured: Option<u64>) -> Value {
    let missed = round.checks.iter().any(|check| check.what == name && check.met == Some(false));
    match measured {
        Some(ms) => Value::Millis(ms),
        None if missed => Value::Never,
        None => Value::Missing,
    }
}

fn markers(round: &RoundReport, which: fn(&MarkerReport) -> &Vec<u64>) -> Value {
    if round.markers.is_empty() || round.markers.iter().any(|marker| marker.unread.is_some()) {
        return Value::Missing;
    }
    let count = round.markers.iter().map(|marker| which(marker).len()).sum::<usize>();
    Value::Count(u64::try_from(count).unwrap_or(u64::MAX))
}

fn row(round: Option<&String>, measure: &str, values: impl Iterator<Item = Value>) -> Row {
    let mut before = Value::Missing;
    let cells = values.map(|value| {
        let (verdict, change) = change(before, value);
        before = value;
        Cell { text: told(value), change, verdict }
    });
    Row { round: round.cloned(), measure: measure.to_owned(), cells: cells.collect() }
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
    told
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn cell<'a>(trend: &'a Trend, round: Option<&str>, measure: &str, column: usize) -> &'a Cell {
        let row = trend.rows.iter().find(|row| row.round.as_deref() == round && row.measure == measure);
        &row.unwrap_or_else(|| panic!("{measure}")).cells[column]
    }

    #[test]
    fn game_days_are_in_the_order_of_their_time() {
        // The one that passed was later.
        let trend = trend(&[sample::passed(), sample::failed()]).unwrap();
        assert_eq!(
            trend.reports.iter().map(|report| report.run.as_str()).collect::<Vec<_>>(),
            ["7f3a9c1e", "00c0ffee"]
        );
        let expected = |text: &str, change: &str, verdict| Cell {
            text: text.to_owned(),
            change: change.to_owned(),
            verdict,
        };
        assert_eq!(cell(&trend, None, Check::RTO, 0), &expected("11m4s", "", Verdict::Incomparable));
        assert_eq!(cell(&trend, None, Check::RTO, 1), &expected("9m30s", "-1m34s", Verdict::Better));
        assert_eq!(cell(&trend, None, Check::LOST, 1), &expected("0", "-4", Verdict::Better));
        assert_eq!(cell(&trend, None, Check::DETECT, 1), &expected("4.2s", "", Verdict::Same));
        assert_eq!(cell(&trend, None, "outcome", 1).verdict, Verdict::Better);
        assert_eq!(cell(&trend, None, "longest outage of api", 0).text, "5m3s");
        assert_eq!(trend.differences, Vec::<String>::new());
    }

    #[test]
    fn worse_is_worse_and_never_is_worst() {
        let mut later = sample::passed();
        let round = &mut later.rounds[0];
        round.measures.detect_ms = Some(9_000);
        round.measures.alert_ms = None;
        let alert = round.checks.iter_mut().find(|check| check.what == Check::ALERT).unwrap();
        alert.met = Some(false);
        later.severity = "high".to_owned();
        let trend = trend(&[sample::failed(), later]).unwrap();
        assert_eq!(
            (
                cell(&trend, None, Check::DETECT, 1).verdict,
                cell(&trend, None, Check::DETECT, 1).change.as_str()
            ),
            (Verdict::Worse, "+4.8s")
        );
        assert_eq!(
            (cell(&trend, None, Check::ALERT, 1).verdict, cell(&trend, None, Check::ALERT, 1).text.as_str()),
            (Verdict::Worse, "never")
        );
        assert_eq!(trend.differences, ["not of the same severity: medium, high"]);
    }

    #[test]
    fn what_was_not_measured_is_not_compared() {
        let trend = trend(&[sample::aborted(), sample::passed()]).unwrap();
        // Rounds of other names, and markers that were not read.
        assert_eq!(cell(&trend, Some("cut off"), "outcome", 0).text, "aborted");
        assert_eq!(cell(&trend, Some("cut off"), "outcome", 1).text, "");
        assert_eq!(cell(&trend, Some("cut off"), Check::RTO, 1).verdict, Verdict::Incomparable);
        assert!(!trend.rows.iter().any(|row| row.round.is_some() && row.measure == Check::LOST));
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        let twice = trend(&[sample::passed(), sample::passed()]).unwrap_err();
        assert!(twice.contains("00c0ffee") && twice.contains("more than once"), "{twice}");
        let mut when = sample::passed();
        when.started_at = "noon".to_owned();
        assert!(trend(&[when]).unwrap_err().contains("does not say when it was"));
    }
}
