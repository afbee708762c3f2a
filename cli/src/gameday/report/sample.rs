//! Reports for tests.

use super::model::{
    Check, Event, EventKind, Measures, Note, Outcome, ProbeReport, Report, RoundReport, Span,
};
use super::words::duration;

/// What nobody should have written, in each field that takes a text.
const HOSTILE: [&str; 8] = [
    "<script>alert(1)</script>",
    "a | b || c \\| d \\",
    "`x` ``` ```sh\nrm -rf /\n```",
    "\"><img src=x onerror=alert(1)>' onload='x",
    "line one\nline two\r\n\n# three\n| a | b |\n| - | - |",
    "👩‍💻🔥 ünïcödé 漢字 العربية \u{202e}dlrow\0\x1b[31m",
    "]]> --> <!-- </svg></style></title> &lt; &amp; {{x}} ${y} \u{ffff}",
    "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww",
];

/// The report whose picture is in the documentation.
pub fn failed() -> Report {
    serde_json::from_str(include_str!("../../../../docs/gamedays/report.json")).unwrap()
}

pub fn passed() -> Report {
    let mut report = failed();
    report.outcome = Outcome::Passed;
    report.why.clear();
    report.warnings.clear();
    report.started_at = "2026-12-01T09:30:00Z".to_owned();
    report.run = "00c0ffee".to_owned();
    let round = &mut report.rounds[0];
    round.outcome = Outcome::Passed;
    measured(round, Check::RTO, Some(570_000));
    measured(round, Check::RECOVERY, Some(29_950));
    measured(round, Check::RPO, Some(0));
    for check in &mut round.checks {
        check.met = check.met.map(|_| true);
    }
    let marker = &mut round.markers[0];
    (marker.lost, marker.duplicated, marker.spans) = (Vec::new(), Vec::new(), Vec::new());
    report
}

/// By a guard, in the first of two rounds; nothing was recovered, and one fault would not go.
pub fn aborted() -> Report {
    let mut report = failed();
    report.outcome = Outcome::Aborted;
    report.why = vec!["the guard `not checkout` for 5s: customers cannot pay".to_owned()];
    report.started_at = "2026-11-29T09:30:00Z".to_owned();
    report.run = "deadbeef".to_owned();
    let round = &mut report.rounds[0];
    round.scenario = Some("cut off".to_owned());
    round.outcome = Outcome::Aborted;
    measured(round, Check::RTO, None);
    measured(round, Check::RECOVERY, None);
    round.measures.abort_ms = Some(1_340);
    round.faults[1].to_ms = None;
    round.events.truncate(9);
    round.events.push(event(90_000, EventKind::Guard, "not checkout for 5s: customers cannot pay"));
    round.markers[0].unread = Some("exit status 1: connection refused".to_owned());
    report.rounds.push(not_started());
    report
}

/// As if this had been measured, whether that is as promised or not.
pub fn measured(round: &mut RoundReport, what: &str, ms: Option<u64>) {
    let measures = &mut round.measures;
    let figure = match what {
        Check::DETECT => &mut measures.detect_ms,
        Check::ALERT => &mut measures.alert_ms,
        Check::RTO => &mut measures.rto_ms,
        Check::RECOVERY => &mut measures.recovery_ms,
        Check::RPO => &mut measures.rpo_ms,
        other => panic!("{other} is no time"),
    };
    *figure = ms;
    let check = round.checks.iter_mut().find(|check| check.what == what).unwrap();
    (check.measured, check.measured_ms) = (ms.map_or_else(|| "never".to_owned(), duration), ms);
}

fn not_started() -> RoundReport {
    RoundReport {
        scenario: Some("slow".to_owned()),
        about: String::new(),
        outcome: Outcome::NotStarted,
        phases: Vec::new(),
        faults: Vec::new(),
        probes: Vec::new(),
        events: Vec::new(),
        checks: Vec::new(),
        measures: Measures::default(),
        markers: Vec::new(),
        matrices: Vec::new(),
    }
}

