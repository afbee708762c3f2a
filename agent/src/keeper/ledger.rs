//! Who is in force, until when, and what comes next. A pure state machine: it is handed `now` and answers with what is
//! to be done; whoever does it reports back. No clock, no I/O.
//!
//! ```text
//!  activate --> Active --deadline, restore--> (unsteer) --> Draining --drained--> (remove) --> history
//!                                                 \-- refused --> Stuck --retry--/    \-- refused --> Stuck
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use partition_agent_proto::{End, FaultId, FaultSpec, Hits, State, Verdict};

use crate::clock::BootTime;
use crate::plan::Plan;

/// The kernel ends a fault at its deadline. The agent looks a moment later, so that it finds it ended.
const AFTER_THE_KERNEL: Duration = Duration::from_millis(20);

/// How long to wait before a refused undo is tried again: the first time, and at most.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// A fault with all that is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    pub id: FaultId,
    pub spec: FaultSpec,
    pub plan: Plan,
    pub by: String,
    pub addresses: usize,
    pub first_addresses: Vec<String>,
    pub interfaces: Vec<String>,
    pub protects: Vec<String>,
    pub injected_at: String,
    pub deadline: BootTime,
    pub verdict: Verdict,
    pub hits: Hits,
    pub phase: Phase,
}

/// Where a fault is in its life.
#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    /// In force.
    Active,
    /// Out of force; what it delayed is on its way.
    Draining { until: BootTime, end: End },
    /// An undo was refused.
    Stuck { next: Next, retry_at: BootTime, wait: Duration, end: End },
}

/// What is left to do for a fault that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    Unsteer,
    Remove,
}

/// Something to do now.
#[derive(Debug, Clone, PartialEq)]
pub enum Due {
    /// Take it out of force, for this reason; then [`Ledger::unsteered`] or [`Ledger::refused`].
    Unsteer(FaultId, End),
    /// Remove what is left; then [`Ledger::removed`] or [`Ledger::refused`].
    Remove(FaultId),
}

/// What an id and a spec are to the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// Nobody has it; this slot is free.
    New { slot: u32 },
    /// It is in force already, the same fault.
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
    most: usize,
}

impl Ledger {
    pub fn new(most: usize) -> Self {
        Self { faults: BTreeMap::new(), last_slot: 0, most }
    }

    /// Whether a fault may be injected; nothing changes but the slot that is handed out.
    pub fn admit(&mut self, id: &FaultId, spec: &FaultSpec) -> Admission {
        match self.faults.get(id) {
            Some(fault) if fault.phase != Phase::Active => {
                Admission::Taken(format!("a fault that is {}", state(&fault.phase)))
            }
            Some(fault) if fault.spec == *spec => Admission::Same,
            Some(fault) => Admission::Taken(format!("another fault ({})", fault.spec)),
            None if self.faults.len() >= self.most => Admission::Full(self.most),
            None => {
                self.last_slot += 1;
                Admission::New { slot: self.last_slot }
            }
        }
    }

    /// It is in force.
    pub fn activate(&mut self, fault: Fault) {
        self.faults.insert(fault.id.clone(), Fault { phase: Phase::Active, ..fault });
    }

    /// It never came into force, and some of it could not be undone.
    pub fn strand(&mut self, now: BootTime, fault: Fault, end: End) {
        let id = fault.id.clone();
        self.faults.insert(id.clone(), fault);
        self.refuse(now, &id, Next::Unsteer, RETRY.0, end);
    }

    /// The deadline is now this long from now. The spec stays as it was asked for, so a repeated request is still the
    /// same fault.
    pub fn rearmed(&mut self, id: &FaultId, now: BootTime, timeout: Duration) {
        if let Some(fault) = self.faults.get_mut(id) {
            fault.plan.set_timeout(timeout);
            fault.deadline = now + fault.plan.timeout;
        }
    }

    /// Everything to do at this instant, in the order of the ids.
    pub fn due(&self, now: BootTime) -> Vec<Due> {
        let due = |fault: &Fault| match &fault.phase {
            Phase::Active => (fault.deadline + AFTER_THE_KERNEL <= now)
                .then(|| Due::Unsteer(fault.id.clone(), End::Deadline)),
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
            Phase::Active => fault.deadline + AFTER_THE_KERNEL,
            Phase::Draining { until, .. } => *until,
            Phase::Stuck { retry_at, .. } => *retry_at,
        };
        self.faults.values().map(next).min()
    }

    /// The fault no longer hits packets. Its queues are left alone until they have drained.
    pub fn unsteered(&mut self, now: BootTime, id: &FaultId, end: End) {
        if let Some(fault) = self.faults.get_mut(id) {
            fault.phase = Phase::Draining { until: now + fault.plan.drain(), end };
        }
    }

    /// Nothing of the fault is left: it leaves the ledger, with the reason for its end.
    pub fn removed(&mut self, id: &FaultId) -> Option<(Fault, End)> {
        let fault = self.faults.remove(id)?;
        let end = match &fault.phase {
            Phase::Active => End::Deadline,
            Phase::Draining { end, .. } | Phase::Stuck { end, .. } => end.clone(),
        };
        Some((fault, end))
    }

    /// The undo was refused: try again later, each time after twice as long.
    pub fn refused(&mut self, now: BootTime, id: &FaultId, next: Next, end: End) {
        let wait = match self.faults.get(id).map(|fault| &fault.phase) {
            Some(Phase::Stuck { wait, .. }) => (*wait * 2).min(RETRY.1),
            Some(Phase::Active | Phase::Draining { .. }) | None => RETRY.0,
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

/// The phase as the API names it.
pub fn state(phase: &Phase) -> State {
    match phase {
        Phase::Active => State::Active,
        Phase::Draining { .. } => State::Restoring,
        Phase::Stuck { .. } => State::Stuck,
    }
}

#[cfg(test)]
mod tests;
