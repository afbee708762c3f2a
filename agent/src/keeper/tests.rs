//! The keeper on the fake kernel: every step refused in turn, deadlines, and what is left afterwards.

use std::sync::{Arc, Mutex};

use super::*;
use crate::kernel::fake::{Fake, World};
use crate::plan::Address;
use crate::policy::Policy;
use partition_agent_proto::{Span, State, Verdict};
use tokio::sync::oneshot;

mod behind;
mod follow;
mod force;
mod instant;
mod lease;
mod limits;
mod refused;
mod tally;
mod timing;

fn request(id: &str, json: &str) -> Request {
    let net = "10.0.0.5/32".parse().unwrap();
    Request {
        id: Some(id.parse().unwrap()),
        spec: serde_json::from_str(json).unwrap(),
        sources: Sources {
            targets: vec![Address { net, ports: None }],
            sites: vec![Site::host()],
            ..Sources::default()
        },
        by: "test".to_owned(),
        dry_run: false,
        prepare: None,
        attempt: None,
    }
}

const BOTH: &str =
    r#"{"kinds":[{"loss":{"percent":10}},{"delay":{"latency":"10ms"}}],"target":{"peers":["10.0.0.5"]}}"#;
const LOSS: &str = r#"{"kinds":[{"loss":{"percent":10}}],"target":{"peers":["10.0.0.5"]}}"#;

async fn keeper(dir: &std::path::Path) -> (Keeper<Fake>, Alarm, Arc<Mutex<World>>) {
    let fake = Fake::default();
    let world = Arc::clone(&fake.world);
    let settings = Settings {
        guard: Guard::new(&[], Some(7433)),
        policy: Policy { longest: Span::from_secs(3600), most_faults: 3, ..Policy::default() },
        state_dir: dir.to_owned(),
    };
    let (events, _) = broadcast::channel(16);
    let (keeper, alarm) = Keeper::start(settings, fake, events).await.unwrap();
    (keeper, alarm, world)
}

#[tokio::test]
async fn a_refused_step_leaves_nothing_and_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, _alarm, world) = keeper(dir.path()).await;
    let steps = keeper.inject(Request { dry_run: true, ..request("f", BOTH) }).await.unwrap().1.plan.unwrap();
    assert_eq!(steps.lines().filter(|line| line.starts_with("ip ") || line.starts_with("tc ")).count(), 6);
    for refused in 0..7 {
        world.lock().unwrap().refuse_apply = Some(refused);
        let error = keeper.inject(request("f", BOTH)).await.unwrap_err().to_string();
        assert!(error.contains(&format!("step {} of 7", refused + 1)), "{error}");
        assert!(error.contains("the fake kernel was told to refuse"), "{error}");
        assert!(error.starts_with("the kernel refused `"), "{error}");
        assert!(world.lock().unwrap().is_clean(), "{:?}", world.lock().unwrap());
        assert!(keeper.ledger.is_empty());
    }
    world.lock().unwrap().refuse_apply = None;
    let (new, status) = keeper.inject(request("f", BOTH)).await.unwrap();
    assert!(new);
    assert_eq!((status.state, status.verdict), (State::Active, Verdict::Confirmed));
    assert_eq!(keeper.journal.history(100).unwrap().len(), 7);
}

#[tokio::test]
async fn an_undo_that_is_refused_too_is_named_and_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, mut alarm, world) = keeper(dir.path()).await;
    world.lock().unwrap().refuse_apply = Some(3);
    world.lock().unwrap().refuse_undo = 4;
    let error = keeper.inject(request("f", BOTH)).await.unwrap_err().to_string();
    assert!(error.contains("the agent keeps trying"), "{error}");
    assert_eq!(keeper.list().await[0].state, State::Stuck);
    while !keeper.ledger.is_empty() {
        alarm.ring(keeper.ledger.next_due()).await;
        keeper.do_due().await;
    }
    assert!(world.lock().unwrap().is_clean());
}

#[tokio::test]
async fn a_restore_that_is_refused_is_stuck_and_succeeds_later() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, mut alarm, world) = keeper(dir.path()).await;
    keeper.inject(request("f", LOSS)).await.unwrap();
    world.lock().unwrap().refuse_undo = 1;
    let by = || End::Restored { who: "me".to_owned() };
    assert!(keeper.restore(&"f".parse().unwrap(), by()).await.is_err());
    assert_eq!(keeper.list().await[0].state, State::Stuck);
    alarm.ring(keeper.ledger.next_due()).await;
    keeper.do_due().await;
    assert!(world.lock().unwrap().is_clean());
    assert_eq!(keeper.journal.history(1).unwrap()[0].end, by());
}

#[tokio::test]
async fn the_same_fault_again_is_the_same_and_another_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, _alarm, _world) = keeper(dir.path()).await;
    assert!(keeper.inject(request("f", LOSS)).await.unwrap().0);
    assert!(!keeper.inject(request("f", LOSS)).await.unwrap().0);
    assert!(matches!(keeper.inject(request("f", BOTH)).await, Err(Error::Taken { .. })));
    keeper.inject(request("g", LOSS)).await.unwrap();
    keeper.inject(request("h", LOSS)).await.unwrap();
    assert!(matches!(keeper.inject(request("i", LOSS)).await, Err(Error::Denied(_))));
    let long = LOSS.replace(r#"]}}"#, r#"]},"for":"2h"}"#);
    assert!(matches!(keeper.inject(request("j", &long)).await, Err(Error::Denied(_))));
}

#[tokio::test]
async fn a_changed_deadline_reaches_the_kernel() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, _alarm, world) = keeper(dir.path()).await;
    keeper.inject(request("f", LOSS)).await.unwrap();
    let id = "f".parse::<FaultId>().unwrap();
    let status = keeper.change(&id, Span::from_secs(600), "me".to_owned()).await.unwrap();
    let told = world.lock().unwrap().timeouts[&1];
    assert!(told <= Duration::from_secs(600) && told > Duration::from_secs(590), "{told:?}");
    assert!((599_000..=600_000).contains(&status.remaining_ms));
    assert_eq!(status.verdict, Verdict::Confirmed);
    assert!(matches!(keeper.change(&id, Span::MAX, "me".to_owned()).await, Err(Error::Denied(_))));
    let nobody = keeper.change(&"g".parse().unwrap(), Span::from_secs(1), "me".to_owned()).await;
    assert!(matches!(nobody, Err(Error::Unknown(_))));
}

#[tokio::test]
async fn a_later_agent_sweeps_and_closes_what_an_earlier_one_left() {
    let dir = tempfile::tempdir().unwrap();
    let (mut first, ..) = keeper(dir.path()).await;
    first.inject(request("f", LOSS)).await.unwrap();
    drop(first);
    let (second, _alarm, world) = keeper(dir.path()).await;
    assert!(world.lock().unwrap().is_clean());
    let over = second.journal.history(10).unwrap();
    assert_eq!(
        over.iter().map(|h| (h.id.as_str(), h.end.clone())).collect::<Vec<_>>(),
        [("f", End::AgentDied)]
    );
}

#[tokio::test]
async fn a_stuck_fault_does_not_keep_the_agent_from_stopping() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, alarm, world) = keeper(dir.path()).await;
    keeper.inject(request("f", LOSS)).await.unwrap();
    world.lock().unwrap().refuse_undo = usize::MAX;
    let (commands, inbox) = mpsc::channel(1);
    let (reply, stopped) = oneshot::channel();
    commands.send(Command::Shutdown { reply }).await.unwrap();
    keeper.run(inbox, alarm).await;
    assert!(stopped.await.unwrap().is_ok());
}
