//! The timeline of a round as SVG. Drawn twice, for wide and for narrow places, as letters must not shrink with the picture.

mod label;
mod lane;
mod scale;

use maud::{Markup, html};

use super::super::model::{EventKind, RoundReport};
use super::super::words::{Clock, duration, from_t, t};
#[cfg(test)]
pub use label::width as label_width;
use label::{SIZE, clusters, fitted, width};
use lane::{Lane, Look, Mark};
use scale::Scale;

/// Where things are, in pixels.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    class: &'static str,
    width: f64,
    /// Room for labels at the left; 0: they are above their lanes.
    left: f64,
    /// Room for figures at the right; 0: they are above their lanes.
    right: f64,
    /// Between times at the axis, at least.
    apart: f64,
}

pub const WIDE: Layout = Layout { class: "wide", width: 1_120.0, left: 190.0, right: 150.0, apart: 84.0 };
pub const NARROW: Layout = Layout { class: "narrow", width: 360.0, left: 0.0, right: 0.0, apart: 68.0 };

/// Of a lane's marks.
const BAR: f64 = 16.0;
const LANE: f64 = 23.0;
/// Of a label above its lane.
const LABEL: f64 = 15.0;
const AXIS: f64 = 22.0;

/// Of a group's name.
const HEAD: f64 = 20.0;

/// A group of lanes; one without a name needs none.
struct Group {
    name: &'static str,
    lanes: Vec<Lane>,
}

/// `id` is this chart's alone on its page.
pub fn chart(round: &RoundReport, clock: &Clock, name: &str, id: &str, layout: Layout) -> Markup {
    let (from_ms, to_ms) = extent(round);
    let scale = Scale::new(from_ms, to_ms, layout.left, layout.width - layout.left - layout.right);
    let groups = groups(round, to_ms, &scale);
    let beside = layout.left > 0.0;
    let lane_height = if beside { LANE } else { LANE + LABEL };
    let mut heads = Vec::new();
    let mut y = AXIS;
    let mut placed = Vec::new();
    for group in &groups {
        let head = y;
        y += if group.name.is_empty() { 0.0 } else { HEAD };
        for lane in &group.lanes {
            placed.push((y, lane));
            y += lane_height;
        }
        if !group.name.is_empty() {
            heads.push((head, group.name));
        }
    }
    let bottom = y;
    let events_height =
        if round.events.is_empty() { 0.0 } else { HEAD + 28.0 + if beside { 0.0 } else { 12.0 } };
    let height = bottom + events_height + AXIS;
    html! {
        svg class=(layout.class) viewBox=(format!("0 0 {} {height:.0}", layout.width)) role="img"
            aria-labelledby=(format!("{id}-title {id}-desc")) xmlns="http://www.w3.org/2000/svg" {
            title id=(format!("{id}-title")) { "Timeline: " (name) }
            desc id=(format!("{id}-desc")) { (described(round)) }
            defs {
                pattern id=(format!("{id}-hatch")) width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                    rect class="fault-ground" width="6" height="6" {}
                    rect class="fault-line" width="2.5" height="6" {}
                }
                pattern id=(format!("{id}-fires")) width="4" height="4" patternUnits="userSpaceOnUse" {
                    rect class="fires-ground" width="4" height="4" {}
                    rect class="fires-line" width="2" height="4" {}
                }
            }
            @for (from, to) in in_force(round, to_ms) {
                rect class="band" x=(px(scale.x(from))) width=(px(scale.x(to) - scale.x(from))) y=(px(AXIS)) height=(px(bottom + events_height - AXIS)) {}
            }
            (axis(round, clock, &scale, layout, AXIS, bottom + events_height))
            @for (head, name) in heads { text class="group" x="0" y=(px(head + 14.0)) { (name) } }
            @for (y, lane) in placed { (drawn(lane, y, &scale, layout, id)) }
            @if !round.events.is_empty() { (events(round, bottom, if beside { bottom + 18.0 } else { bottom + 30.0 }, &scale)) }
        }
    }
}

/// What a chart shows, for those who do not see it.
fn described(round: &RoundReport) -> String {
    let mut told = Vec::new();
    for fault in &round.faults {
        let to = fault.to_ms.map_or_else(|| "the end".to_owned(), |to| from_t(round, to));
        told.push(format!("{} from {} to {to}.", fault.id, from_t(round, fault.from_ms)));
    }
    let measures = &round.measures;
    for (what, took) in
        [("Detected", measures.detect_ms), ("Alerted", measures.alert_ms), ("Recovered", measures.rto_ms)]
    {
        told.push(match took {
            Some(took) => format!("{what} {} after the first fault.", duration(took)),
            None => format!("{what}: never, or not measured."),
        });
    }
    told.push("The tables below have all of it.".to_owned());
    told.join(" ")
}

