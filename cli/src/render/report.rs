//! Reports of game days, for people.

use std::path::PathBuf;

use super::{complain, json, line, table};
use crate::exit::Failure;
use crate::gameday::report::compare::{Cell, Trend};

/// Where it was written.
pub fn written(paths: &[PathBuf], as_json: bool) -> Result<(), Failure> {
    if as_json {
        return json(&serde_json::json!({ "written": paths }));
    }
    paths.iter().try_for_each(|path| line(&path.display().to_string()))
}

/// A column for each game day, in the order of their time.
pub fn trend(trend: &Trend) -> Result<(), Failure> {
    let head = std::iter::once("MEASURE").chain(trend.reports.iter().map(|report| report.date.as_str()));
    let rows = trend.rows.iter().filter(|row| row.shown).map(|row| {
        let name = match &row.round {
            Some(round) => format!("{round}: {}", row.measure),
            None => row.measure.clone(),
        };
        std::iter::once(name).chain(row.cells.iter().map(cell)).collect::<Vec<_>>()
    });
    table(&head.collect::<Vec<_>>(), rows.collect())?;
    for left_out in &trend.left_out {
        complain(&format!("not shown: {left_out}; --json has all"));
    }
    for difference in &trend.differences {
        complain(&format!("these are {difference}"));
    }
    Ok(())
}

/// `9m30s (-1m34s, better)`.
fn cell(cell: &Cell) -> String {
    if cell.text.is_empty() {
        return "-".to_owned();
    }
    let beside = [cell.change.as_str(), cell.verdict.word()];
    let beside = beside.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", ");
    if beside.is_empty() { cell.text.clone() } else { format!("{} ({beside})", cell.text) }
}
