//! All that the agent holds in one network namespace. Dropped, nothing of it is left there.

use std::collections::BTreeMap;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use nix::errno::Errno;
use partition_agent_proto::Hits;

use super::drops::emulator_drops;
use super::error::errno_of;
use super::nft::{Bindings, Table};
use super::rtnl::Rtnl;
use super::{Refusal, Within};
use crate::crash::{self, Point};
use crate::dns::{self, Forwarder, Rules};
use crate::emulator::{Emulator, Returns, Tap as Device};
use crate::plan::{Hook, Plan, RETURNED_FROM, STAND_IN_MARK, StandIn, Tap};

/// nftables through the socket that owns the tables; links, qdiscs and routes through rtnetlink; emulators and forwarders,
/// each with a thread of its own.
pub struct Space {
    pub within: Within,
    pub table: Table,
    pub rtnl: Rtnl,
    /// By the names of their TAPs.
    pub emulators: BTreeMap<String, Emulator>,
    /// By the slots of their faults.
    pub forwarders: BTreeMap<u32, Standing>,
    claim: Option<UnixListener>,
}

/// A forwarder, and its port for each name server that it stands in for.
pub type Standing = (Forwarder, BTreeMap<std::net::SocketAddr, u16>);

/// An abstract socket belongs to its network namespace and goes with its process: whoever has this one is the agent here.
const CLAIM: &str = "partition-agent";

impl Space {
    /// Opens the sockets; nothing is changed. Must be called on a tokio runtime that outlives it.
    pub fn open(within: Within) -> io::Result<Self> {
        let table = Table::open(within.clone())?;
        let rtnl = Rtnl::connect(&within)?;
        let (emulators, forwarders) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { within, table, rtnl, emulators, forwarders, claim: None })
    }

    /// Claims the namespace, and removes the links that a dead agent left: names them.
    pub async fn sweep(&mut self) -> Result<Vec<String>, Refusal> {
        let bind = || SocketAddr::from_abstract_name(CLAIM).and_then(|name| UnixListener::bind_addr(&name));
        let claim = self.within.run(bind).and_then(std::convert::identity);
        self.claim = Some(claim.map_err(|error| {
            Refusal::new(format!("bind the abstract socket @{CLAIM}"), errno_of(&error), None)
                .hint(
                    "another agent runs in this network namespace (`ss -xlp` shows @partition-agent and its process): use that \
                     one, or stop it first",
                )
        })?);
        crash::at(Point::NamespaceClaimed);
        if self.table.is_foreign()? {
            return Err(Refusal::new("add table netdev partition_agent", Errno::EEXIST, None));
        }
        let mut swept = Vec::new();
        for link in self.rtnl.links().await?.into_iter().filter(|link| link.ours) {
            self.rtnl.delete(&link.name).await?;
            swept.push(link.name);
            crash::at(Point::LinkSwept);
        }
        Ok(swept)
    }

    pub async fn add_tap(&mut self, tap: &Tap) -> Result<(), Refusal> {
        let refused = |act: String| {
            move |error: io::Error| Refusal::new(act, errno_of(&error), Some(error.to_string()))
        };
        let act = format!("ip tuntap add {} mode tap", tap.name);
        let device = self.within.run(|| Device::create(&tap.name)).and_then(std::convert::identity);
        let device = device.map_err(refused(act))?;
        crash::at(Point::TapMade);
        let own = self.rtnl.connect_tap(tap).await?;
        let returns = match tap.hook {
            Hook::Egress => Returns { own, source: None },
            Hook::Ingress => Returns { own, source: Some(RETURNED_FROM) },
        };
        // A seed of its own for each queue, so that two directions do not lose the same packets.
        let seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), &tap.name);
        let emulator = Emulator::start(device, tap.impairment.clone(), returns, seed);
        let emulator = emulator.map_err(refused(format!("start the emulator of {}", tap.name)))?;
        self.emulators.insert(tap.name.clone(), emulator);
        crash::at(Point::EmulatorStarted);
        Ok(())
    }

    /// Ends the emulator of this TAP, and the TAP with it. Answers what they had dropped.
    pub async fn end_emulator(&mut self, tap: &str) -> Hits {
        let Some(emulator) = self.emulators.get(tap) else { return Hits::default() };
        // Not having read them is no reason to keep it.
        let drops = self.rtnl.drops().await.unwrap_or_default();
        let dropped = emulator_drops(emulator.counters(), drops.get(tap));
        self.emulators.remove(tap);
        dropped
    }

    /// Ports in the place of name servers, which questions are turned to later. Answers what stood in for them before.
    pub fn stand_in(&mut self, slot: u32, stand_in: &StandIn) -> Result<Option<Standing>, Refusal> {
        let within = self.within.clone();
        let enter = move || match &within {
            Within::Own => Ok(()),
            Within::Other(netns) => {
                nix::sched::setns(netns, nix::sched::CloneFlags::CLONE_NEWNET).map_err(io::Error::from)
            }
        };
        let rules = Rules::new(stand_in.names.clone(), stand_in.answer);
        let started = dns::start(enter, rules, &stand_in.servers, STAND_IN_MARK);
        let (forwarder, redirects) = started.map_err(|error| {
            Refusal::new("listen in the place of name servers", errno_of(&error), Some(error.to_string()))
        })?;
        crash::at(Point::PortsOpened);
        let ports = redirects.into_iter().map(|redirect| (redirect.upstream, redirect.at.port())).collect();
        Ok(self.forwarders.insert(slot, (forwarder, ports)))
    }

    /// What the rules of a plan can only say now.
    pub async fn bindings(&self, plan: &Plan) -> Result<Bindings, Refusal> {
        let ports = self.forwarders.get(&plan.slot).map(|(_, ports)| ports.clone()).unwrap_or_default();
        if plan.queues().next().is_none() && plan.taps().next().is_none() {
            return Ok(Bindings { ifindex: BTreeMap::new(), ports });
        }
        let links = self.rtnl.links().await?;
        let ifindex = links.into_iter().map(|link| (link.name, link.index)).collect::<BTreeMap<_, _>>();
        let queues = plan.queues().map(|(ifb, _)| ifb);
        if let Some(name) =
            queues.chain(plan.taps().map(|tap| tap.name.as_str())).find(|name| !ifindex.contains_key(*name))
        {
            return Err(Refusal::new(format!("ip link show {name}"), Errno::ENODEV, None));
        }
        Ok(Bindings { ifindex, ports })
    }
}
