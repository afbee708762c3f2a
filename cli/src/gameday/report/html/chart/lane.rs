//! What is in a lane of the chart, as values: everything but where its line is.

use super::scale::Scale;
use crate::gameday::report::model::{Check, FaultReport, MarkerReport, ProbeReport, RoundReport, Span};
use crate::gameday::report::outage::{self, Condition};
use crate::gameday::report::words::{count, duration, from_t, ranges};

/// Nothing that happened is too short to be seen: pixels.
const LEAST: f64 = 2.0;

#[derive(Debug)]
pub struct Lane {
    pub label: String,
    /// The figure that matters, at the end of its line.
    pub value: String,
    /// What a pointer that rests on its label is told.
    pub detail: String,
    pub marks: Vec<Mark>,
}

#[derive(Debug)]
pub struct Mark {
    pub look: Look,
    pub from: f64,
    pub to: f64,
    /// In it or beside it, where there is room.
    pub text: String,
    pub detail: String,
}

/// No two of them differ only by their colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// An outlined box.
    Phase,
    /// A hatched bar.
    Fault,
    /// A line with ends.
    Measure,
    /// A dotted line up to a bar.
    Target,
    /// A thin line.
    Well,
    /// A high block.
    Unwell,
    /// A striped block: an alert that fires, or the like.
    Fires,
    /// A dotted box.
    Unknown,
    /// A hollow low box.
    Refused,
}

fn mark(scale: &Scale, look: Look, span: (u64, u64), text: &str, detail: String) -> Mark {
    let (from, to) = (scale.x(span.0), scale.x(span.1));
    Mark { look, from, to: to.max(from + LEAST), text: text.to_owned(), detail }
}

fn when(round: &RoundReport, from_ms: u64, to_ms: u64) -> String {
    let lasted = duration(to_ms.saturating_sub(from_ms));
    format!("{} to {}, {lasted}", from_t(round, from_ms), from_t(round, to_ms))
}

pub fn phases(round: &RoundReport, scale: &Scale) -> Lane {
    let marks = round.phases.iter().map(|span| {
        let detail = format!("{}: {}", span.what, when(round, span.from_ms, span.to_ms));
        mark(scale, Look::Phase, (span.from_ms, span.to_ms), &span.what, detail)
    });
    Lane { label: "Phases".to_owned(), value: String::new(), detail: String::new(), marks: marks.collect() }
}

pub fn fault(round: &RoundReport, fault: &FaultReport, end_ms: u64, scale: &Scale) -> Lane {
    let to_ms = fault.to_ms.unwrap_or(end_ms);
    let still = if fault.to_ms.is_none() { ", and still there" } else { "" };
    let hosts = count(fault.hosts.len(), "host", "hosts");
    let detail = format!("{} on {hosts}: {}{still}", fault.words, when(round, fault.from_ms, to_ms));
    let value = match fault.to_ms {
        Some(to) => duration(to.saturating_sub(fault.from_ms)),
        None => "still there".to_owned(),
    };
    let marks = vec![mark(scale, Look::Fault, (fault.from_ms, to_ms), &fault.words, detail.clone())];
    Lane { label: fault.id.clone(), value, detail, marks }
}

/// What was measured from an instant on, with its target where there is one.
pub fn measures(round: &RoundReport, scale: &Scale) -> Vec<Lane> {
    let (first, healed) = (round.measures.first_fault_ms, round.measures.healed_ms);
    let all = [(Check::DETECT, first), (Check::ALERT, first), (Check::RTO, first), (Check::RECOVERY, healed)];
    let lanes = all.into_iter().filter_map(|(name, from)| {
        let check = round.targets().find(|check| check.what == name)?;
        let sign = match check.met {
            Some(true) => " ✓",
            Some(false) => " ✗",
            None => "",
        };
        let measured = &check.measured;
        let promised = if check.target.is_empty() { "none" } else { check.target.as_str() };
        let detail = format!("{name}: {measured}, target: {promised}");
        let mut marks = Vec::new();
        if let (Some(from), Some(target)) = (from, check.target_ms.filter(|target| *target > 0)) {
            let until = from.saturating_add(target);
            if scale.shows(until) {
                let detail = format!("target of {name}: {}", duration(target));
                marks.push(mark(scale, Look::Target, (from, until), "", detail));
            }
        }
        if let (Some(from), Some(took)) = (from, check.measured_ms) {
            let until = from.saturating_add(took);
            marks.push(mark(scale, Look::Measure, (from, until), "", detail.clone()));
        }
        Some(Lane { label: name.to_owned(), value: format!("{measured}{sign}"), detail, marks })
    });
    lanes.collect()
}

pub fn probe(round: &RoundReport, probe: &ProbeReport, scale: &Scale) -> Lane {
    let found = outage::of(round, probe);
    let (look, what) = if probe.normally_holds { (Look::Unwell, "failed") } else { (Look::Fires, "held") };
    let value = match found.count {
        0 => String::new(),
        1 => format!("{what} {}", duration(found.longest_ms)),
        many => format!("{what} {}, {many}×", duration(found.total_ms)),
    };
    let mut marks = Vec::new();
    if let (Some(first), Some(last)) = (probe.spans.first(), probe.spans.last()) {
        // The line under all of it; what is not well covers it.
        marks.push(mark(scale, Look::Well, (first.from_ms, last.to_ms), "", String::new()));
    }
    for span in &probe.spans {
        let look = match Condition::of(probe, span) {
            Condition::Well => continue,
            Condition::Unwell => look,
            Condition::Unknown => Look::Unknown,
        };
        let colon = if span.detail.is_empty() { "" } else { ": " };
        let at = when(round, span.from_ms, span.to_ms);
        let detail = format!("{} {}, {at}{colon}{}", probe.name, span.what, span.detail);
        push(&mut marks, mark(scale, look, (span.from_ms, span.to_ms), "", detail));
    }
    Lane { label: probe.name.clone(), value, detail: probe.what.clone(), marks }
}

