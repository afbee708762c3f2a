//! The ledger against a reference model: for each id, what it waits for and until when. Random operations, with refused
//! undos among them; after each, both must agree on what is due, when to look next and who is there.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Waits {
    /// To be committed, until it expires.
    Commit(u64),
    /// For the instant that it was committed to.
    Start(u64),
    Deadline(u64),
    /// For an earlier deadline, that somebody restored it at.
    Restore(u64),
    Drain(u64),
    RetryUnsteer(u64, u64),
    RetryRemove(u64, u64),
}

impl Waits {
    /// Whether it is not over.
    fn stands(self) -> bool {
        matches!(self, Self::Commit(_) | Self::Start(_) | Self::Deadline(_) | Self::Restore(_))
    }
}

#[derive(Debug, Clone)]
enum Op {
    Inject {
        id: u8,
        latency: bool,
        millis: u64,
    },
    Prepare {
        id: u8,
        latency: bool,
        millis: u64,
    },
    Commit {
        id: u8,
        millis: u64,
    },
    RestoreAt {
        id: u8,
        millis: u64,
    },
    Rearm {
        id: u8,
        millis: u64,
    },
    Renew {
        id: u8,
    },
    Restore {
        id: u8,
        refused: bool,
    },
    /// A change, or a reason to look; a change is new to the kernel.
    Follow {
        id: u8,
        new: bool,
        refused: bool,
    },
    Wait {
        millis: u64,
        refused: bool,
    },
}

fn ops() -> impl Strategy<Value = Op> {
    let id = || 0_u8..4;
    prop_oneof![
        (id(), any::<bool>(), 1_u64..5000).prop_map(|(id, latency, millis)| Op::Inject {
            id,
            latency,
            millis
        }),
        (id(), any::<bool>(), 1_u64..5000).prop_map(|(id, latency, millis)| Op::Prepare {
            id,
            latency,
            millis
        }),
        (id(), 1_u64..5000).prop_map(|(id, millis)| Op::Commit { id, millis }),
        (id(), 1_u64..5000).prop_map(|(id, millis)| Op::RestoreAt { id, millis }),
        (id(), 1_u64..5000).prop_map(|(id, millis)| Op::Rearm { id, millis }),
        id().prop_map(|id| Op::Renew { id }),
        (id(), any::<bool>()).prop_map(|(id, refused)| Op::Restore { id, refused }),
        (id(), any::<bool>(), any::<bool>()).prop_map(|(id, new, refused)| Op::Follow { id, new, refused }),
        (0_u64..8000, any::<bool>()).prop_map(|(millis, refused)| Op::Wait { millis, refused }),
    ]
}

const GRACE: u64 = 20;
/// From here on it is too late to start with others.
const LATEST: u64 = 1_000;
/// What a fault lasts when nobody says.
const MINUTE: u64 = 60_000;
const DRAIN: u64 = 2100;
const LEASE: u64 = 3_000;

#[derive(Default)]
struct Model {
    now: u64,
    faults: BTreeMap<String, (bool, Waits)>,
    /// When those that could not go along with a change try again, and after how long.
    behind: BTreeMap<String, (u64, u64)>,
    /// Until when those with a lease were last renewed.
    leases: BTreeMap<String, u64>,
}

impl Model {
    fn lease(&self, id: &str) -> u64 {
        self.leases.get(id).copied().unwrap_or(u64::MAX - GRACE)
    }

    fn due_at(&self, id: &str) -> u64 {
        match self.faults[id].1 {
            Waits::Deadline(at) => at.min(self.lease(id)) + GRACE,
            Waits::Restore(at) => at.min(self.lease(id) + GRACE),
            Waits::Commit(at)
            | Waits::Start(at)
            | Waits::Drain(at)
            | Waits::RetryUnsteer(at, _)
            | Waits::RetryRemove(at, _) => at,
        }
    }

