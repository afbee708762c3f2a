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
use super::{Before, Kernel, Observed, Refusal, Reset, Survey, Within, features, nft};
use crate::emulator::Emulator;
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

    fn space(&mut self, place: &Place) -> Result<&mut Space, Refusal> {
        match place.id {
            None => Ok(&mut self.own),
            Some(id) => self.others.get_mut(&id).ok_or_else(|| {
                Refusal::new(format!("enter {}", place.name), Errno::ENOENT, Some("it is gone".to_owned()))
            }),
        }
    }

    /// A step of one plan in the place of that of another which has made the same, where there is one. Answers what counters
    /// that began anew had counted.
    async fn exchange(
        &mut self,
        was: Option<Step>,
        (to, step): (&Plan, &Step),
        guard: &Guard,
    ) -> Result<Hits, Refusal> {
        let space = self.space(&to.place)?;
        match (step, &was) {
            (Step::Steer(is), Some(Step::Steer(was))) => {
                let bindings = space.bindings(to).await?;
                return space.table.replace(to.slot, (was, is), guard, &bindings);
            }
            (_, Some(was)) if was == step => {}
            (Step::AddNetem { ifb, impairment }, Some(_)) => space.rtnl.change_netem(ifb, impairment).await?,
            (Step::AddTap(tap), Some(_)) => {
                if let Some(emulator) = space.emulators.get(&tap.name) {
                    emulator.retune(tap.impairment.clone());
                }
            }
            (Step::AddTable(table), Some(_)) => {
                let bindings = space.bindings(to).await?;
                space.table.exchange(table, &bindings)?;
            }
            (
                Step::AddIfb { .. }
                | Step::AddNetem { .. }
                | Step::SetUp { .. }
                | Step::AddTap(_)
                | Step::AddTable(_)
                | Step::StandIn(_)
                | Step::Steer(_),
                _,
            ) => self.apply(to, step, guard).await?,
        }
        Ok(Hits::default())
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
            // Names that fail are no matter of interfaces, but for the one that their questions are turned to.
            None if targets.is_empty() => all.loopback().map(|()| Vec::new())?,
            None if natted => all.everywhere(targets).await?,
            None => all.towards(targets).await?,
        };
        let (indexes, not_ethernet) = (all.indexes(&interfaces), all.without_ethernet(&interfaces));
        Ok(Survey { interfaces, indexes, not_ethernet, natted })
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

    /// What is new is made first, then packets are steered to it in one transaction, then what is old goes. Refused, what
    /// was done is brought back to what it was.
    async fn replace(&mut self, old: &Plan, new: &Plan, guard: &Guard) -> Result<Hits, Refusal> {
        let counterpart =
            |plan: &Plan, step: &Step| plan.steps.iter().find(|other| other.makes_the_same(step)).cloned();
        // Rules lead to its ports until the last step.
        let anew = new.steps.iter().any(|step| matches!(step, Step::StandIn(_)) && !old.steps.contains(step));
        let forwarder = if anew { self.space(&new.place)?.forwarders.remove(&new.slot) } else { None };
        let mut counted = Hits::default();
        for (nth, step) in new.steps.iter().enumerate() {
            let refusal = match self.exchange(counterpart(old, step), (new, step), guard).await {
                Ok(hits) => {
                    counted += hits;
                    continue;
                }
                Err(refusal) => refusal,
            };
            for done in new.steps.iter().take(nth + 1).rev() {
                let undone = match counterpart(old, done) {
                    // What was refused is what it was.
                    Some(_) if done == step => Ok(()),
                    Some(was) => self.exchange(Some(done.clone()), (old, &was), guard).await.map(drop),
                    None => self.undo(new, done).await,
                };
                if let Err(refusal) = undone {
                    tracing::warn!(%refusal, "a change that was refused could not be taken back");
                }
            }
            if let Some(forwarder) = forwarder {
                self.space(&new.place)?.forwarders.insert(new.slot, forwarder);
            }
            return Err(refusal);
        }
        if let Some((forwarder, _)) = forwarder {
            counted.failed_questions += forwarder.failed_questions();
            counted.queue_drops += forwarder.dropped_questions();
        }
        for gone in old.steps.iter().rev().filter(|step| counterpart(new, step).is_none()) {
            if let Step::AddTap(tap) = gone
                && let Some(emulator) = self.space(&new.place)?.emulators.get(&tap.name)
            {
                counted.queue_drops += drops(emulator);
            }
            if let Err(refusal) = self.undo(old, gone).await {
                tracing::warn!(%refusal, "what a fault needs no longer could not be removed");
            }
        }
        Ok(counted)
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
            let queues = space.rtnl.queues().await?;
            observed.queues = queues.into_iter().map(|(name, (seen, _))| (name, seen)).collect();
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
            let queued = here.iter().any(|plan| plan.queues().next().is_some());
            let queues = if queued { space.rtnl.queues().await? } else { BTreeMap::new() };
            for plan in here {
                let hits = hits.entry(plan.slot).or_default();
                hits.queue_drops += plan
                    .queues()
                    .filter_map(|(ifb, _)| queues.get(ifb))
                    .map(|(_, dropped)| dropped)
                    .sum::<u64>();
                for emulator in plan.taps().filter_map(|tap| space.emulators.get(&tap.name)) {
                    hits.queue_drops += drops(emulator);
                }
                if let Some((forwarder, _)) = space.forwarders.get(&plan.slot) {
                    hits.failed_questions += forwarder.failed_questions();
                    hits.queue_drops += forwarder.dropped_questions();
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

fn drops(emulator: &Emulator) -> u64 {
    let counters = emulator.counters();
    counters.lost + counters.overlimit
}
