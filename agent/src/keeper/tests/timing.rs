//! Starts, flaps and growth through the real keeper, in short times.

use std::time::Instant;

use super::*;
use crate::plan::{Expr, Step};
use tokio::sync::broadcast::Receiver;

/// Does what comes due until it is so. Generous: only a test that hangs meets the end of it.
pub async fn until(keeper: &mut Keeper<Fake>, alarm: &mut Alarm, so: impl Fn(&Keeper<Fake>) -> bool) {
    let begun = Instant::now();
    while !so(keeper) {
        assert!(begun.elapsed() < Duration::from_secs(30), "it never comes");
        alarm.ring(keeper.next_due()).await;
        keeper.do_due().await;
    }
}

pub fn kinds(events: &mut Receiver<Event>) -> Vec<EventKind> {
    std::iter::from_fn(|| events.try_recv().ok()).map(|event| event.kind).collect()
}

fn with(more: &str) -> String {
    LOSS.replace("]}}", &format!("]}},{more}}}"))
}

#[tokio::test]
async fn a_fault_that_starts_later_is_built_at_once_and_hits_nothing_before() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, mut alarm, world) = keeper(dir.path()).await;
    let mut events = keeper.events.subscribe();
    let asked = BootTime::now();
    let (_, status) =
        keeper.inject(request("f", &with(r#""start_in":"300ms","for":"400ms""#))).await.unwrap();
    assert_eq!((status.state, status.verdict), (State::Waiting, Verdict::Confirmed));
    assert!(
        (650..=700).contains(&status.remaining_ms),
        "the time to wait is not counted: {}",
        status.remaining_ms
    );
    assert_eq!(world.lock().unwrap().steps[&1].len(), 1);
    assert!(world.lock().unwrap().timeouts.is_empty());
    // An element that is there too early would be seen.
    world.lock().unwrap().timeouts.insert(1, Duration::from_secs(9));
    world.lock().unwrap().told.insert(1, Instant::now());
    let verdict = keeper.get(&"f".parse().unwrap()).await.unwrap().verdict;
    assert!(
        matches!(&verdict, Verdict::Mismatch { found } if found.contains("f1_host4 has 1 of 0")),
        "{verdict:?}"
    );
    world.lock().unwrap().timeouts.clear();

    until(&mut keeper, &mut alarm, |_| !world.lock().unwrap().timeouts.is_empty()).await;
    assert!(asked.until(BootTime::now()) >= Duration::from_millis(300), "too early");
    assert!(world.lock().unwrap().timeouts[&1] <= Duration::from_millis(400));
    assert_eq!(keeper.list().await[0].state, State::Active);
    until(&mut keeper, &mut alarm, |keeper| keeper.ledger.is_empty()).await;
    assert!(asked.until(BootTime::now()) >= Duration::from_millis(700), "too early");
    assert!(world.lock().unwrap().is_clean());
    assert_eq!(keeper.journal.history(1).unwrap()[0].end, End::Deadline);
    use EventKind::{Ended, Injected, Restored, Started};
    assert_eq!(kinds(&mut events), [Injected, Started, Ended, Restored]);
}

#[tokio::test]
async fn a_flap_is_armed_again_and_again_and_never_beyond_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, mut alarm, world) = keeper(dir.path()).await;
    let mut events = keeper.events.subscribe();
    let begun = BootTime::now();
    // On at 0, 400 and 800 ms, the last time for a tenth of a second only.
    keeper.inject(request("f", &with(r#""flap":{"on":"300ms","off":"100ms"},"for":"900ms""#))).await.unwrap();
    let deadline = keeper.ledger.get(&"f".parse().unwrap()).unwrap().timing.deadline;
    assert!(world.lock().unwrap().timeouts[&1] <= Duration::from_millis(300));
    let mut armed = 0;
    while !keeper.ledger.is_empty() {
        world.lock().unwrap().timeouts.clear();
        alarm.ring(keeper.next_due()).await;
        let left = BootTime::now().until(deadline);
        keeper.do_due().await;
        if let Some(on) = world.lock().unwrap().timeouts.get(&1) {
            armed += 1;
            assert!(*on <= Duration::from_millis(300) && *on <= left, "{on:?} of {left:?}");
        }
    }
    assert!(begun.until(BootTime::now()) >= Duration::from_millis(900), "too early");
    // A machine that sleeps through a time to be on has no use for it any more.
    assert!((1..=2).contains(&armed), "{armed}");
    assert_eq!(kinds(&mut events).iter().filter(|kind| **kind == EventKind::Started).count(), armed);
    assert!(world.lock().unwrap().is_clean());
}

#[tokio::test]
async fn the_pause_of_a_flap_is_no_mismatch() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, _alarm, _world) = keeper(dir.path()).await;
    keeper.inject(request("f", &with(r#""flap":{"on":"100ms","off":"10m"},"for":"20m""#))).await.unwrap();
    // The fake's elements time out like the kernel's.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(keeper.get(&"f".parse().unwrap()).await.unwrap().verdict, Verdict::Confirmed);
    // A new deadline in the pause does not switch it on.
    let status = keeper.change(&"f".parse().unwrap(), Span::from_secs(60), "me".to_owned()).await.unwrap();
    assert_eq!((status.verdict, status.state), (Verdict::Confirmed, State::Active));
}

#[tokio::test]
async fn a_flap_that_ends_while_it_is_read_is_no_mismatch() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, _alarm, world) = keeper(dir.path()).await;
    keeper.inject(request("f", &with(r#""flap":{"on":"2s","off":"10m"},"for":"20m""#))).await.unwrap();
    world.lock().unwrap().slow_read = Duration::from_millis(2_500);
    assert_eq!(keeper.get(&"f".parse().unwrap()).await.unwrap().verdict, Verdict::Confirmed);
}

/// The share of the packets that each rule of the loss takes, in millionths.
fn share(world: &World) -> u32 {
    let Some(Step::Steer(steering)) = world.steps[&1].last() else { panic!("it steers last") };
    let dice = steering.ruleset.rules.iter().flat_map(|rule| &rule.exprs);
    let mut dice = dice.filter_map(|expr| match expr {
        Expr::Random(percent) => Some(percent.millionths()),
        _ => None,
    });
    dice.next().unwrap_or(1_000_000)
}

#[tokio::test]
async fn a_ramp_grows_step_by_step_to_what_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, mut alarm, world) = keeper(dir.path()).await;
    let json = with(r#""ramp":{"over":"500ms","from":[{"loss":{"percent":20}}]},"for":"800ms""#)
        .replace("10}", "100}");
    let begun = BootTime::now();
    keeper.inject(request("f", &json)).await.unwrap();
    let mut shares = vec![share(&world.lock().unwrap())];
    while begun.until(BootTime::now()) < Duration::from_millis(600) {
        alarm.ring(keeper.next_due()).await;
        keeper.do_due().await;
        if keeper.ledger.is_empty() || world.lock().unwrap().is_clean() {
            break;
        }
        shares.push(share(&world.lock().unwrap()));
        let grown = f64::from(*shares.last().unwrap()) / 1e6;
        let passed = begun.until(BootTime::now()).as_secs_f64() / 0.5;
        assert!(grown <= 0.2 + 0.8 * passed + 0.001, "{grown} after {passed} of the ramp");
    }
    assert!(shares.is_sorted() && shares.first() < shares.last(), "{shares:?}");
    assert!((200_000..300_000).contains(&shares[0]), "{shares:?}");
    assert_eq!(shares.last(), Some(&1_000_000), "{shares:?}");
    until(&mut keeper, &mut alarm, |keeper| keeper.ledger.is_empty()).await;
}

/// Of the queues.
fn latencies(world: &Arc<Mutex<World>>) -> Vec<Duration> {
    let world = world.lock().unwrap();
    let netem = world.steps[&1].iter().filter_map(|step| match step {
        Step::AddNetem { impairment, .. } => Some(impairment.latency),
        _ => None,
    });
    netem.collect()
}

#[tokio::test]
async fn a_ramp_of_a_latency_retunes_its_queues() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, mut alarm, world) = keeper(dir.path()).await;
    let json = r#"{"kinds":[{"delay":{"latency":"10s"}}],"target":{"peers":["10.0.0.5"]},"ramp":{"over":"300ms"},"for":"10m"}"#;
    keeper.inject(request("f", json)).await.unwrap();
    let latency = || latencies(&world);
    let first = latency();
    assert!(first.iter().all(|latency| *latency < Duration::from_secs(5)), "{first:?}");
    until(&mut keeper, &mut alarm, |_| latency() == [Duration::from_secs(10); 2]).await;
    assert_eq!(keeper.get(&"f".parse().unwrap()).await.unwrap().verdict, Verdict::Confirmed);
}

#[tokio::test]
async fn a_step_that_takes_until_after_the_end_of_the_ramp_is_not_the_last() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, mut alarm, world) = keeper(dir.path()).await;
    let json = r#"{"kinds":[{"delay":{"latency":"10s"}}],"target":{"peers":["10.0.0.5"]},"ramp":{"over":"300ms"},"for":"10m"}"#;
    keeper.inject(request("f", json)).await.unwrap();
    world.lock().unwrap().slow = Duration::from_millis(250);
    let next = |keeper: &Keeper<Fake>| keeper.ledger.get(&"f".parse().unwrap()).unwrap().next_step;
    until(&mut keeper, &mut alarm, |keeper| next(keeper).is_none()).await;
    assert_eq!(latencies(&world), [Duration::from_secs(10); 2]);
}

