//! Faults somewhere else than on the whole host: in containers of a real Docker, in network namespaces, for control groups
//! and users. Root needed. The agent runs in a network namespace of the test's own; it enters the others from there.

mod compose;
mod containers;
mod dns;
mod follow;
mod netns;
mod pods;
mod processes;
mod testbed;
mod trace;
mod units;

use std::time::Duration;

use harness::{cgroup, name_server, until};

/// How long an answer may take before it counts as none.
const PATIENCE: Duration = Duration::from_millis(300);

/// How much later than the agent's own half second something may be seen on a busy machine.
const SLACK: Duration = Duration::from_secs(5);

/// Faults in other namespaces take privileges that an agent gives up unless it is told not to.
const CONFIG: &str = "namespaces = true\n";
