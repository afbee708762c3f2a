//! Faults on names: a forwarder between programs and their name servers that fails the lookup of chosen names.
//!
//! Packets to a name server are rewritten to a port of the forwarder, and its answers back, without state; so programs
//! that keep a socket open need not notice that the forwarder comes and goes.

#[cfg(test)]
mod fake_upstream;
mod forwarder;
#[cfg(feature = "fuzz")]
pub mod fuzzing;
#[cfg(test)]
mod loopback_tests;
#[cfg(test)]
mod netns_tests;
mod rules;
mod service;
mod tcp;
mod udp;

pub use forwarder::{Forwarder, start};
pub use rules::Rules;
