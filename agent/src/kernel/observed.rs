//! What was found in the kernel, held against a plan. Pure: the reading itself is done elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use partition_agent_proto::Verdict;

use super::rtnl::netem;
use crate::plan::{Element, Hook, Impairment, Plan, Rule, Set, mark};

/// What there is of one fault.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    pub sets: BTreeMap<String, SetSeen>,
    /// Rules that carry the fault's mark, for each chain.
    pub rules: BTreeMap<String, usize>,
    /// Interfaces that lead into the table.
    pub hooked: Vec<(Hook, String)>,
    pub queues: BTreeMap<String, QueueSeen>,
    /// The emulators that run, by their TAPs, with what they do.
    pub emulators: BTreeMap<String, Impairment>,
    /// The name servers that the fault's forwarder stands in for.
    pub stood_in_for: BTreeSet<SocketAddr>,
    /// The sets and rules of the fault's own table.
    pub own_sets: BTreeMap<String, SetSeen>,
    pub own_rules: BTreeMap<String, usize>,
}

/// A set as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SetSeen {
    /// Entries of the kernel's own list, the ends of intervals among them.
    pub entries: usize,
    /// The time left of the element that goes last.
    pub last: Option<Duration>,
}

/// A queue of netem as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueSeen {
    pub up: bool,
    pub netem: netem::Seen,
}

/// The kernel counts in jiffies, 10 ms at the longest, and the reading itself takes a moment.
const LATE: Duration = Duration::from_millis(50);

impl Observed {
    /// Whether all of the plan is there with no more than `left` to go; without any, whether it is there and off.
    pub fn verdict(&self, plan: &Plan, left: Option<Duration>) -> Verdict {
        match self.mismatch(plan, left) {
            Some(found) => Verdict::Mismatch { found },
            None => Verdict::Confirmed,
        }
    }

    fn mismatch(&self, plan: &Plan, left: Option<Duration>) -> Option<String> {
        let steering = plan.steering()?;
        let own = steering.own.as_ref();
        let own_sets = own.map(|own| own.ruleset.sets.as_slice()).unwrap_or_default();
        let own_rules = own.map(|own| own.ruleset.rules.as_slice()).unwrap_or_default();
        sets_mismatch(&steering.ruleset.sets, &self.sets, left)
            .or_else(|| rules_mismatch(&steering.ruleset.rules, &self.rules, &mark(plan.slot)))
            .or_else(|| self.hooks_mismatch(&steering.hooks, &steering.interfaces))
            .or_else(|| sets_mismatch(own_sets, &self.own_sets, left))
            .or_else(|| rules_mismatch(own_rules, &self.own_rules, "its own table"))
            .or_else(|| self.queues_mismatch(plan))
            .or_else(|| self.servers_mismatch(plan))
    }

    fn hooks_mismatch(&self, hooks: &[Hook], interfaces: &[String]) -> Option<String> {
        let mut pairs =
            hooks.iter().flat_map(|hook| interfaces.iter().map(|interface| (*hook, interface.clone())));
        let (hook, interface) = pairs.find(|pair| !self.hooked.contains(pair))?;
        Some(format!("{interface} is not hooked on {}", hook.name()))
    }

    /// What is wrong with what shapes the fault's packets.
    pub fn queues_mismatch(&self, plan: &Plan) -> Option<String> {
        let netem = plan.queues().find_map(|(ifb, impairment)| self.queue_mismatch(ifb, impairment));
        netem.or_else(|| {
            plan.taps().find_map(|tap| match self.emulators.get(&tap.name) {
                None => Some(format!("the emulator of {} has ended", tap.name)),
                Some(seen) => (*seen != tap.impairment).then(|| format!("{} does {seen}", tap.name)),
            })
        })
    }

    fn servers_mismatch(&self, plan: &Plan) -> Option<String> {
        let mut servers = plan.stand_in().into_iter().flat_map(|stand_in| &stand_in.servers);
        let missing = servers.find(|server| !self.stood_in_for.contains(server))?;
        Some(format!("nothing stands in for name server {missing}"))
    }

    fn queue_mismatch(&self, ifb: &str, impairment: &Impairment) -> Option<String> {
        let Some(seen) = self.queues.get(ifb) else { return Some(format!("{ifb} has no netem")) };
        if !seen.up {
            return Some(format!("{ifb} is down"));
        }
        netem::differs(&seen.netem, impairment).map(|found| format!("{ifb}: {found}"))
    }
}

fn sets_mismatch(wanted: &[Set], seen: &BTreeMap<String, SetSeen>, left: Option<Duration>) -> Option<String> {
    for set in wanted.iter().filter(|set| !set.shape.learned()) {
        let planned = set.elements.iter().map(entries).sum::<usize>();
        let Some(seen) = seen.get(&set.name) else {
            return Some(format!("set {} is missing", set.name));
        };
        let planned = if set.timed && left.is_none() { 0 } else { planned };
        if seen.entries != planned {
            return Some(format!("set {} has {} of {planned} entries", set.name, seen.entries));
        }
        if let Some(left) = left.filter(|_| set.timed)
            && seen.last.is_none_or(|last| last > left + LATE)
        {
            return Some(format!("set {} does not time out with the fault: {:?}", set.name, seen.last));
        }
    }
    None
}

fn rules_mismatch(rules: &[Rule], seen: &BTreeMap<String, usize>, whose: &str) -> Option<String> {
    let mut wanted = BTreeMap::<&str, usize>::new();
    for rule in rules {
        *wanted.entry(&rule.chain).or_default() += 1;
    }
    wanted.into_iter().find_map(|(chain, wanted)| {
        let seen = seen.get(chain).copied().unwrap_or_default();
        (seen != wanted).then(|| format!("chain {chain} has {seen} of {wanted} rules of {whose}"))
    })
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
        | Element::LocalPort { .. }
        | Element::Ethertype(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Place, StandIn, Steering, Step};

    #[test]
    fn a_name_server_that_nothing_stands_in_for_is_a_mismatch() {
        let servers = ["10.0.0.1:53", "[fd00::1]:53"].map(|server| server.parse::<SocketAddr>().unwrap());
        let stand_in = StandIn {
            servers: servers.to_vec(),
            names: Vec::new(),
            answer: partition_agent_proto::DnsAnswer::Nxdomain,
        };
        let steering = Steering {
            ruleset: crate::plan::Ruleset::default(),
            hooks: Vec::new(),
            interfaces: Vec::new(),
            own: None,
            order: 1,
            timeout: None,
        };
        let steps = vec![Step::StandIn(stand_in), Step::Steer(steering)];
        let plan = Plan { place: Place::host(), slot: 1, steps, resets: None, bit: None };
        let verdict = |count: usize| {
            let stood_in_for = servers.into_iter().take(count).collect();
            Observed { stood_in_for, ..Observed::default() }.verdict(&plan, None)
        };
        assert_eq!(verdict(2), Verdict::Confirmed);
        let found = "nothing stands in for name server [fd00::1]:53".to_owned();
        assert_eq!(verdict(1), Verdict::Mismatch { found });
    }
}
