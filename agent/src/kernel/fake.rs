//! A kernel in memory, for tests: it remembers what was applied and refuses the step that it is told to refuse.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use partition_agent_proto::{Check, Feature, Hits};

use super::rtnl::netem;
use super::{Before, Kernel, Observed, QueueSeen, Refusal, Reset, SetSeen, Survey};
use crate::netns::{Netns, NetnsId};
use crate::plan::{Address, Element, Guard, Need, Place, Plan, Ruleset, Step};

/// What is in the fake kernel; tests keep a handle on it.
#[derive(Debug, Default)]
pub struct World {
    /// Applied steps by slot, in order.
    pub steps: BTreeMap<u32, Vec<Step>>,
    /// The time left that each fault was last given.
    pub timeouts: BTreeMap<u32, Duration>,
    /// When it was given.
    pub told: BTreeMap<u32, Instant>,
    /// Refuse the step of this number (from 0) of the next plan.
    pub refuse_apply: Option<usize>,
    /// Only of the plan in this slot.
    pub refuse_slot: Option<u32>,
    /// Refuse this many undos.
    pub refuse_undo: usize,
    /// Refuse this many replacements of a plan.
    pub refuse_replace: usize,
    /// Refuse to put the plans in these slots into force; there is nothing of them then that could be given a new timeout.
    pub refuse_arm: BTreeSet<u32>,
    /// Refuse new timeouts of the plans in these slots.
    pub refuse_rearm: BTreeMap<u32, Errno>,
    /// Refuse a second new timeout of the plan in this slot.
    pub refuse_rearm_again: Option<u32>,
    /// Reset one connection, and refuse to reset another.
    pub refuse_reset: bool,
    /// Refuse to enter the place of this name.
    pub refuse_enter: Option<String>,
    /// What the rules of each plan have counted; it goes with them.
    pub hits: BTreeMap<u32, Hits>,
    /// How often they were read.
    pub counted: usize,
    /// What the emulator holds.
    pub held: u64,
    /// Interfaces of every fault.
    pub interfaces: Vec<String>,
    /// Links that a dead agent left.
    pub leftovers: Vec<String>,
    /// Places that are entered.
    pub places: BTreeMap<NetnsId, String>,
    /// Whether shaping is left to the emulator.
    pub without_netem: bool,
    /// What else it has not.
    pub without: BTreeSet<Need>,
    /// How often connections were reset.
    pub resets: usize,
    /// How long it takes to go from one plan to another.
    pub slow: Duration,
    /// How long a step of an end takes, and the move of a deadline or a start.
    pub hesitates: Duration,
    /// How long something keeps the next one that is told a timeout from counting it.
    pub stall: Duration,
    /// How long the next reading takes after what it found.
    pub slow_read: Duration,
}

/// What is listed of a ruleset whose timed elements have this much time left; without any they are gone.
fn seen(ruleset: &Ruleset, last: Option<Duration>) -> (BTreeMap<String, SetSeen>, BTreeMap<String, usize>) {
    let set = |set: &crate::plan::Set| {
        let ends = set.elements.iter().filter(|element| matches!(element, Element::Net(_))).count();
        let entries = if set.timed && last.is_none() { 0 } else { set.elements.len() + ends };
        (set.name.clone(), SetSeen { entries, last })
    };
    let mut rules = BTreeMap::<String, usize>::new();
    for rule in &ruleset.rules {
        *rules.entry(rule.chain.clone()).or_default() += 1;
    }
    (ruleset.sets.iter().map(set).collect(), rules)
}

impl World {
    fn time(&mut self, plan: &Plan) {
        match plan.steering().and_then(|steering| steering.timeout) {
            Some(timeout) => {
                self.told.insert(plan.slot, Instant::now());
                self.timeouts.insert(plan.slot, timeout);
            }
            None => drop(self.timeouts.remove(&plan.slot)),
        }
    }

    /// What is left of it by now.
    pub fn left(&self, slot: u32) -> Option<Duration> {
        let left = self.timeouts.get(&slot)?.checked_sub(self.told.get(&slot)?.elapsed())?;
        (!left.is_zero()).then_some(left)
    }

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

    /// Holds its caller up, once.
    async fn stall(&self) {
        let stall = std::mem::take(&mut self.world().stall);
        tokio::time::sleep(stall).await;
    }

