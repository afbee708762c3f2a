//! What the policy refuses where only the keeper knows enough: another deadline, and the place that a scope turns out to be.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::follow::{id, texts};
use super::*;

fn lasting(more: &str) -> String {
    LOSS.replace("]}}", &format!("]}},{more}}}"))
}

/// Hours that are open from now on for this many minutes, and a few seconds more or less.
fn open_for(minutes: i64) -> Policy {
    let day = |instant: Timestamp| instant.to_zoned(TimeZone::UTC).strftime("%H:%M").to_string();
    let now = Timestamp::now();
    let [start, end] = [-10, minutes].map(|by| day(now + jiff::SignedDuration::from_mins(by)));
    toml::from_str(&format!("hours = ['Mon-Sun {start}-{end}']")).unwrap()
}

#[tokio::test]
async fn the_hours_hold_for_what_is_prolonged_before_its_start() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, ..) = keeper(dir.path()).await;
    keeper.settings.policy = open_for(100);
    keeper.inject(request("f", &lasting(r#""start_in":"60m","for":"10m""#))).await.unwrap();
    let mut change = async |minutes: u64| {
        keeper.change(&id("f"), Span::from_secs(minutes * 60), "me".to_owned()).await
    };
    // To an hour and a half from now, and to an hour and three quarters.
    assert!(change(30).await.is_ok());
    let denied = change(45).await.unwrap_err().to_string();
    assert!(denied.starts_with("policy.hours allows "), "{denied}");
}

#[tokio::test]
async fn people_are_told_when_the_kernel_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, ..) = keeper(dir.path()).await;
    let mut events = keeper.events.subscribe();
    keeper.inject(request("f", &lasting(r#""start_in":"5m","for":"10m","lease":"2m""#))).await.unwrap();
    let told = texts(&mut events, EventKind::Injected);
    assert!(told[0].ends_with("; the kernel ends it in 7m"), "{told:?}");
    keeper.inject(request("g", &lasting(r#""start_in":"5m","for":"10m""#))).await.unwrap();
    keeper.change(&id("g"), Span::from_secs(20 * 60), "me".to_owned()).await.unwrap();
    let told = texts(&mut events, EventKind::Changed);
    // The start has come nearer meanwhile.
    let nearly = told[0].ends_with(" ends it in 25m") || told[0].contains(" ends it in 24m");
    assert!(nearly, "{told:?}");
}
