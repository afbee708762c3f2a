//! Out of force: one path, whatever triggered it. First the rules go, in one transaction, so that no packet is hit any
//! more; then what is delayed arrives; then the queues go. What is refused is tried again and never forgotten.

use std::time::Duration;

use partition_agent_proto::{End, EventKind, FaultId, FaultStatus, Hits, State, Verdict};

use super::fault::{Fault, Next, Phase};
use super::status::status;
use super::{Error, Keeper};
use crate::clock::{BootTime, wall};
use crate::crash::{self, Point};
use crate::kernel::{Kernel, Refusal};
use crate::plan::Step;

impl<K: Kernel> Keeper<K> {
    /// For the people who ask: the fault as it stands afterwards, `restored` if nothing of it is left already.
    pub(super) async fn restore(&mut self, id: &FaultId, end: End) -> Result<FaultStatus, Error> {
        let fault = self.ledger.get(id).ok_or_else(|| Error::Unknown(id.clone()))?;
        let before = status(fault, BootTime::now());
        let as_before = match fault.phase.clone() {
            Phase::Prepared { .. } | Phase::Active | Phase::Stuck { next: Next::Unsteer, .. } => {
                self.unsteer(id, end).await?
            }
            Phase::Stuck { next: Next::Remove, .. } => self.remove(id).await?,
            Phase::Draining { .. } => None,
        };
        Ok(match self.ledger.get(id) {
            Some(fault) => status(fault, BootTime::now()),
            None => FaultStatus {
                state: State::Restored,
                remaining_ms: 0,
                lease_remaining_ms: None,
                ends_at: wall(Duration::ZERO),
                as_before,
                ..before
            },
        })
    }

    /// Every fault; each says in its state how that went.
    pub(super) async fn restore_all(&mut self, end: &End) -> Vec<FaultStatus> {
        self.each(async |keeper, id| keeper.restore(id, end.clone()).await).await
    }

    /// In the order of the ids. What is refused has been told, and is in the state of the fault.
    pub(super) async fn each(
        &mut self,
        restore: impl AsyncFn(&mut Self, &FaultId) -> Result<FaultStatus, Error>,
    ) -> Vec<FaultStatus> {
        let ids = self.ledger.faults().map(|fault| fault.id.clone()).collect::<Vec<_>>();
        let mut restored = Vec::with_capacity(ids.len());
        for id in ids {
            match restore(self, &id).await {
                Ok(status) => restored.push(status),
                Err(_told) => {
                    restored.extend(self.ledger.get(&id).map(|fault| status(fault, BootTime::now())));
                }
            }
        }
        restored
    }

    /// Takes a fault out of force. One without queues is gone at once: then this answers whether all else is as before.
    pub(super) async fn unsteer(&mut self, id: &FaultId, end: End) -> Result<Option<Verdict>, Error> {
        let taken_up = BootTime::now();
        self.refresh_hits().await;
        let Some(fault) = self.ledger.get(id) else { return Ok(None) };
        let (drain, due) = (fault.drain(), fault.due(&end));
        let mut refused = None;
        for plan in fault.plans().cloned().collect::<Vec<_>>().into_iter().rev() {
            for step in plan.steps.iter().rev() {
                match step {
                    // One place that refuses must not keep the fault in force in the others.
                    Step::Steer(_) => {
                        refused = self.kernel.undo(&plan, step).await.err().or(refused);
                        crash::at(Point::StepUndone);
                    }
                    Step::AddIfb { .. }
                    | Step::AddNetem { .. }
                    | Step::SetUp { .. }
                    | Step::AddTap(_)
                    | Step::AddTable(_)
                    | Step::StandIn(_) => {}
                }
            }
        }
        if let Some(refusal) = refused {
            return Err(self.stuck(id, Next::Unsteer, refusal, end));
        }
        let now = BootTime::now();
        let late = due.filter(|due| *due <= now).map(|due| due.until(now));
        self.metrics.restored(taken_up.until(now), late);
        self.tell(id, EventKind::Ended, format!("out of force: {end}"));
        self.ledger.unsteered(now, id, end);
        crash::at(Point::Unsteered);
        if drain.is_zero() { self.remove(id).await } else { Ok(None) }
    }

    /// Removes the queues, which have drained, and writes the end down.
    pub(super) async fn remove(&mut self, id: &FaultId) -> Result<Option<Verdict>, Error> {
        let Some(fault) = self.ledger.get(id) else { return Ok(None) };
        crash::at(Point::Drained);
        let plans = fault.plans().cloned().collect::<Vec<_>>();
        let end = fault.end();
        self.refresh_hits().await;
        let mut refused = None;
        for plan in plans.iter().rev() {
            for step in plan.steps.iter().rev() {
                match step {
                    Step::Steer(_) => {}
                    Step::AddIfb { .. }
                    | Step::AddNetem { .. }
                    | Step::SetUp { .. }
                    | Step::AddTap(_)
                    | Step::AddTable(_)
                    | Step::StandIn(_) => {
                        refused = self.kernel.undo(plan, step).await.err().or(refused);
                        crash::at(Point::StepUndone);
                    }
                }
            }
        }
        if let Some(refusal) = refused {
            return Err(self.stuck(id, Next::Remove, refusal, end));
        }
        let mut as_before = None;
        if let Some((fault, end)) = self.ledger.removed(id) {
            crash::at(Point::Removed);
            as_before = self.compare(&fault).await;
            let hits = fault.hits();
            let change = match &as_before {
                Some(Verdict::Mismatch { found }) => format!("what else changed meanwhile: {found}"),
                Some(Verdict::Confirmed) => "all else is as it was before".to_owned(),
                Some(Verdict::Inconclusive { .. }) | None => "what was there before is not known".to_owned(),
            };
            self.tell(id, EventKind::Restored, format!("nothing of it is left; it hit {hits}; {change}"));
            self.write_end(id, fault.ended, end, hits, as_before.clone());
        }
        self.leave_unused().await;
        Ok(as_before)
    }

    /// Whether what others have is as it was when the fault came.
    async fn compare(&mut self, fault: &Fault) -> Option<Verdict> {
        let mut verdict = None;
        for part in &fault.parts {
            let Some(before) = &part.before else { continue };
            let Ok(after) = self.kernel.before(&part.plan.place).await else { continue };
            match before.compare(&after) {
                Verdict::Mismatch { found } => {
                    return Some(Verdict::Mismatch {
                        found: format!("in {}: {found}", part.plan.place.name),
                    });
                }
                seen @ (Verdict::Confirmed | Verdict::Inconclusive { .. }) => verdict = Some(seen),
            }
        }
        verdict
    }

    pub(super) fn write_end(
        &mut self,
        id: &FaultId,
        ended: Option<BootTime>,
        end: End,
        hits: Hits,
        as_before: Option<Verdict>,
    ) {
        self.metrics.ended(&end);
        self.past += hits;
        let ended = ended.map(BootTime::nanos);
        if let Err(error) = self.journal.end(wall(Duration::ZERO), ended, id.clone(), end, hits, as_before) {
            tracing::warn!(%id, %error, "the fault is over, but the journal cannot be written");
        }
    }

    fn stuck(&mut self, id: &FaultId, next: Next, refusal: Refusal, end: End) -> Error {
        self.metrics.restore_failed();
        self.ledger.refused(BootTime::now(), id, next, end);
        if let Some(fault) = self.ledger.get_mut(id) {
            fault.verdict = Verdict::Mismatch { found: format!("{refusal}; the agent keeps trying") };
        }
        self.tell(id, EventKind::Failed, format!("{refusal}; trying again"));
        Error::Stuck(refusal)
    }
}
