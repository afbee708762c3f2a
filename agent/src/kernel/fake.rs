//! A kernel in memory, for tests: it remembers what was applied and refuses the step that it is told to refuse.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use partition_agent_proto::{Check, Feature, Hits};

use super::{Kernel, Observed, QueueSeen, Refusal, SetSeen};
use crate::plan::{Address, Guard, Plan, Step};

/// What is in the fake kernel; tests keep a handle on it.
#[derive(Debug, Default)]
pub struct World {
    /// Applied steps by slot, in order.
    pub steps: BTreeMap<u32, Vec<Step>>,
    /// The time left that each fault was last given.
    pub timeouts: BTreeMap<u32, Duration>,
    /// Refuse the step of this number (from 0) of the next plan.
    pub refuse_apply: Option<usize>,
    /// Refuse this many undos.
    pub refuse_undo: usize,
    /// Interfaces of every fault.
    pub interfaces: Vec<String>,
    /// Links that a dead agent left.
    pub leftovers: Vec<String>,
}

impl World {
    /// Whether nothing of any fault is left.
    pub fn is_clean(&self) -> bool {
        self.steps.values().all(Vec::is_empty) && self.leftovers.is_empty()
    }
}

/// See [`World`].
#[derive(Debug, Clone, Default)]
pub struct Fake {
    pub world: Arc<Mutex<World>>,
}

impl Fake {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refusal(step: &Step) -> Refusal {
        Refusal::new(step.summary(), Errno::EBUSY, Some("the fake kernel was told to refuse".to_owned()))
    }
}

impl Kernel for Fake {
    async fn interfaces(&mut self, _: &[Address], only: Option<&str>) -> Result<Vec<String>, Refusal> {
        let world = self.world();
        let known =
            if world.interfaces.is_empty() { vec!["eth0".to_owned()] } else { world.interfaces.clone() };
        match only {
            Some(name) if known.iter().any(|known| known == name) => Ok(vec![name.to_owned()]),
            Some(name) => Err(Refusal::new(format!("ip link show {name}"), Errno::ENODEV, None)),
            None => Ok(known),
        }
    }

    async fn apply(&mut self, plan: &Plan, step: &Step, _: &Guard) -> Result<(), Refusal> {
        let mut world = self.world();
        let done = world.steps.get(&plan.slot).map_or(0, Vec::len);
        if world.refuse_apply == Some(done) {
            return Err(Self::refusal(step));
        }
        world.steps.entry(plan.slot).or_default().push(step.clone());
        world.timeouts.insert(plan.slot, plan.timeout);
        Ok(())
    }

    async fn undo(&mut self, plan: &Plan, step: &Step) -> Result<(), Refusal> {
        let mut world = self.world();
        if world.refuse_undo > 0 {
            world.refuse_undo -= 1;
            return Err(Self::refusal(step));
        }
        if let Some(steps) = world.steps.get_mut(&plan.slot) {
            // A queue that goes while rules still lead into it turns a delay into a cut.
            let steered = steps.iter().any(|step| matches!(step, Step::Steer(_)));
            assert!(
                !(steered && matches!(step, Step::AddIfb { .. })),
                "a queue was removed under a live rule"
            );
            steps.retain(|applied| applied != step);
        }
        Ok(())
    }

    async fn rearm(&mut self, plan: &Plan) -> Result<(), Refusal> {
        self.world().timeouts.insert(plan.slot, plan.timeout);
        Ok(())
    }

    async fn read_back(&mut self, plan: &Plan) -> Result<Observed, Refusal> {
        let world = self.world();
        let mut observed = Observed::default();
        for step in world.steps.get(&plan.slot).into_iter().flatten() {
            match step {
                Step::AddIfb { .. } | Step::SetUp { .. } => {}
                Step::AddNetem { ifb, netem } => {
                    let seen = QueueSeen {
                        up: true,
                        latency: netem.latency,
                        jitter: netem.jitter,
                        limit: netem.limit,
                    };
                    observed.queues.insert(ifb.clone(), seen);
                }
                Step::Steer(steering) => {
                    let last = world.timeouts.get(&plan.slot).copied();
                    for set in &steering.ruleset.sets {
                        let ends = |e: &crate::plan::Element| matches!(e, crate::plan::Element::Net(_));
                        let entries = set.elements.len() + set.elements.iter().filter(|e| ends(e)).count();
                        observed.sets.insert(set.name.clone(), SetSeen { entries, last });
                    }
                    for rule in &steering.ruleset.rules {
                        *observed.rules.entry(rule.chain.clone()).or_default() += 1;
                    }
                    for interface in &steering.interfaces {
                        observed.hooked.extend(steering.hooks.iter().map(|hook| (*hook, interface.clone())));
                    }
                }
            }
        }
        Ok(observed)
    }

    async fn hits(&mut self) -> Result<BTreeMap<u32, Hits>, Refusal> {
        Ok(BTreeMap::new())
    }

    async fn reattach(&mut self) -> Result<Vec<(u32, String)>, Refusal> {
        Ok(Vec::new())
    }

    async fn interface_changed(&mut self) {
        std::future::pending().await
    }

    async fn sweep(&mut self) -> Result<Vec<String>, Refusal> {
        Ok(std::mem::take(&mut self.world().leftovers))
    }

    async fn features(&mut self) -> Vec<Feature> {
        vec![Feature { name: "fake".to_owned(), needed_for: "tests".to_owned(), check: Check::Works }]
    }
}
