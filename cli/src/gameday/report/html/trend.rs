//! The page of several game days.

use maud::html;

use super::{badge, framed};
use crate::gameday::report::compare::{Trend, Verdict};

/// Of reports without unfit characters.
pub fn page(trend: &Trend) -> String {
    let content = html! {
        header { h1 { "Game days compared" } }
        main {
            @for difference in &trend.differences { p.why { "These are " (difference) "." } }
            div.scroll tabindex="0" role="region" aria-label="Game days compared" {
                table {
                    thead {
                        tr {
                            th scope="col" { "Measure" }
                            @for report in &trend.reports {
                                th.n scope="col" { (report.date) br; span.dim { (report.name) } br; (badge(report.outcome)) }
                            }
                        }
                    }
                    tbody {
                        @for row in trend.rows.iter().filter(|row| row.shown) {
                            tr {
                                th scope="row" { @if let Some(round) = &row.round { (round) ": " } (row.measure) }
                                @for cell in &row.cells {
                                    td.n {
                                        (cell.text)
                                        @if cell.verdict != Verdict::Incomparable {
                                            br;
                                            span class=(class(cell.verdict)) { (cell.change) " " (cell.verdict.word()) }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
            @for left_out in &trend.left_out { p.legend { "Not shown: " (left_out) "." } }
            p.legend { "Each is compared with the one before it. Less is better. Less than 100ms apart is the same." }
        }
    };
    framed("Game days compared", &content)
}

fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Incomparable | Verdict::Same => "dim",
        Verdict::Better => "yes",
        Verdict::Worse => "no",
    }
}
