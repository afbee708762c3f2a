//! `report.html`: one page that needs nothing else, no network, no script, no font.

mod chart;
mod table;
#[cfg(test)]
mod tests;
pub mod trend;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::model::{Outcome, Report, RoundReport};
use super::words::Clock;
use super::{summary, tables};

const STYLE: &str = include_str!("style.css");
/// The page could load nothing and run nothing even if something that does were in it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// Of a report without unfit characters.
pub fn page(report: &Report) -> String {
    let clock = Clock::new(&report.started_at);
    let title = format!("{}: {}", report.outcome.word(), report.name);
    let content = html! {
        (header(report, &clock))
        main {
            (executive(report))
            @if let Some(rounds) = tables::rounds(report) { (table::section(2, &rounds, "rounds")) }
            @for (nth, round) in report.rounds.iter().enumerate() { (timeline(report, nth, round, &clock)) }
            @if let Some(metrics) = tables::metrics(report) { (table::section(2, &metrics, "metrics")) }
            (questions(report))
            @if let Some(notes) = tables::notes(report, &clock) { (table::section(2, &notes, "notes")) }
            @if !report.warnings.is_empty() {
                h2 { "Warnings" }
                ul { @for warning in &report.warnings { li { (warning) } } }
            }
            @for (nth, round) in report.rounds.iter().enumerate() { (details(report, nth, round, &clock)) }
            @if let Some(hosts) = tables::hosts(report) { (table::section(2, &hosts, "hosts")) }
        }
    };
    framed(&title, &content)
}

/// A whole page.
pub fn framed(title: &str, content: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="referrer" content="no-referrer";
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { (content) }
        }
    };
    page.into_string()
}

/// The class of an outcome.
fn class(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Failed => "failed",
        Outcome::Aborted => "aborted",
        Outcome::NotStarted => "not_started",
    }
}

fn badge(outcome: Outcome) -> Markup {
    html! { span class=(format!("badge {}", class(outcome))) { (outcome.sign()) " " (outcome.word()) } }
}

fn header(report: &Report, clock: &Clock) -> Markup {
    let met = summary::met(report);
    html! {
        header {
            div.verdict { (badge(report.outcome)) h1 { (report.name) } }
            @let headline = summary::headline(report);
            @if let Some(headline) = &headline { p.why { (headline) "." } }
            @match report.why.as_slice() {
                [] => { @if headline.is_none() { p.why { (report.outcome.meaning()) } } }
                [why] => { p.why { (why) } }
                many => { ul.why { @for why in many { li { (why) } } } }
            }
            @if !met.is_empty() { p { (met) "." } }
            @if let Some(rehearsal) = summary::rehearsal(report) { p.rehearsal { (rehearsal) } }
            @if !report.about.is_empty() { p.about.dim { (report.about) } }
            dl.facts {
                @for (name, cell) in tables::about(report, clock) {
                    div { dt { (name) } dd { (table::show(&cell)) } }
                }
            }
        }
    }
}

fn timeline(report: &Report, nth: usize, round: &RoundReport, clock: &Clock) -> Markup {
    let name = tables::title(report, nth);
    html! {
        section aria-labelledby=(format!("timeline-{nth}")) {
            h2 id=(format!("timeline-{nth}")) {
                (name) @if report.rounds.len() > 1 { " " (badge(round.outcome)) }
            }
            @if !round.about.is_empty() { p.about { (round.about) } }
            (tiles(round))
            @if round.phases.is_empty() && round.events.is_empty() {
                p.dim { "There is nothing to draw." }
            } @else {
                figure {
                    (chart::chart(round, clock, &name, &format!("c{nth}w"), chart::WIDE))
                    (chart::chart(round, clock, &name, &format!("c{nth}n"), chart::NARROW))
                    (legend())
                }
            }
        }
    }
}

