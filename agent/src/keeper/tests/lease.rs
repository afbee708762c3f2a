//! Leases on the fake kernel: what it is told, in which places, and what a fault ends with that nobody renews.

use std::time::Duration;

use nix::errno::Errno;

use super::timing::{kinds, until};
use super::*;

const LEASED: &str =
    r#"{"kinds":[{"loss":{"percent":10}}],"target":{"peers":["10.0.0.5"]},"for":"60s","lease":"2s"}"#;

fn id() -> FaultId {
    "f".parse().unwrap()
}

#[tokio::test]
async fn a_fault_that_nobody_renews_ends_with_its_lease() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, mut alarm, world) = keeper(dir.path()).await;
    let begun = BootTime::now();
    let (_, status) = keeper.inject(request("f", LEASED)).await.unwrap();
    assert!(world.lock().unwrap().timeouts[&1] <= Duration::from_secs(2));
    assert!(status.lease_remaining_ms.unwrap() <= 2_000 && status.remaining_ms > 50_000, "{status:?}");
    until(&mut keeper, &mut alarm, |keeper| keeper.ledger.is_empty()).await;
    assert!(begun.until(BootTime::now()) >= Duration::from_secs(2), "too early");
    assert_eq!(keeper.journal.history(1).unwrap()[0].end, End::LeaseLost);
    assert!(world.lock().unwrap().is_clean());
    assert!(matches!(keeper.renew(&id()).await, Err(Error::Unknown(_))));
}

#[tokio::test]
async fn a_renewal_gives_the_kernel_the_whole_lease_and_no_more_than_the_deadline() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, _alarm, world) = keeper(dir.path()).await;
    let json = LEASED.replace("60s", "3s");
    keeper.inject(request("f", &json)).await.unwrap();
    let mut events = keeper.events.subscribe();
    let deadline = keeper.ledger.get(&id()).unwrap().timing.deadline;
    // The second one reaches the deadline.
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(600)).await;
        let left = BootTime::now().until(deadline);
        let status = keeper.renew(&id()).await.unwrap();
        let told = world.lock().unwrap().timeouts[&1];
        assert!(told <= left && told <= Duration::from_secs(2), "{told:?} of {left:?}");
        assert!(
            told + Duration::from_millis(300) >= left.min(Duration::from_secs(2)),
            "{told:?} of {left:?}"
        );
        assert!(status.lease_remaining_ms.unwrap() <= status.remaining_ms);
        assert_eq!(keeper.get(&id()).await.unwrap().verdict, Verdict::Confirmed);
    }
    // Nobody is told of each, and it is not written down.
    assert_eq!(kinds(&mut events), []);
    let journal = std::fs::read_to_string(dir.path().join("journal.jsonl")).unwrap();
    assert_eq!(journal.lines().count(), 1, "{journal}");
}

#[tokio::test]
async fn a_renewal_that_one_place_refuses_is_in_force_in_none() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, _alarm, world) = keeper(dir.path()).await;
    keeper.inject(request("f", &LEASED.replace("2s", "20s"))).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let before = keeper.ledger.get(&id()).unwrap().timing;
    world.lock().unwrap().refuse_rearm.insert(1, Errno::ENOMEM);
    assert!(matches!(keeper.renew(&id()).await, Err(Error::Unmoved { .. })));
    assert_eq!(keeper.ledger.get(&id()).unwrap().timing, before);
    // The kernel has ended it a moment before the agent thought so.
    world.lock().unwrap().refuse_rearm.insert(1, Errno::ENOENT);
    assert!(matches!(keeper.renew(&id()).await, Err(Error::Over(_))));
    assert_eq!(keeper.ledger.get(&id()).unwrap().timing, before);
}

/// What the kernel has ended with the lease is over, though the next turn of the flap would be to come.
#[tokio::test]
async fn a_flap_that_ended_with_its_lease_is_over_and_one_in_its_pause_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, _alarm, world) = keeper(dir.path()).await;
    let flapping = |lease: &str| {
        let flap = format!(r#""flap":{{"on":"20s","off":"10s"}},"lease":"{lease}""#);
        LEASED.replace(r#""lease":"2s""#, &flap)
    };
    keeper.inject(request("f", &flapping("15s"))).await.unwrap();
    keeper.inject(request("g", &flapping("25s"))).await.unwrap();
    let absent = [1, 2].map(|slot| (slot, Errno::ENOENT));
    world.lock().unwrap().refuse_rearm.extend(absent);
    // A lease that is renewed at once would end when it does now, to the millisecond.
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(matches!(keeper.renew(&id()).await, Err(Error::Over(_))));
    // This one times out with its turn, and a new lease would not change that.
    let other = "g".parse().unwrap();
    assert!(keeper.renew(&other).await.is_ok());
    assert!(keeper.change(&other, Span::from_secs(10), "me".to_owned()).await.is_ok());
}

#[tokio::test]
async fn a_lease_of_a_prepared_fault_begins_with_its_start() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, mut alarm, world) = keeper(dir.path()).await;
    let prepared = Request { prepare: Some(Span::from_secs(30)), ..request("f", LEASED) };
    keeper.inject(prepared).await.unwrap();
    let status = keeper.renew(&id()).await.unwrap();
    assert_eq!((status.state, status.lease_remaining_ms), (State::Prepared, None));
    let start = BootTime::now() + Duration::from_millis(500);
    keeper.commit(&id(), start, None, "me".to_owned()).unwrap();
    let status = keeper.renew(&id()).await.unwrap();
    assert!((2_001..=2_500).contains(&status.lease_remaining_ms.unwrap()), "{status:?}");
    assert!(world.lock().unwrap().timeouts.is_empty());
    until(&mut keeper, &mut alarm, |_| !world.lock().unwrap().timeouts.is_empty()).await;
    assert!(world.lock().unwrap().timeouts[&1] <= Duration::from_secs(2));
    until(&mut keeper, &mut alarm, |keeper| keeper.ledger.is_empty()).await;
    assert!(start.until(BootTime::now()) >= Duration::from_secs(2), "too early");
    assert_eq!(keeper.journal.history(1).unwrap()[0].end, End::LeaseLost);
}

#[tokio::test]
async fn a_fault_without_a_lease_has_nothing_to_renew() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, ..) = keeper(dir.path()).await;
    keeper.inject(request("f", LOSS)).await.unwrap();
    assert!(matches!(keeper.renew(&id()).await, Err(Error::NoLease(_))));
}
