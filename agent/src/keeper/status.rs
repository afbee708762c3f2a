//! How faults stand: what the ledger knows, what the kernel counted, and what reading it back says.

use std::time::Duration;

use partition_agent_proto::{FaultId, FaultStatus, Verdict};

use super::ledger::{Fault, Phase, state};
use super::{Error, Keeper};
use crate::clock::{BootTime, wall};
use crate::kernel::Kernel;
use crate::plan::Plan;

impl<K: Kernel> Keeper<K> {
    pub(super) async fn get(&mut self, id: &FaultId) -> Result<FaultStatus, Error> {
        self.refresh_hits().await;
        let active = self.ledger.get(id).filter(|fault| fault.phase == Phase::Active);
        if let Some(plan) = active.map(|fault| fault.plan.clone()) {
            self.judge(id, &plan).await;
        }
        let fault = self.ledger.get(id).ok_or_else(|| Error::Unknown(id.clone()))?;
        Ok(FaultStatus { plan: Some(fault.plan.to_string()), ..status(fault) })
    }

    pub(super) async fn list(&mut self) -> Vec<FaultStatus> {
        self.refresh_hits().await;
        self.ledger.faults().map(status).collect()
    }

    /// Brings the counters of the faults in force up to date. The counters of the others went with their rules.
    pub(super) async fn refresh_hits(&mut self) {
        match self.kernel.hits().await {
            Ok(hits) => {
                let ids =
                    self.ledger.faults().map(|fault| (fault.id.clone(), fault.plan.slot)).collect::<Vec<_>>();
                for (id, slot) in ids {
                    if let (Some(fault), Some(hits)) = (self.ledger.get_mut(&id), hits.get(&slot)) {
                        fault.hits = *hits;
                    }
                }
            }
            Err(refusal) => tracing::warn!(%refusal, "the counters cannot be read"),
        }
    }

    /// Reads the kernel back for a fault in force.
    pub(super) async fn judge(&mut self, id: &FaultId, plan: &Plan) {
        let verdict = self.read_back(plan).await;
        if let Some(fault) = self.ledger.get_mut(id) {
            fault.verdict = verdict;
        }
    }

    pub(super) async fn read_back(&mut self, plan: &Plan) -> Verdict {
        let observed = self.kernel.read_back(plan).await;
        // One that is not in the ledger yet has all of its time left.
        let fault = self.ledger.faults().find(|fault| fault.plan.slot == plan.slot);
        let left = fault.map_or(plan.timeout, |fault| BootTime::now().until(fault.deadline));
        match observed {
            Ok(observed) => observed.verdict(plan, left),
            Err(refusal) => Verdict::Inconclusive { why: refusal.to_string() },
        }
    }
}

/// As the API tells it.
pub(super) fn status(fault: &Fault) -> FaultStatus {
    let remaining = match fault.phase {
        Phase::Active => BootTime::now().until(fault.deadline),
        Phase::Draining { .. } | Phase::Stuck { .. } => Duration::ZERO,
    };
    FaultStatus {
        id: fault.id.clone(),
        state: state(&fault.phase),
        spec: fault.spec.clone(),
        addresses: fault.addresses,
        first_addresses: fault.first_addresses.clone(),
        interfaces: fault.interfaces.clone(),
        protects: fault.protects.clone(),
        by: fault.by.clone(),
        injected_at: fault.injected_at.clone(),
        ends_at: wall(remaining),
        remaining_ms: u64::try_from(remaining.as_millis()).unwrap_or(u64::MAX),
        verdict: fault.verdict.clone(),
        hits: fault.hits,
        plan: None,
    }
}
