//! Into force: admit, survey each place, plan, write down, apply, read back.

use std::time::Duration;

use jiff::Timestamp;
use partition_agent_proto::{End, Engine, EventKind, FaultId, FaultStatus, Hits, Span, State, Verdict};

use super::fault::{Fault, Part, Phase};
use super::journal::Begun;
use super::ledger::Admission;
use super::status::{span, status};
use super::timing::Timing;
use super::{Error, Injected, Keeper, Request, Site};
use crate::clock::{BootTime, wall};
use crate::crash::{self, Point};
use crate::kernel::{Kernel, Refusal};
use crate::plan::{Impossible, Need, Plan};
use crate::policy::Denied;

/// A step that was refused, and the undos that were, too.
struct Failed {
    step: usize,
    refusal: Refusal,
    leftovers: Vec<Refusal>,
}

impl<K: Kernel> Keeper<K> {
    pub(super) async fn inject(&mut self, request: Request) -> Result<Injected, Error> {
        let taken_up = BootTime::now();
        if self.stopping.is_some() {
            return Err(Error::Stopping);
        }
        if request.prepare.is_some() && request.spec.start_in.is_some() {
            return Err(Error::PreparedLater);
        }
        let id = request.id.clone().unwrap_or_else(|| self.suggest(&request));
        match self.ledger.admit(&id, &request.spec, request.prepare.is_some()) {
            Admission::New => {}
            Admission::Same => {
                let standing = self.list().await.into_iter().find(|fault| fault.id == id);
                return standing.map(|fault| (false, fault)).ok_or(Error::Unknown(id));
            }
            Admission::Taken(by) => return Err(Error::Taken { id, by }),
            Admission::Full(most) => return Err(Denied::Full(most).into()),
        }
        self.settings.policy.admit(&request.spec, request.prepare, Timestamp::now())?;
        let engine = self.engine(&request).await?;
        let mut planned = self.fault(id.clone(), &request, engine).await;
        if let Ok(fault) = &planned
            && let Some((need, refusal)) =
                self.kernel.missing(&fault.plans().flat_map(Need::of).collect()).await
        {
            planned = Err(Error::Missing { need, refusal });
        }
        if planned.is_err() || request.dry_run {
            self.leave_unused().await;
        }
        let mut fault = planned?;
        if request.dry_run {
            let plan = Some(fault.plans().map(Plan::to_string).collect::<Vec<_>>().join("\n"));
            return Ok((
                true,
                FaultStatus { state: State::Pending, plan, ..status(&fault, BootTime::now()) },
            ));
        }
        crash::at(Point::Planned);
        let begun =
            Begun { id: id.clone(), spec: request.spec, by: request.by, at: fault.injected_at.clone() };
        if let Err(error) = self.journal.inject(begun) {
            self.leave_unused().await;
            return Err(Error::Journal(error));
        }
        if let Err(failed) = self.apply_all(&fault).await {
            return Err(self.failed(fault, failed).await);
        }
        crash::at(Point::AllApplied);
        if let Some(patience) = request.prepare {
            fault.verdict = self.read_back(&fault).await;
            self.metrics.injected(taken_up.until(BootTime::now()));
            return Ok((true, self.prepared(fault, patience)));
        }
        // The kernel's timeouts began before this moment, so they end no later.
        let now = BootTime::now();
        fault.timing = Timing::new(&fault.spec, now);
        (fault.next_on, fault.next_step) = (fault.timing.next_on(now), fault.timing.next_step(now));
        fault.injected_at = wall(Duration::ZERO);
        if fault.timing.has_begun(now) {
            fault.started = Some(now);
            if let Err(failed) = self.reset_all(&mut fault).await {
                return Err(self.failed(fault, failed).await);
            }
        }
        fault.verdict = self.read_back(&fault).await;
        let text = format!("{}; the kernel ends it in {}", fault.spec, span(now.until(fault.timing.end())));
        let answer = status(&fault, now);
        crash::at(Point::ReadBack);
        self.ledger.activate(fault);
        self.metrics.injected(taken_up.until(BootTime::now()));
        self.tell(&id, EventKind::Injected, text);
        crash::at(Point::Active);
        Ok((true, answer))
    }

