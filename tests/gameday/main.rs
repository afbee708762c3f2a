//! Game days: each kind of probe against the real server, whole runs on a fleet of hosts with real agents.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod probes;
mod runs;
mod servers;
