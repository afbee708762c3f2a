//! What the kernel or the disk refuses beside a step: a reset, a new deadline, a line of the journal.

use nix::errno::Errno;

use super::follow::{Namespaces, entered, id, in_places};
use super::timing::{kinds, until};
use super::*;

const RESET: &str = r#"{"kinds":[{"loss":{"percent":10}},{"reset":{}}],"target":{"peers":["10.0.0.5"]}}"#;

#[tokio::test]
async fn a_reset_that_is_refused_fails_the_inject_like_a_step() {
    let dir = tempfile::tempdir().unwrap();
    let namespaces = Namespaces::new();
    let (mut keeper, _alarm, world) = keeper(dir.path()).await;
    world.lock().unwrap().refuse_reset = true;
    let error = keeper.inject(in_places("f", RESET, namespaces.sites(&["a", "b"]))).await.unwrap_err();
    let said = error.to_string();
    assert!(said.starts_with("the kernel refused `ss --kill`"), "{said}");
    // One in each place, then the resets.
    assert!(said.contains("step 3 of 3; the steps before it were undone"), "{said}");
    assert!(keeper.ledger.is_empty() && world.lock().unwrap().is_clean());
    assert!(entered(&world.lock().unwrap()).is_empty());
    // What was reset before that cannot be undone, and is counted.
    let over = keeper.journal.history(1).unwrap().remove(0);
    assert!(matches!(over.end, End::Failed { .. }), "{:?}", over.end);
    assert_eq!((over.hits.reset_connections, world.lock().unwrap().resets), (2, 2));
}

#[tokio::test]
async fn a_reset_that_is_refused_at_the_start_is_in_the_verdict() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, mut alarm, world) = keeper(dir.path()).await;
    let json = RESET.replace("]}}", r#"]},"start_in":"200ms"}"#);
    assert_eq!(keeper.inject(request("f", &json)).await.unwrap().1.verdict, Verdict::Confirmed);
    world.lock().unwrap().refuse_reset = true;
    until(&mut keeper, &mut alarm, |keeper| keeper.ledger.get(&id("f")).unwrap().next_on.is_none()).await;
    let status = keeper.get(&id("f")).await.unwrap();
    let verdict = status.verdict.to_string();
    assert!(
        verdict.starts_with("mismatch: connections were not reset: the kernel refused `ss --kill`"),
        "{verdict}"
    );
    assert_eq!((status.state, status.hits.reset_connections), (State::Active, 1));
}

#[tokio::test]
async fn a_deadline_that_one_place_refuses_is_moved_in_none() {
    let dir = tempfile::tempdir().unwrap();
    let namespaces = Namespaces::new();
    let (mut keeper, _alarm, world) = keeper(dir.path()).await;
    keeper.inject(in_places("f", LOSS, namespaces.sites(&["a", "b", "c"]))).await.unwrap();
    let minute = Duration::from_secs(60);
    world.lock().unwrap().refuse_rearm.insert(3, Errno::ENOMEM);
    for asked in [Span::from_secs(600), Span::from_secs(1)] {
        let error = keeper.change(&id("f"), asked, "me".to_owned()).await.unwrap_err().to_string();
        assert!(error.ends_with("; it ends when it did before"), "{error}");
        let timeouts = world.lock().unwrap().timeouts.clone();
        // Counted from a little later than the first time.
        let as_before = |left: &Duration| *left <= minute && *left > minute - Duration::from_secs(30);
        assert!(timeouts.len() == 3 && timeouts.values().all(as_before), "{timeouts:?}");
        let status = keeper.get(&id("f")).await.unwrap();
        assert_eq!(status.verdict, Verdict::Confirmed);
        assert!(status.remaining_ms <= 60_000, "{}", status.remaining_ms);
    }
    // And said where that is refused, too.
    world.lock().unwrap().refuse_rearm_again = Some(1);
    let error = keeper.change(&id("f"), Span::from_secs(600), "me".to_owned()).await.unwrap_err().to_string();
    assert!(error.contains("it ends when it did before, except in a: the kernel refused"), "{error}");
    let verdict = keeper.get(&id("f")).await.unwrap().verdict.to_string();
    assert!(verdict.contains("does not time out with the fault"), "{verdict}");
}

#[tokio::test]
async fn a_place_that_is_gone_does_not_keep_the_deadline_from_moving_in_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let namespaces = Namespaces::new();
    let (mut keeper, _alarm, world) = keeper(dir.path()).await;
    keeper.inject(in_places("f", LOSS, namespaces.sites(&["a", "b"]))).await.unwrap();
    world.lock().unwrap().refuse_rearm.insert(1, Errno::ENOENT);
    let status = keeper.change(&id("f"), Span::from_secs(600), "me".to_owned()).await.unwrap();
    assert!(status.remaining_ms > 590_000, "{}", status.remaining_ms);
    let told = world.lock().unwrap().timeouts[&2];
    assert!(told <= Duration::from_secs(600) && told > Duration::from_secs(590), "{told:?}");
    world.lock().unwrap().refuse_rearm.insert(2, Errno::ENOENT);
    let over = keeper.change(&id("f"), Span::from_secs(10), "me".to_owned()).await;
    assert!(matches!(over, Err(Error::Over(_))), "{over:?}");
}

#[tokio::test]
async fn a_journal_that_refuses_keeps_no_place_held() {
    let dir = tempfile::tempdir().unwrap();
    let namespaces = Namespaces::new();
    let (mut keeper, _alarm, world) = keeper(dir.path()).await;
    keeper.journal.fill();
    let refused = keeper.inject(in_places("f", LOSS, namespaces.sites(&["a"]))).await;
    assert!(matches!(refused, Err(Error::Journal(_))), "{refused:?}");
    assert_eq!(entered(&world.lock().unwrap()), [""; 0]);
}

#[tokio::test]
async fn a_start_that_a_place_refuses_is_tried_again_after_a_change_and_a_renewal() {
    for places in [["a", "b"].as_slice(), &["b"]] {
        let dir = tempfile::tempdir().unwrap();
        let namespaces = Namespaces::new();
        let (mut keeper, mut alarm, world) = keeper(dir.path()).await;
        let last = u32::try_from(places.len()).unwrap();
        world.lock().unwrap().refuse_arm.insert(last);
        let json = LOSS.replace("]}}", r#"]},"start_in":"200ms","for":"60s","lease":"30s"}"#);
        keeper.inject(in_places("f", &json, namespaces.sites(places))).await.unwrap();
        let mut events = keeper.events.subscribe();
        let fault = |keeper: &Keeper<Fake>| keeper.ledger.get(&id("f")).unwrap().clone();
        until(&mut keeper, &mut alarm, |keeper| fault(keeper).retry_arm.is_some()).await;
        keeper.change(&id("f"), Span::from_secs(600), "me".to_owned()).await.unwrap();
        keeper.renew(&id("f")).await.unwrap();
        assert!(fault(&keeper).started.is_none() && !world.lock().unwrap().timeouts.contains_key(&last));
        world.lock().unwrap().refuse_arm.clear();
        until(&mut keeper, &mut alarm, |keeper| fault(keeper).retry_arm.is_none()).await;
        assert!(fault(&keeper).started.is_some() && world.lock().unwrap().timeouts.contains_key(&last));
        assert!(kinds(&mut events).contains(&EventKind::Started));
        assert_eq!(keeper.get(&id("f")).await.unwrap().verdict, Verdict::Confirmed);
    }
}