    pub(super) async fn change(
        &mut self,
        id: &FaultId,
        duration: Span,
        by: String,
    ) -> Result<FaultStatus, Error> {
        self.settings.policy.lasts(duration)?;
        let fault = self.ledger.get(id).ok_or_else(|| Error::Unknown(id.clone()))?;
        let now = BootTime::now();
        let mut timing = fault.timing;
        match (&fault.phase, &fault.restored_by) {
            (Phase::Active, None) => {}
            (Phase::Active, Some(by)) => {
                let left = now.until(timing.deadline);
                return Err(Error::Restoring { id: id.clone(), left, by: by.clone() });
            }
            (Phase::Prepared { .. }, _) => return Err(Error::Uncommitted(id.clone())),
            (Phase::Draining { .. } | Phase::Stuck { .. }, _) => return Err(Error::Over(id.clone())),
        }
        // The kernel has ended it, and the agent has not tidied up yet.
        if timing.end() <= now {
            return Err(Error::Over(id.clone()));
        }
        let before = timing;
        timing.end_in(now, duration.duration());
        // To end sooner is always allowed.
        if timing.deadline > before.deadline {
            self.settings.policy.lasts_altogether(timing.start.until(timing.deadline))?;
            let wait = now.until(timing.start);
            let lasts = now.max(timing.start).until(timing.deadline);
            self.settings.policy.hours(Timestamp::now(), wait, lasts)?;
        }
        let plans = fault.plans().cloned().collect::<Vec<_>>();
        // In the pause of a flap, and before the start, the kernel holds nothing to move.
        if before.on_for(now).is_some() {
            self.move_deadline(id, plans, before, timing).await?;
        }
        crash::at(Point::Rearmed);
        self.ledger.rearmed(id, now, duration.duration());
        self.judge(id).await;
        self.refresh_hits().await;
        let ends_at = wall(now.until(timing.deadline));
        if let Err(error) = self.journal.change(wall(Duration::ZERO), id.clone(), ends_at, by) {
            tracing::warn!(%id, %error, "the change is in force, but the journal cannot be written");
        }
        let ends_in = span(now.until(timing.end()));
        self.tell(id, EventKind::Changed, format!("the kernel now ends it in {ends_in}"));
        crash::at(Point::Changed);
        self.ledger
            .get(id)
            .map(|fault| status(fault, BootTime::now()))
            .ok_or_else(|| Error::Unknown(id.clone()))
    }

    /// Its time is now another one, in every place or in none.
    pub(super) async fn move_deadline(
        &mut self,
        id: &FaultId,
        mut plans: Vec<Plan>,
        before: Timing,
        timing: Timing,
    ) -> Result<(), Error> {
        // Whether what is in force lasts until the end of the fault or of its lease, and is no turn of a flap before that.
        let asked = BootTime::now();
        let is_last = before.end() <= asked || before.on_for(asked) == Some(asked.until(before.end()));
        let (mut moved, mut absent) = (Vec::new(), Vec::new());
        for plan in &mut plans {
            match self.rearm_in_time(id, plan, &timing).await {
                Ok(()) => moved.push(plan),
                Err(refusal) if refusal.is_absent() => absent.push(plan),
                Err(refusal) => {
                    let mut leftovers = Vec::new();
                    for plan in moved.into_iter().rev() {
                        let back = self.rearm_in_time(id, plan, &before).await;
                        leftovers.extend(back.err().map(|refusal| (plan.place.name.clone(), refusal)));
                    }
                    return Err(Error::Unmoved { refusal, leftovers });
                }
            }
        }
        // It is nowhere in force yet, and comes into force for as long as it then should.
        let awaits_its_start = self.ledger.get(id).is_some_and(|fault| fault.retry_arm.is_some());
        if moved.is_empty() && awaits_its_start {
            return Ok(());
        }
        // The elements have timed out everywhere, and the agent has not tidied up yet: the kernel began to count before the agent
        // did. Those of a flap may only be in their pause.
        if moved.is_empty() && !absent.is_empty() {
            return if is_last { Err(Error::Over(id.clone())) } else { Ok(()) };
        }
        for plan in absent {
            match self.arm_in_time(id, plan, &timing).await {
                // They had timed out here a moment earlier than elsewhere.
                Ok(_) => {}
                // The place is gone, and the agent has not heard of it yet.
                Err(refusal) if refusal.is_absent() => {}
                Err(refusal) => self.tell(id, EventKind::Failed, refusal.to_string()),
            }
        }
        Ok(())
    }

