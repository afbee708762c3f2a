//! One fault with all that is known of it: what the ledger keeps.

use std::collections::BTreeSet;
use std::time::Duration;

use partition_agent_proto::{End, Engine, FaultId, FaultSpec, Hits, State, Verdict};

use super::Sources;
use super::timing::Timing;
use crate::clock::BootTime;
use crate::kernel::{Before, Refusal, Survey};
use crate::plan::{Address, Plan};

/// How much later than the kernel the agent looks.
const AFTER_THE_KERNEL: Duration = Duration::from_millis(20);

/// How late a fault may start that starts together with others.
const LATE: Duration = Duration::from_secs(1);

/// A fault with all that is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    pub id: FaultId,
    pub spec: FaultSpec,
    /// What the plans are made of; it changes when what it was found out from does.
    pub sources: Sources,
    /// One for each place.
    pub parts: Vec<Part>,
    /// Of two faults the newer has the higher one. It stays while slots come and go.
    pub order: u32,
    pub by: String,
    pub protects: Vec<String>,
    pub injected_at: String,
    pub timing: Timing,
    /// When it has to be armed next.
    pub next_on: Option<BootTime>,
    /// When that is tried again which was refused in some place.
    pub retry_arm: Option<BootTime>,
    /// When it grows next.
    pub next_step: Option<BootTime>,
    /// When its targets were in the kernel for the first time, and when they were out of it.
    pub started: Option<BootTime>,
    pub ended: Option<BootTime>,
    /// Whether it starts with others, at an instant that somebody committed it to, or not at all.
    pub committed: bool,
    /// Whose try it came by.
    pub attempt: Option<u64>,
    /// Who moved its deadline to where it is in order to restore it.
    pub restored_by: Option<String>,
    /// What shapes its packets, where something does.
    pub engine: Option<Engine>,
    pub verdict: Verdict,
    /// What of it is not as its sources say.
    pub behind: Option<Behind>,
    /// Why connections that it should have reset at its start were not.
    pub not_reset: Option<Refusal>,
    /// What it hit in places that it has left, and the connections that it reset.
    pub elsewhere: Hits,
    pub phase: Phase,
}

/// A fault that could not go along with a change, everywhere or in some places: it tries again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behind {
    /// What was refused, for people.
    pub why: Vec<String>,
    pub retry_at: BootTime,
    pub wait: Duration,
}

/// A fault in one place.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    pub plan: Plan,
    /// Whom the plan hits. Those of the sources, unless they could not be followed.
    pub targets: Vec<Address>,
    /// What the plan was made for.
    pub survey: Survey,
    /// What others had there before.
    pub before: Option<Before>,
    /// What the kernel's counters said before they last began anew, and what they say now.
    pub carried: Hits,
    pub counted: Hits,
}

impl Part {
    pub fn new(plan: Plan, targets: Vec<Address>, survey: Survey, before: Option<Before>) -> Self {
        Self { plan, targets, survey, before, carried: Hits::default(), counted: Hits::default() }
    }

    pub fn hits(&self) -> Hits {
        let mut hits = self.carried;
        hits += self.counted;
        hits
    }
}

impl Fault {
    pub fn hits(&self) -> Hits {
        let mut hits = self.elsewhere;
        for part in &self.parts {
            hits += part.hits();
        }
        hits
    }

    /// How long the queues are left alone after the last packet was steered into them.
    pub fn drain(&self) -> Duration {
        self.parts.iter().map(|part| part.plan.drain()).max().unwrap_or_default()
    }

    /// When the agent takes it out of force. The kernel ends it at its deadline, and the agent looks a moment later, so
    /// that it finds it ended; one that is restored at an instant it takes out itself.
    pub fn ends(&self) -> BootTime {
        if self.restored_by.is_some() {
            // Unless nobody renews it until then.
            self.timing.deadline.min(self.timing.end() + AFTER_THE_KERNEL)
        } else {
            self.timing.end() + AFTER_THE_KERNEL
        }
    }

    /// Why, when that instant has come.
    pub fn why_it_ends(&self) -> End {
        if self.timing.end() < self.timing.deadline {
            return End::LeaseLost;
        }
        self.restored_by.clone().map_or(End::Deadline, |who| End::Restored { who })
    }

    /// The instant at which this end was to come, where it had one.
    pub fn due(&self, end: &End) -> Option<BootTime> {
        match end {
            End::Deadline | End::LeaseLost => Some(self.timing.end()),
            // Not where somebody else restores it before that.
            End::Restored { who } => (self.restored_by.as_ref() == Some(who)).then(|| self.timing.end()),
            End::Shutdown
            | End::AgentDied
            | End::Vanished { .. }
            | End::Expired
            | End::Missed
            | End::Failed { .. } => None,
        }
    }

    /// When the agent arms it, for the first time or again.
    pub fn arms(&self) -> Option<BootTime> {
        [self.next_on, self.retry_arm].into_iter().flatten().min()
    }

    pub fn has_missed_its_start(&self, now: BootTime) -> bool {
        self.committed && self.started.is_none() && self.timing.start + LATE <= now
    }

    /// What it ended with, or does if nothing else has happened.
    pub fn end(&self) -> End {
        match &self.phase {
            Phase::Prepared { .. } => End::Expired,
            Phase::Active => End::Deadline,
            Phase::Draining { end, .. } | Phase::Stuck { end, .. } => end.clone(),
        }
    }

    pub fn plans(&self) -> impl Iterator<Item = &Plan> {
        self.parts.iter().map(|part| &part.plan)
    }

    /// Whom it hits, in any of its places; while it is in none, whom it would hit.
    pub fn targets(&self) -> Vec<&Address> {
        if self.parts.is_empty() {
            return self.sources.targets.iter().collect();
        }
        let mut seen = BTreeSet::new();
        self.parts.iter().flat_map(|part| &part.targets).filter(|target| seen.insert(*target)).collect()
    }
}

/// Where a fault is in its life.
#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    /// Built, and not in force: it waits for a commit.
    Prepared { expires: BootTime },
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

impl Phase {
    /// Whether it is over, but for what is left of it.
    pub fn is_over(&self) -> bool {
        match self {
            Self::Prepared { .. } | Self::Active => false,
            Self::Draining { .. } | Self::Stuck { .. } => true,
        }
    }
}

/// The state as the API names it.
pub fn state(fault: &Fault, now: BootTime) -> State {
    match fault.phase {
        Phase::Prepared { .. } => State::Prepared,
        Phase::Active if fault.timing.has_begun(now) => State::Active,
        Phase::Active => State::Waiting,
        Phase::Draining { .. } => State::Restoring,
        Phase::Stuck { .. } => State::Stuck,
    }
}
