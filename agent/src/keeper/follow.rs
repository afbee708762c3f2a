//! While a fault lasts: its start, its flaps and its growth come due, and what it was planned from changes: addresses of
//! names, routes, interfaces, containers.

use std::collections::BTreeSet;

use partition_agent_proto::{End, EventKind, FaultId, Hits};

use super::ledger::{Fault, Part, Phase};
use super::{Error, Keeper, Site, Sources};
use crate::clock::BootTime;
use crate::kernel::{Kernel, Refusal, Survey};
use crate::plan::{Draft, MARK_BITS, Plan};

/// Why a fault is planned anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// Interfaces, addresses or routes may have changed.
    Network,
    /// Something else has.
    Otherwise,
}

impl<K: Kernel> Keeper<K> {
    /// What a plan must know of a place, as it is now.
    pub(super) async fn survey(&mut self, fault: &Fault, site: &Site) -> Result<Survey, Error> {
        let only = fault.spec.interface.as_deref();
        let survey = self.kernel.survey(&site.place, &fault.sources.targets, only).await;
        survey.map_err(Error::NoInterface)
    }

    /// The plan of a fault in one place, as it is now.
    pub(super) fn plan(
        &self,
        fault: &Fault,
        site: &Site,
        slot: u32,
        survey: &Survey,
        now: BootTime,
    ) -> Result<Plan, Error> {
        let sources = &fault.sources;
        let own_bit = fault.plans().find(|plan| plan.place.id == site.place.id).and_then(|plan| plan.bit);
        let bit = own_bit.or_else(|| self.free_bit(site));
        let share = fault.timing.share(now);
        let kinds = [fault.spec.egress_kinds(), fault.spec.ingress_kinds()];
        let [egress, ingress] = kinds.map(|kinds| match &fault.spec.ramp {
            Some(ramp) => ramp.at(kinds, share),
            None => kinds.to_vec(),
        });
        let plan = Plan::new(&Draft {
            spec: &fault.spec,
            egress: &egress,
            ingress: &ingress,
            targets: &sources.targets,
            except: &sources.except,
            keep: &sources.keep,
            place: &site.place,
            sender: sources.sender.as_ref(),
            interfaces: &survey.interfaces,
            not_ethernet: &survey.not_ethernet,
            emulated: fault.engine == Some(partition_agent_proto::Engine::Emulator),
            natted: survey.natted,
            bit,
            servers: &site.servers,
            guard: &self.settings.guard,
            slot,
            timeout: fault.timing.on_for(now),
        });
        Ok(plan?)
    }

    /// A bit of the packet mark that no fault in the place has.
    fn free_bit(&self, site: &Site) -> Option<u32> {
        let here = self.ledger.faults().flat_map(Fault::plans).filter(|plan| plan.place.id == site.place.id);
        let taken = here.filter_map(|plan| plan.bit).collect::<BTreeSet<_>>();
        MARK_BITS.into_iter().find(|bit| !taken.contains(bit))
    }

    /// Its start has come, or the next flap.
    pub(super) async fn arm(&mut self, id: &FaultId) {
        let now = BootTime::now();
        let Some(fault) = self.ledger.get(id) else { return };
        let mut fault = fault.clone();
        let first = fault.next_on == Some(fault.timing.start);
        let Some(on) = fault.timing.on_for(now) else { return self.ledger.armed(id, now, false) };
        let mut refused = false;
        for part in &mut fault.parts {
            part.plan.set_timeout(Some(on));
            if let Err(refusal) = self.kernel.arm(&part.plan).await {
                refused = true;
                self.tell(id, EventKind::Failed, format!("{refusal}; trying again"));
            }
        }
        if first {
            self.reset_connections(&mut fault).await;
        }
        if let Some(standing) = self.ledger.get_mut(id) {
            standing.parts = fault.parts;
            standing.elsewhere = fault.elsewhere;
        }
        self.ledger.armed(id, now, refused);
        self.judge(id).await;
        if refused {
            return;
        }
        let on = humantime(on);
        self.tell(id, EventKind::Started, format!("on for {on}; the kernel switches it off"));
    }

    pub(super) async fn reset_connections(&mut self, fault: &mut Fault) {
        for part in &fault.parts {
            match self.kernel.reset(&part.plan, &self.settings.guard).await {
                Ok(count) => fault.elsewhere.reset_connections += count,
                Err(refusal) => self.tell(&fault.id, EventKind::Failed, refusal.with_hint()),
            }
        }
    }