/// What the looks of the chart mean.
fn legend() -> Markup {
    let swatch = |content: Markup| {
        html! { svg viewBox="0 0 26 16" aria-hidden="true" { (content) } }
    };
    html! {
        figcaption {
            span { (swatch(html! { line class="grid t" x1="13" x2="13" y1="0" y2="16" {} })) "T, the first fault" }
            span { (swatch(html! { rect class="band" width="26" height="16" {} })) "a fault is in force" }
            span { (swatch(html! { rect class="well" width="26" height="3" y="6.5" {} })) "as when all is well" }
            span { (swatch(html! { rect class="unwell" width="26" height="16" {} })) "fails; or writes lost" }
            span { (swatch(html! {
                rect class="fires" width="24" height="12" x="1" y="2" fill="url(#legend-fires)" {}
                defs { pattern id="legend-fires" width="4" height="4" patternUnits="userSpaceOnUse" {
                    rect class="fires-ground" width="4" height="4" {}
                    rect class="fires-line" width="2" height="4" {}
                } }
            })) "alert or the like holds" }
            span { (swatch(html! { rect class="unknown" width="24" height="11" x="1" y="2.5" {} })) "not known" }
            span { (swatch(html! { rect class="refused" width="24" height="8" x="1" y="4" {} })) "writes not acknowledged" }
            span { (swatch(html! {
                line class="measure" x1="0" x2="25" y1="8" y2="8" {}
                line class="measure" x1="24" x2="24" y1="2" y2="14" {}
            })) "measured" }
            span { (swatch(html! {
                line class="target" x1="0" x2="25" y1="8" y2="8" {}
                line class="target" x1="24" x2="24" y1="0" y2="16" {}
            })) "target" }
            div { "Events have the numbers of their table. Times are from T, and of the day in UTC." }
        }
    }
}

fn tiles(round: &RoundReport) -> Markup {
    let targets = round.targets().collect::<Vec<_>>();
    let expectations = summary::expectations(round);
    if targets.is_empty() && expectations.is_none() {
        return html! {};
    }
    html! {
        ul.tiles {
            @for check in targets {
                @let (class, sign) = match check.met {
                    Some(true) => ("met", "✓ "),
                    Some(false) => ("missed", "✗ "),
                    None => ("", ""),
                };
                li class=(class) {
                    span { (check.what) }
                    b { (sign) (check.measured) }
                    span { @if check.target.is_empty() { "no target" } @else { "target " (check.target.replace("at most ", "≤ ")) } }
                }
            }
            @if let Some((told, missed)) = expectations {
                @let (class, sign) = if missed.is_empty() { ("met", "✓ ") } else { ("missed", "✗ ") };
                li class=(format!("{class} all")) {
                    span { "expectations" }
                    b { (sign) (told) }
                    @for what in missed { span { (what) } }
                }
            }
        }
    }
}

/// The tables of a round; those of who reaches whom beside each other, as they are there to be compared.
fn details(report: &Report, nth: usize, round: &RoundReport, clock: &Clock) -> Markup {
    let tables = tables::round(round, clock, tables::Turns::Listed);
    if tables.is_empty() {
        return html! {};
    }
    let tables = tables.iter().enumerate().collect::<Vec<_>>();
    html! {
        h2 { "Details" @if report.rounds.len() > 1 { ": " (tables::title(report, nth)) } }
        @for alike in tables.chunk_by(|a, b| a.1.is_matrix() && b.1.is_matrix()) {
            div class=[(alike.len() > 1).then_some("side")] {
                @for (which, one) in alike { div { (table::section(3, one, &format!("r{nth}-{which}"))) } }
            }
        }
    }
}

fn executive(report: &Report) -> Markup {
    html! {
        h2 { "Executive summary" }
        div.scroll #executive tabindex="0" role="region" aria-label="Executive summary" {
            table {
                tbody {
                    @for (name, known) in summary::executive(report) {
                        tr {
                            th scope="row" { (name) }
                            td.t.long {
                                @match known.as_slice() {
                                    [] => { span.blank {} }
                                    [known] => { (known) }
                                    rounds => { ul { @for known in rounds { li { (known) } } } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn questions(report: &Report) -> Markup {
    if report.questions.is_empty() {
        return html! {};
    }
    html! {
        h2 { "Questions" }
        ol {
            @for question in &report.questions {
                li {
                    (question.text)
                    @match &question.answer {
                        Some(answer) => { p.answer { strong { (answer) } } }
                        None => { p.answer { span.blank aria-label="left blank" role="img" {} } }
                    }
                }
            }
        }
    }
}
