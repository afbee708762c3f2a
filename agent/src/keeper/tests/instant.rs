//! Prepared, committed and restored at instants, through the real keeper.

use super::timing::{kinds, until};
use super::*;
use crate::keeper::fault::Phase;

fn prepare(id: &str, json: &str, patience: Duration) -> Request {
    Request { prepare: Some(Span::new(patience).unwrap()), ..request(id, json) }
}

fn id() -> FaultId {
    "f".parse().unwrap()
}

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn what_is_prepared_cuts_nothing_and_starts_at_the_instant_that_it_is_committed_to() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, mut alarm, world) = keeper(dir.path()).await;
    let mut events = keeper.events.subscribe();
    let (new, status) = keeper.inject(prepare("f", LOSS, MINUTE)).await.unwrap();
    assert_eq!((new, status.state, status.verdict), (true, State::Prepared, Verdict::Confirmed));
    assert!((59_000..=60_000).contains(&status.remaining_ms), "{}", status.remaining_ms);
    assert_eq!((status.started_boot_ns, world.lock().unwrap().steps[&1].len()), (None, 1));
    assert!(world.lock().unwrap().timeouts.is_empty(), "nothing is cut");
    // A retry is the same; the fault itself is not to be had under that id meanwhile.
    assert!(!keeper.inject(prepare("f", LOSS, MINUTE)).await.unwrap().0);
    assert!(matches!(keeper.inject(request("f", LOSS)).await, Err(Error::Taken { .. })));

    let changed = keeper.change(&id(), Span::from_secs(30), "me".to_owned()).await;
    assert!(matches!(changed, Err(Error::Uncommitted(_))), "{changed:?}");

    let at = BootTime::now() + Duration::from_millis(300);
    let committed = keeper.commit(&id(), at, None, "me".to_owned()).unwrap();
    assert_eq!(committed.state, State::Waiting);
    assert_eq!(keeper.commit(&id(), at, None, "me".to_owned()).unwrap().state, State::Waiting, "a retry");
    let other = at + Duration::from_millis(1);
    assert!(matches!(keeper.commit(&id(), other, None, "me".to_owned()), Err(Error::Committed(_))));
    // And a retry of the prepare finds what has become of it.
    assert_eq!(keeper.inject(prepare("f", LOSS, MINUTE)).await.unwrap().1.state, State::Waiting);
    assert!(world.lock().unwrap().timeouts.is_empty(), "too early");
    until(&mut keeper, &mut alarm, |_| !world.lock().unwrap().timeouts.is_empty()).await;
    let started = keeper.list().await[0].started_boot_ns.unwrap();
    assert!(started >= at.nanos(), "{} ns too early", at.nanos() - started);
    assert_eq!(keeper.ledger.get(&id()).unwrap().timing.deadline, at + MINUTE);
    use EventKind::{Committed, Prepared, Started};
    assert_eq!(kinds(&mut events), [Prepared, Committed, Started]);
}

#[tokio::test]
async fn what_nobody_commits_expires_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, mut alarm, world) = keeper(dir.path()).await;
    keeper.inject(prepare("f", BOTH, Duration::from_millis(200))).await.unwrap();
    until(&mut keeper, &mut alarm, |keeper| keeper.ledger.is_empty()).await;
    assert!(world.lock().unwrap().is_clean() && world.lock().unwrap().timeouts.is_empty());
    assert_eq!(keeper.journal.history(1).unwrap()[0].end, End::Expired);
    let late = keeper.commit(&id(), BootTime::now() + MINUTE, None, "me".to_owned());
    assert!(matches!(late, Err(Error::Unknown(_))));
}

#[tokio::test]
async fn a_commit_to_the_past_starts_nothing_and_one_to_the_far_future_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, _alarm, world) = keeper(dir.path()).await;
    keeper.inject(prepare("f", LOSS, MINUTE)).await.unwrap();
    let past = keeper.commit(&id(), BootTime::now(), None, "me".to_owned());
    assert!(matches!(past, Err(Error::TooLate { .. })), "{past:?}");
    let far = keeper.commit(&id(), BootTime::now() + 100 * MINUTE, None, "me".to_owned());
    assert!(matches!(far, Err(Error::Denied(_))), "{far:?}");
    assert!(matches!(keeper.ledger.get(&id()).unwrap().phase, Phase::Prepared { .. }));
    assert!(world.lock().unwrap().timeouts.is_empty());
    let later = LOSS.replace("]}}", "]},\"start_in\":\"1s\"}");
    assert!(matches!(keeper.inject(prepare("g", &later, MINUTE)).await, Err(Error::PreparedLater)));
}

#[tokio::test]
async fn an_agent_that_did_not_run_at_the_instant_does_not_start_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, mut alarm, world) = keeper(dir.path()).await;
    keeper.inject(prepare("f", LOSS, MINUTE)).await.unwrap();
    keeper.commit(&id(), BootTime::now() + Duration::from_millis(50), None, "me".to_owned()).unwrap();
    // As if it had been stopped.
    std::thread::sleep(Duration::from_millis(1_100));
    until(&mut keeper, &mut alarm, |keeper| keeper.ledger.is_empty()).await;
    assert!(world.lock().unwrap().timeouts.is_empty(), "nothing was cut");
    assert_eq!(keeper.journal.history(1).unwrap()[0].end, End::Missed);
}

#[tokio::test]
async fn a_restore_at_an_instant_is_the_kernels_new_deadline_and_never_a_later_one() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, mut alarm, world) = keeper(dir.path()).await;
    keeper.inject(request("f", LOSS)).await.unwrap();
    let later = BootTime::now() + 2 * MINUTE;
    keeper.restore_at(&id(), later, "me".to_owned()).await.unwrap();
    assert_eq!(world.lock().unwrap().timeouts[&1], MINUTE, "it is over sooner by itself");
    let at = BootTime::now() + Duration::from_millis(300);
    let status = keeper.restore_at(&id(), at, "me".to_owned()).await.unwrap();
    assert_eq!(status.state, State::Active);
    assert!(world.lock().unwrap().timeouts[&1] <= Duration::from_millis(300));
    let extended = keeper.change(&id(), Span::from_secs(600), "you".to_owned()).await;
    assert!(matches!(extended, Err(Error::Restoring { .. })), "it is not taken back by an extension");
    let said = extended.unwrap_err().to_string();
    assert!(said.contains(", because me said so: "), "{said}");
    until(&mut keeper, &mut alarm, |keeper| keeper.ledger.is_empty()).await;
    let over = &keeper.journal.history(1).unwrap()[0];
    assert_eq!(over.end, End::Restored { who: "me".to_owned() });
    assert!(over.ended_boot_ns.unwrap() >= at.nanos());
    assert!(world.lock().unwrap().is_clean());
}

#[tokio::test]
async fn what_is_not_in_force_is_restored_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, _alarm, world) = keeper(dir.path()).await;
    let at = BootTime::now() + MINUTE;
    keeper.inject(prepare("f", LOSS, MINUTE)).await.unwrap();
    assert_eq!(keeper.restore_at(&id(), at, "me".to_owned()).await.unwrap().state, State::Restored);
    keeper.inject(prepare("f", LOSS, MINUTE)).await.unwrap();
    keeper.commit(&id(), at, None, "me".to_owned()).unwrap();
    let all = keeper.restore_all_at(at, "me").await;
    assert_eq!(all.iter().map(|fault| fault.state).collect::<Vec<_>>(), [State::Restored]);
    assert!(keeper.ledger.is_empty() && world.lock().unwrap().is_clean());
}
