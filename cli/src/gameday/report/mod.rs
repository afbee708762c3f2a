//! The report of a run: JSON for programs, Markdown and one page of HTML for people.

mod clean;
mod files;
mod html;
mod markdown;
pub mod model;
mod outage;
mod read;
#[cfg(test)]
mod sample;
mod summary;
mod tables;
mod words;

pub use files::{Paths, write, write_for_people};
pub use read::read;
