//! From one plan of a fault to another in the same slot.

use partition_agent_proto::Hits;

use super::drops::questions;
use super::linux::Linux;
use super::space::Standing;
use super::{Kernel, Refusal};
use crate::plan::{Guard, Plan, Step};

/// What an exchange of plans has done, for the way back.
#[derive(Default)]
struct Exchanged<'a> {
    made: Vec<&'a Step>,
    changed: Vec<(&'a Step, &'a Step)>,
    /// Where the old rules lead: it answers until the new ones are in force.
    forwarder: Option<Standing>,
    /// By what had to go for something new.
    counted: Hits,
}

/// Whether the second step changes what the first has made.
fn are_one(was: &Step, is: &Step) -> bool {
    match is {
        Step::AddNetem { ifb, .. } => matches!(was, Step::AddNetem { ifb: was, .. } if was == ifb),
        Step::AddTap(tap) => {
            matches!(was, Step::AddTap(was) if was.name == tap.name && was.interface == tap.interface)
        }
        Step::AddTable(_) => matches!(was, Step::AddTable(_)),
        Step::StandIn(_) => matches!(was, Step::StandIn(_)),
        Step::AddIfb { .. } | Step::SetUp { .. } | Step::Steer(_) => false,
    }
}

impl Linux {
    /// What is new is made first, then packets are steered to it in one transaction, then what is old goes. Refused, what
    /// was done is taken back, and what the old rules lead to is as it was.
    pub(super) async fn exchange(&mut self, old: &Plan, new: &Plan, guard: &Guard) -> Result<Hits, Refusal> {
        let mut done = Exchanged::default();
        let mut counted = match self.go_over(old, new, guard, &mut done).await {
            Ok(counted) => counted,
            Err(refusal) => {
                self.take_back(old, new, done).await;
                return Err(refusal);
            }
        };
        counted += done.counted;
        if let Some((forwarder, _)) = &done.forwarder {
            counted += questions(forwarder);
        }
        for tap in old.taps().filter(|tap| !new.taps().any(|is| is.name == tap.name)) {
            counted += self.space(&new.place)?.end_emulator(&tap.name).await;
        }
        Ok(counted)
    }

    async fn go_over<'a>(
        &mut self,
        old: &'a Plan,
        new: &'a Plan,
        guard: &Guard,
        done: &mut Exchanged<'a>,
    ) -> Result<Hits, Refusal> {
        for step in new.steps.iter().filter(|step| !old.steps.contains(step)) {
            if let Some(was) = old.steps.iter().find(|was| are_one(was, step)) {
                done.forwarder = self.change(new, was, step).await?.or(done.forwarder.take());
                done.changed.push((was, step));
                continue;
            }
            match step {
                // Comes last.
                Step::Steer(_) => continue,
                // A name that now leads elsewhere cannot be had twice at once.
                Step::AddTap(tap) => {
                    done.counted += self.space(&new.place)?.end_emulator(&tap.name).await;
                    self.apply(new, step, guard).await?;
                }
                Step::AddIfb { .. }
                | Step::AddNetem { .. }
                | Step::SetUp { .. }
                | Step::AddTable(_)
                | Step::StandIn(_) => self.apply(new, step, guard).await?,
            }
            done.made.push(step);
        }
        let (Some(was), Some(is)) = (old.steering(), new.steering()) else { return Ok(Hits::default()) };
        let space = self.space(&new.place)?;
        let bindings = space.bindings(new).await?;
        space.table.replace(new.slot, (was, is), guard, &bindings)
    }

    /// From one step to another that [is the same thing](are_one). Answers the forwarder that another took the place of.
    async fn change(&mut self, plan: &Plan, was: &Step, is: &Step) -> Result<Option<Standing>, Refusal> {
        let space = self.space(&plan.place)?;
        match is {
            Step::AddNetem { ifb, impairment } => space.rtnl.change_netem(ifb, impairment).await?,
            Step::AddTap(tap) => {
                if let Some(emulator) = space.emulators.get(&tap.name) {
                    emulator.retune(tap.impairment.clone());
                }
            }
            Step::AddTable(table) => {
                let instead_of = match was {
                    Step::AddTable(was) => Some(was),
                    Step::AddIfb { .. }
                    | Step::AddNetem { .. }
                    | Step::SetUp { .. }
                    | Step::AddTap(_)
                    | Step::StandIn(_)
                    | Step::Steer(_) => None,
                };
                let bindings = space.bindings(plan).await?;
                space.table.add(instead_of, table, &bindings)?;
            }
            Step::StandIn(stand_in) => return space.stand_in(plan.slot, stand_in),
            Step::AddIfb { .. } | Step::SetUp { .. } | Step::Steer(_) => {}
        }
        Ok(None)
    }

    /// What cannot be taken back shows when the kernel is read back.
    async fn take_back(&mut self, old: &Plan, new: &Plan, done: Exchanged<'_>) {
        for step in done.made.into_iter().rev() {
            let _ = self.undo(new, step).await;
        }
        // Before the tables that have its ports.
        if let (Some(forwarder), Ok(space)) = (done.forwarder, self.space(&old.place)) {
            space.forwarders.insert(old.slot, forwarder);
        }
        for (was, is) in done.changed.into_iter().rev().filter(|(was, _)| !matches!(was, Step::StandIn(_))) {
            let _ = self.change(old, is, was).await;
        }
    }
}
