//! The agent: what `partition-agent serve` runs, and what `inject` runs in the foreground where there is no agent.
//!
//! `api` hands a decoded request to the `keeper`; the keeper plans it, writes it down, applies it to the `kernel` step
//! by step, and reads it back. Everything that decides is pure: `plan`, and the keeper's ledger.

pub mod access;
pub mod api;
pub mod audit;
pub mod check;
pub mod client_tls;
pub mod clock;
pub mod config;
pub mod crash;
pub mod daemon;
mod descriptors;
mod dns;
mod emulator;
pub mod finder;
pub mod fleet;
#[cfg(feature = "fuzz")]
pub mod fuzzing;
pub mod keeper;
pub mod kernel;
mod lines;
pub mod metrics;
mod names;
pub mod netns;
mod nobody;
pub mod plan;
pub mod policy;
pub mod privileges;
pub mod probe;
pub mod resolve;
mod sandbox;
pub mod scope;
pub mod secret;
mod targets;
pub mod token;
pub mod trust;
