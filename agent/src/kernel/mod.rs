//! The one privileged edge. [`Kernel`] is all that the keeper knows of it: steps are applied and undone one by one, and
//! what is there is read back. [`linux`] does it over netlink; `fake` remembers, and refuses where it is told to.

mod before;
mod coverage;
mod drops;
mod error;
mod exchange;
#[cfg(any(test, feature = "fake"))]
pub mod fake;
mod features;
#[cfg(feature = "fuzz")]
pub mod fuzzing;
pub mod linux;
mod nft;
mod observed;
mod rtnl;
mod sock_diag;
mod space;
mod within;

use std::collections::{BTreeMap, BTreeSet};

use partition_agent_proto::{Feature, Hits};

pub use before::Before;
pub use coverage::coverage;
pub use error::Refusal;
pub use observed::{Observed, QueueSeen, SetSeen};
pub use within::Within;

use crate::netns::{Netns, NetnsId};
use crate::plan::{Address, Guard, Incarnation, Need, Place, Plan, Step};

/// What a plan must know of the place that it acts in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// The interfaces that a fault on the targets acts on.
    pub interfaces: Vec<String>,
    /// Which of that name they are: an interface that was deleted and made anew is another.
    pub which: BTreeMap<String, Incarnation>,
    /// Those of them whose frames the emulator cannot read.
    pub not_ethernet: Vec<String>,
    /// Addresses may be rewritten on their way out.
    pub natted: bool,
}

/// Connections that were reset, and what was refused first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reset {
    pub count: u64,
    pub refused: Option<Refusal>,
}

/// What the keeper needs of a kernel. One task calls it.
#[allow(async_fn_in_trait, reason = "one task owns the kernel, so its futures need not be Send")]
pub trait Kernel {
    /// Opens a network namespace, if that is not done yet; faults in it are in reach from now on.
    async fn enter(&mut self, place: &Place, netns: Option<&Netns>) -> Result<(), Refusal>;

    /// Lets go of the places that are none of these, and of everything in them: sockets, tables, devices.
    async fn leave_all_but(&mut self, used: &BTreeSet<Option<NetnsId>>);

    /// The interfaces of a fault: the given one, or those of the routes to the targets.
    async fn survey(
        &mut self,
        place: &Place,
        targets: &[Address],
        only: Option<&str>,
    ) -> Result<Survey, Refusal>;

    /// Whether there is netem here, to be used before the emulator is. Found out once.
    async fn has_netem(&mut self) -> bool;

    /// All of the step or none of it.
    async fn apply(&mut self, plan: &Plan, step: &Step, guard: &Guard) -> Result<(), Refusal>;

    /// The other way. What is already gone counts as undone.
    async fn undo(&mut self, plan: &Plan, step: &Step) -> Result<(), Refusal>;

    /// Puts a plan that is built and hits nothing into force, for the timeout that it now has.
    async fn arm(&mut self, plan: &Plan) -> Result<(), Refusal>;

    /// The timeout that the plan now has, counted from now.
    async fn rearm(&mut self, plan: &Plan) -> Result<(), Refusal>;

    /// From one plan of a fault to another in the same slot, or nothing of it. Answers what those of its counters that began anew had counted.
    async fn replace(&mut self, old: &Plan, new: &Plan, guard: &Guard) -> Result<Hits, Refusal>;

    /// Resets the connections that the plan names: all that it can, whatever is refused.
    async fn reset(&mut self, plan: &Plan, guard: &Guard) -> Reset;

    /// What there is of a plan.
    async fn read_back(&mut self, plan: &Plan) -> Result<Observed, Refusal>;

    /// What these plans have hit so far, by slot.
    async fn hits(&mut self, plans: &[&Plan]) -> Result<BTreeMap<u32, Hits>, Refusal>;

    /// Packets that the emulator holds, wherever it shapes.
    fn held(&self) -> u64;

    /// What others have there: what must be the same when the fault is gone.
    async fn before(&mut self, place: &Place) -> Result<Before, Refusal>;

    /// Hooks the interfaces of the faults in force again where one has come back without its hook. Answers with the
    /// slots and interfaces that were.
    async fn reattach(&mut self) -> Result<Vec<(u32, String)>, Refusal>;

    /// Returns when an interface, an address or a route came, went or changed in a place that is entered.
    async fn changed(&mut self);

    /// Removes what a dead agent left: names what it removed. Refuses where a live agent owns the table.
    async fn sweep(&mut self) -> Result<Vec<String>, Refusal>;

    /// Tries what the faults need, and leaves nothing behind.
    async fn features(&mut self) -> Vec<Feature>;

    /// The first of these that is not there, with the kernel's words. What has worked once is not tried again.
    async fn missing(&mut self, needs: &BTreeSet<Need>) -> Option<(Need, Refusal)>;
}
