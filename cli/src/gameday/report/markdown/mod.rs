//! `report.md`: readable as it is, and where Markdown is shown.

mod escape;

use super::model::Report;
use super::summary;
use super::tables::{self, Cell, Table, Turns};
use super::words::Clock;
use escape::{code, in_cell, inline, paragraphs};

/// What people fill in.
const BLANK: &str = "`_____`";
/// No column is filled up with more blanks.
const WIDEST: usize = 40;

/// Of a report without unfit characters.
pub fn text(report: &Report) -> String {
    let clock = Clock::new(&report.started_at);
    let mut page = Page(String::new());
    page.heading(
        1,
        &format!("{} {}: {}", report.outcome.sign(), report.outcome.word(), inline(&report.name)),
    );
    let headline = summary::headline(report).map(|headline| format!("{}.", inline(&headline)));
    page.paragraph(headline.as_deref().unwrap_or(report.outcome.meaning()));
    page.list(report.why.iter().map(|why| inline(why)));
    let met = summary::met(report);
    if !met.is_empty() {
        page.paragraph(&format!("**{met}.**"));
    }
    page.paragraph(&summary::rehearsal(report).unwrap_or_default());
    page.paragraph(&paragraphs(&report.about));
    page.list(
        tables::about(report, &clock).into_iter().map(|(name, cell)| format!("**{name}:** {}", show(&cell))),
    );

    page.heading(2, "Executive summary");
    page.list(summary::executive(report).into_iter().map(|(name, known)| match known.as_slice() {
        [] => format!("**{name}:** {BLANK}"),
        [known] => format!("**{name}:** {}", inline(known)),
        rounds => {
            let rounds = rounds.iter().map(|known| format!("\n  - {}", inline(known)));
            format!("**{name}:**{}", rounds.collect::<String>())
        }
    }));
    page.table(2, tables::metrics(report));
    page.table(2, tables::rounds(report));

    for (nth, round) in report.rounds.iter().enumerate() {
        let (sign, outcome) = (round.outcome.sign(), round.outcome.word());
        page.heading(2, &format!("{}: {sign} {outcome}", inline(&tables::title(report, nth))));
        page.paragraph(&paragraphs(&round.about));
        page.paragraph("T is the moment of the first fault.");
        for table in tables::round(round, &clock, Turns::Counted) {
            page.table(3, Some(table));
        }
    }

    page.table(2, tables::notes(report, &clock));
    if !report.questions.is_empty() {
        page.heading(2, "Questions");
        for (nth, question) in report.questions.iter().enumerate() {
            let answer = question.answer.as_deref().map_or_else(|| BLANK.to_owned(), inline);
            page.0.push_str(&format!("{}. {}\n\n   {answer}\n\n", nth + 1, inline(&question.text)));
        }
    }
    if !report.warnings.is_empty() {
        page.heading(2, "Warnings");
        page.list(report.warnings.iter().map(|warning| inline(warning)));
    }
    page.table(2, tables::hosts(report));
    page.0.truncate(page.0.trim_end().len());
    page.0.push('\n');
    page.0
}

/// What is pushed is Markdown already.
struct Page(String);

impl Page {
    fn heading(&mut self, level: usize, text: &str) {
        self.paragraph(&format!("{} {text}", "#".repeat(level)));
    }

    fn paragraph(&mut self, text: &str) {
        if !text.is_empty() {
            self.0.push_str(&format!("{text}\n\n"));
        }
    }

    fn list(&mut self, items: impl Iterator<Item = String>) {
        let lines = items.map(|item| format!("- {item}")).collect::<Vec<_>>();
        self.paragraph(&lines.join("\n"));
    }

