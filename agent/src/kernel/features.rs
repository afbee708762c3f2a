//! What this kernel can do, found out by trying. Rulesets are made and deleted in one transaction and links are never
//! set up, so nothing is in force at any moment and nothing is left.

use std::time::Duration;

use partition_agent_proto::{Check, Feature, Percent, RejectWith};

use super::error::errno_of;
use super::rtnl::Rtnl;
use super::sock_diag::SockDiag;
use super::{Refusal, coverage, nft};
use crate::emulator::Tap as Device;
use crate::plan::{
    Base, Chain, Expr, Family, Guard, Hook, Impairment, Incarnation, Need, Rule, Ruleset, Set, Shape, Spot,
    TableFamily, Tap, hooked_chain,
};

/// The names of the links that are tried: ours by their prefix, swept like the others.
const PROBE_LINK: &str = "pa-probe";
const PROBE_TAP: &str = "pa-probe-tap";

/// What came of trying one thing.
pub async fn probe(need: Need, rtnl: &Rtnl) -> Feature {
    let check = match attempt(need, rtnl).await {
        Ok(()) => Check::Works,
        Err(refusal) => Check::Missing {
            why: refusal.to_string(),
            fix: refusal.hint.unwrap_or_else(|| need.fix().to_owned()),
        },
    };
    Feature { name: need.name().to_owned(), needed_for: need.needed_for().to_owned(), check }
}

/// Tries one thing.
pub async fn attempt(need: Need, rtnl: &Rtnl) -> Result<(), Refusal> {
    let half = Percent::new(50.0).ok();
    match need {
        Need::Tables => nft::try_out(TableFamily::Netdev, &Ruleset::default()),
        Need::Sets => timed_sets(),
        Need::Ingress => on_loopback(Hook::Ingress, vec![Expr::Drop]),
        Need::Egress => on_loopback(Hook::Egress, vec![Expr::Vanish]),
        Need::Numgen => {
            let random = half.map(|half| vec![Expr::Random(half), Expr::Counter]);
            on_loopback(Hook::Ingress, random.unwrap_or_default())
        }
        Need::Hash => {
            let share = |half| vec![Expr::FlowBeyond(Hook::Ingress, Family::V4, half), Expr::Counter];
            on_loopback(Hook::Ingress, half.map(share).unwrap_or_default())
        }
        Need::Reject => {
            in_output(Base::Output(0), vec![Expr::Counter, Expr::Reject(RejectWith::PortUnreachable)])
        }
        Need::Cgroup => {
            let group = Expr::Cgroup { id: 1, level: 1, path: "probe".to_owned() };
            in_output(Base::Output(0), vec![group])
        }
        Need::Flows => learned(),
        Need::Rewrite => in_output(Base::Route(-300), rewrite()),
        Need::Ifb => queue(rtnl, false).await,
        Need::Netem => queue(rtnl, true).await,
        Need::Emulator => emulator(rtnl).await,
        Need::Destroy => destroy(),
    }
}

/// As the plan of a fault makes them.
fn timed_sets() -> Result<(), Refusal> {
    let mut ruleset = Guard::new(&[], None).skeleton();
    if let Some(steering) = coverage::sets().as_ref().and_then(|plan| plan.steering()) {
        ruleset.sets.extend(steering.ruleset.sets.iter().cloned());
        ruleset.chains.extend(steering.ruleset.chains.iter().cloned());
        ruleset.rules.extend(steering.ruleset.rules.iter().cloned());
    }
    nft::try_out(TableFamily::Netdev, &ruleset)
}

fn on_loopback(hook: Hook, exprs: Vec<Expr>) -> Result<(), Refusal> {
    let mut ruleset = hooked_chain(hook, "lo");
    ruleset.chains.insert(0, Chain { name: hook.name().to_owned(), base: None });
    ruleset.rules.push(Rule { chain: hook.name().to_owned(), spot: Spot::Last, exprs, comment: None });
    nft::try_out(TableFamily::Netdev, &ruleset)
}

fn in_output(base: Base, exprs: Vec<Expr>) -> Result<(), Refusal> {
    let chain = "output".to_owned();
    let rules = vec![Rule { chain: chain.clone(), spot: Spot::Last, exprs, comment: None }];
    let chains = vec![Chain { name: chain, base: Some(base) }];
    nft::try_out(TableFamily::Inet, &Ruleset { chains, rules, ..Ruleset::default() })
}

/// A set that packets add to.
fn learned() -> Result<(), Refusal> {
    let set =
        Set { name: "flows".to_owned(), shape: Shape::Flow(Family::V4), timed: false, elements: vec![] };
    let chain = Chain { name: "learn".to_owned(), base: None };
    let exprs = vec![Expr::Learn(Family::V4, set.name.clone())];
    let rules = vec![Rule { chain: chain.name.clone(), spot: Spot::Last, exprs, comment: None }];
    nft::try_out(TableFamily::Netdev, &Ruleset { sets: vec![set], chains: vec![chain], rules })
}

fn rewrite() -> Vec<Expr> {
    let server = std::net::SocketAddr::from(([192, 0, 2, 53], 53));
    let udp = partition_agent_proto::Protocol::Udp;
    vec![Expr::Asks(server, udp), Expr::ToStandIn(server, udp)]
}

async fn queue(rtnl: &Rtnl, with_netem: bool) -> Result<(), Refusal> {
    rtnl.add_ifb(PROBE_LINK).await?;
    let millisecond = Duration::from_millis(1);
    let delay =
        Impairment { latency: millisecond, jitter: millisecond, limit: 1000, ..Impairment::default() };
    let netem = if with_netem { rtnl.add_netem(PROBE_LINK, &delay).await } else { Ok(()) };
    netem.and(rtnl.delete(PROBE_LINK).await)
}

/// A connection that there is not: the kernel says so if it would destroy one that there is.
fn destroy() -> Result<(), Refusal> {
    SockDiag::open()?.can_destroy()
}

/// The TAP, and the filter that brings packets back to their interface; it goes when it is closed.
async fn emulator(rtnl: &Rtnl) -> Result<(), Refusal> {
    let act = format!("ip tuntap add {PROBE_TAP} mode tap");
    let device = Device::create(PROBE_TAP);
    let _device = device.map_err(|error| Refusal::new(act, errno_of(&error), Some(error.to_string())))?;
    rtnl.try_redirect(&Tap {
        name: PROBE_TAP.to_owned(),
        hook: Hook::Ingress,
        interface: "lo".to_owned(),
        which: Incarnation { index: 1, nth: 0 },
        impairment: Impairment::default(),
    })
    .await
}
