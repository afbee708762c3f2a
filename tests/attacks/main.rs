//! What an attacker would try on the API, one test for each: raw sockets, and certificates that `openssl` has made. On a kernel in
//! memory, without root.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bodies;
mod browsers;
mod certificates;
mod console;
mod fleet;
mod floods;
mod locals;
mod pki;
mod roles;
mod smuggling;
mod tokens;
mod wire;
