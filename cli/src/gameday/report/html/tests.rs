//! The page as a program sees it: well-formed, complete, and nothing over another thing.

use proptest::prelude::*;
use roxmltree::{Document, Node, ParsingOptions};

use super::super::model::{Check, EventKind, FaultReport, MarkerReport, ProbeReport, Report, Span};
use super::super::{clean, sample, tables};
use super::chart::label_width;
use super::page;

fn of(report: &Report) -> String {
    page(&clean::cleaned(report).unwrap())
}

/// The charts of a page.
fn charts(page: &str) -> Vec<String> {
    let parts = page.split("<svg class=\"").skip(1);
    let charts = parts.map(|part| format!("<svg class=\"{}</svg>", part.split("</svg>").next().unwrap()));
    charts.collect()
}

fn parsed(svg: &str) -> Document<'_> {
    Document::parse_with_options(svg, ParsingOptions { nodes_limit: 1_000_000, ..ParsingOptions::default() })
        .unwrap_or_else(|error| panic!("{error}: {svg}"))
}

fn number(node: Node<'_, '_>, name: &str) -> f64 {
    node.attribute(name).unwrap_or_else(|| panic!("{name}: {node:?}")).parse().unwrap()
}

/// What is written, without what a pointer is told.
fn letters(node: Node<'_, '_>) -> String {
    node.children().filter(Node::is_text).filter_map(|child| child.text()).collect()
}

/// Texts in one line are beside each other, and all of them are in the picture.
fn nothing_overlaps(svg: &str) {
    let document = parsed(svg);
    let picture = document.root_element().attribute("viewBox").unwrap();
    let picture = picture.split(' ').map(|side| side.parse::<f64>().unwrap()).collect::<Vec<_>>();
    let mut lines = std::collections::BTreeMap::<String, Vec<(f64, f64, String)>>::new();
    for node in document.descendants().filter(|node| node.has_tag_name("text")) {
        let text = letters(node);
        let (x, width) = (number(node, "x"), label_width(&text));
        let from = match node.attribute("text-anchor") {
            Some("middle") => x - width / 2.0,
            Some("end") => x - width,
            _ => x,
        };
        assert!(from >= -0.1 && from + width <= picture[2] + 0.1, "outside: {text} at {from}");
        assert!((0.0..picture[3]).contains(&number(node, "y")), "outside: {text}");
        lines.entry(node.attribute("y").unwrap().to_owned()).or_default().push((from, from + width, text));
    }
    for mut line in lines.into_values() {
        line.sort_by(|a, b| a.0.total_cmp(&b.0));
        for pair in line.windows(2) {
            assert!(pair[0].1 <= pair[1].0 + 0.2, "{pair:?}");
        }
    }
}

#[test]
fn charts_are_well_formed_and_no_text_is_over_another() {
    for report in sample::all() {
        let page = of(&report);
        let charts = charts(&page);
        let drawn = report.rounds.iter().filter(|round| !round.phases.is_empty()).count();
        assert_eq!(charts.len(), drawn * 2);
        charts.iter().for_each(|svg| nothing_overlaps(svg));
    }
}

#[test]
fn a_chart_has_a_lane_for_everything_and_every_event() {
    for report in sample::all() {
        let report = clean::cleaned(&report).unwrap();
        let page = page(&report);
        for (nth, svg) in charts(&page).iter().enumerate() {
            let round = &report.rounds[nth / 2];
            let document = parsed(svg);
            let titles = document.descendants().filter(|node| node.has_tag_name("title"));
            let titles = titles.map(|node| node.text().unwrap_or_default().to_owned()).collect::<Vec<_>>();
            let told = |part: &str| titles.iter().any(|title| title.contains(part));
            for (nth, event) in round.events.iter().enumerate() {
                assert!(titles.iter().any(
                    |title| title.starts_with(&format!("{}: ", nth + 1)) && title.ends_with(&event.text)
                ));
            }
            assert!(round.faults.iter().all(|fault| told(&fault.id) && told(&fault.words)));
            assert!(round.probes.iter().all(|probe| told(&probe.name) && told(&probe.what)));
            assert!(round.markers.iter().all(|marker| told(&marker.name)));
        }
    }
}

