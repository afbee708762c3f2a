//! A change that is refused: what the kernel holds is what is said, and the rest is tried again.

use super::follow::{Namespaces, entered, id, in_places, places, sources, steered, texts};
use super::timing::until;
use super::*;
use crate::plan::Element;

fn host(address: &str) -> Element {
    Element::Host(address.parse().unwrap())
}

#[tokio::test]
async fn a_refused_address_is_not_said_to_be_followed_and_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, mut alarm, world) = keeper(dir.path()).await;
    keeper.inject(request("f", BOTH)).await.unwrap();
    let mut events = keeper.events.subscribe();
    world.lock().unwrap().refuse_replace = 2;
    keeper.follow(&id("f"), sources(&["10.0.0.8/32"], vec![Site::host()])).await.unwrap();
    assert_eq!(steered(&world.lock().unwrap(), 1), [host("10.0.0.5")]);
    for status in [keeper.get(&id("f")).await.unwrap(), keeper.list().await.remove(0)] {
        assert_eq!(status.first_addresses, ["10.0.0.5"], "what the kernel holds");
        let Verdict::Mismatch { found } = status.verdict else { panic!("{:?}", status.verdict) };
        assert!(found.starts_with("it could not follow a change in host: the kernel refused"), "{found}");
        assert!(found.ends_with("; the agent keeps trying"), "{found}");
    }
    until(&mut keeper, &mut alarm, |_| steered(&world.lock().unwrap(), 1) == [host("10.0.0.8")]).await;
    let mut seen = Vec::new();
    while let Ok(event) = events.try_recv() {
        seen.push((event.kind, event.text));
    }
    // Refused twice for one reason, and said once.
    let [(EventKind::Failed, refused), (EventKind::Followed, followed)] = seen.as_slice() else {
        panic!("{seen:?}")
    };
    assert!(refused.contains("told to refuse"), "{refused}");
    assert_eq!(followed, "its target is now 1 addresses");
    let status = keeper.get(&id("f")).await.unwrap();
    assert_eq!((status.first_addresses, status.verdict), (vec!["10.0.0.8".to_owned()], Verdict::Confirmed));
    assert_eq!(keeper.ledger.get(&id("f")).unwrap().behind, None);
}

#[tokio::test]
async fn addresses_that_no_interface_leads_to_are_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, mut alarm, world) = keeper(dir.path()).await;
    let json = LOSS.replace("]}}", r#"]},"interface":"eth0"}"#);
    keeper.inject(request("f", &json)).await.unwrap();
    world.lock().unwrap().interfaces = vec!["eth1".to_owned()];
    // The interface alone is not missed: its hooks stay, and there is nothing to follow.
    keeper.look_around().await;
    assert_eq!(keeper.get(&id("f")).await.unwrap().verdict, Verdict::Confirmed);
    keeper.follow(&id("f"), sources(&["10.0.0.8/32"], vec![Site::host()])).await.unwrap();
    let verdict = keeper.get(&id("f")).await.unwrap().verdict.to_string();
    assert!(verdict.contains("there is no interface to act on"), "{verdict}");
    world.lock().unwrap().interfaces.clear();
    until(&mut keeper, &mut alarm, |_| steered(&world.lock().unwrap(), 1) == [host("10.0.0.8")]).await;
    assert_eq!(keeper.get(&id("f")).await.unwrap().verdict, Verdict::Confirmed);
}

#[tokio::test]
async fn the_kernels_news_are_a_reason_to_try_again_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, _alarm, world) = keeper(dir.path()).await;
    keeper.inject(request("f", LOSS)).await.unwrap();
    world.lock().unwrap().refuse_replace = 1;
    keeper.follow(&id("f"), sources(&["10.0.0.8/32"], vec![Site::host()])).await.unwrap();
    keeper.look_around().await;
    assert_eq!(steered(&world.lock().unwrap(), 1), [host("10.0.0.8")]);
}

#[tokio::test]
async fn addresses_that_come_to_the_same_sets_are_no_news() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, _alarm, _world) = keeper(dir.path()).await;
    keeper.inject(request("f", LOSS)).await.unwrap();
    let mut events = keeper.events.subscribe();
    keeper.follow(&id("f"), sources(&["10.0.0.5/32", "10.0.0.5/32"], vec![Site::host()])).await.unwrap();
    assert_eq!(texts(&mut events, EventKind::Followed), [""; 0]);
}

#[tokio::test]
async fn a_place_that_cannot_be_entered_is_in_the_verdict_and_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let namespaces = Namespaces::new();
    let (mut keeper, mut alarm, world) = keeper(dir.path()).await;
    keeper.inject(in_places("f", BOTH, namespaces.sites(&["a"]))).await.unwrap();
    world.lock().unwrap().refuse_enter = Some("b".to_owned());
    keeper.follow(&id("f"), sources(&["10.0.0.5/32"], namespaces.sites(&["a", "b"]))).await.unwrap();
    let status = keeper.get(&id("f")).await.unwrap();
    assert_eq!(places(&status), ["a"]);
    let verdict = status.verdict.to_string();
    assert!(verdict.starts_with("mismatch: it is not in b: the kernel refused `enter b`"), "{verdict}");
    world.lock().unwrap().refuse_enter = None;
    until(&mut keeper, &mut alarm, |keeper| keeper.ledger.get(&id("f")).unwrap().parts.len() == 2).await;
    let status = keeper.get(&id("f")).await.unwrap();
    assert_eq!((places(&status), &status.verdict), (vec!["a", "b"], &Verdict::Confirmed));
}

#[tokio::test]
async fn a_place_that_cannot_be_left_is_in_the_verdict_and_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let namespaces = Namespaces::new();
    let (mut keeper, mut alarm, world) = keeper(dir.path()).await;
    keeper.inject(in_places("f", LOSS, namespaces.sites(&["a", "b"]))).await.unwrap();
    world.lock().unwrap().refuse_undo = 1;
    keeper.follow(&id("f"), sources(&["10.0.0.5/32"], namespaces.sites(&["b"]))).await.unwrap();
    assert_eq!(entered(&world.lock().unwrap()), ["a", "b"], "its rules are there, so it is held");
    let verdict = keeper.get(&id("f")).await.unwrap().verdict.to_string();
    assert!(verdict.starts_with("mismatch: it could not leave a: the kernel refused"), "{verdict}");
    until(&mut keeper, &mut alarm, |_| world.lock().unwrap().steps[&1].is_empty()).await;
    assert_eq!(entered(&world.lock().unwrap()), ["b"]);
    assert_eq!(keeper.get(&id("f")).await.unwrap().verdict, Verdict::Confirmed);
}

#[tokio::test]
async fn a_step_of_a_ramp_that_finds_another_interface_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, mut alarm, world) = keeper(dir.path()).await;
    let json = LOSS.replace("]}}", r#"]},"ramp":{"over":"1s"},"for":"10m"}"#);
    keeper.inject(request("f", &json)).await.unwrap();
    let mut events = keeper.events.subscribe();
    world.lock().unwrap().interfaces = vec!["eth1".to_owned()];
    until(&mut keeper, &mut alarm, |keeper| keeper.ledger.get(&id("f")).unwrap().next_step.is_none()).await;
    assert_eq!(texts(&mut events, EventKind::Followed), ["in host, it is now on eth1"]);
}
