//! Who is in force, until when, and what comes next. A pure state machine: it is handed `now` and answers with what is
//! to be done; whoever does it reports back. No clock, no I/O.
//!
//! ```text
//!  prepare --> Prepared --commit--\
//!                 \-- expired --> (unsteer)
//!  activate -------------------> Active --deadline, restore--> (unsteer) --> Draining --drained--> (remove) --> history
//!                                                 \-- refused --> Stuck --retry--/    \-- refused --> Stuck
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use partition_agent_proto::{End, FaultId, FaultSpec, Hits};

use super::Sources;
use super::fault::{Behind, Fault, Next, Phase};
use super::timing::Timing;
use crate::clock::BootTime;

/// How long to wait before what was refused is tried again: the first time, and at most.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Something to do now.
#[derive(Debug, Clone, PartialEq)]
pub enum Due {
    /// Put it into force, for the first time or again; then [`Ledger::armed`].
    Arm(FaultId),
    /// Let it grow; then [`Ledger::grown`].
    Grow(FaultId),
    /// Go along with what it could not follow; then [`Ledger::followed`].
    Follow(FaultId),
    /// Take it out of force, for this reason; then [`Ledger::unsteered`] or [`Ledger::refused`].
    Unsteer(FaultId, End),
    /// Remove what is left; then [`Ledger::removed`] or [`Ledger::refused`].
    Remove(FaultId),
}

/// What an id and a spec are to the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// Nobody has it.
    New,
    /// It is there already, the same fault.
    Same,
    /// It is taken, by this.
    Taken(String),
    /// There are as many faults as there may be.
    Full(usize),
}

/// Every fault that is not history.
#[derive(Debug)]
pub struct Ledger {
    faults: BTreeMap<FaultId, Fault>,
    last_slot: u32,
    last_order: u32,
    most: usize,
}

impl Ledger {
    pub fn new(most: usize) -> Self {
        Self { faults: BTreeMap::new(), last_slot: 0, last_order: 0, most }
    }

    /// A number that no plan has had.
    pub fn next_slot(&mut self) -> u32 {
        self.last_slot += 1;
        self.last_slot
    }

    /// A number higher than that of every other fault.
    pub fn next_order(&mut self) -> u32 {
        self.last_order += 1;
        self.last_order
    }

    /// Whether a fault may be injected, or prepared. What was committed since is still what was prepared.
    pub fn admit(&self, id: &FaultId, spec: &FaultSpec, prepare: bool) -> Admission {
        match self.faults.get(id) {
            Some(fault) if fault.spec != *spec => Admission::Taken(format!("another fault ({})", fault.spec)),
            Some(fault) => match (&fault.phase, prepare) {
                (Phase::Active, _) | (Phase::Prepared { .. }, true) => Admission::Same,
                (Phase::Prepared { .. }, false) => Admission::Taken("a fault that is prepared".to_owned()),
                (Phase::Draining { .. }, _) => Admission::Taken("a fault that is restoring".to_owned()),
                (Phase::Stuck { .. }, _) => Admission::Taken("a fault that is stuck".to_owned()),
            },
            None if self.faults.len() >= self.most => Admission::Full(self.most),
            None => Admission::New,
        }
    }

    /// It is in force.
    pub fn activate(&mut self, fault: Fault) {
        self.faults.insert(fault.id.clone(), Fault { phase: Phase::Active, ..fault });
    }

    /// It is built, and waits to be committed.
    pub fn prepare(&mut self, fault: Fault) {
        self.faults.insert(fault.id.clone(), fault);
    }

    /// It starts at this instant.
    pub fn commit(&mut self, id: &FaultId, start: BootTime, attempt: Option<u64>) {
        if let Some(fault) = self.faults.get_mut(id) {
            fault.attempt = attempt.or(fault.attempt);
            fault.timing = Timing::starting(&fault.spec, start);
            (fault.next_on, fault.next_step) = (Some(start), None);
            fault.committed = true;
            fault.phase = Phase::Active;
        }
    }

    /// Whether a fault came by this try.
    pub fn is_of(&self, id: &FaultId, attempt: u64) -> bool {
        self.faults.get(id).is_some_and(|fault| fault.attempt == Some(attempt))
    }

    /// It ends at this instant, before its time, because somebody said so.
    pub fn restore_at(&mut self, id: &FaultId, at: BootTime, by: String) {
        if let Some(fault) = self.faults.get_mut(id) {
            fault.timing.deadline = at;
            fault.restored_by = Some(by);
        }
    }

    /// It never came into force, and some of it could not be undone.
    pub fn strand(&mut self, now: BootTime, fault: Fault, end: End) {
        let id = fault.id.clone();
        self.faults.insert(id.clone(), fault);
        self.refuse(now, &id, Next::Unsteer, RETRY.0, end);
    }

    /// The deadline is now this long from now. The spec stays as it was asked for, so a repeated request is still the
    /// same fault.
    pub fn rearmed(&mut self, id: &FaultId, now: BootTime, duration: Duration) {
        if let Some(fault) = self.faults.get_mut(id) {
            fault.timing.end_in(now, duration);
            fault.next_on = fault.timing.next_on(now);
        }
    }

    /// Its lease begins anew.
    pub fn renewed(&mut self, id: &FaultId, now: BootTime) {
        if let Some(fault) = self.faults.get_mut(id) {
            fault.timing.renew(now);
        }
    }

    /// It was put into force; or that was refused in some place, and is tried again.
    pub fn armed(&mut self, id: &FaultId, now: BootTime, refused: bool) {
        if let Some(fault) = self.faults.get_mut(id) {
            fault.next_on = fault.timing.next_on(now);
            fault.retry_arm = refused.then_some(now + RETRY.0);
            fault.next_step = fault.timing.next_step(now);
        }
    }

