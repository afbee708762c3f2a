//! Who reaches whom, for the report.

use super::file::Look;
use super::report::model::{Check, MatrixCell, MatrixReport};
use crate::render::matrix::symbol;
use crate::team::Team;
use crate::team::judge::{Cell, Verdict};
use crate::team::matrix::{self, Matrix};

impl Look {
    fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::During => "during",
            Self::After => "after",
        }
    }
}

/// # Errors
/// Why nobody could look.
pub async fn look(team: &Team, when: Look, at_ms: u64) -> Result<(MatrixReport, Check), String> {
    let matrix = matrix::look(team, true).await.map_err(|failure| failure.to_string())?;
    Ok((report(&matrix, when, at_ms), check(&matrix, when)))
}

fn report(matrix: &Matrix, when: Look, at_ms: u64) -> MatrixReport {
    let to = matrix.hosts.iter().chain(&matrix.services).cloned().collect::<Vec<_>>();
    let cell = |from: &String, to: &String| match matrix.cells.get(&(from.clone(), to.clone())) {
        Some(cell) => MatrixCell {
            text: symbol(cell).to_string(),
            expected: match cell.verdict {
                Verdict::AsExpected => Some(true),
                Verdict::Unknown => None,
                Verdict::UnexpectedlyOpen | Verdict::UnexpectedlyCut => Some(false),
            },
        },
        None => MatrixCell { text: String::new(), expected: None },
    };
    let row = |from: &String| to.iter().map(|to| cell(from, to)).collect();
    let cells = matrix.hosts.iter().map(row).collect();
    MatrixReport { when: when.name().to_owned(), at_ms, from: matrix.hosts.clone(), to, cells }
}

/// Before and after, hosts and services are as the faults say. During them a service may be gone because of what it does
/// about them, so only the ways between hosts count.
fn check(matrix: &Matrix, when: Look) -> Check {
    let counts = |to: &String| match when {
        Look::Before | Look::After => true,
        Look::During => matrix.hosts.contains(to),
    };
    let wrong = matrix.cells.iter().filter(|((_, to), cell)| {
        let unexpected = match cell.verdict {
            Verdict::UnexpectedlyOpen | Verdict::UnexpectedlyCut => true,
            Verdict::AsExpected | Verdict::Unknown => false,
        };
        unexpected && counts(to)
    });
    let wrong = wrong.map(|((from, to), cell)| match cell.verdict {
        Verdict::UnexpectedlyOpen => format!("{from} reaches {to}"),
        Verdict::AsExpected | Verdict::Unknown | Verdict::UnexpectedlyCut => {
            format!("{from} does not reach {to}")
        }
    });
    let wrong = wrong.collect::<Vec<_>>();
    let what = format!("who reaches whom, {}", when.name());
    let is_unknown =
        |((_, to), cell): &(&(String, String), &Cell)| cell.verdict == Verdict::Unknown && counts(to);
    let unknown = matrix.cells.iter().filter(is_unknown).count();
    if !wrong.is_empty() {
        return Check::expected(what, wrong.join(", "), false);
    }
    if unknown == 0 && matrix.silent.is_empty() {
        return Check::expected(what, "as the faults say".to_owned(), true);
    }
    let silent = matrix.silent.keys().cloned().collect::<Vec<_>>().join(", ");
    let silent = if silent.is_empty() { silent } else { format!(", silent: {silent}") };
    Check { met: None, ..Check::expected(what, format!("{unknown} ways are not known{silent}"), false) }
}