    /// An id that nobody has.
    fn suggest(&self, request: &Request) -> FaultId {
        let salt = u64::try_from(BootTime::now().since_boot().as_micros()).unwrap_or_default();
        let ids = (0..=u64::from(u16::MAX)).map(|n| FaultId::suggest(&request.spec, salt.wrapping_add(n)));
        let taken = |id: &FaultId| self.ledger.get(id).is_some();
        // There are far fewer faults than salts.
        ids.into_iter().find(|id| !taken(id)).unwrap_or_else(|| FaultId::suggest(&request.spec, salt))
    }

    /// What shapes the packets, where anything is to be shaped.
    async fn engine(&mut self, request: &Request) -> Result<Option<Engine>, Error> {
        let shapes = |kinds| crate::plan::Impairment::new(kinds).is_some();
        if !shapes(request.spec.egress_kinds()) && !shapes(request.spec.ingress_kinds()) {
            return Ok(None);
        }
        match (request.spec.engine, self.kernel.has_netem().await) {
            (Engine::Auto | Engine::Netem, true) => Ok(Some(Engine::Netem)),
            (Engine::Auto, false) | (Engine::Emulator, _) => Ok(Some(Engine::Emulator)),
            (Engine::Netem, false) => Err(Error::NoNetem),
        }
    }

    /// The fault with its plans: nothing is changed but what is entered.
    async fn fault(
        &mut self,
        id: FaultId,
        request: &Request,
        engine: Option<Engine>,
    ) -> Result<Fault, Error> {
        let keep = request.sources.keep.iter().map(|connection| format!("your connection from {connection}"));
        let now = BootTime::now();
        let timing = match request.prepare {
            Some(_) => Timing::starting(&request.spec, BootTime::NEVER),
            None => Timing::new(&request.spec, now),
        };
        let mut fault = Fault {
            id,
            spec: request.spec.clone(),
            sources: request.sources.clone(),
            parts: Vec::new(),
            order: self.ledger.next_order(),
            by: request.by.clone(),
            protects: self.settings.guard.protects().chain(keep).collect(),
            injected_at: wall(Duration::ZERO),
            timing,
            next_on: None,
            retry_arm: None,
            next_step: None,
            started: None,
            ended: None,
            committed: false,
            attempt: request.attempt,
            restored_by: None,
            engine,
            verdict: Verdict::Inconclusive { why: "not applied".to_owned() },
            behind: None,
            not_reset: None,
            elsewhere: Hits::default(),
            phase: Phase::Active,
        };
        let mut secluded = None;
        for site in &request.sources.sites {
            self.check_servers(site)?;
            self.check_place(&fault, site)?;
            self.kernel.enter(&site.place, site.netns.as_ref()).await?;
            let slot = self.ledger.next_slot();
            let survey = match self.survey(&fault, site).await {
                // A process that has shut itself off among others: nothing of it can be hit, unless it gets an interface.
                Err(error) if error.is_seclusion() => {
                    secluded = Some(error);
                    continue;
                }
                survey => survey?,
            };
            let plan = self.plan(&fault, site, slot, &survey, now)?;
            let before = if request.dry_run { None } else { self.kernel.before(&site.place).await.ok() };
            let targets = fault.sources.targets.clone();
            fault.parts.push(Part::new(plan, targets, survey, before));
        }
        match secluded {
            Some(error) if fault.parts.is_empty() => Err(error),
            Some(_) | None => Ok(fault),
        }
    }

