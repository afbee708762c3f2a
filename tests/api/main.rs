//! The HTTP API on a kernel in memory: what is answered, what is refused, and what a refusal leaves behind (nothing).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod audit;
mod client;
mod console;
mod engine;
mod events;
mod faults;
mod fleet;
mod health;
mod info;
mod instant;
mod kernel;
mod kinds;
mod lease;
mod metrics;
mod openapi;
mod policy;
mod reach;
mod routes;
mod schema;
mod scopes;
mod senseless;
mod shadows;
mod timing;
mod token;
mod unit;
