//! The one privileged edge. [`Kernel`] is all that the keeper knows of it: steps are applied and undone one by one, and
//! what is there is read back. [`linux`] does it over netlink; `fake` remembers, and refuses where it is told to.

mod error;
#[cfg(any(test, feature = "fake"))]
pub mod fake;
pub mod features;
pub mod linux;
mod nft;
mod observed;
mod rtnl;

use std::collections::BTreeMap;

use partition_agent_proto::{Feature, Hits};

pub use error::Refusal;
pub use observed::{Observed, QueueSeen, SetSeen};

use crate::plan::{Address, Guard, Plan, Step};

/// What the keeper needs of a kernel. One network namespace; one task calls it.
#[allow(async_fn_in_trait, reason = "one task owns the kernel, so its futures need not be Send")]
pub trait Kernel {
    /// The interfaces that a fault on these targets acts on: the given one, or those of the routes to them.
    async fn interfaces(&mut self, targets: &[Address], only: Option<&str>) -> Result<Vec<String>, Refusal>;

    /// All of the step or none of it.
    async fn apply(&mut self, plan: &Plan, step: &Step, guard: &Guard) -> Result<(), Refusal>;

    /// The other way. What is already gone counts as undone.
    async fn undo(&mut self, plan: &Plan, step: &Step) -> Result<(), Refusal>;

    /// The timeout that the plan now has, counted from now.
    async fn rearm(&mut self, plan: &Plan) -> Result<(), Refusal>;

    /// What there is of a plan.
    async fn read_back(&mut self, plan: &Plan) -> Result<Observed, Refusal>;

    /// Packets hit so far, by slot.
    async fn hits(&mut self) -> Result<BTreeMap<u32, Hits>, Refusal>;

    /// Hooks the interfaces of the faults in force again where one has come back without its hook. Answers with the
    /// slots and interfaces that were.
    async fn reattach(&mut self) -> Result<Vec<(u32, String)>, Refusal>;

    /// Returns when an interface came, went or changed.
    async fn interface_changed(&mut self);

    /// Removes what a dead agent left: names what it removed. Refuses where a live agent owns the table.
    async fn sweep(&mut self) -> Result<Vec<String>, Refusal>;

    /// Tries what the faults need, and leaves nothing behind.
    async fn features(&mut self) -> Vec<Feature>;
}
