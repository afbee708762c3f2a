//! Game days: their files, their runs and their reports.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod browser;
mod html;
mod report;