    fn table(&mut self, level: usize, table: Option<Table>) {
        let Some(table) = table else { return };
        self.heading(level, table.caption);
        let head = table.head.iter().map(|cell| in_cell(&inline(cell))).collect::<Vec<_>>();
        let rows =
            table.rows.iter().map(|row| row.iter().map(|cell| in_cell(&show(cell))).collect::<Vec<_>>());
        let rows = rows.collect::<Vec<_>>();
        let widths = (0..head.len()).map(|column| {
            let cells = std::iter::once(&head).chain(&rows).filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default().clamp(3, WIDEST)
        });
        let widths = widths.collect::<Vec<_>>();
        let line = |cells: &[String]| {
            let cells = cells.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
                if table.is_number(column) { format!("{cell:>width$}") } else { format!("{cell:width$}") }
            });
            format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
        };
        let mut text = line(&head);
        let rule = widths.iter().enumerate().map(|(column, width)| {
            let dashes = "-".repeat(width.saturating_sub(1));
            if table.is_number(column) { format!("{dashes}:") } else { format!("-{dashes}") }
        });
        text.push_str(&format!("| {} |\n", rule.collect::<Vec<_>>().join(" | ")));
        for row in &rows {
            text.push_str(&line(row));
        }
        self.0.push_str(&format!("{text}\n"));
        self.paragraph(&table.legend);
    }
}

fn show(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) | Cell::Number(text) => inline(text),
        Cell::Code(text) => code(text),
        Cell::Met(Some(true)) => "☑ Pass ☐ Fail".to_owned(),
        Cell::Met(Some(false)) => "☐ Pass ☑ **Fail**".to_owned(),
        Cell::Met(None) => "–".to_owned(),
        Cell::Reach(text, Some(false)) => format!("**! {}**", inline(text)),
        Cell::Reach(text, Some(true) | None) => inline(text),
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::EventKind;
    use super::super::{clean, sample};
    use super::*;

    #[test]
    fn what_failed_is_in_the_first_lines() {
        let told = text(&sample::failed());
        let head = told.lines().take(10).collect::<Vec<_>>().join("\n");
        assert!(head.starts_with("# ✗ Failed: Redis failover\n"), "{head}");
        assert!(head.contains("- RTO: 11m4s, and it should be at most 10m"), "{head}");
        assert!(head.contains("**3 of 6 targets met, 2 of 3 expectations as expected.**"), "{head}");
    }

    #[test]
    fn everything_is_there() {
        for report in sample::all() {
            let report = clean::cleaned(&report).unwrap();
            let told = text(&report);
            for round in &report.rounds {
                // The turns of probes are counted; another event may say the same.
                for event in round.events.iter().filter(|event| event.kind != EventKind::Probe) {
                    assert!(told.contains(&in_cell(&inline(&event.text))), "{event:?}");
                }
                for fault in &round.faults {
                    assert!(told.contains(&in_cell(&code(&fault.words))), "{fault:?}");
                    assert!(fault.hosts.keys().all(|host| told.contains(&in_cell(&code(host)))), "{fault:?}");
                }
                for probe in &round.probes {
                    assert!(told.contains(&in_cell(&code(&probe.what))), "{probe:?}");
                }
                for check in &round.checks {
                    assert!(told.contains(&in_cell(&inline(&check.what))), "{check:?}");
                }
            }
            for question in &report.questions {
                assert!(told.contains(&inline(&question.text)), "{question:?}");
            }
        }
    }

    #[test]
    fn turns_of_probes_are_counted_and_what_is_only_measured_is_no_choice() {
        let told = text(&sample::failed());
        assert!(
            !told.contains("checkout holds again") && told.contains("Without 12 turns of probes: "),
            "{told}"
        );
        let row = told.lines().find(|line| line.contains("markers duplicated")).unwrap();
        assert!(row.trim_end_matches([' ', '|']).ends_with("| –"), "{row}");
    }

    #[test]
    fn a_rehearsal_says_that_it_is_one() {
        let mut report = sample::failed();
        report.faster = 15;
        assert!(
            text(&report).contains("the timeline was 15 times as fast as written; its faults were shorter")
        );
    }

    #[test]
    fn a_question_without_an_answer_is_a_blank() {
        let told = text(&sample::passed());
        assert!(
            told.contains("1. What went well?\n\n   `_____`\n\n2. What could be improved?\n\n   The alert"),
            "{told}"
        );
    }

    #[test]
    fn every_row_of_a_table_has_as_many_cells_as_its_head() {
        for report in sample::all() {
            let told = text(&clean::cleaned(&report).unwrap());
            let mut columns = None;
            for line in told.lines() {
                if !line.starts_with('|') {
                    columns = None;
                    continue;
                }
                let cells = escape::cells(line);
                assert_eq!(*columns.get_or_insert(cells), cells, "{line}");
            }
        }
    }
}
