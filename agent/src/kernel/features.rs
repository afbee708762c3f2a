//! What this kernel can do, found out by trying. Rulesets are made and deleted in one transaction and links are never
//! set up, so nothing is in force at any moment and nothing is left.

use std::collections::BTreeMap;
use std::time::Duration;

use partition_agent_proto::{Check, FaultSpec, Feature, Percent, RejectWith};

use super::error::errno_of;
use super::rtnl::Rtnl;
use super::sock_diag::SockDiag;
use super::{Refusal, nft};
use crate::emulator::Tap as Device;
use crate::plan::{
    Base, Chain, Draft, Expr, Family, Guard, Hook, Impairment, Place, Plan, Rule, Ruleset, Set, Shape, Spot,
    TableFamily, Tap, hooked_chain,
};

const TABLE_FIX: &str = "run the agent as root or with CAP_NET_ADMIN, on a kernel with CONFIG_NF_TABLES and \
                         CONFIG_NF_TABLES_NETDEV, 5.12 or newer";
const EGRESS_FIX: &str = "take a kernel of 5.17 or newer with CONFIG_NETFILTER_EGRESS and CONFIG_NFT_FWD_NETDEV; \
                          until then only --direction ingress works";
const SETS_FIX: &str = "take a kernel of 5.16 or newer with CONFIG_NF_TABLES";
const RANDOM_FIX: &str =
    "install the package with the kernel's extra modules (nft_numgen); a loss of 100% works without";
const NETEM_FIX: &str = "install the package with the kernel's extra modules (kernel-modules-extra on Fedora and RHEL, \
                         linux-modules-extra-$(uname -r) on Ubuntu); until then the emulator stands in";
const EMULATOR_FIX: &str =
    "load the modules tun, cls_u32, act_mirred and sch_ingress, and let the agent open /dev/net/tun";
const MODULES_FIX: &str = "install the package with the kernel's extra modules; other faults work without";

const DESTROY_FIX: &str =
    "take a kernel with CONFIG_INET_DIAG_DESTROY, and load tcp_diag; other faults work without";

/// The names of the links that are tried: ours by their prefix, swept like the others.
const PROBE_LINK: &str = "pa-probe";
const PROBE_TAP: &str = "pa-probe-tap";

/// What each feature is called: other code asks for them by these names.
pub mod name {
    pub const TABLES: &str = "nftables with owned tables";
    pub const SETS: &str = "nftables timed sets";
    pub const INGRESS: &str = "netdev ingress hook";
    pub const EGRESS: &str = "netdev egress hook";
    pub const NUMGEN: &str = "nftables numgen";
    pub const HASH: &str = "nftables hash";
    pub const REJECT: &str = "nftables reject";
    pub const CGROUP: &str = "nftables socket cgroupv2";
    pub const FLOWS: &str = "nftables learned flows";
    pub const REWRITE: &str = "nftables rewriting";
    pub const IFB: &str = "ifb";
    pub const NETEM: &str = "netem";
    pub const EMULATOR: &str = "emulator";
    pub const DESTROY: &str = "sock_diag destroy";
}

