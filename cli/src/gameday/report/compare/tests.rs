//! Reports beside each other.

use super::super::model::ProbeReport;
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
    sample::measured(round, Check::DETECT, Some(9_000));
    sample::measured(round, Check::ALERT, None);
    let alert = round.checks.iter_mut().find(|check| check.what == Check::ALERT).unwrap();
    alert.met = Some(false);
    later.severity = "high".to_owned();
    let trend = trend(&[sample::failed(), later]).unwrap();
    assert_eq!(
        (cell(&trend, None, Check::DETECT, 1).verdict, cell(&trend, None, Check::DETECT, 1).change.as_str()),
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
    assert!(
        trend
            .differences
            .contains(&"not of the same scenarios: cut off in 1 of 2, slow in 1 of 2".to_owned())
    );
    assert_eq!(cell(&trend, Some("cut off"), Check::RTO, 1).verdict, Verdict::Incomparable);
    assert!(!trend.rows.iter().any(|row| row.round.is_some() && row.measure == Check::LOST));
}

#[test]
fn what_is_the_same_is_left_out_for_people() {
    let mut later = sample::failed();
    later.run = "later".to_owned();
    later.started_at = "2027-01-01T00:00:00Z".to_owned();
    sample::measured(&mut later.rounds[0], Check::DETECT, Some(9_000));
    let more = later.rounds[0].probes[0].clone();
    for nth in 0..4 {
        let probe = ProbeReport { name: format!("copy-{nth}"), ..more.clone() };
        later.rounds[0].probes.push(probe);
    }
    let trend = trend(&[sample::failed(), later]).unwrap();
    let shown = trend.rows.iter().filter(|row| row.shown).map(|row| row.measure.as_str());
    let shown = shown.collect::<Vec<_>>();
    assert_eq!(shown[..2], ["outcome", Check::DETECT]);
    assert!(shown.iter().all(|row| !row.contains("RTO") && !row.contains("outage of redis")), "{shown:?}");
    assert_eq!(cell(&trend, None, Check::RTO, 1).text, "11m4s");
    assert_eq!(trend.left_out[0], "3 more probes with shorter outages");
    assert!(trend.left_out[1].contains("the same in all reports"), "{:?}", trend.left_out);
}

#[test]
fn a_report_without_the_scenario_does_not_make_its_rows_differ() {
    let at = |year: u16, scenario: &str| {
        let mut report = sample::failed();
        report.run = format!("run of {year}");
        report.started_at = format!("{year}-01-01T00:00:00Z");
        report.rounds[0].scenario = Some(scenario.to_owned());
        report
    };
    let shown = |reports: &[Report], round: &str| {
        let trend = trend(reports).unwrap();
        let rows = trend.rows.into_iter().filter(|row| row.shown && row.round.as_deref() == Some(round));
        rows.map(|row| row.measure).collect::<Vec<_>>()
    };
    let reports = [at(2030, "cut"), at(2031, "slow"), at(2032, "cut")];
    // The two are not beside each other, so nothing is compared.
    assert!(!shown(&reports, "cut").is_empty() && !shown(&reports, "slow").is_empty());
    let reports = [at(2030, "cut"), at(2031, "cut"), at(2032, "slow")];
    assert_eq!(shown(&reports, "cut"), Vec::<String>::new());
}

#[test]
fn what_may_be_lost_is_neither_better_nor_worse() {
    let mut reports = [sample::failed(), sample::passed()];
    for report in &mut reports {
        report.rounds[0].markers[0].expendable = true;
    }
    let trend = trend(&reports).unwrap();
    assert!(trend.rows.iter().all(|row| row.measure != Check::LOST && row.measure != Check::DUPLICATED));
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let twice = trend(&[sample::passed(), sample::passed()]).unwrap_err();
    assert!(twice.contains("00c0ffee") && twice.contains("more than once"), "{twice}");
    let mut when = sample::passed();
    when.started_at = "noon".to_owned();
    assert!(trend(&[when]).unwrap_err().contains("does not say when it was"));
}
