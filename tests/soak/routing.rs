//! Which interfaces a fault is to be on: those that the routes of the host name, as `ip` prints them.

use std::collections::BTreeSet;

use harness::lab::address;
use partition_agent_proto::FaultSpec;

use crate::observe::{Route, Seen};
use crate::region::{self, Block};
use crate::soak::PROTECTED_INTERFACE;

/// The interfaces that lead to these networks; without a route to one, or for everybody, all that have an address. None: no
/// interface leads there.
pub fn interfaces(spec: &FaultSpec, nets: &[String], seen: &Seen) -> Option<BTreeSet<String>> {
    if let Some(only) = &spec.interface {
        return seen.interfaces.contains(only).then(|| BTreeSet::from([only.clone()]));
    }
    let mut chosen = BTreeSet::new();
    let mut all = false;
    for net in nets {
        let (first, prefix) = net.split_once('/').unwrap_or((net, "host"));
        match best(first, seen) {
            Some(route) if prefix != "0" => chosen.insert(route.interface.clone()),
            Some(_) | None => {
                all = true;
                true
            }
        };
        // Longer routes inside of a network may lead elsewhere.
        let here = [Block::net(net)];
        let inner = seen.routes.iter().filter(|route| {
            let begins = route.net.split('/').next().unwrap_or_default();
            prefix != "host"
                && length(&route.net) > length(net)
                && region::has(&here, address(begins), "tcp", 1)
        });
        chosen.extend(inner.map(|route| route.interface.clone()));
    }
    if all {
        chosen.extend(seen.addressed.iter().cloned());
    }
    chosen.remove("lo");
    // Only this host has one of that name.
    chosen.remove(PROTECTED_INTERFACE);
    chosen.remove("");
    (!chosen.is_empty()).then_some(chosen)
}

fn length(net: &str) -> u32 {
    match net.split_once('/') {
        Some((_, prefix)) => prefix.parse().expect("a prefix"),
        None => 128,
    }
}

/// The longest that has the address.
fn best<'a>(to: &str, seen: &'a Seen) -> Option<&'a Route> {
    let to = address(to);
    let has =
        |route: &&Route| route.v6 == to.is_ipv6() && region::has(&[Block::net(&route.net)], to, "tcp", 1);
    seen.routes.iter().filter(has).max_by_key(|route| length(&route.net))
}