    /// A step of its ramp.
    pub(super) async fn grow(&mut self, id: &FaultId) {
        // Of before it: one that takes until after the end of the ramp is not the last.
        let now = BootTime::now();
        self.replan(id, Why::Otherwise).await;
        self.ledger.grown(id, now);
    }

    /// Something that faults are planned from may have changed.
    pub(super) async fn look_around(&mut self) {
        // Oldest first: one that is made anew comes before those that shape already.
        let active = self.ledger.faults().filter(|fault| fault.phase == Phase::Active);
        let age = |fault: &Fault| fault.plans().map(|plan| plan.slot).min();
        let mut active = active.map(|fault| (age(fault), fault.id.clone())).collect::<Vec<_>>();
        active.sort_unstable();
        for (_, id) in active {
            for change in self.replan(&id, Why::Network).await {
                self.tell(&id, EventKind::Followed, change);
            }
        }
    }

    /// Other addresses, or other places.
    pub(super) async fn follow(&mut self, id: &FaultId, sources: Sources) -> Result<(), Error> {
        let fault = self.ledger.get_mut(id).ok_or_else(|| Error::Unknown(id.clone()))?;
        if fault.phase != Phase::Active {
            return Err(Error::Over(id.clone()));
        }
        let targets = fault.sources.targets != sources.targets;
        fault.sources = sources;
        let changes = self.replan(id, Why::Otherwise).await;
        if targets {
            let count = self.ledger.get(id).map(|fault| fault.sources.targets.len()).unwrap_or_default();
            self.tell(id, EventKind::Followed, format!("its target is now {count} addresses"));
        }
        for change in changes {
            self.tell(id, EventKind::Followed, change);
        }
        Ok(())
    }

    /// What it acts on is gone for good.
    pub(super) async fn vanished(&mut self, id: &FaultId, what: String) -> Result<(), Error> {
        self.unsteer(id, End::Vanished { what }).await
    }

    /// Brings every place of a fault to what its sources say now, and tells what changed.
    async fn replan(&mut self, id: &FaultId, why: Why) -> Vec<String> {
        let Some(fault) = self.ledger.get(id).cloned() else { return Vec::new() };
        let mut changes = Vec::new();
        let mut elsewhere = Hits::default();
        let mut parts = Vec::new();
        for site in &fault.sources.sites {
            let standing = fault.parts.iter().find(|part| part.plan.place.id == site.place.id);
            let part = match standing {
                Some(part) => self.replace(&fault, site, part, why, &mut changes).await,
                None => {
                    let joined = self.join(&fault, site).await;
                    changes.extend(
                        joined.iter().map(|part| format!("it is now in {}, too", part.plan.place.name)),
                    );
                    joined
                }
            };
            parts.extend(part);
        }
        let sites = &fault.sources.sites;
        let stays = |plan: &Plan| sites.iter().any(|site| site.place.id == plan.place.id);
        if fault.plans().any(|plan| !stays(plan)) {
            self.refresh_hits().await;
        }
        let standing = self.ledger.get(id).map(|fault| fault.parts.clone()).unwrap_or_default();
        for part in standing.into_iter().filter(|part| !stays(&part.plan)) {
            match self.take_back(&part.plan).await {
                Ok(()) => {
                    changes.push(format!("it has left {}", part.plan.place.name));
                    elsewhere += part.hits();
                }
                // Tried again when something changes next.
                Err(refusal) => {
                    self.tell(id, EventKind::Failed, refusal.to_string());
                    parts.push(part);
                }
            }
        }
        if let Some(fault) = self.ledger.get_mut(id) {
            fault.parts = parts;
            fault.elsewhere += elsewhere;
        }
        self.leave_unused().await;
        if !changes.is_empty() {
            self.judge(id).await;
        }
        changes
    }

    /// Everything of a plan, at once: the place is as good as gone, and what is delayed there with it.
    async fn take_back(&mut self, plan: &Plan) -> Result<(), Refusal> {
        let mut refused = None;
        for step in plan.steps.iter().rev() {
            refused = self.kernel.undo(plan, step).await.err().or(refused);
        }
        refused.map_or(Ok(()), Err)
    }

