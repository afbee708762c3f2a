//! `run`: a game day, from its file to its report.

pub mod command;
mod excerpt;
pub mod file;
pub mod hook;
pub mod marker;
pub mod probe;
pub mod report;
