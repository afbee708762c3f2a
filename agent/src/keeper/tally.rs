//! How faults stand, counted, for whoever scrapes. The keeper hands out a copy and goes on: a page is made of it elsewhere.

use std::time::Duration;

use partition_agent_proto::State;

use super::Keeper;
use super::fault::{Fault, state};
use crate::clock::BootTime;
use crate::kernel::Kernel;
use crate::metrics::{Standing, Tally};
use crate::policy::KindName;

/// How old the kernel's counters may be: however many scrape, they are read once in this time. Of all that a tally takes only that
/// reading makes the keeper wait for the kernel.
const FRESH: Duration = Duration::from_secs(1);

impl<K: Kernel> Keeper<K> {
    pub(super) async fn tally(&mut self) -> Tally {
        if self.counted.is_none_or(|at| at + FRESH <= BootTime::now()) {
            self.refresh_hits().await;
        }
        let now = BootTime::now();
        let mut hits = self.past;
        self.ledger.faults().for_each(|fault| hits += fault.hits());
        let faults = self.ledger.faults().map(|fault| standing(fault, now)).collect();
        Tally { faults, hits, held: self.kernel.held() }
    }
}

fn standing(fault: &Fault, now: BootTime) -> Standing {
    let state = state(fault, now);
    let mut kinds = fault.spec.all_kinds().map(KindName::of).collect::<Vec<_>>();
    kinds.sort_unstable();
    kinds.dedup();
    let in_force = (state == State::Active).then(|| (fault.timing.start, fault.timing.end()));
    let leased = fault.timing.has_lease() && !fault.phase.is_over();
    Standing { id: fault.id.clone(), state, kinds, leased, in_force }
}
