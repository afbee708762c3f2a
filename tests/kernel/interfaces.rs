//! Interfaces that come, go and are made anew under an emulated latency, on a host with NAT, where it is on all of them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use harness::agent::Agent;
use harness::lab::{Lab, REDIS, address};
use harness::traffic::{echo_udp, round_trips};

use crate::SLACK;

const MS: Duration = Duration::from_millis(1);

/// More than a busy machine adds to a round trip that only the older of the two faults slows.
const NEWER: Duration = Duration::from_millis(400);

fn slow(millis: u32) -> String {
    format!(
        r#"{{"kinds":[{{"delay":{{"latency":"{millis}ms"}}}}],"target":{{"peers":["{REDIS}"]}},"direction":"egress","engine":"emulator","for":"10m"}}"#
    )
}

/// A host with NAT, and two faults on one peer: the newer one shapes its packets.
fn slowed() -> (Lab, SocketAddr, Agent) {
    let lab = Lab::new();
    lab.app.sh("nft 'add table ip nat; add chain ip nat post { type nat hook postrouting priority 100; }'");
    let redis = SocketAddr::new(address(REDIS), 7);
    echo_udp(&lab.redis, redis);
    let agent = Agent::start(&lab.app, "");
    agent.inject("old", &slow(50));
    agent.inject("young", &slow(400));
    newer_wins(&lab, redis, "at first");
    (lab, redis, agent)
}

fn newer_wins(lab: &Lab, redis: SocketAddr, when: &str) {
    let trips = round_trips(&lab.app, redis, 3, MS);
    assert_eq!(trips.len(), 3, "{when}: none is lost");
    assert!(trips.iter().all(|trip| *trip >= NEWER), "{when}: {trips:?}");
}

/// The TAPs, each with its number: one that is made anew has another.
fn taps(lab: &Lab) -> Vec<String> {
    let listed = lab.app.sh("ip -o link show | grep pa-f | cut -d: -f1,2");
    listed.lines().map(str::to_owned).collect()
}

fn until_taps(lab: &Lab, agent: &Agent, so: impl Fn(&[String]) -> bool) -> Vec<String> {
    let begun = Instant::now();
    loop {
        let taps = taps(lab);
        if so(&taps) {
            return taps;
        }
        // An emulated machine that has little of a processor takes seconds for each of several exchanges.
        assert!(begun.elapsed() < 5 * SLACK, "{taps:?}\n{}", agent.log());
        std::thread::sleep(10 * MS);
    }
}

fn all_confirmed(agent: &Agent) {
    for id in ["old", "young"] {
        let (status, body) = agent.ask("GET", &format!("/v1/faults/{id}"), None);
        assert_eq!((status, body["verdict"]["is"].as_str()), (200, Some("confirmed")), "{body}");
    }
}

#[test]
fn an_interface_that_comes_or_goes_touches_no_packet_on_the_others() {
    let (lab, redis, agent) = slowed();
    let before = taps(&lab);
    // One for each of two interfaces and two faults.
    assert_eq!(before.len(), 4, "{before:?}");
    std::thread::scope(|scope| {
        // Each waits 400 ms in the emulator, so some does whenever the interfaces change.
        let trips = scope.spawn(|| round_trips(&lab.app, redis, 10, MS));
        std::thread::sleep(600 * MS);
        lab.app.sh("ip link add bridge9 type bridge && ip addr add 10.78.0.1/24 dev bridge9 && ip link set bridge9 up");
        let joined = until_taps(&lab, &agent, |taps| taps.len() == 6);
        assert!(before.iter().all(|tap| joined.contains(tap)), "{before:?} {joined:?}");
        all_confirmed(&agent);
        lab.app.sh("ip link del bridge9");
        assert_eq!(until_taps(&lab, &agent, |taps| taps.len() == 4), before);
        // The first of them goes: the other one keeps its device.
        lab.app.sh("ip link del to-db");
        let left = until_taps(&lab, &agent, |taps| taps.len() == 2);
        assert!(left.iter().all(|tap| before.contains(tap)), "{before:?} {left:?}");
        let trips = trips.join().unwrap();
        assert!(trips.len() == 10 && trips.iter().all(|trip| *trip >= NEWER), "{trips:?}");
    });
    all_confirmed(&agent);
    newer_wins(&lab, redis, "in the end");
    for id in ["old", "young"] {
        agent.restore(id);
    }
    agent.until_idle(2 * SLACK);
    assert_eq!(taps_left(&lab), "");
}

fn taps_left(lab: &Lab) -> String {
    lab.app.sh("ip -o link show | grep pa-f || true; nft list tables | grep partition_agent || true")
}