/// The kernel counts from when it was told, which is before the agent knows that it has been: at the end of each flap there is
/// a moment in which only the kernel knows that it is over.
#[tokio::test]
async fn a_flap_whose_targets_have_just_timed_out_can_be_changed() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, _alarm, world) = keeper(dir.path()).await;
    let id = "f".parse().unwrap();
    let flapping = with(r#""flap":{"on":"20s","off":"10s"},"for":"50s""#);
    keeper.inject(request("f", &flapping)).await.unwrap();
    world.lock().unwrap().refuse_rearm.insert(1, nix::errno::Errno::ENOENT);
    let minutes = |minutes: u64| Span::from_secs(minutes * 60);
    let status = keeper.change(&id, minutes(10), "me".to_owned()).await.unwrap();
    assert!(status.remaining_ms > 590_000, "{}", status.remaining_ms);
    // The last one is over with the fault.
    world.lock().unwrap().refuse_rearm.clear();
    keeper.change(&id, Span::from_secs(15), "me".to_owned()).await.unwrap();
    world.lock().unwrap().refuse_rearm.insert(1, nix::errno::Errno::ENOENT);
    let over = keeper.change(&id, minutes(10), "me".to_owned()).await;
    assert!(matches!(over, Err(Error::Over(_))), "{over:?}");
}

#[tokio::test]
async fn a_start_that_has_come_is_made_before_anything_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, _alarm, world) = keeper(dir.path()).await;
    keeper.inject(request("f", &with(r#""start_in":"20ms","for":"10m""#))).await.unwrap();
    // The keeper is busy with something else until after the start.
    std::thread::sleep(Duration::from_millis(40));
    let (reply, answer) = tokio::sync::oneshot::channel();
    let (id, by) = ("f".parse().unwrap(), "me".to_owned());
    keeper.answer(Command::Change { id, duration: Span::from_secs(60), by, reply }).await;
    assert_eq!(answer.await.unwrap().unwrap().state, State::Active);
    assert!(world.lock().unwrap().timeouts.contains_key(&1), "it is in the kernel");
    assert!(keeper.ledger.get(&"f".parse().unwrap()).unwrap().started.is_some(), "and it has been told so");
}
