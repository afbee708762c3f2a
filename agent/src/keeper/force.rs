//! For how long the kernel is told to keep a fault in force. Every timeout that a fault is given after it was built passes here.

use std::time::Duration;

use partition_agent_proto::{EventKind, FaultId};

use super::Keeper;
use super::timing::Timing;
use crate::clock::BootTime;
use crate::kernel::{Kernel, Refusal};
use crate::plan::Plan;

/// How much later than the fault its elements may end. The agent takes it out by then.
const PROMPT: Duration = Duration::from_millis(10);

/// How often the kernel is told again. Transactions of many targets may all take longer than [`PROMPT`].
const AGAIN: usize = 3;

impl<K: Kernel> Keeper<K> {
    /// Puts a plan that is built into force; answers whether there was any use for it.
    pub(super) async fn arm_in_time(
        &mut self,
        id: &FaultId,
        plan: &mut Plan,
        timing: &Timing,
    ) -> Result<bool, Refusal> {
        let read = BootTime::now();
        let Some(on) = timing.on_for(read) else { return Ok(false) };
        plan.set_timeout(Some(on));
        self.kernel.arm(plan).await?;
        self.keep_time(id, plan, timing, read).await;
        Ok(true)
    }

    /// Gives a plan that is in force the time that it has left; without any, it ends as soon as it can.
    pub(super) async fn rearm_in_time(
        &mut self,
        id: &FaultId,
        plan: &mut Plan,
        timing: &Timing,
    ) -> Result<(), Refusal> {
        let read = BootTime::now();
        plan.set_timeout(Some(timing.on_for(read).unwrap_or_default()));
        self.kernel.rearm(plan).await?;
        self.keep_time(id, plan, timing, read).await;
        Ok(())
    }

    /// The kernel counts a timeout from when it is told, and the agent from when it read the clock. Whatever keeps the agent in
    /// between (it is stopped, the host is slow, there is much to be made), the fault would outlive its deadline or its lease by,
    /// and one whose end has passed meanwhile would come into force for its whole length. So the clock is read for each place
    /// anew, right before the kernel is told, and again right after: where more than a moment has passed, the kernel is told
    /// again, from the later reading. What is left is the width of the last transaction.
    pub(super) async fn keep_time(
        &mut self,
        id: &FaultId,
        plan: &mut Plan,
        timing: &Timing,
        mut read: BootTime,
    ) {
        // It was not told to put anything into force.
        if plan.steering().is_none_or(|steering| steering.timeout.is_none()) {
            return;
        }
        for _ in 0..AGAIN {
            let now = BootTime::now();
            if read.until(now) < PROMPT {
                return;
            }
            read = now;
            plan.set_timeout(Some(timing.on_for(now).unwrap_or_default()));
            match self.kernel.rearm(plan).await {
                Ok(()) => {}
                // They have timed out meanwhile.
                Err(refusal) if refusal.is_absent() => return,
                Err(refusal) => return self.tell(id, EventKind::Failed, refusal.to_string()),
            }
        }
    }
}
