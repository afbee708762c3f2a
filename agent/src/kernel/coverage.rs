//! Which faults can be had where, and by what: the table that `doctor` prints. Pure: an example of each is planned, and what
//! the plan needs is looked up among what was found out about this kernel.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use partition_agent_proto::{Check, Coverage, FaultSpec, Feature, Kind, Target};

use crate::plan::{
    Address, Draft, Guard, Impairment, Impossible, Incarnation, MARK_BITS, Need, Place, Plan, Sender, Step,
};

/// Scopes and interfaces that are one to the data plane.
struct Where {
    words: &'static str,
    sender: Option<Sender>,
    ethernet: bool,
}

fn everywhere() -> [Where; 4] {
    let group = Sender::Cgroup { path: "/example".to_owned(), level: 1, id: 1 };
    let all = |words, ethernet| Where { words, sender: None, ethernet };
    let of = |words, sender| Where { words, sender: Some(sender), ethernet: true };
    [
        all("host, interface, netns, container, label, compose, pod", true),
        of("unit, cgroup, pod in the network of the host", group),
        of("user", Sender::User(1)),
        all("loopback, tunnel: interfaces without Ethernet frames", false),
    ]
}

/// Every kind, and every selector that needs something of its own, everywhere and by every engine that does it.
#[must_use]
pub fn coverage(features: &[Feature]) -> Vec<Coverage> {
    let kinds = Kind::examples().into_iter().map(|(words, kind)| (words, kind, Target::default()));
    let cut = Kind::examples().into_iter().take(1).map(|(_, kind)| kind);
    let selectors =
        cut.flat_map(|cut| Target::examples().map(move |(words, target)| (words, cut.clone(), target)));
    let mut table = Vec::new();
    for (words, kind, target) in kinds.chain(selectors) {
        let shapes = Impairment::new(std::slice::from_ref(&kind)).is_some();
        let Some(spec) = example(kind, target) else { continue };
        for emulated in [false, true].into_iter().filter(|emulated| shapes || !emulated) {
            let planned = everywhere().map(|place| (sample(&spec, &place, emulated), place.words));
            let engine = planned.iter().find_map(|(plan, _)| plan.as_ref().ok().map(engine));
            for (plan, scope) in planned {
                table.push(Coverage {
                    kind: words.to_owned(),
                    scope: scope.to_owned(),
                    engine: engine.unwrap_or_default().to_owned(),
                    why_not: match plan {
                        Ok(plan) => Need::of(&plan).into_iter().find_map(|need| missing(features, need)),
                        Err(impossible) => Some(impossible.to_string()),
                    },
                });
            }
        }
    }
    table
}

/// The sets of a fault on one address and on one service, as a plan makes them.
pub fn sets() -> Option<Plan> {
    let [(_, cut)] = Kind::examples().into_iter().take(1).collect::<Vec<_>>().try_into().ok()?;
    let spec = FaultSpec {
        direction: partition_agent_proto::Direction::Ingress,
        ..example(cut, Target::default())?
    };
    let [place, ..] = everywhere();
    sample(&spec, &place, false).ok()
}

fn example(kind: Kind, target: Target) -> Option<FaultSpec> {
    let spec = serde_json::from_str::<FaultSpec>(r#"{"kinds":[]}"#).ok()?;
    Some(FaultSpec { kinds: vec![kind], target, ..spec })
}

fn sample(spec: &FaultSpec, place: &Where, emulated: bool) -> Result<Plan, Impossible> {
    let targets = ["192.0.2.1/32", "2001:db8::/32"].iter().filter_map(|net| net.parse().ok());
    let ports = [None, partition_agent_proto::Ports::one(1).ok()];
    let targets = targets.flat_map(|net| ports.map(|ports| Address { net, ports }));
    let interfaces = [if place.ethernet { "eth0" } else { "lo" }.to_owned()];
    Plan::new(&Draft {
        spec,
        egress: &spec.kinds,
        ingress: &spec.kinds,
        targets: &targets.collect::<Vec<_>>(),
        except: &[],
        keep: &[],
        place: &Place::host(),
        sender: place.sender.as_ref(),
        interfaces: &interfaces,
        left_out: &[],
        which: &BTreeMap::from([(interfaces[0].clone(), Incarnation { index: 1, nth: 0 })]),
        taps: &[],
        not_ethernet: if place.ethernet { &[] } else { &interfaces },
        emulated,
        natted: false,
        bit: MARK_BITS.first().copied(),
        servers: &[SocketAddr::from(([192, 0, 2, 53], 53))],
        guard: &Guard::new(&[], None),
        slot: 0,
        order: 0,
        timeout: Some(Duration::from_secs(1)),
    })
}

/// What does the work.
fn engine(plan: &Plan) -> &'static str {
    let of_steps = plan.steps.iter().find_map(|step| match step {
        Step::AddNetem { .. } => Some("netem"),
        Step::AddTap(_) => Some("emulator"),
        Step::StandIn(_) => Some("forwarder"),
        Step::AddIfb { .. } | Step::SetUp { .. } | Step::AddTable(_) | Step::Steer(_) => None,
    });
    of_steps.unwrap_or(if plan.resets.is_some() { "sock_diag" } else { "nftables" })
}

