//! The command line as its users meet it: the real program, run against an agent on a kernel in memory.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod address;
mod annotate;
mod audit;
mod ca;
mod check_config;
mod configuration;
mod exit;
mod flags;
mod fleet;
mod inject;
mod lease;
mod many;
mod pipes;
mod profiles;
mod reference;
mod restore;
mod run;
mod shells;
mod status;
mod tls;
mod token;
mod wait;
mod watch;