/// As it is in the page.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[test]
fn everything_is_on_the_page_and_nothing_from_outside_is_markup() {
    for report in sample::all() {
        let report = clean::cleaned(&report).unwrap();
        let page = page(&report);
        for text in [&report.name, &report.about, &report.file, &report.run].into_iter().chain(&report.why) {
            assert!(page.contains(&escaped(text)), "{text}");
        }
        for round in &report.rounds {
            assert!(round.events.iter().all(|event| page.contains(&escaped(&event.text))));
            assert!(round.checks.iter().all(|check| page.contains(&escaped(&check.measured))));
            assert!(
                round
                    .matrices
                    .iter()
                    .flat_map(|matrix| &matrix.from)
                    .all(|host| page.contains(&escaped(host)))
            );
        }
        // The only script, style and picture are none, ours and none.
        assert_eq!(
            [page.matches("<script").count(), page.matches("<style").count(), page.matches("<img").count()],
            [0, 1, 0]
        );
        assert!(!page.contains('\0') && !page.contains('\u{202e}'));
    }
}

#[test]
fn headings_are_in_order_and_every_table_has_heads() {
    let page = of(&sample::aborted());
    let mut level = 0;
    for heading in page.split("<h").skip(1) {
        let Some(next) = heading.chars().next().and_then(|c| c.to_digit(10)) else { continue };
        assert!(next <= level + 1, "h{next} after h{level}");
        level = next;
    }
    assert_eq!(page.matches("<h1").count(), 1);
    for table in page.split("<table").skip(1) {
        assert!(table.split("</table>").next().unwrap().contains("scope="), "{table}");
    }
    let report = sample::aborted();
    assert!(tables::rounds(&report).is_some() && page.contains("id=\"rounds\""));
}

#[test]
fn what_matters_comes_first_and_expectations_are_one_tile() {
    let page = of(&sample::failed());
    let at = |part: &str| page.find(part).unwrap_or_else(|| panic!("{part}"));
    assert!(at("Executive summary</h2>") < at("<ul class=\"tiles\">"));
    let tiles = page.split("<ul class=\"tiles\">").nth(1).unwrap().split("</ul>").next().unwrap();
    assert_eq!(tiles.matches("<li").count(), 8, "seven targets, and the expectations: {tiles}");
    assert!(tiles.contains("✗ 1 of 3 missed</b><span>step degraded mode: api</span>"), "{tiles}");
}

#[test]
fn ids_are_not_there_twice() {
    for report in sample::all() {
        let page = of(&report);
        let ids =
            page.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect::<Vec<_>>();
        let unique = ids.iter().collect::<std::collections::BTreeSet<_>>();
        assert_eq!(unique.len(), ids.len(), "{ids:?}");
    }
}

/// Of a colour of the style, in its light or its dark half.
fn luminance(half: &str, name: &str) -> f64 {
    let hex = half.split(&format!("{name}: #")).nth(1).unwrap().split(';').next().unwrap();
    let digits = hex.chars().map(|c| f64::from(c.to_digit(16).unwrap())).collect::<Vec<_>>();
    let channels = match digits.as_slice() {
        [r, g, b] => [r * 17.0, g * 17.0, b * 17.0],
        [r, r2, g, g2, b, b2] => [r * 16.0 + r2, g * 16.0 + g2, b * 16.0 + b2],
        _ => panic!("{hex}"),
    };
    let [r, g, b] = channels.map(|channel| {
        let share = channel / 255.0;
        if share <= 0.04045 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
    });
    0.2126 * r + 0.7152 * g + 0.0722 * b
}

