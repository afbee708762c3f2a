//! The promise: every fault ends by itself, whatever happens to the agent, and leaves no trace. Root needed.

mod agent_dies;
mod audit;
mod crash;
mod crash_scenarios;
mod files;
mod foreign;
mod privileges;
mod recovery;
mod trace;

use std::time::Duration;

/// How long an answer may take before it counts as none.
const PATIENCE: Duration = Duration::from_millis(300);

/// How much later than the kernel's own few milliseconds a heal may be seen on a busy or emulated machine. The benchmark
/// measures it tightly.
const SLACK: Duration = Duration::from_secs(3);

/// A cut of everything between `app` and `redis`, for this long.
fn cut(duration: &str) -> String {
    let redis = harness::lab::REDIS;
    format!(
        r#"{{"kinds":[{{"loss":{{"percent":100}}}}],"target":{{"peers":["{redis}"]}},"for":"{duration}"}}"#
    )
}
