//! The real kernel, in the network namespace of the thread that opened it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use nix::errno::Errno;
use partition_agent_proto::{Feature, Hits};

use super::error::errno_of;
use super::nft::Table;
use super::rtnl::{Interfaces, Rtnl};
use super::{Kernel, Observed, Refusal, features};
use crate::plan::{Address, Guard, Plan, Step};

/// nftables through the socket that owns the table; links, qdiscs and routes through rtnetlink.
pub struct Linux {
    table: Table,
    rtnl: Rtnl,
    claim: Option<UnixListener>,
}

/// An abstract socket belongs to its network namespace and goes with its process: whoever has this one is the agent here.
const CLAIM: &str = "partition-agent";

impl Linux {
    /// Opens the sockets; nothing is changed. Must be called on a tokio runtime that outlives it.
    pub fn open() -> io::Result<Self> {
        Ok(Self { table: Table::open()?, rtnl: Rtnl::connect()?, claim: None })
    }

    async fn ifindex(&self) -> Result<BTreeMap<String, u32>, Refusal> {
        let links = self.rtnl.links().await?;
        Ok(links.into_iter().filter(|link| link.ours).map(|link| (link.name, link.index)).collect())
    }
}

impl Kernel for Linux {
    async fn interfaces(&mut self, targets: &[Address], only: Option<&str>) -> Result<Vec<String>, Refusal> {
        let interfaces = Interfaces::read(&self.rtnl).await?;
        match only {
            Some(name) => interfaces.only(name),
            None => interfaces.towards(targets).await,
        }
    }

    async fn apply(&mut self, plan: &Plan, step: &Step, guard: &Guard) -> Result<(), Refusal> {
        match step {
            Step::AddIfb { name } => self.rtnl.add_ifb(name).await,
            Step::AddNetem { ifb, netem } => self.rtnl.add_netem(ifb, netem).await,
            Step::SetUp { ifb } => self.rtnl.set_up(ifb).await,
            Step::Steer(steering) => {
                let queues = plan.queues().next().is_some();
                let ifindex = if queues { self.ifindex().await? } else { BTreeMap::new() };
                if let Some((ifb, _)) = plan.queues().find(|(ifb, _)| !ifindex.contains_key(*ifb)) {
                    return Err(Refusal::new(format!("ip link show {ifb}"), Errno::ENODEV, None));
                }
                self.table.steer(plan.slot, steering, guard, &ifindex)
            }
        }
    }

    async fn undo(&mut self, plan: &Plan, step: &Step) -> Result<(), Refusal> {
        match step {
            Step::AddIfb { name } => self.rtnl.delete(name).await,
            // Both go with the link.
            Step::AddNetem { .. } | Step::SetUp { .. } => Ok(()),
            Step::Steer(steering) => self.table.unsteer(plan.slot, steering),
        }
    }

    async fn rearm(&mut self, plan: &Plan) -> Result<(), Refusal> {
        match plan.steering() {
            Some(steering) => self.table.rearm(steering),
            None => Ok(()),
        }
    }

    async fn read_back(&mut self, plan: &Plan) -> Result<Observed, Refusal> {
        let mut observed = match plan.steering() {
            Some(steering) => self.table.read_back(plan.slot, steering)?,
            None => Observed::default(),
        };
        if plan.queues().next().is_some() {
            let queues = self.rtnl.queues().await?;
            observed.queues = queues.into_iter().map(|(name, (seen, _))| (name, seen)).collect();
        }
        Ok(observed)
    }

    async fn hits(&mut self) -> Result<BTreeMap<u32, Hits>, Refusal> {
        let mut hits = BTreeMap::<u32, Hits>::new();
        for rule in self.table.rules()? {
            let slot = rule.comment.as_deref().and_then(|mark| mark.strip_prefix('f')?.parse().ok());
            let Some(hits) = slot.map(|slot| hits.entry(slot).or_default()) else { continue };
            if rule.chain.ends_with("_delay") {
                hits.delayed_packets += rule.packets;
                hits.delayed_bytes += rule.bytes;
            } else {
                hits.lost_packets += rule.packets;
                hits.lost_bytes += rule.bytes;
            }
        }
        if hits.values().any(|hits| hits.delayed_packets > 0) {
            for (name, (_, dropped)) in self.rtnl.queues().await? {
                let slot = name.strip_prefix("pa-f").and_then(|rest| rest.split('-').next()?.parse().ok());
                if let Some(hits) = slot.and_then(|slot: u32| hits.get_mut(&slot)) {
                    hits.overlimit_packets += dropped;
                }
            }
        }
        Ok(hits)
    }

    async fn reattach(&mut self) -> Result<Vec<(u32, String)>, Refusal> {
        let exists = self.rtnl.links().await?.into_iter().map(|link| link.name).collect::<BTreeSet<_>>();
        self.table.reattach(&exists)
    }

    async fn interface_changed(&mut self) {
        self.rtnl.link_changed().await;
    }

    async fn sweep(&mut self) -> Result<Vec<String>, Refusal> {
        let claim = SocketAddr::from_abstract_name(CLAIM).and_then(|name| UnixListener::bind_addr(&name));
        self.claim = Some(claim.map_err(|error| {
            Refusal::new(format!("bind the abstract socket @{CLAIM}"), errno_of(&error), None)
                .hint(
                    "another agent runs in this network namespace (`ss -xlp` shows @partition-agent and its process): use that \
                     one, or stop it first",
                )
        })?);
        if self.table.is_foreign()? {
            return Err(Refusal::new("add table netdev partition_agent", Errno::EEXIST, None));
        }
        let mut swept = Vec::new();
        for link in self.rtnl.links().await?.into_iter().filter(|link| link.ours) {
            self.rtnl.delete(&link.name).await?;
            swept.push(link.name);
        }
        Ok(swept)
    }

    async fn features(&mut self) -> Vec<Feature> {
        features::probe(&self.rtnl).await
    }
}