/// By the Web Content Accessibility Guidelines, level AA: 4.5 for text, 3 for what is drawn.
#[test]
fn colours_are_told_from_the_ground_by_light_and_by_dark() {
    let (light, dark) = super::STYLE.split_once("prefers-color-scheme: dark").unwrap();
    for half in [light, dark] {
        let ratio = |name: &str, ground: &str| {
            let (a, b) = (luminance(half, name), luminance(half, ground));
            (a.max(b) + 0.05) / (a.min(b) + 0.05)
        };
        for text in ["--ink", "--dim", "--well", "--unwell"] {
            for ground in ["--ground", "--panel"] {
                assert!(ratio(text, ground) >= 4.5, "{text} on {ground}: {}", ratio(text, ground));
            }
        }
        for drawn in ["--fault", "--measure", "--fires"] {
            assert!(ratio(drawn, "--ground") >= 3.0, "{drawn}: {}", ratio(drawn, "--ground"));
        }
    }
}

/// Any moment of a run, and some that no run has.
fn moment() -> impl Strategy<Value = u64> {
    prop_oneof![10 => 0..20_000_000_u64, 1 => any::<u64>()]
}

fn spans(what: &'static [&'static str]) -> impl Strategy<Value = Vec<Span>> {
    let span = (prop::sample::select(what), moment(), moment(), ".{0,20}");
    let span = span.prop_map(|(what, a, b, detail)| Span {
        what: what.to_owned(),
        from_ms: a.min(b),
        to_ms: a.max(b),
        detail,
    });
    prop::collection::vec(span, 0..12)
}

prop_compose! {
    fn reports()(
        mut borders in prop::collection::vec(moment(), 0..6),
        probes in prop::collection::vec((".{0,60}", any::<bool>(), spans(&["holds", "fails", "unknown"])), 0..6),
        faults in prop::collection::vec((".{0,60}", moment(), prop::option::of(moment())), 0..6),
        events in prop::collection::vec((moment(), ".{0,60}"), 0..60),
        lost in prop::collection::vec(any::<u64>(), 0..40),
        marks in spans(&["acknowledged", "refused", "lost"]),
        first_fault in prop::option::of(moment()),
        rto in prop::option::of(moment()),
    ) -> Report {
        let mut report = sample::failed();
        let round = &mut report.rounds[0];
        borders.sort_unstable();
        let names = ["steady", "faults", "recovery", "after"].into_iter().cycle();
        let phase = |(what, ends): (&str, &[u64])| Span {
            what: what.to_owned(),
            from_ms: ends[0],
            to_ms: ends[1],
            detail: String::new(),
        };
        round.phases = names.zip(borders.windows(2)).map(phase).collect();
        let probe = |(name, normally_holds, spans)| ProbeReport { name, normally_holds, spans, ..round.probes[0].clone() };
        round.probes = probes.into_iter().map(probe).collect();
        let fault = |(words, from_ms, to_ms)| FaultReport { words, from_ms, to_ms, ..round.faults[0].clone() };
        round.faults = faults.into_iter().map(fault).collect();
        round.events = events.into_iter().map(|(at, text)| sample::event(at, EventKind::Probe, &text)).collect();
        round.events.sort_by_key(|event| event.at_ms);
        round.markers = vec![MarkerReport { lost, spans: marks, ..round.markers[0].clone() }];
        round.measures.first_fault_ms = first_fault;
        sample::measured(round, Check::RTO, rto);
        report
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_in_a_report_it_is_drawn(report in reports()) {
        let clean = clean::cleaned(&report).unwrap();
        let page = page(&clean);
        for svg in charts(&page) {
            nothing_overlaps(&svg);
        }
        for event in &clean.rounds[0].events {
            prop_assert!(page.contains(&escaped(&event.text)));
        }
        let json = serde_json::to_string(&report).unwrap();
        prop_assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    }
}