    async fn replace(
        &mut self,
        fault: &Fault,
        site: &Site,
        part: &Part,
        why: Why,
        changes: &mut Vec<String>,
    ) -> Option<Part> {
        let mut part = part.clone();
        let survey = match self.survey(fault, site).await {
            Ok(survey) => survey,
            // No interface leads there at the moment; what there is stays hooked.
            Err(error) => {
                tracing::debug!(id = %fault.id, %error, "not planned anew");
                return Some(part);
            }
        };
        // Most of the kernel's news are of no concern, and a plan of many targets is work.
        if why == Why::Network && survey == part.survey {
            return Some(part);
        }
        let now = BootTime::now();
        let mut next = match self.plan(fault, site, part.plan.slot, &survey, now) {
            Ok(next) => next,
            Err(error) => {
                self.tell(&fault.id, EventKind::Failed, format!("could not follow a change: {error}"));
                return Some(part);
            }
        };
        // The way back from the emulator leads to the interface that it was made for.
        if part.plan.taps().next().is_some() && survey.indexes != part.survey.indexes {
            return self.rebuild(fault, site, part, changes).await;
        }
        let interfaces =
            |plan: &Plan| plan.steering().map(|steering| steering.interfaces.clone()).unwrap_or_default();
        // A timeout that is running is no change.
        let wanted = next.steering().and_then(|steering| steering.timeout);
        next.set_timeout(part.plan.steering().and_then(|steering| steering.timeout));
        if next == part.plan {
            part.survey = survey;
            return Some(part);
        }
        next.set_timeout(wanted);
        match self.kernel.replace(&part.plan, &next, &self.settings.guard).await {
            Ok(counted) => {
                part.carried += counted;
                part.counted = Hits::default();
                let (was, is) = (interfaces(&part.plan), interfaces(&next));
                if was != is {
                    changes.push(format!("in {}, it is now on {}", site.place.name, is.join(", ")));
                }
                part.plan = next;
                part.survey = survey;
            }
            Err(refusal) => {
                self.tell(&fault.id, EventKind::Failed, format!("could not follow a change: {refusal}"))
            }
        }
        Some(part)
    }

    /// Takes it back and makes it anew: it is not in force for a moment.
    async fn rebuild(
        &mut self,
        fault: &Fault,
        site: &Site,
        part: Part,
        changes: &mut Vec<String>,
    ) -> Option<Part> {
        self.refresh_hits().await;
        let slot = part.plan.slot;
        let standing = self
            .ledger
            .get(&fault.id)
            .and_then(|fault| fault.parts.iter().find(|standing| standing.plan.slot == slot).map(Part::hits));
        if let Err(refusal) = self.take_back(&part.plan).await {
            self.tell(&fault.id, EventKind::Failed, refusal.to_string());
            return Some(part);
        }
        let carried = standing.unwrap_or(part.hits());
        changes.push(format!("in {}, its interfaces were made anew, and so was it", site.place.name));
        let Some(anew) = self.join(fault, site).await else {
            if let Some(fault) = self.ledger.get_mut(&fault.id) {
                fault.elsewhere += carried;
            }
            return None;
        };
        Some(Part { carried, before: part.before, ..anew })
    }

    async fn join(&mut self, fault: &Fault, site: &Site) -> Option<Part> {
        if let Err(refusal) = self.kernel.enter(&site.place, site.netns.as_ref()).await {
            self.tell(&fault.id, EventKind::Failed, refusal.to_string());
            return None;
        }
        let slot = self.ledger.next_slot();
        let before = self.kernel.before(&site.place).await.ok();
        let planned = match self.survey(fault, site).await {
            Ok(survey) => self.plan(fault, site, slot, &survey, BootTime::now()).map(|plan| (plan, survey)),
            Err(error) => Err(error),
        };
        let (plan, survey) = match planned {
            Ok(planned) => planned,
            // Maybe its interfaces are yet to come; the kernel will tell of them.
            Err(error) => {
                self.tell(&fault.id, EventKind::Failed, format!("{}: {error}", site.place.name));
                return None;
            }
        };
        match self.apply_one(&plan).await {
            Ok(()) => Some(Part::new(plan, survey, before)),
            Err(refusal) => {
                self.tell(&fault.id, EventKind::Failed, format!("{}: {refusal}", site.place.name));
                None
            }
        }
    }

    /// Lets go of the places that no fault is in, or is to be in.
    pub(super) async fn leave_unused(&mut self) {
        let planned = self.ledger.faults().flat_map(Fault::plans).map(|plan| plan.place.id);
        let wanted = self.ledger.faults().filter(|fault| fault.phase == Phase::Active);
        let wanted = wanted.flat_map(|fault| &fault.sources.sites).map(|site| site.place.id);
        let used = planned.chain(wanted).collect::<BTreeSet<_>>();
        self.kernel.leave_all_but(&used).await;
    }
}

/// To the millisecond.
fn humantime(duration: std::time::Duration) -> String {
    let millis =
        u64::try_from((duration + std::time::Duration::from_micros(500)).as_millis()).unwrap_or(u64::MAX);
    partition_agent_proto::Span::from_millis(millis).to_string()
}
