//! Hosts from what other programs know: each source against the real program, or where none can be had (Consul, Kubernetes)
//! against the answers that it is documented to give. Root needed: servers run in network namespaces of the test's own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod ansible;
mod consul;
mod dns;
mod docker;
mod fleet;
mod http_sd;
mod kubernetes;
mod prometheus;
mod server;
