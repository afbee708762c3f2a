//! The tables of a report, the same in Markdown and on the page.

use super::model::{EventKind, MarkerReport, MatrixReport, Report, RoundReport};
use super::outage;
use super::words::{Clock, count, duration, from_t, maybe, ranges};

/// Whether the events have each turn of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turns {
    Listed,
    /// There are many, and the table of probes has the first and the last.
    Counted,
}

/// Has a row at least.
#[derive(Debug)]
pub struct Table {
    pub caption: &'static str,
    /// What has to be known to read it.
    pub legend: String,
    pub head: Vec<String>,
    pub rows: Vec<Vec<Cell>>,
}

impl Table {
    /// Of who reaches whom.
    pub fn is_matrix(&self) -> bool {
        self.rows.iter().flatten().any(|cell| matches!(cell, Cell::Reach(..)))
    }

    /// Whether the column is one of figures, which are under each other from the right.
    pub fn is_number(&self, column: usize) -> bool {
        self.rows.iter().all(|row| matches!(row.get(column), Some(Cell::Number(_) | Cell::Reach(..))))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    Text(String),
    /// As typed, or a name.
    Code(String),
    Number(String),
    /// None: it is only measured.
    Met(Option<bool>),
    /// From one host to another, and whether it is as it should be.
    Reach(String, Option<bool>),
}

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

fn code(text: &str) -> Cell {
    Cell::Code(text.to_owned())
}

fn number(number: impl ToString) -> Cell {
    Cell::Number(number.to_string())
}

fn head(of: &[&str]) -> Vec<String> {
    of.iter().map(|cell| (*cell).to_owned()).collect()
}

fn table(caption: &'static str, legend: &str, names: &[&str], rows: Vec<Vec<Cell>>) -> Option<Table> {
    (!rows.is_empty()).then(|| Table { caption, legend: legend.to_owned(), head: head(names), rows })
}

/// Everything that was promised, and what became of it; as the runbooks have it.
pub fn metrics(report: &Report) -> Option<Table> {
    let of = |round: &RoundReport| {
        let rows = round.targets().map(|check| {
            let name = match (&round.scenario, report.rounds.len()) {
                (Some(scenario), 2..) => format!("{scenario}: {}", check.what),
                (Some(_) | None, _) => check.what.clone(),
            };
            let target = if check.target.is_empty() { "none" } else { &check.target };
            vec![Cell::Text(name), text(target), number(&check.measured), Cell::Met(check.met)]
        });
        rows.collect::<Vec<_>>()
    };
    let rows = report.rounds.iter().flat_map(of).collect::<Vec<_>>();
    let is_measured = rows.iter().flatten().any(|cell| *cell == Cell::Met(None));
    let legend = if is_measured { "–: it is measured, and nothing was promised of it." } else { "" };
    table("Success metrics", legend, &["Metric", "Target", "Result", "Status"], rows)
}

/// A row for each, where there are several.
pub fn rounds(report: &Report) -> Option<Table> {
    if report.rounds.len() < 2 {
        return None;
    }
    let rows = report.rounds.iter().enumerate().map(|(nth, round)| {
        let measures = &round.measures;
        let time = |ms: Option<u64>| number(ms.map_or_else(|| "–".to_owned(), duration));
        vec![
            Cell::Text(title(report, nth)),
            Cell::Text(format!("{} {}", round.outcome.sign(), round.outcome.word())),
            time(measures.detect_ms),
            time(measures.alert_ms),
            time(measures.rto_ms),
            time(measures.recovery_ms),
            number(lost(round)),
        ]
    });
    let names = ["Round", "Outcome", "Detected", "Alerted", "RTO", "Recovery", "Lost"];
    table("Rounds", "", &names, rows.collect())
}

/// `0, 49 (expendable)`.
fn lost(round: &RoundReport) -> String {
    let lost = |markers: Vec<&MarkerReport>| {
        let lost = markers.iter().map(|marker| marker.lost.len()).sum::<usize>();
        (!markers.is_empty()).then(|| lost.to_string())
    };
    if round.measures.first_fault_ms.is_none() {
        return "–".to_owned();
    }
    let expendable = round.markers.iter().filter(|marker| marker.expendable && !marker.lost.is_empty());
    let expendable = lost(expendable.collect()).map(|lost| format!("{lost} (expendable)"));
    let told = [lost(round.kept().collect()), expendable];
    let told = told.into_iter().flatten().collect::<Vec<_>>();
    if told.is_empty() { "–".to_owned() } else { told.join(", ") }
}

/// What a round is called.
pub fn title(report: &Report, nth: usize) -> String {
    match report.rounds.get(nth).and_then(|round| round.scenario.clone()) {
        Some(scenario) => scenario,
        None if report.rounds.len() == 1 => "What happened".to_owned(),
        None => format!("Round {}", nth + 1),
    }
}

/// All of a round, those that say something, in the order in which they are read.
pub fn round(round: &RoundReport, clock: &Clock, turns: Turns) -> Vec<Table> {
    let tables = [
        probes(round),
        faults(round),
        hits(round),
        expectations(round),
        marker_phases(round),
        marker_numbers(round),
    ];
    let matrices = round.matrices.iter().filter_map(matrix).map(Some);
    tables
        .into_iter()
        .chain(matrices)
        .chain([phases(round, clock), events(round, clock, turns)])
        .flatten()
        .collect()
}

fn phases(round: &RoundReport, clock: &Clock) -> Option<Table> {
    let rows = round.phases.iter().map(|span| {
        vec![
            text(&span.what),
            number(clock.at(span.from_ms)),
            number(from_t(round, span.from_ms)),
            number(from_t(round, span.to_ms)),
            number(duration(span.to_ms.saturating_sub(span.from_ms))),
        ]
    });
    table("Phases", "", &["Phase", "Clock (UTC)", "From", "To", "Lasted"], rows.collect())
}

fn events(round: &RoundReport, clock: &Clock, turns: Turns) -> Option<Table> {
    let is_left_out = |kind: EventKind| turns == Turns::Counted && kind == EventKind::Probe;
    let left_out = round.events.iter().filter(|event| is_left_out(event.kind)).count();
    let legend = match left_out {
        0 => String::new(),
        _ => format!(
            "Without {}: the table of probes has the first and the last, the page and report.json have all.",
            count(left_out, "turn of a probe", "turns of probes")
        ),
    };
    // They keep their numbers, which are those on the timeline.
    let listed = round.events.iter().enumerate().filter(|(_, event)| !is_left_out(event.kind));
    let rows = listed.map(|(nth, event)| {
        vec![
            number(nth + 1),
            number(clock.at(event.at_ms)),
            number(from_t(round, event.at_ms)),
            text(event.kind.word()),
            code(event.step.as_deref().unwrap_or_default()),
            text(&event.text),
        ]
    });
    table("Events", &legend, &["#", "Clock (UTC)", "From T", "Kind", "Step", "What"], rows.collect())
}

fn faults(round: &RoundReport) -> Option<Table> {
    let rows = round.faults.iter().map(|fault| {
        let lasted = fault.to_ms.map(|to| duration(to.saturating_sub(fault.from_ms)));
        vec![
            code(&fault.id),
            code(&fault.step),
            code(&fault.words),
            number(from_t(round, fault.from_ms)),
            number(fault.to_ms.map_or_else(|| "still there".to_owned(), |to| from_t(round, to))),
            number(lasted.unwrap_or_default()),
            number(fault.spread_ms.map_or_else(|| "–".to_owned(), |spread| format!("{spread:.1}ms"))),
        ]
    });
    let legend = "Spread: how far apart its hosts began.";
    table("Faults", legend, &["Fault", "Step", "As typed", "From", "To", "Lasted", "Spread"], rows.collect())
}

fn hits(round: &RoundReport) -> Option<Table> {
    let rows = round.faults.iter().flat_map(|fault| {
        fault.hosts.iter().map(|(host, on)| {
            vec![
                code(&fault.id),
                code(host),
                text(ended(on.end.as_deref())),
                number(on.packets),
                number(on.bytes),
                text(&on.hits),
            ]
        })
    });
    table("Faults by host", "", &["Fault", "Host", "Ended by", "Packets", "Bytes", "Hits"], rows.collect())
}

/// By which token and from which port it was restored says nothing: it was the run.
fn ended(end: Option<&str>) -> &str {
    match end {
        Some(end) if end.starts_with("restored") => "restored",
        Some(end) => end,
        None => "not known",
    }
}

fn probes(round: &RoundReport) -> Option<Table> {
    let rows = round.probes.iter().map(|probe| {
        let found = outage::of(round, probe);
        let at = |ms: Option<u64>| number(ms.map_or_else(|| "–".to_owned(), |ms| from_t(round, ms)));
        let back = match (found.count, found.back_green_ms) {
            (0, _) => number("–"),
            (_, None) => number("never"),
            (_, Some(ms)) => number(from_t(round, ms)),
        };
        let last = probe.spans.last().map(|span| span.detail.as_str()).unwrap_or_default();
        vec![
            code(&if probe.normally_holds { probe.name.clone() } else { format!("not {}", probe.name) }),
            number(probe.asked),
            number(probe.failed),
            number(if found.count == 0 { "–".to_owned() } else { duration(found.longest_ms) }),
            number(if found.count == 0 { "–".to_owned() } else { duration(found.total_ms) }),
            at(found.first_red_ms),
            back,
            code(&probe.what),
            text(last),
        ]
    });
    let names = [
        "Probe",
        "Asked",
        "Failed",
        "Longest outage",
        "All outages",
        "First red",
        "Back green",
        "What is asked",
        "Last answer",
    ];
    let inverted = round.probes.iter().any(|probe| !probe.normally_holds);
    let legend =
        if inverted { "Not: it fails when all is well, and its outage is when it holds." } else { "" };
    table("Probes", legend, &names, rows.collect())
}

fn expectations(round: &RoundReport) -> Option<Table> {
    let rows = round
        .expectations()
        .map(|check| vec![text(&check.what), text(&check.measured), Cell::Met(check.met)]);
    table("Expectations", "", &["Expected", "Found", "Status"], rows.collect())
}

fn marker_phases(round: &RoundReport) -> Option<Table> {
    let rows = round.markers.iter().flat_map(|marker| {
        // In the order of time.
        let of = |what: &String| round.phases.iter().position(|phase| phase.what == *what);
        let mut phases = marker.phases.iter().collect::<Vec<_>>();
        phases.sort_by_key(|(what, _)| of(what).unwrap_or(usize::MAX));
        let row = |what: &str, written: u64, acknowledged: u64, lost: String| {
            vec![code(&marker.name), text(what), number(written), number(acknowledged), number(lost)]
        };
        let known = |lost: u64| match marker.unread {
            Some(_) => "not known".to_owned(),
            None if marker.expendable => format!("{lost} (expendable)"),
            None => lost.to_string(),
        };
        let rows = phases
            .into_iter()
            .map(move |(what, counts)| row(what, counts.written, counts.acknowledged, known(counts.lost)));
        let lost = u64::try_from(marker.lost.len()).unwrap_or(u64::MAX);
        rows.chain([row("all", marker.written, marker.acknowledged, known(lost))]).collect::<Vec<_>>()
    });
    table("Markers by phase", "", &["Markers", "Phase", "Written", "Acknowledged", "Lost"], rows.collect())
}

fn marker_numbers(round: &RoundReport) -> Option<Table> {
    let rows = round.markers.iter().flat_map(|marker| {
        let lists = [
            (if marker.expendable { "lost (expendable)" } else { "lost" }, &marker.lost),
            ("there more than once", &marker.duplicated),
            ("there without acknowledgement", &marker.uncertain),
        ];
        let mut rows = Vec::new();
        if let Some(why) = &marker.unread {
            rows.push(vec![code(&marker.name), text("not read back"), number(""), text(why)]);
        }
        for (what, numbers) in lists.into_iter().filter(|(_, numbers)| !numbers.is_empty()) {
            rows.push(vec![
                code(&marker.name),
                text(what),
                number(numbers.len()),
                Cell::Text(ranges(numbers)),
            ]);
        }
        rows
    });
    let legend = "Lost: acknowledged, and not there when all had recovered.";
    table(
        "Markers that are not as they should be",
        legend,
        &["Markers", "Which", "How many", "Numbers"],
        rows.collect(),
    )
}

fn matrix(matrix: &MatrixReport) -> Option<Table> {
    let caption = match matrix.when.as_str() {
        "before" => "Who reaches whom, before",
        "during" => "Who reaches whom, during",
        "after" => "Who reaches whom, after",
        _ => "Who reaches whom",
    };
    let mut head = vec!["From ↓ to →".to_owned()];
    head.extend(matrix.to.iter().cloned());
    let rows = matrix.from.iter().zip(&matrix.cells).map(|(from, cells)| {
        let mut row = vec![code(from)];
        row.extend(cells.iter().map(|cell| Cell::Reach(cell.text.clone(), cell.expected)));
        row.resize(head.len(), text(""));
        row
    });
    let rows = rows.collect::<Vec<_>>();
    let unexpected = matrix.cells.iter().flatten().filter(|cell| cell.expected == Some(false)).count();
    let legend = match unexpected {
        0 => "All as the faults say.".to_owned(),
        _ => format!("{} with ! not as the faults say.", count(unexpected, "pair", "pairs")),
    };
    (!rows.is_empty()).then_some(Table { caption, legend, head, rows })
}

/// Who took part, and where.
pub fn hosts(report: &Report) -> Option<Table> {
    let rows = report
        .hosts
        .iter()
        .map(|(name, host)| vec![code(name), code(&host.agent), text(&host.version), text(&host.kernel)]);
    table("Hosts", "", &["Host", "Agent", "Version", "Kernel"], rows.collect())
}

/// What people wrote while it ran.
pub fn notes(report: &Report, clock: &Clock) -> Option<Table> {
    let rows = report.notes.iter().map(|note| {
        vec![number(clock.at(note.at_ms)), number(duration(note.at_ms)), text(&note.by), text(&note.text)]
    });
    table("Notes", "", &["Clock (UTC)", "Into the run", "By", "Note"], rows.collect())
}

/// The run itself, a line each.
pub fn about(report: &Report, clock: &Clock) -> Vec<(&'static str, Cell)> {
    let place = if report.lab {
        // A lab has hosts without an agent too.
        format!("{} in a lab", count(report.hosts.len(), "agent", "agents"))
    } else {
        count(report.hosts.len(), "host", "hosts")
    };
    let mut about = vec![
        (
            "Began",
            Cell::Text(
                Some(clock.date()).filter(|date| !date.is_empty()).unwrap_or(report.started_at.clone()),
            ),
        ),
        ("Lasted", Cell::Text(duration(report.lasted_ms))),
        ("On", Cell::Text(place)),
        ("Severity", text(&report.severity)),
    ];
    if !report.participants.is_empty() {
        about.push(("Participants", Cell::Text(report.participants.join(", "))));
    }
    let aborts = report.rounds.iter().filter_map(|round| round.measures.abort_ms);
    if let Some(abort) = aborts.max() {
        about.push(("Healed", Cell::Text(format!("{} after it was broken off", maybe(Some(abort))))));
    }
    about.push(("File", code(&report.file)));
    about.push(("Run", code(&report.run)));
    about.push(("Made by", Cell::Text(format!("partition-agent {}", report.version))));
    about
}
