//! What this kernel can do, found out by trying. Rulesets are made and deleted in one transaction and links are never
//! set up, so nothing is in force at any moment and nothing is left.

use std::time::Duration;

use partition_agent_proto::{Check, Feature, Percent};

use super::rtnl::Rtnl;
use super::{Refusal, nft};
use crate::plan::{Chain, Draft, Expr, Guard, Hook, Netem, Plan, Rule, Ruleset, Step, hooked_chain};

const TABLE_FIX: &str = "run the agent as root or with CAP_NET_ADMIN, on a kernel with CONFIG_NF_TABLES and \
                         CONFIG_NF_TABLES_NETDEV, 5.12 or newer";
const EGRESS_FIX: &str = "take a kernel of 5.17 or newer with CONFIG_NETFILTER_EGRESS and CONFIG_NFT_FWD_NETDEV; \
                          until then only --direction ingress works";
const SETS_FIX: &str = "take a kernel of 5.16 or newer with CONFIG_NF_TABLES";
const RANDOM_FIX: &str =
    "install the package with the kernel's extra modules (nft_numgen); a loss of 100% works without";
const NETEM_FIX: &str = "install the package with the kernel's extra modules (kernel-modules-extra on Fedora and RHEL, \
                         linux-modules-extra-$(uname -r) on Ubuntu); losses work without";

/// The name of the link that is tried: ours by its prefix, swept like the others.
const PROBE_LINK: &str = "pa-probe";

pub async fn probe(rtnl: &Rtnl) -> Vec<Feature> {
    let mut features = vec![
        feature(
            "nftables with owned tables",
            "every fault; heals when the agent dies",
            TABLE_FIX,
            nft::try_out(&Ruleset::default()),
        ),
        feature("nftables timed sets", "every fault; heals at the deadline", SETS_FIX, timed_sets()),
        feature(
            "netdev ingress hook",
            "faults on what comes in",
            TABLE_FIX,
            on_loopback(Hook::Ingress, vec![Expr::Drop]),
        ),
        feature(
            "netdev egress hook",
            "faults on what goes out",
            EGRESS_FIX,
            on_loopback(Hook::Egress, vec![Expr::Vanish]),
        ),
    ];
    let half =
        Percent::new(50.0).map(|percent| vec![Expr::Random(percent), Expr::Counter]).unwrap_or_default();
    features.push(feature(
        "nftables numgen",
        "a loss below 100%",
        RANDOM_FIX,
        on_loopback(Hook::Ingress, half),
    ));
    let (ifb, netem) = queue(rtnl).await;
    features.push(feature("ifb", "latency", NETEM_FIX, ifb));
    features.push(feature("netem", "latency and jitter", NETEM_FIX, netem));
    features
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
    let Ok(spec) = serde_json::from_str(json) else { return Ok(()) };
    let targets = ["192.0.2.1/32", "2001:db8::/32"].iter().filter_map(|net| net.parse().ok());
    let targets = targets.flat_map(|net| [None, Some(1)].map(|port| crate::plan::Address { net, port }));
    let draft = Draft {
        spec: &spec,
        targets: &targets.collect::<Vec<_>>(),
        except: &[],
        keep: &[],
        interfaces: &[],
        slot: 0,
    };
    let plan = Plan::new(&draft);
    let mut ruleset = Guard::new(&[], None).skeleton();
    if let Some(Step::Steer(steering)) = plan.steps.last() {
        ruleset.sets.extend(steering.ruleset.sets.iter().cloned());
        ruleset.chains.extend(steering.ruleset.chains.iter().cloned());
        ruleset.rules.extend(steering.ruleset.rules.iter().cloned());
    }
    nft::try_out(&ruleset)
}

fn on_loopback(hook: Hook, exprs: Vec<Expr>) -> Result<(), Refusal> {
    let mut ruleset = hooked_chain(hook, "lo");
    ruleset.chains.insert(0, Chain { name: hook.name().to_owned(), hook: None });
    ruleset.rules.push(Rule { chain: hook.name().to_owned(), head: false, exprs, comment: None });
    nft::try_out(&ruleset)
}

async fn queue(rtnl: &Rtnl) -> (Result<(), Refusal>, Result<(), Refusal>) {
    let ifb = rtnl.add_ifb(PROBE_LINK).await;
    let delay = Netem { latency: Duration::from_millis(1), jitter: Duration::from_millis(1), limit: 1000 };
    let netem = match &ifb {
        Ok(()) => rtnl.add_netem(PROBE_LINK, &delay).await,
        Err(refusal) => Err(refusal.clone()),
    };
    (ifb.and(rtnl.delete(PROBE_LINK).await), netem)
}