    /// It is as strong as it should be now.
    pub fn grown(&mut self, id: &FaultId, now: BootTime) {
        if let Some(fault) = self.faults.get_mut(id) {
            fault.next_step = fault.timing.next_step(now);
        }
    }

    /// What it is planned from is this now. A change that is new has not been refused yet.
    pub fn follow(&mut self, id: &FaultId, sources: Sources) {
        if let Some(fault) = self.faults.get_mut(id) {
            (fault.sources, fault.behind) = (sources, None);
        }
    }

    /// It went along with what it is planned from, but for what was refused: that is tried again later, each time after
    /// twice as long.
    pub fn followed(&mut self, id: &FaultId, now: BootTime, refused: Vec<String>) {
        if let Some(fault) = self.faults.get_mut(id) {
            let (retry_at, wait) = match &fault.behind {
                // Something else was a reason to try before its time.
                Some(behind) if now < behind.retry_at => (behind.retry_at, behind.wait),
                Some(behind) => after((behind.wait * 2).min(RETRY.1), now),
                None => after(RETRY.0, now),
            };
            fault.behind = (!refused.is_empty()).then_some(Behind { why: refused, retry_at, wait });
        }
    }

    /// Everything to do at this instant, in the order of the ids.
    pub fn due(&self, now: BootTime) -> Vec<Due> {
        let due = |fault: &Fault| match &fault.phase {
            Phase::Prepared { expires } => {
                (*expires <= now).then(|| Due::Unsteer(fault.id.clone(), End::Expired))
            }
            Phase::Active if fault.ends() <= now => Some(Due::Unsteer(fault.id.clone(), fault.why_it_ends())),
            Phase::Active if fault.has_missed_its_start(now) => {
                Some(Due::Unsteer(fault.id.clone(), End::Missed))
            }
            Phase::Active if fault.arms().is_some_and(|on| on <= now) => Some(Due::Arm(fault.id.clone())),
            Phase::Active if fault.behind.as_ref().is_some_and(|behind| behind.retry_at <= now) => {
                Some(Due::Follow(fault.id.clone()))
            }
            Phase::Active if fault.next_step.is_some_and(|step| step <= now) => {
                Some(Due::Grow(fault.id.clone()))
            }
            Phase::Active => None,
            Phase::Draining { until, .. } => (*until <= now).then(|| Due::Remove(fault.id.clone())),
            Phase::Stuck { next, retry_at, end, .. } => (*retry_at <= now).then(|| match next {
                Next::Unsteer => Due::Unsteer(fault.id.clone(), end.clone()),
                Next::Remove => Due::Remove(fault.id.clone()),
            }),
        };
        self.faults.values().filter_map(due).collect()
    }

    /// When to look again.
    pub fn next_due(&self) -> Option<BootTime> {
        let next = |fault: &Fault| match &fault.phase {
            Phase::Prepared { expires } => *expires,
            Phase::Active => {
                let retry = fault.behind.as_ref().map(|behind| behind.retry_at);
                let next = [fault.arms(), fault.next_step, retry];
                next.into_iter().flatten().fold(fault.ends(), BootTime::min)
            }
            Phase::Draining { until, .. } => *until,
            Phase::Stuck { retry_at, .. } => *retry_at,
        };
        self.faults.values().map(next).min()
    }

    /// The fault no longer hits packets. Its queues are left alone until they have drained.
    pub fn unsteered(&mut self, now: BootTime, id: &FaultId, end: End) {
        if let Some(fault) = self.faults.get_mut(id) {
            fault.ended = Some(now);
            fault.phase = Phase::Draining { until: now + fault.drain(), end };
        }
    }

    /// What the kernel has counted, by slot.
    pub fn counted(&mut self, hits: &BTreeMap<u32, Hits>) {
        for part in self.faults.values_mut().flat_map(|fault| &mut fault.parts) {
            if let Some(hits) = hits.get(&part.plan.slot) {
                // What is taken out of force counts from zero again, which is no count.
                part.counted = part.counted.max_of(*hits);
            }
        }
    }

    /// Nothing of the fault is left: it leaves the ledger, with the reason for its end.
    pub fn removed(&mut self, id: &FaultId) -> Option<(Fault, End)> {
        let fault = self.faults.remove(id)?;
        let end = fault.end();
        Some((fault, end))
    }

    /// The undo was refused: try again later, each time after twice as long.
    pub fn refused(&mut self, now: BootTime, id: &FaultId, next: Next, end: End) {
        let wait = match self.faults.get(id).map(|fault| &fault.phase) {
            Some(Phase::Stuck { wait, .. }) => (*wait * 2).min(RETRY.1),
            Some(Phase::Prepared { .. } | Phase::Active | Phase::Draining { .. }) | None => RETRY.0,
        };
        self.refuse(now, id, next, wait, end);
    }

    fn refuse(&mut self, now: BootTime, id: &FaultId, next: Next, wait: Duration, end: End) {
        if let Some(fault) = self.faults.get_mut(id) {
            fault.phase = Phase::Stuck { next, retry_at: now + wait, wait, end };
        }
    }

    pub fn get(&self, id: &FaultId) -> Option<&Fault> {
        self.faults.get(id)
    }

    pub fn get_mut(&mut self, id: &FaultId) -> Option<&mut Fault> {
        self.faults.get_mut(id)
    }

    pub fn faults(&self) -> impl Iterator<Item = &Fault> {
        self.faults.values()
    }

    pub fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }
}

/// When it is tried again, and after how long.
fn after(wait: Duration, now: BootTime) -> (BootTime, Duration) {
    (now + wait, wait)
}

#[cfg(test)]
pub mod tests;
