//! The real kernel: the network namespace that the agent runs in, and those that its faults have entered.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use futures_util::future::{FutureExt, select_all};
use nix::errno::Errno;
use partition_agent_proto::{Feature, Hits};

use super::error::errno_of;
use super::rtnl::Interfaces;
use super::sock_diag::SockDiag;
use super::space::Space;
use super::{Before, Kernel, Observed, Refusal, Survey, Within, features, nft};
use crate::dns::Forwarder;
use crate::emulator::Counters;
use crate::netns::{Netns, NetnsId};
use crate::plan::{Address, Guard, Impairment, Place, Plan, Step, Tap};

pub struct Linux {
    own: Space,
    others: BTreeMap<NetnsId, Space>,
    netem: Option<bool>,
}

impl Linux {
    /// Opens the sockets; nothing is changed. Must be called on a tokio runtime that outlives it.
    pub fn open() -> io::Result<Self> {
        Ok(Self { own: Space::open(Within::Own)?, others: BTreeMap::new(), netem: None })
    }

    fn space(&mut self, place: &Place) -> Result<&mut Space, Refusal> {
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
            // Names that fail are no matter of interfaces.
            None if targets.is_empty() => Vec::new(),
            None if natted => all.everywhere(targets).await?,
            None => all.towards(targets).await?,
        };
        let (indexes, not_ethernet) = (all.indexes(&interfaces), all.without_ethernet(&interfaces));
        Ok(Survey { interfaces, indexes, not_ethernet, natted })
    }

    async fn has_netem(&mut self) -> bool {
        if self.netem.is_none() {
            self.netem = Some(features::has_netem(&self.own.rtnl).await);
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
                space.table.add(table, &bindings)
            }
            Step::StandIn(stand_in) => space.stand_in(plan.slot, stand_in),
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

    /// What is new is made first, then packets are steered to it in one transaction, then what is old goes.
    async fn replace(&mut self, old: &Plan, new: &Plan, guard: &Guard) -> Result<Hits, Refusal> {
        let mut made = Vec::new();
        for step in &new.steps {
            let done = match step {
                Step::Steer(_) => Ok(()),
                step if old.steps.contains(step) => Ok(()),
                Step::AddNetem { ifb, impairment } if old.queues().any(|(name, _)| name == ifb) => {
                    self.space(&new.place)?.rtnl.change_netem(ifb, impairment).await
                }
                Step::AddTap(tap)
                    if old.taps().any(|was| was.name == tap.name && was.interface == tap.interface) =>
                {
                    if let Some(emulator) = self.space(&new.place)?.emulators.get(&tap.name) {
                        emulator.retune(tap.impairment.clone());
                    }
                    Ok(())
                }
                // A name that now leads elsewhere cannot be had twice at once.
                Step::AddTap(tap) => {
                    self.space(&new.place)?.emulators.remove(&tap.name);
                    made.push(step);
                    self.apply(new, step, guard).await
                }
                Step::AddTable(table) => {
                    self.space(&new.place)?.table.delete(table)?;
                    made.push(step);
                    self.apply(new, step, guard).await
                }
                Step::AddIfb { .. } | Step::AddNetem { .. } | Step::SetUp { .. } | Step::StandIn(_) => {
                    made.push(step);
                    self.apply(new, step, guard).await
                }
            };
            if let Err(refusal) = done {
                for step in made.into_iter().rev() {
                    let _ = self.undo(new, step).await;
                }
                return Err(refusal);
            }
        }
        let mut counted = Hits::default();
        if let (Some(was), Some(is)) = (old.steering(), new.steering()) {
            let space = self.space(&new.place)?;
            let bindings = space.bindings(new).await?;
            counted = space.table.replace(new.slot, (was, is), guard, &bindings)?;
        }
        let gone = old.taps().filter(|tap| !new.taps().any(|is| is.name == tap.name)).collect::<Vec<_>>();
        if !gone.is_empty() {
            let space = self.space(&new.place)?;
            let drops = space.rtnl.drops().await?;
            for tap in gone {
                if let Some(emulator) = space.emulators.remove(&tap.name) {
                    counted += emulator_drops(emulator.counters(), drops.get(&tap.name));
                }
            }
        }
        Ok(counted)
    }

    async fn reset(&mut self, plan: &Plan, guard: &Guard) -> Result<u64, Refusal> {
        let Some(resets) = &plan.resets else { return Ok(0) };
        let refused = |error: io::Error| Refusal::new("ss --kill", errno_of(&error), Some(error.to_string()));
        let space = self.space(&plan.place)?;
        let diag = space.within.run(SockDiag::open).and_then(std::convert::identity).map_err(refused)?;
        let mut reset = 0;
        for connection in diag.connections().map_err(refused)? {
            let (local, peer) = (connection.local, connection.peer);
            if resets.hits(local, peer, connection.user, guard)
                && diag.destroy(&connection).map_err(refused)?
            {
                reset += 1;
            }
        }
        Ok(reset)
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
        features::probe(&self.own.rtnl).await
    }
}

/// netem has one count for what its loss took and for what it had no room for.
fn netem_drops(drops: Option<&u64>, impairment: &Impairment) -> Hits {
    let queue_drops = drops.copied().unwrap_or_default();
    let overflow_drops = if impairment.loss.is_none() { queue_drops } else { 0 };
    Hits { queue_drops, overflow_drops, ..Hits::default() }
}

/// The TAP drops what does not fit into its ring, which the emulator never sees.
fn emulator_drops(counters: Counters, by_tap: Option<&u64>) -> Hits {
    let overflow_drops = counters.overlimit + counters.write_errors + by_tap.copied().unwrap_or_default();
    Hits { queue_drops: counters.lost + overflow_drops, overflow_drops, ..Hits::default() }
}

fn questions(forwarder: &Forwarder) -> Hits {
    let dropped = forwarder.dropped_questions();
    Hits {
        failed_questions: forwarder.failed_questions(),
        queue_drops: dropped,
        overflow_drops: dropped,
        ..Hits::default()
    }
}
