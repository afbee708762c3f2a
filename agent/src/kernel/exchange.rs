//! From one plan of a fault to another in the same slot.

use partition_agent_proto::Hits;

use super::drops::questions;
use super::linux::Linux;
use super::space::Standing;
use super::{Kernel, Refusal};
use crate::crash::{self, Point};
use crate::plan::{Guard, Plan, Step};

/// The step of a plan that makes the same object.
fn counterpart<'a>(plan: &'a Plan, step: &Step) -> Option<&'a Step> {
    plan.steps.iter().find(|other| other.makes_the_same(step))
}

impl Linux {
    /// What is new is made first, then packets are steered to it in one transaction, then what is old goes. Refused, what
    /// was done is brought back to what it was.
    pub(super) async fn exchange(&mut self, old: &Plan, new: &Plan, guard: &Guard) -> Result<Hits, Refusal> {
        let mut counted = Hits::default();
        // Where the old rules lead: it answers until the new ones are in force.
        let mut forwarder = None;
        for (nth, step) in new.steps.iter().enumerate() {
            let done = match counterpart(old, step) {
                Some(was) => self.change(new, (was, step), guard, &mut forwarder).await,
                None => self.apply(new, step, guard).await.map(|()| Hits::default()),
            };
            match done {
                Ok(hits) => {
                    counted += hits;
                    crash::at(Point::StepExchanged);
                }
                Err(refusal) => {
                    self.take_back(old, new, nth, forwarder, guard).await;
                    return Err(refusal);
                }
            }
        }
        if let Some((forwarder, _)) = &forwarder {
            counted += questions(forwarder);
        }
        for gone in old.steps.iter().rev().filter(|step| counterpart(new, step).is_none()) {
            if let Step::AddTap(tap) = gone {
                counted += self.space(&new.place)?.end_emulator(&tap.name).await;
            }
            if let Err(refusal) = self.undo(old, gone).await {
                tracing::warn!(%refusal, "what a fault needs no longer could not be removed");
            }
        }
        Ok(counted)
    }

    /// From one step to another that makes the same object. Answers what counters that began anew had counted.
    async fn change(
        &mut self,
        plan: &Plan,
        (was, is): (&Step, &Step),
        guard: &Guard,
        forwarder: &mut Option<Standing>,
    ) -> Result<Hits, Refusal> {
        let space = self.space(&plan.place)?;
        match (was, is) {
            (Step::Steer(was), Step::Steer(is)) => {
                let bindings = space.bindings(plan).await?;
                return space.table.replace(plan.slot, (was, is), guard, &bindings);
            }
            (was, is) if was == is => {}
            (_, Step::AddNetem { ifb, impairment }) => space.rtnl.change_netem(ifb, impairment).await?,
            (_, Step::AddTap(tap)) => {
                if let Some(emulator) = space.emulators.get(&tap.name) {
                    emulator.retune(tap.impairment.clone());
                }
            }
            (Step::AddTable(was), Step::AddTable(is)) => {
                let bindings = space.bindings(plan).await?;
                space.table.add(Some(was), is, &bindings)?;
            }
            (_, Step::StandIn(stand_in)) => *forwarder = space.stand_in(plan.slot, stand_in)?,
            // Nothing of these can differ.
            (_, Step::AddIfb { .. } | Step::SetUp { .. }) => {}
            (_, Step::AddTable(_) | Step::Steer(_)) => self.apply(plan, is, guard).await?,
        }
        Ok(Hits::default())
    }

    /// From the step that was refused back to the first. What cannot be taken back shows when the kernel is read back.
    async fn take_back(
        &mut self,
        old: &Plan,
        new: &Plan,
        refused: usize,
        forwarder: Option<Standing>,
        guard: &Guard,
    ) {
        // Before the tables that have its ports.
        if let (Some(forwarder), Ok(space)) = (forwarder, self.space(&old.place)) {
            space.forwarders.insert(old.slot, forwarder);
        }
        for (nth, step) in new.steps.iter().enumerate().take(refused + 1).rev() {
            let undone = match counterpart(old, step) {
                // What was refused is what it was, and the forwarder is back.
                Some(_) if nth == refused => Ok(()),
                Some(Step::StandIn(_)) => Ok(()),
                Some(was) => self.change(old, (step, was), guard, &mut None).await.map(drop),
                None => self.undo(new, step).await,
            };
            if let Err(refusal) = undone {
                tracing::warn!(%refusal, "a change that was refused could not be taken back");
            }
        }
    }
}