    /// A process of the host is in the host's own place, and so may a namespace be that somebody names: without a sender to tell
    /// apart, that is all of the host.
    pub(super) fn check_place(&self, fault: &Fault, site: &Site) -> Result<(), Denied> {
        match (&site.place.id, &site.sender) {
            (None, None) => self.settings.policy.all_of_host(&fault.spec),
            (Some(_), _) | (None, Some(_)) => Ok(()),
        }
    }

    /// Two faults on names cannot both have the questions to one server: the newer would take them all.
    fn check_servers(&self, site: &Site) -> Result<(), Impossible> {
        let here = |other: &&Site| other.place.id == site.place.id;
        // One that is over has no questions any more.
        for fault in self.ledger.faults().filter(|fault| !fault.phase.is_over()) {
            let taken = fault.sources.sites.iter().filter(here).flat_map(|site| &site.servers);
            if let Some(server) = taken.into_iter().find(|server| site.servers.contains(server)) {
                return Err(Impossible::ServerTaken { server: *server, by: fault.id.clone() });
            }
        }
        Ok(())
    }

    /// Every plan in order; when a step is refused, it and those before it are undone in reverse, all of them, whatever
    /// they say.
    async fn apply_all(&mut self, fault: &Fault) -> Result<(), Failed> {
        let mut before = 0;
        for (nth, plan) in fault.plans().enumerate() {
            if let Err(mut failed) = self.apply(plan).await {
                failed.step += before;
                failed.leftovers.extend(self.undo_all(fault.plans().take(nth)).await);
                return Err(failed);
            }
            before += plan.steps.len();
        }
        Ok(())
    }

    /// What is refused of it.
    async fn undo_all(&mut self, plans: impl Iterator<Item = &Plan>) -> Vec<Refusal> {
        let mut leftovers = Vec::new();
        for plan in plans.collect::<Vec<_>>().into_iter().rev() {
            for step in plan.steps.iter().rev() {
                leftovers.extend(self.kernel.undo(plan, step).await.err());
            }
        }
        leftovers
    }

    /// The last step: the connections that were opened before. It has no undo, so the others come first.
    async fn reset_all(&mut self, fault: &mut Fault) -> Result<(), Failed> {
        let Some(refusal) = self.reset_connections(fault).await else { return Ok(()) };
        Err(Failed { step: steps(fault), refusal, leftovers: self.undo_all(fault.plans()).await })
    }

    async fn apply(&mut self, plan: &Plan) -> Result<(), Failed> {
        for (nth, step) in plan.steps.iter().enumerate() {
            let Err(refusal) = self.kernel.apply(plan, step, &self.settings.guard).await else {
                crash::at(Point::StepApplied);
                continue;
            };
            let mut leftovers = Vec::new();
            for done in plan.steps.iter().take(nth + 1).rev() {
                leftovers.extend(self.kernel.undo(plan, done).await.err());
            }
            return Err(Failed { step: nth + 1, refusal, leftovers });
        }
        Ok(())
    }

    /// One more place of a fault that is in force. What was refused is undone.
    pub(super) async fn apply_one(&mut self, plan: &Plan) -> Result<(), Refusal> {
        self.apply(plan).await.map_err(|failed| failed.refusal)
    }

    /// Writes the failure down. What could not be undone stays in the ledger until it can.
    async fn failed(&mut self, fault: Fault, failed: Failed) -> Error {
        let Failed { step, refusal, leftovers } = failed;
        let id = fault.id.clone();
        let steps = steps(&fault);
        let error = Error::Step { step, steps, refusal, leftovers };
        let end = End::Failed { why: error.to_string() };
        self.tell(&id, EventKind::Failed, error.to_string());
        let clean = matches!(&error, Error::Step { leftovers, .. } if leftovers.is_empty());
        if clean {
            self.write_end(&id, None, end, fault.hits(), None);
            self.leave_unused().await;
        } else {
            self.metrics.restore_failed();
            self.ledger.strand(BootTime::now(), fault, end);
        }
        error
    }
}

/// Of all its plans; all resets together are one.
fn steps(fault: &Fault) -> usize {
    let resets = usize::from(fault.plans().any(|plan| plan.resets.is_some()));
    fault.plans().map(|plan| plan.steps.len()).sum::<usize>() + resets
}