    /// What is due of a fault, and when: its end, or what it could not follow; what has ended follows nothing.
    fn next(&self, id: &str) -> u64 {
        let waits = self.faults[id].1;
        match (waits, self.behind.get(id)) {
            (Waits::Deadline(_) | Waits::Restore(_), Some((retry, _))) => self.due_at(id).min(*retry),
            (_, _) => self.due_at(id),
        }
    }

    fn follow(&mut self, id: &str, refused: bool) {
        let now = self.now;
        let (at, wait) = match self.behind.get(id) {
            Some((at, wait)) if now < *at => (*at, *wait),
            Some((_, wait)) => (now + (wait * 2).min(60_000), (wait * 2).min(60_000)),
            None => (now + 1000, 1000),
        };
        self.behind.remove(id);
        if refused {
            self.behind.insert(id.to_owned(), (at, wait));
        }
    }

    fn unsteer(&mut self, id: &str, refused: bool) {
        let now = self.now;
        let (latency, waits) = self.faults.get_mut(id).unwrap();
        *waits = match (*waits, refused) {
            (Waits::RetryUnsteer(_, wait), true) => {
                let wait = (wait * 2).min(60_000);
                Waits::RetryUnsteer(now + wait, wait)
            }
            (_, true) => Waits::RetryUnsteer(now + 1000, 1000),
            (_, false) => Waits::Drain(now + if *latency { DRAIN } else { 0 }),
        };
    }

    fn remove(&mut self, id: &str, refused: bool) {
        let now = self.now;
        if !refused {
            self.faults.remove(id);
            self.behind.remove(id);
            self.leases.remove(id);
            return;
        }
        let (_, waits) = self.faults.get_mut(id).unwrap();
        let wait = match *waits {
            Waits::RetryRemove(_, wait) => (wait * 2).min(60_000),
            Waits::Commit(_)
            | Waits::Start(_)
            | Waits::Deadline(_)
            | Waits::Restore(_)
            | Waits::Drain(_)
            | Waits::RetryUnsteer(..) => 1000,
        };
        *waits = Waits::RetryRemove(now + wait, wait);
    }
}

