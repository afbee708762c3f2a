//! The report of a run: JSON for programs, Markdown and one page of HTML for people.

mod clean;
mod files;
mod markdown;
pub mod model;
mod outage;
#[cfg(test)]
mod sample;
mod summary;
mod tables;
mod words;

pub use files::{Paths, write, write_for_people};
