//! The real kernel: the network namespace that the agent runs in, and those that its faults have entered.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use futures_util::future::{FutureExt, select_all};
use nix::errno::Errno;
use partition_agent_proto::{Feature, Hits};

use super::drops::{emulator_drops, netem_drops, questions};
use super::error::errno_of;
use super::rtnl::Interfaces;
use super::sock_diag::SockDiag;
use super::space::Space;
use super::{Before, Kernel, Observed, Refusal, Reset, Survey, Within, features, nft};
use crate::crash::{self, Point};
use crate::netns::{Netns, NetnsId};
use crate::plan::{Address, Guard, Need, Place, Plan, Step, Tap};

pub struct Linux {
    own: Space,
    others: BTreeMap<NetnsId, Space>,
    netem: Option<bool>,
    works: BTreeSet<Need>,
}

impl Linux {
    /// Opens the sockets; nothing is changed. Must be called on a tokio runtime that outlives it.
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            own: Space::open(Within::Own)?,
            others: BTreeMap::new(),
            netem: None,
            works: BTreeSet::new(),
        })
    }

    pub(super) fn space(&mut self, place: &Place) -> Result<&mut Space, Refusal> {
        match place.id {
            None => Ok(&mut self.own),
            Some(id) => self.others.get_mut(&id).ok_or_else(|| {
                Refusal::new(format!("enter {}", place.name), Errno::ENOENT, Some("it is gone".to_owned()))
            }),
        }
    }

    fn spaces(&mut self) -> impl Iterator<Item = &mut Space> {
        std::iter::once(&mut self.own).chain(self.others.values_mut())
    }
}

impl Kernel for Linux {
    async fn enter(&mut self, place: &Place, netns: Option<&Netns>) -> Result<(), Refusal> {
        let (Some(id), Some(netns)) = (place.id, netns) else { return Ok(()) };
        if self.others.contains_key(&id) {
            return Ok(());
        }
        let refused = |error: io::Error| {
            Refusal::new(format!("enter {}", place.name), errno_of(&error), Some(error.to_string()))
        };
        let mut space = Space::open(Within::Other(netns.clone())).map_err(refused)?;
        for link in space.sweep().await? {
            tracing::info!(link, place = place.name, "removed a link that an earlier agent left");
        }
        self.others.insert(id, space);
        crash::at(Point::NamespaceEntered);
        Ok(())
    }

    async fn leave_all_but(&mut self, used: &BTreeSet<Option<NetnsId>>) {
        self.others.retain(|id, _| used.contains(&Some(*id)));
    }

    async fn survey(
        &mut self,
        place: &Place,
        targets: &[Address],
        only: Option<&str>,
    ) -> Result<Survey, Refusal> {
        let space = self.space(place)?;
        let natted = nft::translates(&space.within)?;
        let all = Interfaces::read(&space.rtnl).await?;
        let interfaces = match only {
            Some(name) => all.only(name)?,
            // Names that fail are no matter of interfaces, but for the one that their questions are turned to.
            None if targets.is_empty() => all.loopback().map(|()| Vec::new())?,
            None if natted => all.everywhere(targets).await?,
            None => all.towards(targets).await?,
        };
        let which = all.indexes(&interfaces).into_iter();
        let which = which.map(|(name, index)| (name, space.rtnl.which(index))).collect();
        let not_ethernet = all.without_ethernet(&interfaces);
        Ok(Survey { interfaces, which, not_ethernet, natted })
    }

    async fn has_netem(&mut self) -> bool {
        if self.netem.is_none() {
            self.netem = Some(self.missing(&BTreeSet::from([Need::Netem])).await.is_none());
        }
        self.netem.unwrap_or(false)
    }

    async fn apply(&mut self, plan: &Plan, step: &Step, guard: &Guard) -> Result<(), Refusal> {
        let space = self.space(&plan.place)?;
        match step {
            Step::AddIfb { name } => space.rtnl.add_ifb(name).await,
            Step::AddNetem { ifb, impairment } => space.rtnl.add_netem(ifb, impairment).await,
            Step::SetUp { ifb } => space.rtnl.set_up(ifb).await,
            Step::AddTap(tap) => space.add_tap(tap).await,
            Step::AddTable(table) => {
                let bindings = space.bindings(plan).await?;
                space.table.add(None, table, &bindings)
            }
            Step::StandIn(stand_in) => space.stand_in(plan.slot, stand_in).map(drop),
            Step::Steer(steering) => {
                let bindings = space.bindings(plan).await?;
                space.table.steer(plan.slot, steering, guard, &bindings)
            }
        }
    }

    async fn undo(&mut self, plan: &Plan, step: &Step) -> Result<(), Refusal> {
        // With its namespace everything in it is gone.
        let Ok(space) = self.space(&plan.place) else { return Ok(()) };
        match step {
            Step::AddIfb { name } => space.rtnl.delete(name).await,
            // Both go with the link.
            Step::AddNetem { .. } | Step::SetUp { .. } => Ok(()),
            Step::AddTap(Tap { name, .. }) => {
                space.emulators.remove(name);
                crash::at(Point::EmulatorEnded);
                Ok(())
            }
            Step::AddTable(table) => space.table.delete(table),
            Step::StandIn(_) => {
                space.forwarders.remove(&plan.slot);
                Ok(())
            }
            Step::Steer(steering) => space.table.unsteer(plan.slot, steering),
        }
    }

