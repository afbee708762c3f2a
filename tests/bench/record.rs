//! What was measured, as values: they are printed, kept in `target/bench.json`, and make the tables of `docs/benchmarks.md`.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::machine::Machine;

/// All runs, the last of each, by the question and where it was asked.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Record {
    pub runs: BTreeMap<String, Run>,
}

/// The answers to one question, on one machine.
#[derive(Debug, Serialize, Deserialize)]
pub struct Run {
    pub machine: Machine,
    /// How long it took, in seconds.
    pub seconds: f64,
    pub tables: Vec<Table>,
}

/// Rows are tools, or what else is compared; columns are what was measured of each.
#[derive(Debug, Serialize, Deserialize)]
pub struct Table {
    pub title: String,
    /// What was done, in a sentence or two.
    pub how: String,
    pub columns: Vec<String>,
    pub rows: Vec<Row>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Row {
    pub of: String,
    /// A cell for each column.
    pub cells: Vec<Cell>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cell {
    /// The same thing, measured several times.
    Samples(Samples),
    /// One number.
    Number { unit: Unit, value: f64 },
    /// A share, and the interval that holds the true one with 95% confidence, each from 0 to 1.
    Share { value: f64, low: f64, high: f64 },
    /// Why there is no number, or what is no number.
    Text(String),
    /// Nothing was asked here.
    Nothing,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Samples {
    pub unit: Unit,
    pub count: usize,
    pub median: f64,
    pub p99: f64,
    pub least: f64,
    pub most: f64,
    /// The median, in medians of the table's first row, which is ours.
    pub ratio: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    Seconds,
    PacketsPerSecond,
    BitsPerSecond,
    Bytes,
    Count,
}

impl Cell {
    /// Of at least one sample.
    #[must_use]
    pub fn samples(unit: Unit, mut all: Vec<f64>) -> Self {
        if all.is_empty() {
            return Self::Nothing;
        }
        all.sort_unstable_by(f64::total_cmp);
        let (median, p99) = (percentile(&all, 50.0), percentile(&all, 99.0));
        let (least, most) = (all[0], all[all.len() - 1]);
        Self::Samples(Samples { unit, count: all.len(), median, p99, least, most, ratio: None })
    }

    #[must_use]
    pub fn times(all: &[Duration]) -> Self {
        Self::samples(Unit::Seconds, all.iter().map(Duration::as_secs_f64).collect())
    }

    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }
}

impl Table {
    #[must_use]
    pub fn new(title: &str, how: &str, columns: &[&str]) -> Self {
        Self {
            title: title.to_owned(),
            how: how.to_owned(),
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    pub fn row(&mut self, of: impl Into<String>, cells: Vec<Cell>) {
        assert_eq!(cells.len(), self.columns.len(), "a cell for each column");
        self.rows.push(Row { of: of.into(), cells });
    }

    /// Puts every row in relation to the first, which is ours, column by column.
    #[must_use]
    pub fn against_the_first(mut self) -> Self {
        for column in 0..self.columns.len() {
            let Some(ours) = self.rows.first().and_then(|row| median(&row.cells[column])) else { continue };
            for row in &mut self.rows {
                if let Cell::Samples(samples) = &mut row.cells[column] {
                    samples.ratio = Some(samples.median / ours);
                }
            }
        }
        self
    }
}

fn median(cell: &Cell) -> Option<f64> {
    match cell {
        Cell::Samples(samples) => Some(samples.median),
        Cell::Number { .. } | Cell::Share { .. } | Cell::Text(_) | Cell::Nothing => None,
    }
}

/// The value that this share of the sorted values, in percent, does not exceed.
#[must_use]
pub fn percentile(sorted: &[f64], share: f64) -> f64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a list")]
    let place = (sorted.len() as f64 * share / 100.0) as usize;
    sorted[place.min(sorted.len() - 1)]
}

impl Record {
    /// Where it is kept.
    #[must_use]
    pub fn path() -> PathBuf {
        crate::repository().join("target/bench.json")
    }

    /// What is kept there; nothing, if nothing is.
    pub fn read(path: &Path) -> io::Result<Self> {
        match std::fs::read(path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    pub fn write(&self, path: &Path) -> io::Result<()> {
        std::fs::write(path, serde_json::to_vec_pretty(self)?)
    }
}