fn extent(round: &RoundReport) -> (u64, u64) {
    let phases = round.phases.iter().flat_map(|span| [span.from_ms, span.to_ms]);
    let events = round.events.iter().map(|event| event.at_ms);
    let faults = round.faults.iter().flat_map(|fault| [Some(fault.from_ms), fault.to_ms]).flatten();
    let probes =
        round.probes.iter().flat_map(|probe| &probe.spans).flat_map(|span| [span.from_ms, span.to_ms]);
    let all = phases.chain(events).chain(faults).chain(probes);
    all.fold(None, |extent: Option<(u64, u64)>, ms| {
        Some(extent.map_or((ms, ms), |(from, to)| (from.min(ms), to.max(ms))))
    })
    .unwrap_or_default()
}

/// When any fault was in force, without overlaps.
fn in_force(round: &RoundReport, end_ms: u64) -> Vec<(u64, u64)> {
    let mut spans =
        round.faults.iter().map(|fault| (fault.from_ms, fault.to_ms.unwrap_or(end_ms))).collect::<Vec<_>>();
    spans.sort_unstable();
    let mut union: Vec<(u64, u64)> = Vec::new();
    for (from, to) in spans {
        match union.last_mut() {
            Some((_, until)) if from <= *until => *until = to.max(*until),
            Some(_) | None => union.push((from, to)),
        }
    }
    union
}

fn groups(round: &RoundReport, end_ms: u64, scale: &Scale) -> Vec<Group> {
    let faults = round.faults.iter().map(|fault| lane::fault(round, fault, end_ms, scale)).collect();
    let probes = round.probes.iter().map(|probe| lane::probe(round, probe, scale)).collect();
    let markers = round.markers.iter().map(|marker| lane::markers(round, marker, scale)).collect();
    let groups = [
        Group { name: "", lanes: vec![lane::phases(round, scale)] },
        Group { name: "Faults", lanes: faults },
        Group { name: "Measured", lanes: lane::measures(round, scale) },
        Group { name: "Probes", lanes: probes },
        Group { name: "Markers", lanes: markers },
    ];
    groups.into_iter().filter(|group| !group.lanes.is_empty()).collect()
}

fn px(at: f64) -> String {
    format!("{at:.1}")
}

/// Times from T above, the time of day below, and lines between them.
fn axis(round: &RoundReport, clock: &Clock, scale: &Scale, layout: Layout, top: f64, bottom: f64) -> Markup {
    let t = t(round);
    let mut ticks = scale.ticks(t, layout.apart);
    // T has its name, whatever else has to go without.
    ticks.sort_by_key(|tick| (*tick != t, *tick));
    let (mut above, mut below) = (Vec::new(), Vec::new());
    html! {
        @for tick in ticks {
            @let x = scale.x(tick);
            @let (from_t, of_day) = (from_t(round, tick), clock.at(tick));
            line class=(if tick == t { "grid t" } else { "grid" }) x1=(px(x)) x2=(px(x)) y1=(px(top)) y2=(px(bottom)) {}
            @if has_room(&from_t, x, layout, &mut above) {
                text class=(if tick == t { "tick t" } else { "tick" }) x=(px(x)) y=(px(top - 7.0)) text-anchor="middle" { (from_t) }
            }
            @if has_room(&of_day, x, layout, &mut below) {
                text class="tick" x=(px(x)) y=(px(bottom + 15.0)) text-anchor="middle" { (of_day) }
            }
        }
    }
}

/// Whether a text whose middle is there is in the picture and beside the others, of which it is one then.
fn has_room(text: &str, x: f64, layout: Layout, others: &mut Vec<(f64, f64)>) -> bool {
    let half = width(text) / 2.0;
    let (from, to) = (x - half, x + half);
    let fits = from >= 0.0 && to <= layout.width && others.iter().all(|other| to < other.0 || other.1 < from);
    if fits {
        others.push((from, to));
    }
    fits && !text.is_empty()
}

fn drawn(lane: &Lane, y: f64, scale: &Scale, layout: Layout, id: &str) -> Markup {
    let beside = layout.left > 0.0;
    let room = if beside { layout.left - 10.0 } else { layout.width - width(&lane.value) - 12.0 };
    let top = if beside { y + (LANE - BAR) / 2.0 } else { y + LABEL + 1.0 };
    let text_y = if beside { y + LANE / 2.0 + SIZE * 0.36 } else { y + SIZE };
    html! {
        g {
            @if beside { line class="rule" x1="0" x2=(layout.width) y1=(px(y + LANE)) y2=(px(y + LANE)) {} }
            text class="label" x="0" y=(px(text_y)) {
                (fitted(&lane.label, room))
                title { (lane.label) @if !lane.detail.is_empty() { "\n" (lane.detail) } }
            }
            @for mark in &lane.marks { (shape(mark, top, scale, id)) }
            @if !lane.value.is_empty() {
                @let room = if beside { layout.right - 8.0 } else { layout.width / 2.0 };
                text class=(if lane.value.contains('✗') { "value bad" } else { "value" }) x=(px(layout.width - 2.0)) y=(px(text_y)) text-anchor="end" {
                    (fitted(&lane.value, room))
                }
            }
        }
    }
}

