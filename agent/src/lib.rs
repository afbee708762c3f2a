//! The agent: what `partition-agent serve` runs, and what `inject` runs in the foreground where there is no agent.
//!
//! `api` hands a decoded request to the `keeper`; the keeper plans it, writes it down, applies it to the `kernel` step
//! by step, and reads it back. Everything that decides is pure: `plan`, and the keeper's ledger.

pub mod api;
pub mod clock;
pub mod config;
pub mod crash;
pub mod daemon;
mod dns;
mod emulator;
pub mod finder;
#[cfg(feature = "fuzz")]
pub mod fuzzing;
pub mod keeper;
pub mod kernel;
mod names;
pub mod netns;
pub mod plan;
pub mod privileges;
pub mod probe;
pub mod resolve;
pub mod scope;
mod targets;
pub mod token;
