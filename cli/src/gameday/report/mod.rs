//! The report of a run: JSON for programs, Markdown and one page of HTML for people.

mod clean;
pub mod compare;
mod files;
mod html;
mod judged;
mod markdown;
pub mod model;
mod outage;
mod read;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod schema;
mod summary;
mod tables;
pub mod words;

pub use files::{Paths, write, write_for_people, write_trend};
pub use read::read;
