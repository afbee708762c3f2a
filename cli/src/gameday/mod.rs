//! `run`: a game day, from its file to its report.
//!
//! ```text
//! file (YAML, checked) -> round: steady state -> timeline -> recovery -> report
//!                           course: probes, people, guards, the end of faults, one at a time
//! ```

mod command;
mod course;
mod desk;
pub mod excerpt;
mod faults;
pub mod file;
mod hook;
mod log;
mod marker;
mod markers;
mod matrix;
mod measure;
mod note;
mod outline;
pub mod probe;
mod questions;
pub mod report;
mod round;
mod run;
mod stage;
mod view;
mod watch;

pub use note::run as note;
pub use run::run;
