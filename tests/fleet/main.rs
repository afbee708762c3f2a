//! Ten hosts with a real agent each, over real TCP, and the command line on an eleventh.

mod clocks;
mod controllers;
mod lease;
mod links;
mod partitions;
mod sweep;

use std::time::{Duration, Instant};

use harness::agent::Agent;
use harness::fleet::Fleet;

/// How much later than promised something may be on a machine that does other things, too.
const SLACK: Duration = Duration::from_secs(5);

/// Until the agent's log has this many lines with these words.
fn logged(agent: &Agent, words: &str, times: usize) {
    let begun = Instant::now();
    while agent.log().matches(words).count() < times {
        assert!(begun.elapsed() < 2 * SLACK, "no `{words}` in the log:\n{}", agent.log());
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether any rule of ours is on any host.
fn is_clean(fleet: &Fleet) -> bool {
    fleet.hosts.iter().all(|host| host.sh("nft list ruleset").is_empty())
}

/// Until nothing of any fault is left on any host.
fn until_clean(fleet: &Fleet, patience: Duration) {
    let begun = Instant::now();
    while !is_clean(fleet) {
        assert!(begun.elapsed() < patience, "something is left after {:?}", begun.elapsed());
        std::thread::sleep(Duration::from_millis(50));
    }
}
