//! Starts and ends at an instant that several hosts share: what was prepared is committed to it, and what is in force
//! is restored at it. The instant is one of this host's `CLOCK_BOOTTIME`; whoever chose it knows how far that clock is from the
//! others.

use jiff::Timestamp;
use partition_agent_proto::{EventKind, FaultId, FaultStatus, Span};

use super::fault::{Fault, Phase};
use super::status::status;
use super::{Error, Keeper};
use crate::clock::{BootTime, wall};
use crate::crash::{self, Point};
use crate::kernel::Kernel;
use crate::plan::Plan;

impl<K: Kernel> Keeper<K> {
    /// All of it is in the kernel but its targets.
    pub(super) fn prepared(&mut self, fault: Fault, patience: Span) -> FaultStatus {
        let now = BootTime::now();
        let fault = Fault { phase: Phase::Prepared { expires: now + patience.duration() }, ..fault };
        let answer = status(&fault, now);
        let text = format!("{}; it expires in {patience} if nobody commits it", fault.spec);
        self.tell(&fault.id, EventKind::Prepared, text);
        self.ledger.prepare(fault);
        crash::at(Point::Prepared);
        answer
    }

    /// From here on it is like any other fault that waits for its start.
    pub(super) fn commit(
        &mut self,
        id: &FaultId,
        at: BootTime,
        attempt: Option<u64>,
        by: String,
    ) -> Result<FaultStatus, Error> {
        let fault = self.ledger.get(id).ok_or_else(|| Error::Unknown(id.clone()))?;
        let now = BootTime::now();
        match &fault.phase {
            // The answer to the first commit was lost on its way.
            Phase::Active if fault.timing.start == at => return Ok(status(fault, now)),
            Phase::Active => return Err(Error::Committed(id.clone())),
            Phase::Draining { .. } | Phase::Stuck { .. } => return Err(Error::Over(id.clone())),
            Phase::Prepared { .. } => {}
        }
        // A host that starts late is a host that did not start with the others.
        if at <= now {
            return Err(Error::TooLate { id: id.clone(), late: at.until(now) });
        }
        let wait = now.until(at);
        self.settings.policy.waits(wait)?;
        self.settings.policy.hours(Timestamp::now(), wait, fault.spec.duration.duration())?;
        self.ledger.commit(id, at, attempt);
        let fault = self.ledger.get(id).ok_or_else(|| Error::Unknown(id.clone()))?;
        let answer = status(fault, now);
        let ends_at = wall(now.until(fault.timing.deadline));
        if let Err(error) = self.journal.change(wall(std::time::Duration::ZERO), id.clone(), ends_at, by) {
            tracing::warn!(%id, %error, "it is committed, but the journal cannot be written");
        }
        self.tell(id, EventKind::Committed, format!("starts in {wait:.3?}"));
        crash::at(Point::Committed);
        Ok(answer)
    }

    /// The kernel is given the instant as the new deadline, so that it holds even if this agent hangs until then. What is
    /// not in force yet, or would be over sooner, has nothing to wait for.
    pub(super) async fn restore_at(
        &mut self,
        id: &FaultId,
        at: BootTime,
        by: String,
    ) -> Result<FaultStatus, Error> {
        let fault = self.ledger.get(id).ok_or_else(|| Error::Unknown(id.clone()))?;
        let now = BootTime::now();
        if fault.phase != Phase::Active || !fault.timing.has_begun(now) || at <= now {
            return self.restore(id, partition_agent_proto::End::Restored { who: by }).await;
        }
        if fault.timing.deadline <= at {
            return Ok(status(fault, now));
        }
        let mut timing = fault.timing;
        timing.deadline = at;
        let mut refused = None;
        if timing.on_for(now).is_some() {
            for mut plan in fault.plans().cloned().collect::<Vec<Plan>>() {
                match self.rearm_in_time(id, &mut plan, &timing).await {
                    // In the pause of a flap there is nothing to move.
                    Err(refusal) if refusal.is_absent() => {}
                    done => refused = done.err().or(refused),
                }
            }
        }
        // Where the kernel refuses, the agent itself still ends it at the instant.
        self.ledger.restore_at(id, at, by);
        self.tell(id, EventKind::Changed, format!("restored in {:.3?}", now.until(at)));
        if let Some(refusal) = refused {
            self.tell(id, EventKind::Failed, refusal.to_string());
        }
        self.ledger.get(id).map(|fault| status(fault, now)).ok_or_else(|| Error::Unknown(id.clone()))
    }

    /// Every fault; each says in its state how that went.
    pub(super) async fn restore_all_at(&mut self, at: BootTime, by: &str) -> Vec<FaultStatus> {
        self.each(async |keeper, id| keeper.restore_at(id, at, by.to_owned()).await).await
    }
}
