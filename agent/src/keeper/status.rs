//! How faults stand: what the ledger knows, what the kernel counted, and what reading it back says.

use std::time::Duration;

use partition_agent_proto::{FaultId, FaultStatus, PlaceStatus, Span, Verdict};

use super::fault::{Fault, Phase, state};
use super::timing::Timing;
use super::{Error, Keeper};
use crate::clock::{BootTime, wall};
use crate::kernel::Kernel;
use crate::plan::{Plan, Sender, shadows};

/// How many addresses a status names.
const FIRST_ADDRESSES: usize = 16;

impl<K: Kernel> Keeper<K> {
    pub(super) async fn get(&mut self, id: &FaultId) -> Result<FaultStatus, Error> {
        self.refresh_hits().await;
        self.judge(id).await;
        let fault = self.ledger.get(id).ok_or_else(|| Error::Unknown(id.clone()))?;
        let plan = Some(fault.plans().map(Plan::to_string).collect::<Vec<_>>().join("\n"));
        Ok(FaultStatus { plan, shadowed_by: self.shadowed_by(fault), ..status(fault, BootTime::now()) })
    }

    pub(super) async fn list(&mut self) -> Vec<FaultStatus> {
        self.refresh_hits().await;
        let now = BootTime::now();
        let look = |fault: &Fault| FaultStatus { shadowed_by: self.shadowed_by(fault), ..status(fault, now) };
        self.ledger.faults().map(look).collect()
    }

    /// The faults that take packets away from this one.
    fn shadowed_by(&self, fault: &Fault) -> Vec<FaultId> {
        let active = |other: &&Fault| other.phase == Phase::Active && fault.phase == Phase::Active;
        let now = BootTime::now();
        let user = |fault: &Fault| {
            fault.sources.sites.iter().find_map(|site| match site.sender {
                Some(Sender::User(user)) => Some(user),
                Some(Sender::Cgroup { .. }) | None => None,
            })
        };
        let users =
            |one: &Fault, other: &Fault| user(one).zip(user(other)).is_some_and(|(one, other)| one != other);
        let takes = |other: &&Fault| {
            other.engine.is_some()
                && fault.engine.is_some()
                && other.timing.has_begun(now)
                && !users(fault, other)
                && other.plans().any(|newer| fault.plans().any(|older| shadows(newer, older)))
        };
        self.ledger.faults().filter(active).filter(takes).map(|other| other.id.clone()).collect()
    }

    /// Brings the counters of the faults in force up to date. The counters of the others went with their rules.
    pub(super) async fn refresh_hits(&mut self) {
        let plans = self.ledger.faults().flat_map(Fault::plans).collect::<Vec<_>>();
        match self.kernel.hits(&plans).await {
            Ok(hits) => self.ledger.counted(&hits),
            Err(refusal) => tracing::warn!(%refusal, "the counters cannot be read"),
        }
        // Also of what was refused: whoever asks again and again would have it tried, and logged, as often.
        self.counted = Some(BootTime::now());
    }

    /// Reads the kernel back for a fault in force.
    pub(super) async fn judge(&mut self, id: &FaultId) {
        let Some(fault) = self.ledger.get(id).filter(|fault| !fault.phase.is_over()).cloned() else {
            return;
        };
        let verdict = self.read_back(&fault).await;
        if let Some(fault) = self.ledger.get_mut(id) {
            fault.verdict = verdict;
        }
    }

    pub(super) async fn read_back(&mut self, fault: &Fault) -> Verdict {
        for plan in fault.plans() {
            let verdict = self.read_plan_back(plan, &fault.timing).await;
            if verdict != Verdict::Confirmed {
                return verdict;
            }
        }
        if let Some(refusal) = &fault.not_reset {
            return Verdict::Mismatch { found: format!("connections were not reset: {refusal}") };
        }
        if let Some(behind) = &fault.behind {
            let found = format!("{}; the agent keeps trying", behind.why.join("; "));
            return Verdict::Mismatch { found };
        }
        if fault.parts.is_empty() {
            return Verdict::Inconclusive { why: format!("{} is not there at the moment", fault.spec.scope) };
        }
        Verdict::Confirmed
    }

    /// Reading takes a while. Where the fault goes on or off in between, nobody knows which of the two was read: then once more.
    async fn read_plan_back(&mut self, plan: &Plan, timing: &Timing) -> Verdict {
        for _ in 0..2 {
            let before = timing.on_for(BootTime::now());
            let observed = match self.kernel.read_back(plan).await {
                Ok(observed) => observed,
                Err(refusal) => return Verdict::Inconclusive { why: refusal.to_string() },
            };
            let after = timing.on_for(BootTime::now());
            if before.is_some() == after.is_some() {
                return observed.verdict(plan, before);
            }
        }
        Verdict::Inconclusive { why: "it went on or off while it was read".to_owned() }
    }
}

/// As the API tells it.
pub(super) fn status(fault: &Fault, now: BootTime) -> FaultStatus {
    let remaining = match fault.phase {
        Phase::Prepared { expires } => now.until(expires),
        Phase::Active => now.until(fault.timing.deadline),
        Phase::Draining { .. } | Phase::Stuck { .. } => Duration::ZERO,
    };
    let lease =
        (fault.phase == Phase::Active && fault.timing.has_lease()).then(|| now.until(fault.timing.end()));
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let place = |plan: &Plan| PlaceStatus {
        name: plan.place.name.clone(),
        interfaces: plan.steering().map(|steering| steering.interfaces.clone()).unwrap_or_default(),
    };
    let targets = fault.targets();
    FaultStatus {
        id: fault.id.clone(),
        state: state(fault, now),
        spec: fault.spec.clone(),
        fault: fault.spec.to_string(),
        addresses: targets.len(),
        first_addresses: targets.iter().take(FIRST_ADDRESSES).map(ToString::to_string).collect(),
        places: fault.plans().map(place).collect(),
        engine: fault.engine,
        shadowed_by: Vec::new(),
        protects: fault.protects.clone(),
        by: fault.by.clone(),
        injected_at: fault.injected_at.clone(),
        started_boot_ns: fault.started.map(BootTime::nanos),
        ends_at: wall(remaining),
        remaining_ms: millis(remaining),
        lease_remaining_ms: lease.map(millis),
        verdict: fault.verdict.clone(),
        as_before: None,
        hits: fault.hits(),
        plan: None,
    }
}

/// For people, to the millisecond.
pub(super) fn span(duration: Duration) -> Span {
    let rounded = duration + Duration::from_micros(500);
    Span::from_millis(u64::try_from(rounded.as_millis()).unwrap_or(u64::MAX))
}
