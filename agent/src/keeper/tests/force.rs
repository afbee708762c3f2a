//! An agent that is held up between reading the clock and telling the kernel: nothing outlives its end by that.

use super::follow::{Namespaces, id, in_places, sources};
use super::timing::until;
use super::*;

/// How long it is held up, and how much of that may be in the end of a fault. Far more than a busy machine takes.
const STALL: Duration = Duration::from_millis(1_500);
const SLACK: Duration = Duration::from_millis(700);

fn lasting(more: &str) -> String {
    LOSS.replace("]}}", &format!("]}},{more}}}"))
}

/// That the kernel ends it with the fault, in this slot.
#[track_caller]
fn ends_in_time(keeper: &Keeper<Fake>, world: &Mutex<World>, slot: u32) {
    let left = world.lock().unwrap().left(slot).unwrap_or_default();
    let end = keeper.ledger.get(&id("f")).unwrap().timing.end();
    let late = end.until(BootTime::now() + left);
    assert!(late < SLACK, "in slot {slot} it ends {late:?} late");
}

#[tokio::test]
async fn a_start_that_is_held_up_ends_when_it_should() {
    let dir = tempfile::tempdir().unwrap();
    let namespaces = Namespaces::new();
    let (mut keeper, mut alarm, world) = keeper(dir.path()).await;
    let json = lasting(r#""start_in":"200ms","for":"10m""#);
    keeper.inject(in_places("f", &json, namespaces.sites(&["a", "b"]))).await.unwrap();
    world.lock().unwrap().stall = STALL;
    until(&mut keeper, &mut alarm, |_| world.lock().unwrap().timeouts.len() == 2).await;
    ends_in_time(&keeper, &world, 1);
    ends_in_time(&keeper, &world, 2);
}

#[tokio::test]
async fn a_start_that_is_held_up_until_after_the_end_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, mut alarm, world) = keeper(dir.path()).await;
    keeper.inject(request("f", &lasting(r#""start_in":"200ms","for":"1s""#))).await.unwrap();
    world.lock().unwrap().stall = STALL;
    until(&mut keeper, &mut alarm, |_| !world.lock().unwrap().timeouts.is_empty()).await;
    let told = world.lock().unwrap().timeouts[&1];
    assert!(told < Duration::from_millis(100), "{told:?}");
}

#[tokio::test]
async fn another_deadline_a_renewal_and_a_restore_that_are_held_up_move_the_end_to_where_they_say() {
    let dir = tempfile::tempdir().unwrap();
    let namespaces = Namespaces::new();
    let (mut keeper, _alarm, world) = keeper(dir.path()).await;
    let json = lasting(r#""for":"10m","lease":"5m""#);
    keeper.inject(in_places("f", &json, namespaces.sites(&["a", "b"]))).await.unwrap();
    let stalled = || world.lock().unwrap().stall = STALL;
    stalled();
    keeper.renew(&id("f")).await.unwrap();
    ends_in_time(&keeper, &world, 1);
    ends_in_time(&keeper, &world, 2);
    stalled();
    keeper.change(&id("f"), Span::from_secs(60), "me".to_owned()).await.unwrap();
    ends_in_time(&keeper, &world, 1);
    ends_in_time(&keeper, &world, 2);
    stalled();
    keeper.restore_at(&id("f"), BootTime::now() + Duration::from_secs(30), "me".to_owned()).await.unwrap();
    ends_in_time(&keeper, &world, 1);
    ends_in_time(&keeper, &world, 2);
}

#[tokio::test]
async fn a_place_that_joins_late_ends_with_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let namespaces = Namespaces::new();
    let (mut keeper, _alarm, world) = keeper(dir.path()).await;
    keeper.inject(in_places("f", &lasting(r#""for":"1s""#), namespaces.sites(&["a"]))).await.unwrap();
    world.lock().unwrap().stall = STALL;
    keeper.follow(&id("f"), sources(&["10.0.0.5/32"], namespaces.sites(&["a", "b"]))).await.unwrap();
    let told = world.lock().unwrap().timeouts[&2];
    assert!(told < Duration::from_millis(100), "it was over before it joined: {told:?}");
}
