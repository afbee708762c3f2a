//! The HTTP API on a kernel in memory: what is answered, what is refused, and what a refusal leaves behind (nothing).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod client;
mod events;
mod faults;
mod health;
mod info;
mod kernel;
mod openapi;
mod routes;
mod senseless;