/// Marks of one look that touch are one: thousands of short outages in hours would be as many blocks over each other.
fn push(marks: &mut Vec<Mark>, next: Mark) {
    match marks.last_mut() {
        Some(last) if last.look == next.look && next.from < last.to + 0.5 => {
            last.to = last.to.max(next.to);
            if !last.detail.ends_with(", and more") {
                last.detail.push_str(", and more");
            }
        }
        Some(_) | None => marks.push(next),
    }
}

pub fn markers(round: &RoundReport, marker: &MarkerReport, scale: &Scale) -> Lane {
    let acknowledged = marker.acknowledged;
    let value = match (&marker.unread, marker.lost.len()) {
        (Some(_), _) => "not read".to_owned(),
        (None, lost) if marker.expendable => format!("{lost} (expendable)"),
        (None, lost) => format!("{lost} of {acknowledged} lost"),
    };
    let marks =
        if marker.spans.is_empty() { by_phase(round, marker, scale) } else { by_time(round, marker, scale) };
    let lost =
        if marker.lost.is_empty() { String::new() } else { format!("; lost: {}", ranges(&marker.lost)) };
    let detail = format!("{}: {} written, {acknowledged} acknowledged{lost}", marker.name, marker.written);
    Lane { label: marker.name.clone(), value, detail, marks }
}

fn by_time(round: &RoundReport, marker: &MarkerReport, scale: &Scale) -> Vec<Mark> {
    let mut marks = Vec::new();
    // Lost ones last, so that nothing covers them.
    for (what, look) in [("acknowledged", Look::Well), ("refused", Look::Refused), ("lost", Look::Unwell)] {
        for Span { from_ms, to_ms, detail, .. } in marker.spans.iter().filter(|span| span.what == what) {
            let detail = format!("{what} {detail}, {}", when(round, *from_ms, *to_ms));
            push(&mut marks, mark(scale, look, (*from_ms, *to_ms), "", detail));
        }
    }
    marks
}

/// Where it is not known when each was written: in which phase some were lost.
fn by_phase(round: &RoundReport, marker: &MarkerReport, scale: &Scale) -> Vec<Mark> {
    let of_phase = |phase: &Span| {
        let counts = marker.phases.get(&phase.what)?;
        let detail = format!(
            "{}: {} written, {} acknowledged, {} lost",
            phase.what, counts.written, counts.acknowledged, counts.lost
        );
        let look = match (counts.lost, counts.acknowledged) {
            (0, 0) => Look::Refused,
            (0, _) => Look::Well,
            (_, _) => Look::Unwell,
        };
        Some(mark(scale, look, (phase.from_ms, phase.to_ms), "", detail))
    };
    round.phases.iter().filter_map(of_phase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gameday::report::sample;

    fn scale() -> Scale {
        Scale::new(0, 1_002_400, 0.0, 1_000.0)
    }

    #[test]
    fn a_target_is_where_it_would_have_been_reached() {
        let round = &sample::failed().rounds[0];
        let lanes = measures(round, &scale());
        let rto = lanes.iter().find(|lane| lane.label == Check::RTO).unwrap();
        assert_eq!(rto.value, "11m4s ✗");
        let [target, took] = rto.marks.as_slice() else { panic!("{rto:?}") };
        assert_eq!((target.look, took.look), (Look::Target, Look::Measure));
        assert!(target.to < took.to && (target.from - took.from).abs() < 0.1, "{rto:?}");
    }

    #[test]
    fn an_alert_that_is_quiet_is_a_line_and_one_that_fires_is_striped() {
        let round = &sample::failed().rounds[0];
        let alert = round.probes.iter().find(|probe| probe.name == "alert").unwrap();
        let lane = probe(round, alert, &scale());
        assert_eq!(lane.value, "held 8m39s");
        assert_eq!(lane.marks.iter().map(|mark| mark.look).collect::<Vec<_>>(), [Look::Well, Look::Fires]);
    }

    #[test]
    fn what_was_short_is_seen_and_ten_thousand_of_them_are_few_marks() {
        let round = &sample::failed().rounds[0];
        let span = |nth: u64| Span {
            what: if nth.is_multiple_of(2) { "holds" } else { "fails" }.to_owned(),
            from_ms: nth * 10,
            to_ms: nth * 10 + 10,
            detail: String::new(),
        };
        let mut flapping = round.probes[0].clone();
        flapping.spans = (0..20_000).map(span).collect();
        let lane = probe(round, &flapping, &scale());
        assert!(lane.marks.len() < 10, "{}", lane.marks.len());
        flapping.spans = vec![span(0), span(1), span(2)];
        let lane = probe(round, &flapping, &scale());
        assert!(lane.marks[1].to - lane.marks[1].from >= LEAST);
    }

    #[test]
    fn markers_without_times_are_told_by_phase() {
        let report = sample::failed();
        let round = &report.rounds[0];
        let mut orders = round.markers[0].clone();
        let lost = |lane: &Lane| lane.marks.iter().filter(|mark| mark.look == Look::Unwell).count();
        assert_eq!(lost(&markers(round, &orders, &scale())), 1);
        orders.spans.clear();
        let lane = markers(round, &orders, &scale());
        assert_eq!((lane.marks.len(), lost(&lane), lane.value.as_str()), (4, 1, "4 of 1508 lost"));
        orders.expendable = true;
        assert_eq!(markers(round, &orders, &scale()).value, "4 (expendable)");
    }
}
