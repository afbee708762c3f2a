//! What was found in the kernel, held against a plan. Pure: the reading itself is done elsewhere.

use std::collections::BTreeMap;
use std::time::Duration;

use partition_agent_proto::Verdict;

use crate::plan::{Element, Hook, Netem, Plan, mark};

/// What there is of one fault.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    pub sets: BTreeMap<String, SetSeen>,
    /// Rules that carry the fault's mark, for each chain.
    pub rules: BTreeMap<String, usize>,
    /// Interfaces that lead into the table.
    pub hooked: Vec<(Hook, String)>,
    pub queues: BTreeMap<String, QueueSeen>,
}

/// A set as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SetSeen {
    /// Entries of the kernel's own list, the ends of intervals among them.
    pub entries: usize,
    /// The time left of the element that goes last.
    pub last: Option<Duration>,
}

/// A delay queue as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueSeen {
    pub up: bool,
    pub latency: Duration,
    pub jitter: Duration,
    pub limit: u32,
}

/// The kernel counts in jiffies, 10 ms at the longest, and the reading itself takes a moment.
const LATE: Duration = Duration::from_millis(50);

impl Observed {
    /// Whether all of the plan is there with no more than `left` to go.
    pub fn verdict(&self, plan: &Plan, left: Duration) -> Verdict {
        match self.mismatch(plan, left) {
            Some(found) => Verdict::Mismatch { found },
            None => Verdict::Confirmed,
        }
    }

    fn mismatch(&self, plan: &Plan, left: Duration) -> Option<String> {
        let steering = plan.steering()?;
        for set in &steering.ruleset.sets {
            let entries = set.elements.iter().map(entries).sum::<usize>();
            let Some(seen) = self.sets.get(&set.name) else {
                return Some(format!("set {} is missing", set.name));
            };
            if seen.entries != entries {
                return Some(format!("set {} has {} of {entries} entries", set.name, seen.entries));
            }
            if set.timed && seen.last.is_none_or(|last| last > left + LATE) {
                return Some(format!("set {} does not time out with the fault: {:?}", set.name, seen.last));
            }
        }
        let mut wanted = BTreeMap::<&str, usize>::new();
        for rule in &steering.ruleset.rules {
            *wanted.entry(&rule.chain).or_default() += 1;
        }
        for (chain, wanted) in wanted {
            let seen = self.rules.get(chain).copied().unwrap_or_default();
            if seen != wanted {
                return Some(format!("chain {chain} has {seen} of {wanted} rules of {}", mark(plan.slot)));
            }
        }
        for hook in &steering.hooks {
            for interface in &steering.interfaces {
                if !self.hooked.contains(&(*hook, interface.clone())) {
                    return Some(format!("{interface} is not hooked on {}", hook.name()));
                }
            }
        }
        plan.queues().find_map(|(ifb, netem)| self.queue_mismatch(ifb, netem))
    }

    /// What is wrong with one delay queue.
    pub fn queue_mismatch(&self, ifb: &str, netem: &Netem) -> Option<String> {
        let Some(seen) = self.queues.get(ifb) else { return Some(format!("{ifb} has no netem")) };
        let wanted = QueueSeen { up: true, latency: netem.latency, jitter: netem.jitter, limit: netem.limit };
        (*seen != wanted).then(|| format!("{ifb} is {seen:?}, not {wanted:?}"))
    }
}

/// An interval of a plain set is listed as a start and an end, the end left out after the highest address.
fn entries(element: &Element) -> usize {
    match element {
        Element::Net(range) => {
            let highest = match range.last {
                std::net::IpAddr::V4(last) => last.is_broadcast(),
                std::net::IpAddr::V6(last) => u128::from(last) == u128::MAX,
            };
            if highest { 1 } else { 2 }
        }
        Element::Host(_)
        | Element::Service { .. }
        | Element::Connection { .. }
        | Element::LocalPort { .. } => 1,
    }
}
