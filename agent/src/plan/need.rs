//! What plans need of a kernel. The plan says it itself, so that a new kind of fault has nothing to add here unless it needs
//! something new.

use std::collections::BTreeSet;

use super::{Expr, Hook, Plan, Rule, Ruleset, Step};

/// Something that a kernel has or has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    Tables,
    Sets,
    Ingress,
    Egress,
    Numgen,
    Hash,
    Reject,
    Cgroup,
    Flows,
    Rewrite,
    Ifb,
    Netem,
    Emulator,
    Destroy,
}

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

impl Need {
    /// In the order in which people are told.
    pub const ALL: [Self; 14] = [
        Self::Tables,
        Self::Sets,
        Self::Ingress,
        Self::Egress,
        Self::Numgen,
        Self::Hash,
        Self::Reject,
        Self::Cgroup,
        Self::Flows,
        Self::Rewrite,
        Self::Ifb,
        Self::Netem,
        Self::Emulator,
        Self::Destroy,
    ];

    /// What it is called, what it is for, and what to do where it is missing and the kernel's words say nothing better.
    fn texts(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Tables => {
                ("nftables with owned tables", "every fault; heals when the agent dies", TABLE_FIX)
            }
            Self::Sets => ("nftables timed sets", "every fault; heals at the deadline", SETS_FIX),
            Self::Ingress => ("netdev ingress hook", "faults on what comes in", TABLE_FIX),
            Self::Egress => ("netdev egress hook", "faults on what goes out", EGRESS_FIX),
            Self::Numgen => ("nftables numgen", "a loss below 100%", RANDOM_FIX),
            Self::Hash => ("nftables hash", "a share of the connections", MODULES_FIX),
            Self::Reject => ("nftables reject", "refused connections", MODULES_FIX),
            Self::Cgroup => ("nftables socket cgroupv2", "units and control groups", MODULES_FIX),
            Self::Flows => {
                ("nftables learned flows", "what comes in for processes and service addresses", MODULES_FIX)
            }
            Self::Rewrite => ("nftables rewriting", "DNS faults", MODULES_FIX),
            Self::Ifb => ("ifb", "shaping by netem", NETEM_FIX),
            Self::Netem => ("netem", "shaping: latency, rate and the like", NETEM_FIX),
            Self::Emulator => ("emulator", "shaping without netem", EMULATOR_FIX),
            Self::Destroy => ("sock_diag destroy", "resets", DESTROY_FIX),
        }
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        self.texts().0
    }

    #[must_use]
    pub fn needed_for(self) -> &'static str {
        self.texts().1
    }

    #[must_use]
    pub fn fix(self) -> &'static str {
        self.texts().2
    }

    /// All that a plan needs.
    #[must_use]
    pub fn of(plan: &Plan) -> BTreeSet<Self> {
        let mut needs = plan.steps.iter().flat_map(of_step).collect::<BTreeSet<_>>();
        needs.extend(plan.resets.iter().map(|_| Self::Destroy));
        needs
    }
}

fn of_step(step: &Step) -> BTreeSet<Need> {
    match step {
        Step::AddIfb { .. } | Step::SetUp { .. } => BTreeSet::from([Need::Ifb]),
        Step::AddNetem { .. } => BTreeSet::from([Need::Ifb, Need::Netem]),
        Step::AddTap(_) => BTreeSet::from([Need::Emulator]),
        Step::AddTable(table) => of_rules(&table.ruleset),
        Step::StandIn(_) => BTreeSet::from([Need::Rewrite]),
        Step::Steer(steering) => {
            let hooks = steering.hooks.iter().filter(|_| !steering.ruleset.chains.is_empty());
            let hooks = hooks.map(|hook| match hook {
                Hook::Egress => Need::Egress,
                Hook::Ingress => Need::Ingress,
            });
            let own = steering.own.iter().flat_map(|own| of_rules(&own.ruleset));
            let rules = of_rules(&steering.ruleset).into_iter().chain(own);
            [Need::Tables, Need::Sets].into_iter().chain(hooks).chain(rules).collect()
        }
    }
}

fn of_rules(ruleset: &Ruleset) -> BTreeSet<Need> {
    let exprs = |rule: &Rule| rule.exprs.iter().filter_map(Expr::need).collect::<Vec<_>>();
    ruleset.rules.iter().flat_map(exprs).collect()
}
