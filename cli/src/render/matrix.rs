//! Who reaches whom.

use std::collections::BTreeMap;

use partition_agent_proto::Effect;
use serde::Serialize;

use super::{complain, remaining, write};
use crate::exit::Failure;
use crate::team::judge::{Cell, Found, Verdict};
use crate::team::matrix::Matrix;

/// A look, in JSON.
#[derive(Serialize)]
pub struct Told<'a> {
    at: String,
    as_expected: bool,
    hosts: &'a [String],
    services: &'a [String],
    pairs: Vec<Pair<'a>>,
    /// By host: why its agent did not answer.
    silent: BTreeMap<&'a String, String>,
}

#[derive(Serialize)]
struct Pair<'a> {
    from: &'a String,
    to: &'a String,
    #[serde(flatten)]
    cell: &'a Cell,
}

impl<'a> Told<'a> {
    pub fn new(matrix: &'a Matrix) -> Self {
        let pairs = matrix.cells.iter().map(|((from, to), cell)| Pair { from, to, cell });
        Self {
            at: partition_agent_core::clock::wall(std::time::Duration::ZERO),
            as_expected: matrix.is_as_expected(),
            hosts: &matrix.hosts,
            services: &matrix.services,
            pairs: pairs.collect(),
            silent: matrix.silent.iter().map(|(name, failure)| (name, failure.to_string())).collect(),
        }
    }
}

fn unexpected(matrix: &Matrix) -> impl Iterator<Item = (&(String, String), &Cell)> {
    matrix.cells.iter().filter(|(_, cell)| match cell.verdict {
        Verdict::UnexpectedlyOpen | Verdict::UnexpectedlyCut => true,
        Verdict::AsExpected | Verdict::Unknown => false,
    })
}

/// A look: the pairs as a square, and a line for each that is not as it should be.
pub fn found(matrix: &Matrix) -> Result<(), Failure> {
    write(&text(matrix))?;
    for (name, failure) in &matrix.silent {
        complain(&format!("{name} does not answer: {}", failure.in_a_line()));
    }
    Ok(())
}

const LEGEND: &str = "rows send to columns: . open  x cut  ~ impaired, as the faults say;  C unexpectedly cut  \
                      O unexpectedly open  ? not known\n";

/// The same as text.
pub fn text(matrix: &Matrix) -> String {
    let columns = matrix.hosts.iter().chain(&matrix.services).collect::<Vec<_>>();
    let digits = columns.len().to_string().len();
    let widest = columns.iter().map(|name| name.chars().count()).max().unwrap_or_default();
    let mut text = LEGEND.to_owned();
    let row = |head: String, cells: Vec<String>| {
        let cells = cells.iter().map(|cell| format!(" {cell:>digits$}")).collect::<String>();
        format!("{}\n", format!("{head} {cells}").trim_end())
    };
    let numbers = (1..=columns.len()).map(|nth| nth.to_string()).collect();
    text.push_str(&row(" ".repeat(digits + 1 + widest), numbers));
    for (nth, from) in matrix.hosts.iter().enumerate() {
        let cell = |to: &&String| {
            let cell = matrix.cells.get(&(from.clone(), (*to).clone()));
            cell.map_or(' ', symbol).to_string()
        };
        let cells = columns.iter().map(cell).collect();
        text.push_str(&row(format!("{:>digits$} {from:widest$}", nth + 1), cells));
    }
    for (nth, service) in matrix.services.iter().enumerate() {
        text.push_str(&format!("{:>digits$} {service}\n", matrix.hosts.len() + nth + 1));
    }
    for ((from, to), cell) in unexpected(matrix) {
        text.push_str(&format!("{from} -> {to}: {}\n", words(cell)));
    }
    if matrix.is_as_expected() {
        text.push_str("all as expected\n");
    }
    text
}

/// One character for what was found.
pub fn symbol(cell: &Cell) -> char {
    match (cell.verdict, cell.found, cell.expected) {
        (Verdict::UnexpectedlyOpen, ..) => 'O',
        (Verdict::UnexpectedlyCut, ..) => 'C',
        (Verdict::Unknown, ..) => '?',
        (Verdict::AsExpected, _, Effect::Impaired) => '~',
        (Verdict::AsExpected, Found::Cut, _) => 'x',
        (Verdict::AsExpected, Found::Lossy, _) => '~',
        (Verdict::AsExpected, Found::Open, _) => '.',
        (Verdict::AsExpected, Found::Unknown, _) => '?',
    }
}

/// `unexpectedly cut: 0 of 5 datagrams arrived, no connection (no answer in 1s); no fault says so`.
fn words(cell: &Cell) -> String {
    let verdict = match cell.verdict {
        Verdict::UnexpectedlyOpen => "unexpectedly open",
        Verdict::UnexpectedlyCut => "unexpectedly cut",
        Verdict::AsExpected => "as expected",
        Verdict::Unknown => "not known",
    };
    let mut found = Vec::new();
    if cell.sent > 0 {
        found.push(format!("{} of {} datagrams arrived", cell.arrived, cell.sent));
    }
    match cell.connected {
        Some(true) => found.push("a connection opens".to_owned()),
        Some(false) => found.push("no connection".to_owned()),
        None => {}
    }
    found.extend(cell.status.map(|status| format!("HTTP {status}")));
    found.extend(cell.rtt_micros.map(|micros| format!("a round trip takes {}", remaining(micros / 1_000))));
    found.extend(cell.error.clone());
    let faults = cell.faults.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let says = if faults.is_empty() {
        "no fault says so".to_owned()
    } else {
        format!("by {faults} it should be otherwise")
    };
    format!("{verdict}: {}; {says}", found.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(verdict: Verdict, found: Found) -> Cell {
        Cell {
            verdict,
            found,
            expected: if found == Found::Cut { Effect::Cut } else { Effect::None },
            faults: Vec::new(),
            sent: 5,
            arrived: if found == Found::Cut { 0 } else { 5 },
            connected: Some(found != Found::Cut),
            status: None,
            rtt_micros: None,
            error: None,
        }
    }

    #[test]
    fn a_square_and_a_line_for_what_is_not_as_it_should_be() {
        let pair = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        let mut matrix = Matrix {
            hosts: vec!["db".to_owned(), "web-1".to_owned()],
            services: vec!["redis".to_owned()],
            cells: [
                (pair("db", "web-1"), cell(Verdict::AsExpected, Found::Cut)),
                (pair("web-1", "db"), cell(Verdict::AsExpected, Found::Open)),
                (pair("web-1", "redis"), cell(Verdict::AsExpected, Found::Open)),
            ]
            .into(),
            silent: BTreeMap::new(),
        };
        let square = format!("{LEGEND}        \x201 2 3\n1 db       x\n2 web-1  .   .\n3 redis\n");
        assert_eq!(text(&matrix), format!("{square}all as expected\n"));
        let wrong = Cell { faults: Vec::new(), ..cell(Verdict::UnexpectedlyCut, Found::Cut) };
        matrix.cells.insert(pair("web-1", "db"), wrong);
        let told = text(&matrix);
        assert!(
            told.ends_with(
                "web-1 -> db: unexpectedly cut: 0 of 5 datagrams arrived, no connection; no fault says so\n"
            ),
            "{told}"
        );
        assert!(told.contains("2 web-1  C   ."), "{told}");
    }
}
