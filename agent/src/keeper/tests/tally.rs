//! What is counted of faults: how they stand, what they have hit, how late they ended.

use super::*;
use crate::metrics::Tally;

/// A line of the page that an agent would show now.
fn value(keeper: &Keeper<Fake>, tally: &Tally, series: &str) -> String {
    let page = keeper.metrics.page(tally, BootTime::now(), crate::clock::unix());
    let line = page.lines().find_map(|line| line.strip_prefix(&format!("{series} ")));
    line.unwrap_or_else(|| panic!("no {series} in\n{page}")).to_owned()
}

async fn tally(keeper: &mut Keeper<Fake>) -> Tally {
    // As after a second.
    keeper.counted = None;
    keeper.tally().await
}

#[tokio::test]
async fn what_a_fault_has_hit_is_still_counted_when_it_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, _alarm, world) = keeper(dir.path()).await;
    keeper.inject(request("f", LOSS)).await.unwrap();
    let hits = |lost_packets| Hits { lost_packets, ..Hits::default() };
    world.lock().unwrap().hits.insert(1, hits(7));
    assert_eq!(tally(&mut keeper).await.hits, hits(7));
    let by = End::Restored { who: "me".to_owned() };
    keeper.restore(&"f".parse().unwrap(), by).await.unwrap();
    world.lock().unwrap().hits.clear();
    let over = tally(&mut keeper).await;
    assert_eq!((over.hits, over.faults.len()), (hits(7), 0));
    keeper.inject(request("f", LOSS)).await.unwrap();
    world.lock().unwrap().hits.insert(2, hits(1));
    assert_eq!(tally(&mut keeper).await.hits, hits(8));
    assert_eq!(value(&keeper, &over, "partition_agent_inject_duration_seconds_count"), "2");
    // A restore by hand has no instant that it could be late for.
    assert_eq!(value(&keeper, &over, "partition_agent_restore_duration_seconds_count"), "1");
    assert_eq!(value(&keeper, &over, "partition_agent_restore_lateness_seconds_count"), "0");
}

#[tokio::test]
async fn however_many_scrape_the_kernel_is_read_once() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, _alarm, world) = keeper(dir.path()).await;
    keeper.inject(request("f", LOSS)).await.unwrap();
    let before = world.lock().unwrap().counted;
    // Far less than a second: nothing of it waits.
    let begun = BootTime::now();
    for _ in 0..100 {
        keeper.tally().await;
    }
    let read = world.lock().unwrap().counted - before;
    let seconds = usize::try_from(begun.until(BootTime::now()).as_secs()).unwrap();
    assert!((1..=1 + seconds).contains(&read), "{read} readings in {seconds} s");
}

#[tokio::test]
async fn how_late_the_agent_saw_a_fault_end_is_measured_from_its_deadline() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, mut alarm, world) = keeper(dir.path()).await;
    let short = LOSS.replace("]}}", r#"]},"for":"1s"}"#);
    keeper.inject(request("f", &short)).await.unwrap();
    // The first undo at the deadline is refused, and tried again a second later.
    world.lock().unwrap().refuse_undo = 1;
    while !keeper.ledger.is_empty() {
        alarm.ring(keeper.ledger.next_due()).await;
        keeper.do_due().await;
    }
    let over = tally(&mut keeper).await;
    let late = value(&keeper, &over, "partition_agent_restore_lateness_seconds_sum").parse::<f64>().unwrap();
    assert!((1.0..60.0).contains(&late), "{late}");
    assert_eq!(value(&keeper, &over, "partition_agent_restore_failures_total"), "1");
    assert_eq!(value(&keeper, &over, r#"partition_agent_ended_faults_total{trigger="deadline"}"#), "1");
}

#[tokio::test]
async fn an_end_that_an_earlier_agent_owed_is_counted_by_the_later_one() {
    let dir = tempfile::tempdir().unwrap();
    let (mut first, ..) = keeper(dir.path()).await;
    first.inject(request("f", LOSS)).await.unwrap();
    drop(first);
    let (mut second, ..) = keeper(dir.path()).await;
    let tally = tally(&mut second).await;
    assert_eq!(value(&second, &tally, r#"partition_agent_ended_faults_total{trigger="agent_died"}"#), "1");
}
