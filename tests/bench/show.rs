//! Tables for people: on a terminal, and between the markers of `docs/benchmarks.md`.

use std::fmt::Write;

use crate::machine::Machine;
use crate::record::{Cell, Run, Samples, Table, Unit};

/// With so many samples their 99th percentile says more than the largest.
const ENOUGH_FOR_P99: usize = 50;

/// In columns.
#[must_use]
pub fn plain(table: &Table) -> String {
    let mut lines = vec![heading(table)];
    lines.extend(table.rows.iter().map(|row| {
        let cells = row.cells.iter().map(cell);
        std::iter::once(row.of.clone()).chain(cells).collect::<Vec<_>>()
    }));
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths = (0..lines[0].len()).map(width).collect::<Vec<_>>();
    let mut text = format!("\n{}\n", table.title);
    for line in &lines {
        let padded = line.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
        let _ = writeln!(text, "  {}", padded.collect::<Vec<_>>().join("  ").trim_end());
    }
    text
}

/// As the tables of the docs are.
#[must_use]
pub fn markdown(table: &Table) -> String {
    let line = |cells: &[String]| {
        let cells =
            cells.iter().map(|cell| if cell.is_empty() { " ".to_owned() } else { format!(" {cell} ") });
        format!("|{}|\n", cells.collect::<Vec<_>>().join("|"))
    };
    let heading = heading(table);
    let mut text = format!("### {}\n\n{}\n\n{}", table.title, table.how, line(&heading));
    text.push_str(&line(&heading.iter().map(|_| "---".to_owned()).collect::<Vec<_>>()));
    for row in &table.rows {
        let cells = row.cells.iter().map(cell);
        text.push_str(&line(&std::iter::once(row.of.clone()).chain(cells).collect::<Vec<_>>()));
    }
    text
}

/// Where and when.
#[must_use]
pub fn place(run: &Run) -> String {
    let Machine { processor, cores, memory_mib, kernel, emulated, revision, date } = &run.machine;
    let where_ = if *emulated {
        format!("In the VM, where all is emulated, so only ratios count: kernel {kernel}")
    } else {
        let memory = memory_mib.div_ceil(1024);
        format!("{processor}, {cores} cores, {memory} GiB, kernel {kernel}")
    };
    format!("{where_}; {date}, revision {revision}, {:.0} s.", run.seconds)
}

fn heading(table: &Table) -> Vec<String> {
    std::iter::once(String::new()).chain(table.columns.iter().cloned()).collect()
}

fn cell(cell: &Cell) -> String {
    match cell {
        Cell::Samples(samples) => of_samples(samples),
        Cell::Number { unit, value } => quantity(*unit, *value),
        Cell::Share { value, low, high } => {
            format!("{} ({} to {})", percent(*value), percent(*low), percent(*high))
        }
        Cell::Text(text) => text.replace('|', "/"),
        Cell::Nothing => String::new(),
    }
}

fn of_samples(samples: &Samples) -> String {
    let Samples { unit, count, median, p99, least, most, ratio } = samples;
    let middle = quantity(*unit, *median);
    let spread = match *count {
        1 => String::new(),
        2..ENOUGH_FOR_P99 => format!(" ({} to {})", quantity(*unit, *least), quantity(*unit, *most)),
        _ => format!(" (p99 {})", quantity(*unit, *p99)),
    };
    match ratio {
        // Exactly one: it is the row that the others are compared with.
        Some(1.0) | None => format!("{middle}{spread}"),
        Some(ratio) if *ratio < 9.95 => format!("{middle}{spread}, {ratio:.1}x"),
        Some(ratio) => format!("{middle}{spread}, {ratio:.0}x"),
    }
}

fn percent(share: f64) -> String {
    format!("{:.2}%", share * 100.0)
}

/// Three digits and a unit.
fn quantity(unit: Unit, value: f64) -> String {
    let scaled = |steps: &[(f64, &str)]| {
        let least = steps[steps.len() - 1];
        let &(factor, name) = steps.iter().find(|(factor, _)| value.abs() >= *factor).unwrap_or(&least);
        format!("{}{name}", digits(value / factor))
    };
    match unit {
        Unit::Seconds => scaled(&[(1.0, " s"), (1e-3, " ms"), (1e-6, " us")]),
        Unit::PacketsPerSecond => scaled(&[(1e6, " M/s"), (1e3, " k/s"), (1.0, " /s")]),
        Unit::BitsPerSecond => scaled(&[(1e9, " Gbit/s"), (1e6, " Mbit/s"), (1e3, " kbit/s")]),
        Unit::Bytes => scaled(&[(1024.0 * 1024.0, " MiB"), (1024.0, " KiB"), (1.0, " B")]),
        Unit::Count => format!("{value:.0}"),
    }
}

fn digits(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        small if small < 9.995 => format!("{value:.2}"),
        middle if middle < 99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}