fn shape(mark: &Mark, top: f64, scale: &Scale, id: &str) -> Markup {
    let (x, w) = (px(mark.from), px(mark.to - mark.from));
    let middle = top + BAR / 2.0;
    let rect = |class: &str, inset: f64| {
        html! { rect class=(class) x=(x) width=(w) y=(px(top + inset)) height=(px(BAR - 2.0 * inset)) {} }
    };
    let line = |class: &str, ends: f64| {
        html! {
            line class=(class) x1=(px(mark.from)) x2=(px(mark.to)) y1=(px(middle)) y2=(px(middle)) {}
            line class=(class) x1=(px(mark.to)) x2=(px(mark.to)) y1=(px(middle - ends)) y2=(px(middle + ends)) {}
        }
    };
    html! {
        g {
            @if !mark.detail.is_empty() { title { (mark.detail) } }
            @match mark.look {
                Look::Phase => { (rect("phase", 0.0)) }
                Look::Fault => {
                    rect class="fault" x=(x) width=(w) y=(px(top)) height=(px(BAR)) fill=(format!("url(#{id}-hatch)")) {}
                }
                Look::Measure => {
                    circle class="measure" cx=(px(mark.from)) cy=(px(middle)) r="3" {}
                    (line("measure", 6.0))
                }
                Look::Target => { (line("target", 8.0)) }
                Look::Well => { (rect("well", 6.5)) }
                Look::Unwell => { (rect("unwell", 0.0)) }
                Look::Fires => {
                    rect class="fires" x=(x) width=(w) y=(px(top + 2.0)) height=(px(BAR - 4.0)) fill=(format!("url(#{id}-fires)")) {}
                }
                Look::Unknown => { (rect("unknown", 2.5)) }
                Look::Refused => { (rect("refused", 4.0)) }
            }
            (text_of(mark, middle, scale))
        }
    }
}

/// In its mark where there is room, else beside it, on the side that has more; the pointer is told it in any case.
fn text_of(mark: &Mark, middle: f64, scale: &Scale) -> Markup {
    const GAP: f64 = 6.0;
    // Shorter than this a text says nothing.
    const SAYS: f64 = 60.0;
    if mark.text.is_empty() {
        return html! {};
    }
    let y = px(middle + SIZE * 0.36);
    let gap = if mark.look == Look::Phase { 0.0 } else { GAP };
    let inside = mark.to - mark.from >= width(&mark.text) + gap;
    let (after, before) = (scale.right() - mark.to - GAP, mark.from - scale.left() - GAP);
    let (class, x, anchor, room) = match mark.look {
        Look::Phase if inside => ("on-phase", f64::midpoint(mark.from, mark.to), "middle", f64::MAX),
        Look::Phase => return html! {},
        _ if inside => ("on-bar", mark.from + GAP, "start", f64::MAX),
        _ if after >= before => ("beside", mark.to + GAP, "start", after),
        _ => ("beside", mark.from - GAP, "end", before),
    };
    if room < SAYS {
        return html! {};
    }
    html! { text class=(class) x=(px(x)) y=(y) text-anchor=(anchor) { (fitted(&mark.text, room)) } }
}

/// A tick for each, with its number in the table.
fn events(round: &RoundReport, top: f64, line: f64, scale: &Scale) -> Markup {
    let places = round.events.iter().map(|event| scale.x(event.at_ms)).collect::<Vec<_>>();
    html! {
        text class="group" x="0" y=(px(top + 14.0)) { "Events" }
        @for (nth, (event, x)) in round.events.iter().zip(&places).enumerate() {
            @let weight = weight(event.kind);
            line class=(if weight > 7.0 { "event main" } else { "event" }) x1=(px(*x)) x2=(px(*x)) y1=(px(line - weight)) y2=(px(line + 4.0)) {
                title { (nth + 1) ": " (from_t(round, event.at_ms)) " " (event.kind.word()) ": " (event.text) }
            }
        }
        @for cluster in clusters(&places, scale.left(), scale.right()) {
            @if cluster.to - cluster.from > 1.0 {
                line class="event" x1=(px(cluster.from)) x2=(px(cluster.to)) y1=(px(line + 4.0)) y2=(px(line + 4.0)) {}
            }
            text class="number" x=(px(cluster.middle(scale.left(), scale.right()))) y=(px(line + 18.0)) text-anchor="middle" {
                (cluster.text())
            }
        }
    }
}

/// How high the tick of an event is: what the run is about is higher.
fn weight(kind: EventKind) -> f64 {
    match kind {
        EventKind::Fault
        | EventKind::Restored
        | EventKind::Detected
        | EventKind::Alerted
        | EventKind::Recovered
        | EventKind::Guard
        | EventKind::Interrupted => 10.0,
        EventKind::Phase
        | EventKind::Step
        | EventKind::Probe
        | EventKind::Expectation
        | EventKind::Observation
        | EventKind::Confirmed
        | EventKind::Command
        | EventKind::Note
        | EventKind::Warning => 5.0,
    }
}
