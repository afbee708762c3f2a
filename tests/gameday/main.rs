//! Game days: their files, their runs on hosts with real agents and in labs with real servers, and their reports.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod browser;
mod html;
mod probes;
mod report;
mod runs;
mod servers;
