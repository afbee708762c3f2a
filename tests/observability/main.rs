//! Prometheus and Grafana, on a real agent: the shipped scrape configuration, alert rules and dashboard. Root needed: agent
//! and server run in network namespaces of the test's own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod annotate;
mod rules;
mod scrape;
mod shipped;
