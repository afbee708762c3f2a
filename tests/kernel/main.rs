//! Faults on a real kernel, felt by real traffic. Root needed; every host is a network namespace of the test's own.

mod asker;
mod delay;
mod demo;
mod dns;
mod fleet;
mod flows;
mod guard;
mod interfaces;
mod lease;
mod listed;
mod log;
mod loss;
mod many;
mod metrics;
mod model;
mod names;
mod nat;
mod overload;
mod phases;
mod policy;
mod reach;
mod redis;
mod reject;
mod rules;
mod shaping;
mod table;
mod table_delays;
mod table_measure;
mod table_rows;
mod targets;
mod timing;
mod tls;

use std::time::Duration;

use harness::name_server;

/// How long an answer may take before it counts as none: a thousand times a round trip here, and still short.
const PATIENCE: Duration = Duration::from_millis(300);

/// How much later than the kernel's own few milliseconds a heal may be seen on a busy or emulated machine. The benchmark
/// measures it tightly.
const SLACK: Duration = Duration::from_secs(3);
