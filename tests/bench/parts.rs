//! Parts that print what they measure, and are not in the record.

use std::time::Duration;

use crate::{emulator, fleet, heal, idle, many};

/// In the order in which they run.
pub const PARTS: [(&str, fn()); 5] = [
    ("heal", heal::run),
    ("emulator", emulator::run),
    ("many", many::run),
    ("idle", idle::run),
    ("fleet", fleet::run),
];

/// The value that this share of the sorted values does not exceed.
pub fn percentile(sorted: &[Duration], share: usize) -> Duration {
    sorted[(sorted.len() * share / 100).min(sorted.len() - 1)]
}

pub fn millis(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1e3)
}