fn run_due(ledger: &mut Ledger, model: &mut Model, refused: bool) -> Result<(), TestCaseError> {
    let now = at(model.now);
    let expected = model.faults.keys().filter(|id| model.next(id) <= model.now).cloned();
    let expected = expected.collect::<Vec<_>>();
    let due = ledger.due(now);
    prop_assert_eq!(due.len(), expected.len());
    for (due, id) in due.into_iter().zip(expected) {
        match due {
            Due::Grow(id) => prop_assert!(false, "{id} does not grow"),
            Due::Arm(found) => {
                let Waits::Start(start) = model.faults[&id].1 else {
                    return Err(TestCaseError::fail(format!("{found} is armed out of turn")));
                };
                prop_assert!(model.now < start + LATEST, "{found} is armed late");
                ledger.get_mut(&found).unwrap().started = Some(now);
                ledger.armed(&found, now, false);
                model.faults.get_mut(&id).unwrap().1 = Waits::Deadline(start + MINUTE);
            }
            Due::Follow(found) => {
                prop_assert_eq!(found.as_str(), &id);
                let waits = model.faults[&id].1;
                prop_assert!(matches!(waits, Waits::Deadline(_) | Waits::Restore(_)), "{id}: {waits:?}");
                prop_assert!(model.now < model.due_at(&id), "its end comes first");
                ledger.followed(&found, now, refused.then(|| "why".to_owned()).into_iter().collect());
                model.follow(&id, refused);
            }
            Due::Unsteer(found, end) => {
                prop_assert_eq!(found.as_str(), &id);
                let lease = model.lease(&id);
                match model.faults[&id].1 {
                    Waits::Deadline(at) | Waits::Restore(at) if lease < at => {
                        prop_assert_eq!(&end, &End::LeaseLost);
                    }
                    Waits::Commit(_) => prop_assert_eq!(&end, &End::Expired),
                    Waits::Deadline(_) => prop_assert_eq!(&end, &End::Deadline),
                    Waits::Restore(_) => prop_assert_eq!(&end, &End::Restored { who: "test".to_owned() }),
                    Waits::RetryUnsteer(..) => {}
                    // Nobody looked from its start to its end.
                    Waits::Start(_) if lease + GRACE <= model.now => prop_assert_eq!(&end, &End::LeaseLost),
                    Waits::Start(start) if start + MINUTE + GRACE <= model.now => {
                        prop_assert_eq!(&end, &End::Deadline);
                    }
                    Waits::Start(start) if start + LATEST <= model.now => {
                        prop_assert_eq!(&end, &End::Missed);
                    }
                    waits => prop_assert!(false, "{found} ends while it waits for {waits:?}"),
                }
                if refused {
                    ledger.refused(now, &found, Next::Unsteer, end);
                } else {
                    ledger.unsteered(now, &found, end);
                }
                model.unsteer(&id, refused);
            }
            Due::Remove(found) => {
                prop_assert_eq!(found.as_str(), &id);
                prop_assert!(matches!(model.faults[&id].1, Waits::Drain(_) | Waits::RetryRemove(..)));
                if refused {
                    ledger.refused(now, &found, Next::Remove, End::Deadline);
                } else {
                    prop_assert!(ledger.removed(&found).is_some());
                }
                model.remove(&id, refused);
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn the_ledger_agrees_with_the_model(ops in prop::collection::vec(ops(), 1..80)) {
        const MOST: usize = 3;
        let mut ledger = Ledger::new(MOST);
        let mut model = Model::default();
        let mut slots = std::collections::BTreeSet::new();
        for op in ops {
            match op {
                Op::Inject { id, latency, millis } => {
                    let id = format!("f{id}");
                    let admission = ledger.admit(&id.parse().unwrap(), &spec(&id, latency), false);
                    match (model.faults.get(&id), admission) {
                        (Some((same, waits)), Admission::Same) => {
                            prop_assert_eq!(*same, latency);
                            prop_assert!(waits.stands() && !matches!(waits, Waits::Commit(_)), "{waits:?}");
                        }
                        (Some((same, waits)), Admission::Taken(_)) if waits.stands() => {
                            prop_assert!(*same != latency || matches!(waits, Waits::Commit(_)), "{waits:?}");
                        }
                        (Some(_), Admission::Taken(_)) => {}
                        (None, Admission::Full(most)) => prop_assert_eq!((most, model.faults.len()), (MOST, MOST)),
                        (None, Admission::New) => {
                            let slot = ledger.next_slot();
                            prop_assert!(slots.insert(slot), "slot {} was handed out twice", slot);
                            ledger.activate(fault(&id, slot, latency, at(model.now), at(model.now + millis)));
                            if is_leased(&id) {
                                model.leases.insert(id.clone(), model.now + LEASE);
                            }
                            model.faults.insert(id, (latency, Waits::Deadline(model.now + millis)));
                        }
                        (there, admission) => prop_assert!(false, "{there:?} {admission:?}"),
                    }
                }
                Op::Prepare { id, latency, millis } => {
                    let id = format!("f{id}");
                    match ledger.admit(&id.parse().unwrap(), &spec(&id, latency), true) {
                        Admission::New => {
                            let prepared = fault(&id, ledger.next_slot(), latency, BootTime::NEVER, BootTime::NEVER);
                            let expires = at(model.now + millis);
                            ledger.prepare(Fault { phase: Phase::Prepared { expires }, ..prepared });
                            model.faults.insert(id, (latency, Waits::Commit(model.now + millis)));
                        }
                        // Committed since or not: a retry finds what it prepared.
                        Admission::Same => {
                            let (same, waits) = model.faults[&id];
                            prop_assert!(same == latency && waits.stands(), "{waits:?}");
                        }
                        Admission::Taken(_) => {
                            let (same, waits) = model.faults[&id];
                            prop_assert!(same != latency || !waits.stands(), "{waits:?}");
                        }
                        Admission::Full(_) => prop_assert_eq!(model.faults.len(), MOST),
                    }
                }
                Op::Commit { id, millis } => {
                    let id = format!("f{id}");
                    if let Some((_, waits @ Waits::Commit(_))) = model.faults.get_mut(&id) {
                        *waits = Waits::Start(model.now + millis);
                        if is_leased(&id) {
                            model.leases.insert(id.clone(), model.now + millis + LEASE);
                        }
                        ledger.commit(&id.parse().unwrap(), at(model.now + millis), None);
                    }
                }
                Op::RestoreAt { id, millis } => {
                    let id = format!("f{id}");
                    if let Some((_, waits @ Waits::Deadline(_))) = model.faults.get_mut(&id) {
                        *waits = Waits::Restore(model.now + millis);
                        ledger.restore_at(&id.parse().unwrap(), at(model.now + millis), "test".to_owned());
                    }
                }
                Op::Rearm { id, millis } => {
                    let id = format!("f{id}");
                    if let Some((_, Waits::Deadline(deadline))) = model.faults.get_mut(&id) {
                        *deadline = model.now + millis;
                        ledger.rearmed(&id.parse().unwrap(), at(model.now), Duration::from_millis(millis));
                    }
                }
                Op::Renew { id } => {
                    let id = format!("f{id}");
                    let stands = model.faults.get(&id).map(|(_, waits)| *waits);
                    if stands.is_some_and(Waits::stands) {
                        ledger.renewed(&id.parse().unwrap(), at(model.now));
                    }
                    // Before its start there is nothing to renew.
                    if let Some(Waits::Deadline(_) | Waits::Restore(_)) = stands
                        && let Some(end) = model.leases.get_mut(&id)
                    {
                        *end = model.now + LEASE;
                    }
                }
                Op::Restore { id, refused } => {
                    let id = format!("f{id}");
                    if model.faults.get(&id).is_some_and(|(_, waits)| waits.stands()) {
                        let who = End::Restored { who: "test".to_owned() };
                        let fault = id.parse().unwrap();
                        if refused {
                            ledger.refused(at(model.now), &fault, Next::Unsteer, who);
                        } else {
                            ledger.unsteered(at(model.now), &fault, who);
                        }
                        model.unsteer(&id, refused);
                    }
                }
                Op::Follow { id, new, refused } => {
                    let id = format!("f{id}");
                    if let Some((_, Waits::Deadline(_))) = model.faults.get(&id) {
                        let fault = id.parse().unwrap();
                        if new {
                            ledger.follow(&fault, Sources::default());
                            model.behind.remove(&id);
                        }
                        let why = refused.then(|| "why".to_owned());
                        ledger.followed(&fault, at(model.now), why.into_iter().collect());
                        model.follow(&id, refused);
                    }
                }
                Op::Wait { millis, refused } => {
                    model.now += millis;
                    run_due(&mut ledger, &mut model, refused)?;
                }
            }
            let next = model.faults.keys().map(|id| at(model.next(id))).min();
            prop_assert_eq!(ledger.next_due(), next);
            prop_assert_eq!(ledger.faults().count(), model.faults.len());
            for (id, (_, waits)) in &model.faults {
                let phase = &ledger.get(&id.parse().unwrap()).unwrap().phase;
                let agrees = matches!(
                    (waits, phase),
                    (Waits::Commit(_), Phase::Prepared { .. })
                        | (Waits::Start(_) | Waits::Deadline(_) | Waits::Restore(_), Phase::Active)
                        | (Waits::Drain(_), Phase::Draining { .. })
                        | (Waits::RetryUnsteer(..), Phase::Stuck { next: Next::Unsteer, .. })
                        | (Waits::RetryRemove(..), Phase::Stuck { next: Next::Remove, .. })
                );
                prop_assert!(agrees, "{waits:?} {phase:?}");
            }
        }
        // Nothing is stuck for ever once the kernel stops refusing.
        for _ in 0..3 {
            model.now += 120_000;
            run_due(&mut ledger, &mut model, false)?;
        }
        prop_assert!(ledger.is_empty());
    }
}