    fn lacks(&self, need: Need) -> bool {
        let world = self.world();
        world.without.contains(&need) || world.without_netem && need == Need::Netem
    }

    fn feature(&self, need: Need) -> Feature {
        let check = if self.lacks(need) {
            Check::Missing {
                why: "the fake kernel was told to have none".to_owned(),
                fix: "tell it otherwise".to_owned(),
            }
        } else {
            Check::Works
        };
        Feature { name: need.name().to_owned(), needed_for: "tests".to_owned(), check }
    }

    fn observe(&self, plan: &Plan) -> Observed {
        let world = self.world();
        let mut observed = Observed::default();
        for step in world.steps.get(&plan.slot).into_iter().flatten() {
            match step {
                Step::AddIfb { .. } | Step::SetUp { .. } | Step::AddTable(_) => {}
                Step::StandIn(stand_in) => observed.stood_in_for.extend(&stand_in.servers),
                Step::AddNetem { ifb, impairment } => {
                    if let Some(netem) = netem::decode(&netem::encode(impairment)) {
                        observed.queues.insert(ifb.clone(), QueueSeen { up: true, netem });
                    }
                }
                Step::AddTap(tap) => {
                    observed.emulators.insert(tap.name.clone(), tap.impairment.clone());
                }
                Step::Steer(steering) => {
                    let last = world.left(plan.slot);
                    (observed.sets, observed.rules) = seen(&steering.ruleset, last);
                    if let Some(own) = &steering.own {
                        (observed.own_sets, observed.own_rules) = seen(&own.ruleset, last);
                    }
                    for interface in &steering.interfaces {
                        observed.hooked.extend(steering.hooks.iter().map(|hook| (*hook, interface.clone())));
                    }
                }
            }
        }
        observed
    }

    fn refusal(step: &Step) -> Refusal {
        Refusal::new(step.summary(), Errno::EBUSY, Some("the fake kernel was told to refuse".to_owned()))
    }
}

impl Kernel for Fake {
    async fn enter(&mut self, place: &Place, _: Option<&Netns>) -> Result<(), Refusal> {
        let mut world = self.world();
        if world.refuse_enter.as_ref() == Some(&place.name) {
            return Err(Refusal::new(format!("enter {}", place.name), Errno::EPERM, None));
        }
        if let Some(id) = place.id {
            world.places.insert(id, place.name.clone());
        }
        Ok(())
    }

    async fn leave_all_but(&mut self, used: &BTreeSet<Option<NetnsId>>) {
        self.world().places.retain(|id, _| used.contains(&Some(*id)));
    }

    async fn survey(&mut self, _: &Place, _: &[Address], only: Option<&str>) -> Result<Survey, Refusal> {
        let world = self.world();
        let known =
            if world.interfaces.is_empty() { vec!["eth0".to_owned()] } else { world.interfaces.clone() };
        let interfaces = match only {
            Some(name) if known.iter().any(|known| known == name) => vec![name.to_owned()],
            Some(name) => return Err(Refusal::new(format!("ip link show {name}"), Errno::ENODEV, None)),
            None => known,
        };
        Ok(Survey { interfaces, ..Survey::default() })
    }

    async fn has_netem(&mut self) -> bool {
        !self.world().without_netem
    }

    async fn apply(&mut self, plan: &Plan, step: &Step, _: &Guard) -> Result<(), Refusal> {
        self.stall().await;
        let mut world = self.world();
        let done = world.steps.get(&plan.slot).map_or(0, Vec::len);
        let refuses = world.refuse_slot.is_none_or(|slot| slot == plan.slot);
        if refuses && world.refuse_apply == Some(done) {
            return Err(Self::refusal(step));
        }
        world.steps.entry(plan.slot).or_default().push(step.clone());
        world.time(plan);
        Ok(())
    }

    async fn undo(&mut self, plan: &Plan, step: &Step) -> Result<(), Refusal> {
        let hesitates = self.world().hesitates;
        tokio::time::sleep(hesitates).await;
        let mut world = self.world();
        if world.refuse_undo > 0 {
            world.refuse_undo -= 1;
            return Err(Self::refusal(step));
        }
        if let Some(steps) = world.steps.get_mut(&plan.slot) {
            // A queue that goes while rules still lead into it turns a delay into a cut.
            let steered = steps.iter().any(|step| matches!(step, Step::Steer(_)));
            assert!(
                !(steered && matches!(step, Step::AddIfb { .. } | Step::AddTap(_))),
                "a queue was removed under a live rule"
            );
            // A plan has one, whatever its timeout is by now.
            let same = |applied: &Step| {
                applied == step || matches!((applied, step), (Step::Steer(_), Step::Steer(_)))
            };
            steps.retain(|applied| !same(applied));
        }
        Ok(())
    }