#[test]
fn an_interface_that_is_made_anew_is_slowed_again_and_the_newer_fault_is_still_the_newer() {
    let (lab, redis, agent) = slowed();
    let before = taps(&lab);
    lab.app.sh("ip link del to-redis");
    let left = until_taps(&lab, &agent, |taps| taps.len() == 2);
    assert!(left.iter().all(|tap| before.contains(tap)), "{before:?} {left:?}");
    lab.app.sh(&format!(
        "ip link add to-redis type veth peer name eth0 netns {} && ip addr add 10.77.1.1/24 dev to-redis && \
         ip link set to-redis up",
        lab.redis.namespace
    ));
    lab.redis.sh("ip addr add 10.77.1.2/24 dev eth0 && ip link set eth0 up");
    let after = until_taps(&lab, &agent, |taps| taps.len() == 4);
    assert!(left.iter().all(|tap| after.contains(tap)), "{left:?} {after:?}");
    let begun = Instant::now();
    while round_trips(&lab.app, redis, 1, MS).is_empty() {
        assert!(begun.elapsed() < SLACK, "the new link carries nothing\n{}", agent.log());
    }
    newer_wins(&lab, redis, "on the new interface");
    all_confirmed(&agent);
    let shadowed = agent.faults().into_iter().map(|fault| (fault.id.to_string(), fault.shadowed_by.len()));
    assert_eq!(shadowed.collect::<Vec<_>>(), [("old".to_owned(), 1), ("young".to_owned(), 0)]);
}

/// Whoever makes an interface may choose its index, and does it faster than the agent looks.
#[test]
fn an_interface_that_is_made_anew_with_the_index_that_it_had_is_another() {
    let (lab, redis, agent) = slowed();
    agent.restore("young");
    let both = slow(250).replace(r#""direction":"egress","#, "");
    agent.inject("both", &both);
    // For each of two interfaces one of "old" and two of "both"; those of "young" are gone when they have drained.
    let before = until_taps(&lab, &agent, |taps| taps.len() == 6);
    let index = || lab.app.sh("ip -o link show to-redis | cut -d: -f1");
    let had = index();
    let batch = format!(
        "link del to-redis\nlink add to-redis index {} type veth peer name eth0 netns {}\n\
         addr add 10.77.1.1/24 dev to-redis\nlink set to-redis up\n",
        had.trim(),
        lab.redis.namespace
    );
    lab.app.sh(&format!("printf '{batch}' | ip -batch -"));
    lab.redis.sh("ip addr add 10.77.1.2/24 dev eth0 && ip link set eth0 up");
    assert_eq!(index(), had);
    let here = |taps: &[String]| taps.iter().filter(|tap| before.contains(tap)).count();
    // Those of the other interface stay.
    until_taps(&lab, &agent, |taps| taps.len() == 6 && here(taps) == 3);
    let begun = Instant::now();
    while round_trips(&lab.app, redis, 1, MS).is_empty() {
        assert!(begun.elapsed() < SLACK, "a latency has become a cut\n{}", agent.log());
    }
    newer_wins(&lab, redis, "on the new interface");
}

#[test]
fn a_device_that_cannot_be_had_leaves_the_fault_as_it_is_and_is_tried_again() {
    let (lab, redis, agent) = slowed();
    agent.restore("young");
    // Somebody has a link by the name that the third TAP for what comes in will have.
    lab.app.sh("ip link add pa-f3-i2 type bridge");
    agent.inject("both", &slow(250).replace(r#""direction":"egress","#, ""));
    let before = taps(&lab);
    lab.app.sh(
        "ip link add bridge9 type bridge && ip addr add 10.78.0.1/24 dev bridge9 && ip link set bridge9 up",
    );
    let both = || agent.ask("GET", "/v1/faults/both", None).1;
    let begun = Instant::now();
    while both()["verdict"]["is"] != "mismatch" {
        assert!(begun.elapsed() < SLACK, "{}", both());
    }
    let found = both()["verdict"]["found"].to_string();
    assert!(found.contains("ip tuntap add pa-f3-i2") && found.contains("keeps trying"), "{found}");
    let of_both =
        |taps: &[String]| taps.iter().filter(|tap| tap.contains("pa-f3-")).cloned().collect::<Vec<_>>();
    // What was made is taken back, each time that it is tried again.
    until_taps(&lab, &agent, |taps| of_both(taps) == of_both(&before));
    newer_wins(&lab, redis, "with the old plan");
    lab.app.sh("ip link del pa-f3-i2");
    // A second or two: the first try again comes after one.
    until_taps(&lab, &agent, |taps| of_both(taps).len() == 6);
    let begun = Instant::now();
    while both()["verdict"]["is"] != "confirmed" {
        assert!(begun.elapsed() < SLACK, "{}", both());
    }
    newer_wins(&lab, redis, "with the new plan");
}