fn missing(features: &[Feature], need: Need) -> Option<String> {
    let feature = features.iter().find(|feature| feature.name == need.name())?;
    match &feature.check {
        Check::Works => None,
        Check::Missing { .. } => Some(format!("{} is missing", need.name())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without(need: Need) -> Vec<Coverage> {
        let check = Check::Missing { why: String::new(), fix: String::new() };
        coverage(&[Feature { name: need.name().to_owned(), needed_for: String::new(), check }])
    }

    /// What cannot be had without it: kinds by engines, of a scope that contains this word.
    fn lost(need: Need, scope: &str) -> Vec<String> {
        let rows = without(need).into_iter().filter(|row| row.scope.contains(scope));
        let missing = format!("{} is missing", need.name());
        let rows = rows.filter(|row| row.why_not.as_ref() == Some(&missing));
        rows.map(|row| format!("{} by {}", row.kind, row.engine)).collect()
    }

    #[test]
    fn what_is_missing_takes_away_what_needs_it_and_nothing_else() {
        assert_eq!(
            lost(Need::Numgen, "host"),
            ["loss below 100% by nftables", "loss below 100% by nftables"]
        );
        assert_eq!(lost(Need::Hash, "netns"), ["a share of the connections (--flows) by nftables"]);
        assert_eq!(lost(Need::Reject, "container"), ["reject by nftables"]);
        assert_eq!(lost(Need::Destroy, "user"), ["reset by sock_diag"]);
        assert_eq!(lost(Need::Rewrite, "user"), ["dns by forwarder"]);
        let shaping = |engine: &str| {
            [
                "correlated loss",
                "loss-gemodel",
                "loss-state",
                "latency",
                "duplicate",
                "corrupt",
                "reorder",
                "rate",
                "slot",
            ]
            .map(|kind| format!("{kind} by {engine}"))
        };
        assert_eq!(lost(Need::Netem, "label"), shaping("netem"));
        assert_eq!(lost(Need::Emulator, "compose"), shaping("emulator"));
        assert_eq!(lost(Need::Cgroup, "host, interface"), [""; 0]);
        // All but the reset, which cannot be had there anyway.
        let all = without(Need::Tables).iter().filter(|row| row.scope == "user").count();
        assert_eq!(lost(Need::Cgroup, "unit").len(), all - 1);
    }

    #[test]
    fn what_no_kernel_can_do_says_why() {
        let table = coverage(&[]);
        let why = |kind: &str, engine: &str, scope: &str| {
            let row = |row: &&Coverage| row.kind == kind && row.engine == engine && row.scope.contains(scope);
            table.iter().find(row).unwrap().why_not.clone()
        };
        assert!(why("reset", "sock_diag", "unit").unwrap().contains("control group"));
        assert!(why("latency", "emulator", "loopback").unwrap().contains("reads Ethernet frames"));
        let can = [
            ("latency", "netem", "loopback"),
            ("loss 100%", "nftables", "tunnel"),
            ("dns", "forwarder", "unit"),
        ];
        can.into_iter()
            .for_each(|(kind, engine, scope)| assert_eq!(why(kind, engine, scope), None, "{kind}"));
    }
}