    async fn arm(&mut self, plan: &Plan) -> Result<(), Refusal> {
        match plan.steering() {
            Some(steering) => self.space(&plan.place)?.table.arm(steering),
            None => Ok(()),
        }
    }

    async fn rearm(&mut self, plan: &Plan) -> Result<(), Refusal> {
        match plan.steering() {
            Some(steering) => self.space(&plan.place)?.table.rearm(steering),
            None => Ok(()),
        }
    }

    async fn replace(&mut self, old: &Plan, new: &Plan, guard: &Guard) -> Result<Hits, Refusal> {
        self.exchange(old, new, guard).await
    }

    async fn reset(&mut self, plan: &Plan, guard: &Guard) -> Reset {
        let Some(resets) = &plan.resets else { return Reset::default() };
        let entered = |error: io::Error| {
            let act = format!("enter {}", plan.place.name);
            Err(Refusal::new(act, errno_of(&error), Some(error.to_string())))
        };
        let diag = self.space(&plan.place).map(|space| space.within.run(SockDiag::open));
        match diag.and_then(|diag| diag.unwrap_or_else(entered)) {
            Ok(diag) => diag
                .reset(|connection| resets.hits(connection.local, connection.peer, connection.user, guard)),
            Err(refusal) => Reset { count: 0, refused: Some(refusal) },
        }
    }

    async fn read_back(&mut self, plan: &Plan) -> Result<Observed, Refusal> {
        let space = self.space(&plan.place)?;
        let mut observed = match plan.steering() {
            Some(steering) => space.table.read_back(plan.slot, steering)?,
            None => Observed::default(),
        };
        if plan.queues().next().is_some() {
            observed.queues = space.rtnl.queues().await?;
        }
        let alive = space.emulators.iter().filter(|(_, emulator)| emulator.is_alive());
        observed.emulators = alive.map(|(name, emulator)| (name.clone(), emulator.impairment())).collect();
        let standing = space.forwarders.get(&plan.slot).filter(|(forwarder, _)| forwarder.is_alive());
        observed.stood_in_for = standing.into_iter().flat_map(|(_, ports)| ports.keys().copied()).collect();
        Ok(observed)
    }

    async fn hits(&mut self, plans: &[&Plan]) -> Result<BTreeMap<u32, Hits>, Refusal> {
        let mut hits = BTreeMap::new();
        let ids = plans.iter().map(|plan| plan.place.id).collect::<BTreeSet<_>>();
        for id in ids {
            let here = plans.iter().filter(|plan| plan.place.id == id).collect::<Vec<_>>();
            let Some(place) = here.first().map(|plan| &plan.place) else { continue };
            let Ok(space) = self.space(place) else { continue };
            let own = here.iter().filter_map(|plan| Some((plan.slot, plan.steering()?.own.as_ref()?)));
            hits.extend(space.table.hits(own)?);
            let queued =
                here.iter().any(|plan| plan.queues().next().is_some() || plan.taps().next().is_some());
            let drops = if queued { space.rtnl.drops().await? } else { BTreeMap::new() };
            for plan in here {
                let hits = hits.entry(plan.slot).or_default();
                for (ifb, impairment) in plan.queues() {
                    *hits += netem_drops(drops.get(ifb), impairment);
                }
                for tap in plan.taps() {
                    if let Some(emulator) = space.emulators.get(&tap.name) {
                        *hits += emulator_drops(emulator.counters(), drops.get(&tap.name));
                    }
                }
                if let Some((forwarder, _)) = space.forwarders.get(&plan.slot) {
                    *hits += questions(forwarder);
                }
            }
        }
        Ok(hits)
    }

    fn held(&self) -> u64 {
        let spaces = std::iter::once(&self.own).chain(self.others.values());
        spaces.flat_map(|space| space.emulators.values()).map(|emulator| emulator.counters().held).sum()
    }

    async fn before(&mut self, place: &Place) -> Result<Before, Refusal> {
        let space = self.space(place)?;
        Before::take(&space.within, &space.rtnl).await
    }

    async fn reattach(&mut self) -> Result<Vec<(u32, String)>, Refusal> {
        let mut back = Vec::new();
        for space in self.spaces() {
            let exists = space.rtnl.links().await?.into_iter().map(|link| link.name).collect();
            back.extend(space.table.reattach(&exists)?);
        }
        Ok(back)
    }

    async fn changed(&mut self) {
        select_all(self.spaces().map(|space| space.rtnl.changed().boxed_local())).await;
    }

    async fn sweep(&mut self) -> Result<Vec<String>, Refusal> {
        self.own.sweep().await
    }

    async fn features(&mut self) -> Vec<Feature> {
        let mut features = Vec::new();
        for need in Need::ALL {
            features.push(features::probe(need, &self.own.rtnl).await);
        }
        features
    }

    async fn missing(&mut self, needs: &BTreeSet<Need>) -> Option<(Need, Refusal)> {
        for need in needs - &self.works {
            if let Err(refusal) = features::attempt(need, &self.own.rtnl).await {
                return Some((need, refusal));
            }
            self.works.insert(need);
        }
        None
    }
}