/// Every text is one that could do harm.
pub fn hostile() -> Report {
    let mut report = failed();
    let mut nth = 0;
    let mut text = |into: &mut String| {
        nth += 1;
        *into = HOSTILE[nth % HOSTILE.len()].to_owned();
    };
    for into in [&mut report.name, &mut report.about, &mut report.file, &mut report.run, &mut report.severity]
    {
        text(into);
    }
    for into in report.why.iter_mut().chain(&mut report.participants).chain(&mut report.warnings) {
        text(into);
    }
    for Note { by, text: note, .. } in &mut report.notes {
        text(by);
        text(note);
    }
    for question in &mut report.questions {
        text(&mut question.text);
    }
    let hosts = std::mem::take(&mut report.hosts);
    report.hosts = HOSTILE.into_iter().map(str::to_owned).zip(hosts.into_values()).collect();
    let round = &mut report.rounds[0];
    text(&mut round.about);
    round.scenario = Some(HOSTILE[0].to_owned());
    for fault in &mut round.faults {
        [&mut fault.id, &mut fault.step, &mut fault.words].into_iter().for_each(&mut text);
        let hosts = std::mem::take(&mut fault.hosts);
        fault.hosts = HOSTILE.into_iter().map(str::to_owned).zip(hosts.into_values()).collect();
    }
    for ProbeReport { name, what, spans, .. } in &mut round.probes {
        text(name);
        text(what);
        spans.iter_mut().for_each(|span| text(&mut span.detail));
    }
    for event in &mut round.events {
        text(&mut event.text);
        event.step.iter_mut().for_each(&mut text);
    }
    for Check { what, target, measured, .. } in &mut round.checks {
        [what, target, measured].into_iter().for_each(&mut text);
    }
    for marker in &mut round.markers {
        text(&mut marker.name);
    }
    for matrix in &mut round.matrices {
        matrix.from.iter_mut().chain(&mut matrix.to).for_each(&mut text);
        matrix.cells.iter_mut().flatten().for_each(|cell| text(&mut cell.text));
    }
    report
}

/// Hours, 40 probes, 500 events, 12 faults.
pub fn long() -> Report {
    let mut report = failed();
    let hours = 4 * 3_600_000;
    report.lasted_ms = hours;
    let round = &mut report.rounds[0];
    for nth in 0..500 {
        // Half of them in one minute.
        let at = if nth % 2 == 0 { nth * 28_000 } else { 7_200_000 + nth * 120 };
        round.events.push(event(at, EventKind::Probe, &format!("event {nth} of many")));
    }
    round.events.sort_by_key(|event| event.at_ms);
    let probe = round.probes[0].clone();
    for nth in 0_u64..40 {
        let mut probe = ProbeReport { name: format!("service-{nth}-in-the-far-region"), ..probe.clone() };
        let flaps = (0..nth * 3).map(|flap| Span {
            what: if flap % 2 == 0 { "fails" } else { "holds" }.to_owned(),
            from_ms: 2_000_000 + flap * 40_000,
            to_ms: 2_000_000 + (flap + 1) * 40_000,
            detail: String::new(),
        });
        probe.spans.extend(flaps);
        round.probes.push(probe);
    }
    for nth in 0_u64..10 {
        let mut fault = round.faults[0].clone();
        fault.id = format!("loss-redis-{nth}");
        fault.from_ms += nth * 600_000;
        fault.to_ms = fault.to_ms.map(|to| to + nth * 600_000);
        round.faults.push(fault);
    }
    round.measures.healed_ms = Some(6_000_000);
    let last = round.phases.last_mut().unwrap();
    last.to_ms = hours;
    report
}

pub fn all() -> [Report; 5] {
    [passed(), failed(), aborted(), hostile(), long()]
}

pub fn event(at_ms: u64, kind: EventKind, text: &str) -> Event {
    Event { at_ms, kind, step: None, text: text.to_owned() }
}
