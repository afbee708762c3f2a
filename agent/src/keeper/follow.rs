//! While a fault lasts: its start, its flaps and its growth come due, and what it was planned from changes: addresses of
//! names, routes, interfaces, containers.

use std::collections::BTreeSet;

use nix::errno::Errno;
use partition_agent_proto::{End, EventKind, FaultId, Hits};

use super::fault::{Fault, Part};
use super::status::span;
use super::{Error, Keeper, Site, Sources};
use crate::clock::BootTime;
use crate::crash::{self, Point};
use crate::kernel::{Kernel, Refusal, Reset, Survey};
use crate::plan::{Draft, MARK_BITS, Plan};

/// What became of a change: what is otherwise in the kernel, and what was refused.
#[derive(Debug, Default)]
struct Went {
    changes: Vec<String>,
    refused: Vec<String>,
}

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
        let survey = survey.map_err(Error::NoInterface)?;
        if self.left_out(site).is_empty() {
            return Ok(survey);
        }
        let interfaces = self.settings.policy.interfaces(only, &survey.interfaces)?;
        let not_ethernet = survey.not_ethernet.into_iter().filter(|name| interfaces.contains(name)).collect();
        let which = survey.which.into_iter().filter(|(name, _)| interfaces.contains(name)).collect();
        Ok(Survey { interfaces, which, not_ethernet, ..survey })
    }

    /// Interfaces of the place that faults keep off: the names in the policy are those of this host.
    fn left_out(&self, site: &Site) -> &[String] {
        let here = site.place.id.is_none();
        if here { &self.settings.policy.protected_interfaces } else { &[] }
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
        self.settings.policy.targets(&sources.targets)?;
        let servers = self.settings.policy.servers(&site.servers)?;
        let standing = fault.plans().find(|plan| plan.place.id == site.place.id);
        let bit = standing.and_then(|plan| plan.bit).or_else(|| self.free_bit(site));
        let taps = standing.into_iter().flat_map(Plan::taps).cloned().collect::<Vec<_>>();
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
            sender: site.sender.as_ref(),
            interfaces: &survey.interfaces,
            which: &survey.which,
            taps: &taps,
            left_out: self.left_out(site),
            not_ethernet: &survey.not_ethernet,
            emulated: fault.engine == Some(partition_agent_proto::Engine::Emulator),
            natted: survey.natted,
            bit,
            servers: &servers,
            guard: &self.settings.guard,
            slot,
            order: fault.order,
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
        let first = fault.started.is_none();
        let again = fault.retry_arm.is_some();
        let Some(on) = fault.timing.on_for(now) else { return self.ledger.armed(id, now, false) };
        let timing = fault.timing;
        let (mut refused, mut in_time) = (false, fault.parts.is_empty());
        for part in &mut fault.parts {
            match self.arm_in_time(id, &mut part.plan, &timing).await {
                Ok(armed) => in_time |= armed,
                Err(refusal) => {
                    refused = true;
                    self.tell(id, EventKind::Failed, format!("{refusal}; trying again"));
                }
            }
        }
        if !in_time && !refused {
            return self.ledger.armed(id, now, false);
        }
        crash::at(Point::Armed);
        let started = BootTime::now();
        if first && !again {
            fault.not_reset = self.reset_connections(&mut fault).await;
            if let Some(refusal) = &fault.not_reset {
                let text = format!("connections were not reset: {}", refusal.with_hint());
                self.tell(id, EventKind::Failed, text);
            }
        }
        if let Some(standing) = self.ledger.get_mut(id) {
            standing.parts = fault.parts;
            (standing.elsewhere, standing.not_reset) = (fault.elsewhere, fault.not_reset);
            standing.started = standing.started.or((!refused).then_some(started));
        }
        self.ledger.armed(id, now, refused);
        self.judge(id).await;
        if refused {
            return;
        }
        let on = span(on);
        let text = format!("on for {on}; the kernel switches it off");
        if first {
            self.tell(id, EventKind::Started, text);
        } else {
            self.announce(id, EventKind::Started, text);
        }
    }

    /// In every place, whatever is refused; answers with what was first.
    pub(super) async fn reset_connections(&mut self, fault: &mut Fault) -> Option<Refusal> {
        let mut first = None;
        for part in &fault.parts {
            let Reset { count, refused } = self.kernel.reset(&part.plan, &self.settings.guard).await;
            fault.elsewhere.reset_connections += count;
            first = first.or(refused);
        }
        first
    }

    /// A step of its ramp.
    pub(super) async fn grow(&mut self, id: &FaultId) {
        // A step that begins before the end of the ramp is not the last one, however long it takes.
        let now = BootTime::now();
        self.replan(id, Why::Otherwise).await;
        self.ledger.grown(id, now);
    }

    /// Something that faults are planned from may have changed.
    pub(super) async fn look_around(&mut self) {
        let active = self.ledger.faults().filter(|fault| !fault.phase.is_over());
        for id in active.map(|fault| fault.id.clone()).collect::<Vec<_>>() {
            self.replan(&id, Why::Network).await;
        }
    }

    /// Other addresses, or other places.
    pub(super) async fn follow(&mut self, id: &FaultId, sources: Sources) -> Result<(), Error> {
        let fault = self.ledger.get(id).ok_or_else(|| Error::Unknown(id.clone()))?;
        if fault.phase.is_over() {
            return Err(Error::Over(id.clone()));
        }
        self.ledger.follow(id, sources);
        self.replan(id, Why::Otherwise).await;
        Ok(())
    }

    /// What it could not follow.
    pub(super) async fn follow_again(&mut self, id: &FaultId) {
        self.replan(id, Why::Otherwise).await;
    }

    /// What it acts on is gone for good.
    pub(super) async fn vanished(&mut self, id: &FaultId, what: String) -> Result<(), Error> {
        self.unsteer(id, End::Vanished { what }).await.map(drop)
    }

    /// Brings every place of a fault to what its sources say now, and tells what changed. What is refused is told once, and
    /// tried again.
    async fn replan(&mut self, id: &FaultId, why: Why) {
        let Some(fault) = self.ledger.get(id).cloned() else { return };
        // What was refused is tried again for whatever reason there is to look.
        let why = if fault.behind.is_some() { Why::Otherwise } else { why };
        let mut went = Went::default();
        let mut elsewhere = Hits::default();
        let mut parts = Vec::new();
        for site in &fault.sources.sites {
            let standing = fault.parts.iter().find(|part| part.plan.place.id == site.place.id);
            let part = match standing {
                Some(part) => self.replace(&fault, site, part, why, &mut went).await,
                None => match self.join(&fault, site).await {
                    Ok(joined) => {
                        went.changes.push(format!("it is now in {}, too", site.place.name));
                        Some(joined)
                    }
                    // Maybe its interfaces are yet to come; the kernel will tell of them.
                    Err(error) if error.is_seclusion() => {
                        tracing::debug!(%id, place = site.place.name, %error, "not there yet");
                        None
                    }
                    Err(error) => {
                        went.refused.push(format!("it is not in {}: {error}", site.place.name));
                        None
                    }
                },
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
                    went.changes.push(format!("it has left {}", part.plan.place.name));
                    elsewhere += part.hits();
                }
                Err(refusal) => {
                    went.refused.push(format!("it could not leave {}: {refusal}", part.plan.place.name));
                    parts.push(part);
                }
            }
        }
        if let Some(fault) = self.ledger.get_mut(id) {
            fault.parts = parts;
            fault.elsewhere += elsewhere;
        }
        self.leave_unused().await;
        crash::at(Point::Followed);
        let known = fault.behind.map(|behind| behind.why).unwrap_or_default();
        let same = went.changes.is_empty() && went.refused == known;
        for refused in went.refused.iter().filter(|refused| !known.contains(refused)) {
            self.tell(id, EventKind::Failed, refused.clone());
        }
        self.ledger.followed(id, BootTime::now(), went.refused);
        if !same {
            self.judge(id).await;
        }
        for change in went.changes {
            self.tell(id, EventKind::Followed, change);
        }
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
        went: &mut Went,
    ) -> Option<Part> {
        let mut part = part.clone();
        let refused = |error: &dyn std::fmt::Display| {
            format!("it could not follow a change in {}: {error}", site.place.name)
        };
        let survey = match self.survey(fault, site).await {
            Ok(survey) => survey,
            // What there is stays hooked, and the kernel tells of an interface that comes.
            Err(Error::NoInterface(refusal)) if why == Why::Network && leads_nowhere(&refusal) => {
                tracing::debug!(id = %fault.id, %refusal, "not planned anew");
                return Some(part);
            }
            Err(error) => {
                went.refused.push(refused(&error));
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
                went.refused.push(refused(&error));
                return Some(part);
            }
        };
        let interfaces =
            |plan: &Plan| plan.steering().map(|steering| steering.interfaces.clone()).unwrap_or_default();
        // A timeout that is running is no change.
        let wanted = next.steering().and_then(|steering| steering.timeout);
        next.set_timeout(part.plan.steering().and_then(|steering| steering.timeout));
        if next == part.plan {
            (part.survey, part.targets) = (survey, fault.sources.targets.clone());
            return Some(part);
        }
        next.set_timeout(wanted);
        match self.kernel.replace(&part.plan, &next, &self.settings.guard).await {
            Ok(counted) => {
                part.carried += counted;
                part.counted = Hits::default();
                let targets = &fault.sources.targets;
                let now_on = format!("its target is now {} addresses", targets.len());
                // The same in all places, and said once.
                if part.targets != *targets && !went.changes.contains(&now_on) {
                    went.changes.push(now_on);
                }
                let (was, is) = (interfaces(&part.plan), interfaces(&next));
                if was != is {
                    went.changes.push(format!("in {}, it is now on {}", site.place.name, is.join(", ")));
                } else if next.taps().any(|tap| part.survey.which.get(&tap.interface) != Some(&tap.which)) {
                    went.changes.push(format!("in {}, its interfaces were made anew", site.place.name));
                }
                self.keep_time(&fault.id, &mut next, &fault.timing, now).await;
                part.plan = next;
                (part.survey, part.targets) = (survey, targets.clone());
            }
            Err(refusal) => went.refused.push(refused(&refusal)),
        }
        Some(part)
    }

    async fn join(&mut self, fault: &Fault, site: &Site) -> Result<Part, Error> {
        self.check_place(fault, site)?;
        self.kernel.enter(&site.place, site.netns.as_ref()).await?;
        let slot = self.ledger.next_slot();
        let before = self.kernel.before(&site.place).await.ok();
        let survey = self.survey(fault, site).await?;
        let now = BootTime::now();
        let mut plan = self.plan(fault, site, slot, &survey, now)?;
        self.apply_one(&plan).await?;
        self.keep_time(&fault.id, &mut plan, &fault.timing, now).await;
        Ok(Part::new(plan, fault.sources.targets.clone(), survey, before))
    }

    /// Lets go of the places that no fault is in, or is to be in.
    pub(super) async fn leave_unused(&mut self) {
        let planned = self.ledger.faults().flat_map(Fault::plans).map(|plan| plan.place.id);
        let wanted = self.ledger.faults().filter(|fault| !fault.phase.is_over());
        let wanted = wanted.flat_map(|fault| &fault.sources.sites).map(|site| site.place.id);
        let used = planned.chain(wanted).collect::<BTreeSet<_>>();
        self.kernel.leave_all_but(&used).await;
    }
}

/// Whether there is no interface to act on, and no trouble in finding that out.
fn leads_nowhere(refusal: &Refusal) -> bool {
    refusal.is_absent() || refusal.errno == Errno::ENETUNREACH
}
