//! The ledger in single steps; [`model`] takes many at random.

mod model;

use partition_agent_proto::{State, Verdict};

use super::*;
use crate::keeper::fault::{Part, state};
use crate::kernel::Survey;
use crate::plan::{Draft, Guard, Place, Plan};

/// Every second one has a lease.
fn is_leased(id: &str) -> bool {
    matches!(id, "f1" | "f3")
}

fn spec(id: &str, latency: bool) -> FaultSpec {
    let delay = if latency { r#",{"delay":{"latency":"2s"}}"# } else { "" };
    let lease = if is_leased(id) { r#","lease":"3s""# } else { "" };
    serde_json::from_str(&format!(
        r#"{{"kinds":[{{"loss":{{"percent":1}}}}{delay}],"target":{{"ports":[1]}}{lease}}}"#
    ))
    .unwrap()
}

pub fn fault(id: &str, slot: u32, latency: bool, now: BootTime, deadline: BootTime) -> Fault {
    let spec = spec(id, latency);
    let plan = Plan::new(&Draft {
        spec: &spec,
        egress: &spec.kinds,
        ingress: &spec.kinds,
        targets: &[],
        except: &[],
        keep: &[],
        place: &Place::host(),
        sender: None,
        interfaces: &[],
        which: &BTreeMap::new(),
        taps: &[],
        left_out: &[],
        not_ethernet: &[],
        emulated: false,
        natted: false,
        bit: None,
        servers: &[],
        guard: &Guard::new(&[], None),
        slot,
        order: slot,
        timeout: None,
    });
    let mut timing = Timing::new(&spec, now);
    timing.deadline = deadline;
    Fault {
        id: id.parse().unwrap(),
        spec,
        sources: Sources::default(),
        parts: vec![Part::new(plan.unwrap(), vec![], Survey::default(), None)],
        order: slot,
        by: String::new(),
        protects: vec![],
        injected_at: String::new(),
        timing,
        next_on: None,
        retry_arm: None,
        next_step: None,
        started: None,
        ended: None,
        committed: false,
        attempt: None,
        restored_by: None,
        engine: None,
        verdict: Verdict::Confirmed,
        behind: None,
        not_reset: None,
        elsewhere: Hits::default(),
        phase: Phase::Active,
    }
}

fn at(millis: u64) -> BootTime {
    BootTime::after_boot(Duration::from_millis(millis))
}

#[test]
fn a_fault_that_was_restored_is_not_due_at_its_old_deadline() {
    let mut ledger = Ledger::new(10);
    let id = "f".parse().unwrap();
    ledger.activate(fault("f", 1, true, at(0), at(1000)));
    ledger.unsteered(at(500), &id, End::Shutdown);
    assert_eq!(ledger.due(at(1020)), []);
    assert_eq!(ledger.due(at(2600)), [Due::Remove(id.clone())]);
    assert_eq!(ledger.removed(&id).map(|(_, end)| end), Some(End::Shutdown));
    assert_eq!(ledger.removed(&id), None);
}

#[test]
fn a_flap_is_due_at_every_start_and_a_wait_at_its_end() {
    let mut ledger = Ledger::new(10);
    let id = "f".parse::<FaultId>().unwrap();
    let mut flapping = fault("f", 1, false, at(0), at(10_000));
    let json = r#"{"kinds":[{"loss":{"percent":1}}],"target":{"ports":[1]},"start_in":"1s","flap":{"on":"2s","off":"3s"},"for":"12s"}"#;
    flapping.spec = serde_json::from_str(json).unwrap();
    flapping.timing = Timing::new(&flapping.spec, at(0));
    flapping.next_on = flapping.timing.next_on(at(0));
    ledger.activate(flapping);
    assert_eq!(state(ledger.get(&id).unwrap(), at(999)), State::Waiting);
    for start in [1_000, 6_000, 11_000] {
        assert_eq!((ledger.due(at(start - 1)), ledger.next_due()), (vec![], Some(at(start))));
        assert_eq!(ledger.due(at(start)), [Due::Arm(id.clone())]);
        ledger.armed(&id, at(start), false);
        assert_eq!(state(ledger.get(&id).unwrap(), at(start)), State::Active);
    }
    assert_eq!(ledger.next_due(), Some(at(13_020)));
    assert_eq!(ledger.due(at(13_020)), [Due::Unsteer(id, End::Deadline)]);
}

#[test]
fn a_start_that_was_refused_is_tried_again_whatever_becomes_of_its_deadline() {
    let mut ledger = Ledger::new(10);
    let id = "f".parse::<FaultId>().unwrap();
    ledger.activate(fault("f", 1, false, at(0), at(60_000)));
    ledger.armed(&id, at(0), true);
    ledger.rearmed(&id, at(500), Duration::from_secs(30));
    ledger.renewed(&id, at(600));
    assert_eq!((ledger.due(at(999)), ledger.next_due()), (vec![], Some(at(1_000))));
    assert_eq!(ledger.due(at(1_000)), [Due::Arm(id.clone())]);
    ledger.armed(&id, at(1_000), false);
    assert_eq!(ledger.next_due(), Some(at(30_520)));
}
