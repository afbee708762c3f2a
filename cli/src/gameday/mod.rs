//! `run`: a game day, from its file to its report.

pub mod file;
pub mod probe;
pub mod report;