    async fn arm(&mut self, plan: &Plan) -> Result<(), Refusal> {
        let hesitates = self.world().hesitates;
        tokio::time::sleep(hesitates).await;
        self.stall().await;
        let mut world = self.world();
        if world.refuse_arm.contains(&plan.slot) {
            return Err(Refusal::new("nft: add element", Errno::ENOMEM, None));
        }
        world.time(plan);
        Ok(())
    }

    async fn rearm(&mut self, plan: &Plan) -> Result<(), Refusal> {
        let hesitates = self.world().hesitates;
        tokio::time::sleep(hesitates).await;
        self.stall().await;
        let mut world = self.world();
        if let Some(errno) = world.refuse_rearm.get(&plan.slot) {
            return Err(Refusal::new("nft: add element", *errno, None));
        }
        if world.refuse_arm.contains(&plan.slot) && !world.timeouts.contains_key(&plan.slot) {
            return Err(Refusal::new("nft: delete element", Errno::ENOENT, None));
        }
        world.time(plan);
        if world.refuse_rearm_again == Some(plan.slot) {
            world.refuse_rearm.insert(plan.slot, Errno::ENOMEM);
        }
        Ok(())
    }

    async fn replace(&mut self, _: &Plan, new: &Plan, _: &Guard) -> Result<Hits, Refusal> {
        let slow = self.world().slow;
        tokio::time::sleep(slow).await;
        let mut world = self.world();
        if world.refuse_replace > 0 {
            world.refuse_replace -= 1;
            let steer = new.steps.last().ok_or_else(|| Refusal::new("nft", Errno::EINVAL, None))?;
            return Err(Self::refusal(steer));
        }
        world.steps.insert(new.slot, new.steps.clone());
        world.time(new);
        Ok(world.hits.remove(&new.slot).unwrap_or_default())
    }

    async fn reset(&mut self, plan: &Plan, _: &Guard) -> Reset {
        let mut world = self.world();
        let resets = usize::from(plan.resets.is_some());
        world.resets += resets;
        let refuse = world.refuse_reset && plan.resets.is_some();
        let refused = refuse.then(|| Refusal::new("ss --kill", Errno::EOPNOTSUPP, None));
        Reset { count: resets as u64, refused }
    }

    async fn read_back(&mut self, plan: &Plan) -> Result<Observed, Refusal> {
        let observed = self.observe(plan);
        let slow = std::mem::take(&mut self.world().slow_read);
        tokio::time::sleep(slow).await;
        Ok(observed)
    }

    async fn hits(&mut self, _: &[&Plan]) -> Result<BTreeMap<u32, Hits>, Refusal> {
        let mut world = self.world();
        world.counted += 1;
        Ok(world.hits.clone())
    }

    fn held(&self) -> u64 {
        self.world().held
    }

    async fn before(&mut self, _: &Place) -> Result<Before, Refusal> {
        Ok(Before::default())
    }

    async fn reattach(&mut self) -> Result<Vec<(u32, String)>, Refusal> {
        Ok(Vec::new())
    }

    async fn changed(&mut self) {
        std::future::pending().await
    }

    async fn sweep(&mut self) -> Result<Vec<String>, Refusal> {
        Ok(std::mem::take(&mut self.world().leftovers))
    }

    async fn features(&mut self) -> Vec<Feature> {
        let works = Feature { name: "fake".to_owned(), needed_for: "tests".to_owned(), check: Check::Works };
        let own = Need::ALL.into_iter().filter(|need| self.lacks(*need)).chain([Need::Netem, Need::Emulator]);
        let own = own.collect::<BTreeSet<_>>().into_iter().map(|need| self.feature(need));
        std::iter::once(works).chain(own).collect()
    }

    async fn missing(&mut self, needs: &BTreeSet<Need>) -> Option<(Need, Refusal)> {
        let need = needs.iter().copied().find(|need| self.lacks(*need))?;
        Some((need, Refusal::new("a trial", Errno::ENOENT, Some("the fake kernel was told so".to_owned()))))
    }
}