pub async fn probe(rtnl: &Rtnl) -> Vec<Feature> {
    let half = Percent::new(50.0).ok();
    let random = half.map(|half| vec![Expr::Random(half), Expr::Counter]).unwrap_or_default();
    let share = half
        .map(|half| vec![Expr::FlowBeyond(Hook::Ingress, Family::V4, half), Expr::Counter])
        .unwrap_or_default();
    let empty = nft::try_out(TableFamily::Netdev, &Ruleset::default());
    let drop = on_loopback(Hook::Ingress, vec![Expr::Drop]);
    let vanish = on_loopback(Hook::Egress, vec![Expr::Vanish]);
    let refuse = vec![Expr::Counter, Expr::Reject(RejectWith::PortUnreachable)];
    let reject = in_output(Base::Output(0), refuse);
    let cgroup = Expr::Cgroup { id: 1, level: 1, path: "probe".to_owned() };
    let mut features = vec![
        feature(name::TABLES, "every fault; heals when the agent dies", TABLE_FIX, empty),
        feature(name::SETS, "every fault; heals at the deadline", SETS_FIX, timed_sets()),
        feature(name::INGRESS, "faults on what comes in", TABLE_FIX, drop),
        feature(name::EGRESS, "faults on what goes out", EGRESS_FIX, vanish),
        feature(name::NUMGEN, "a loss below 100%", RANDOM_FIX, on_loopback(Hook::Ingress, random)),
        feature(name::HASH, "a share of the connections", MODULES_FIX, on_loopback(Hook::Ingress, share)),
        feature(name::REJECT, "refused connections", MODULES_FIX, reject),
        feature(
            name::CGROUP,
            "units and control groups",
            MODULES_FIX,
            in_output(Base::Output(0), vec![cgroup]),
        ),
        feature(name::FLOWS, "what comes in for processes and service addresses", MODULES_FIX, learned()),
        feature(name::REWRITE, "DNS faults", MODULES_FIX, in_output(Base::Route(-300), rewrite())),
    ];
    let (ifb, netem) = queue(rtnl).await;
    features.push(feature(name::IFB, "shaping by netem", NETEM_FIX, ifb));
    features.push(feature(name::NETEM, "shaping: latency, rate and the like", NETEM_FIX, netem));
    features.push(feature(name::EMULATOR, "shaping without netem", EMULATOR_FIX, emulator(rtnl).await));
    features.push(feature(name::DESTROY, "resets", DESTROY_FIX, destroy()));
    features
}

/// Whether packets can be shaped by the kernel.
pub async fn has_netem(rtnl: &Rtnl) -> bool {
    queue(rtnl).await.1.is_ok()
}

fn feature(name: &str, needed_for: &str, fix: &str, tried: Result<(), Refusal>) -> Feature {
    let check = match tried {
        Ok(()) => Check::Works,
        Err(refusal) => {
            Check::Missing { why: refusal.to_string(), fix: refusal.hint.unwrap_or_else(|| fix.to_owned()) }
        }
    };
    Feature { name: name.to_owned(), needed_for: needed_for.to_owned(), check }
}

/// The sets of a fault on one address and on one service, as a plan makes them.
fn timed_sets() -> Result<(), Refusal> {
    let json = r#"{"kinds":[{"loss":{"percent":100}}],"target":{"all_traffic":true},"direction":"ingress"}"#;
    let Ok(spec) = serde_json::from_str::<FaultSpec>(json) else { return Ok(()) };
    let targets = ["192.0.2.1/32", "2001:db8::/32"].iter().filter_map(|net| net.parse().ok());
    let ports = [None, partition_agent_proto::Ports::one(1).ok()];
    let targets = targets.flat_map(|net| ports.map(|ports| crate::plan::Address { net, ports }));
    let guard = Guard::new(&[], None);
    let draft = Draft {
        spec: &spec,
        egress: &spec.kinds,
        ingress: &spec.kinds,
        targets: &targets.collect::<Vec<_>>(),
        except: &[],
        keep: &[],
        place: &Place::host(),
        sender: None,
        interfaces: &[],
        indexes: &BTreeMap::new(),
        taps: &[],
        not_ethernet: &[],
        emulated: false,
        natted: false,
        bit: None,
        servers: &[],
        guard: &guard,
        slot: 0,
        order: 0,
        timeout: Some(Duration::from_secs(1)),
    };
    let Ok(plan) = Plan::new(&draft) else { return Ok(()) };
    let mut ruleset = guard.skeleton();
    if let Some(steering) = plan.steering() {
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

async fn queue(rtnl: &Rtnl) -> (Result<(), Refusal>, Result<(), Refusal>) {
    let ifb = rtnl.add_ifb(PROBE_LINK).await;
    let millisecond = Duration::from_millis(1);
    let delay =
        Impairment { latency: millisecond, jitter: millisecond, limit: 1000, ..Impairment::default() };
    let netem = match &ifb {
        Ok(()) => rtnl.add_netem(PROBE_LINK, &delay).await,
        Err(refusal) => Err(refusal.clone()),
    };
    (ifb.and(rtnl.delete(PROBE_LINK).await), netem)
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
        index: 1,
        impairment: Impairment::default(),
    })
    .await
}
