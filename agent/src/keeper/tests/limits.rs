//! What the policy refuses where only the keeper knows enough: another deadline, and the place that a scope turns out to be.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::follow::{Namespaces, id, in_places, sources, texts};
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
    let mut change =
        async |minutes: u64| keeper.change(&id("f"), Span::from_secs(minutes * 60), "me".to_owned()).await;
    // To an hour and a half from now, and to an hour and three quarters.
    assert!(change(30).await.is_ok());
    let denied = change(45).await.unwrap_err().to_string();
    assert!(denied.starts_with("policy.hours allows "), "{denied}");
}

#[tokio::test]
async fn a_fault_is_prolonged_to_the_longest_in_all_and_no_further() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, ..) = keeper(dir.path()).await;
    keeper.settings.policy.longest = Span::from_secs(60);
    keeper.inject(request("f", &lasting(r#""for":"30s""#))).await.unwrap();
    // As if it had been in force for a while.
    let since_boot = BootTime::now().since_boot();
    let start = BootTime::after_boot(since_boot.saturating_sub(Duration::from_secs(20)));
    keeper.ledger.get_mut(&id("f")).unwrap().timing.start = start;
    let mut change =
        async |seconds: u64| keeper.change(&id("f"), Span::from_secs(seconds), "me".to_owned()).await;
    assert!(change(35).await.is_ok());
    let denied = change(55).await.unwrap_err().to_string();
    assert!(denied.starts_with("policy.longest allows 1m; this would last 1m"), "{denied}");
    assert!(denied.ends_with(" altogether"), "{denied}");
    // To end sooner is always allowed.
    assert!(change(10).await.is_ok());
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

/// Only the host's own namespace is everybody's: what it is called does not matter.
#[tokio::test]
async fn a_namespace_that_is_the_hosts_own_takes_leave_to_act_on_the_host() {
    let dir = tempfile::tempdir().unwrap();
    let namespaces = Namespaces::new();
    let (mut keeper, _alarm, world) = keeper(dir.path()).await;
    keeper.settings.policy = toml::from_str("scopes = ['netns', 'interface']").unwrap();
    let netns = lasting(r#""scope":{"netns":"pid:1"}"#);
    let denied = keeper.inject(request("f", &netns)).await.unwrap_err().to_string();
    assert_eq!(denied, "policy.scopes allows interface and netns; netns pid:1 is all of this host");
    assert!(keeper.ledger.is_empty() && world.lock().unwrap().is_clean());
    // One interface of it is allowed by that name, and another namespace by its own.
    let narrowed = lasting(r#""scope":{"netns":"pid:1"},"interface":"eth0""#);
    keeper.inject(request("e", &narrowed)).await.unwrap();
    keeper.inject(in_places("f", &netns, namespaces.sites(&["a"]))).await.unwrap();
    // It does not get there by a change of places, either.
    let mut sites = namespaces.sites(&["a"]);
    sites.push(Site::host());
    keeper.follow(&id("f"), sources(&["10.0.0.5/32"], sites)).await.unwrap();
    let status = keeper.get(&id("f")).await.unwrap();
    assert_eq!(status.places.len(), 1);
    let verdict = status.verdict.to_string();
    assert!(verdict.contains("netns pid:1 is all of this host"), "{verdict}");
    keeper.settings.policy = toml::from_str("scopes = ['netns', 'host']").unwrap();
    keeper.inject(request("g", &netns)).await.unwrap();
}
