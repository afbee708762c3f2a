//! A fault with a lease ends when nobody renews it. The kernel's timeouts end with the lease, so that holds for a controller
//! that is dead or cut off, and for an agent that is.
//!
//! A renewal is not written into the journal and no event tells of it: there is one every few seconds, and what it comes to
//! is in the end of the fault.

use partition_agent_proto::{FaultId, FaultStatus};

use super::fault::Phase;
use super::status::status;
use super::{Error, Keeper};
use crate::clock::BootTime;
use crate::crash::{self, Point};
use crate::kernel::Kernel;

impl<K: Kernel> Keeper<K> {
    /// From now on the lease has its full length, in every place or in none.
    pub(super) async fn renew(&mut self, id: &FaultId) -> Result<FaultStatus, Error> {
        let fault = self.ledger.get(id).ok_or_else(|| Error::Unknown(id.clone()))?;
        let before = fault.timing;
        if !before.has_lease() {
            return Err(Error::NoLease(id.clone()));
        }
        let now = BootTime::now();
        match &fault.phase {
            // It has no start that its lease could run from, and expires by itself.
            Phase::Prepared { .. } => return Ok(status(fault, now)),
            Phase::Draining { .. } | Phase::Stuck { .. } => return Err(Error::Over(id.clone())),
            Phase::Active => {}
        }
        // The kernel has ended it, and the agent has not tidied up yet.
        if before.end() <= now {
            return Err(Error::Over(id.clone()));
        }
        let mut timing = before;
        timing.renew(now);
        // What comes into force later is given what is left then; and what ends sooner than the lease is not moved by it.
        let is_armed = fault.next_on.is_none_or(|next| next > now);
        if is_armed && before.on_for(now).is_some_and(|was| Some(was) != timing.on_for(now)) {
            let plans = fault.plans().cloned().collect();
            self.move_deadline(id, plans, before, timing).await?;
            crash::at(Point::Rearmed);
        }
        self.ledger.renewed(id, now);
        self.metrics.lease_renewed();
        crash::at(Point::Renewed);
        let fault = self.ledger.get(id).ok_or_else(|| Error::Unknown(id.clone()))?;
        Ok(status(fault, now))
    }
}
