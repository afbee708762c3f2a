//! Ramps and flaps by netem, which `timing` looks at in time; here without a clock, so that an emulated machine can keep up.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use harness::agent::Agent;
use harness::has_netem;
use harness::lab::{Host, Lab, REDIS, address};
use harness::traffic::{echo_udp, round_trips};
use serde_json::Value;

/// For a few seconds of a fault on a machine that takes half a second to start a program.
const PATIENCE: Duration = Duration::from_secs(90);

fn spec(kind: &str, time: &str) -> String {
    let target = format!(r#""target":{{"peers":["{REDIS}"]}},"direction":"egress""#);
    format!(r#"{{"kinds":[{kind}],{target},"engine":"netem",{time},"for":"10m"}}"#)
}

/// Milliseconds, as tc has them.
fn latency(host: &Host) -> f64 {
    let listed = host.sh("tc -j qdisc show dev pa-f1-e root");
    let qdiscs = serde_json::from_str::<Value>(&listed).expect("JSON");
    let delay = qdiscs[0]["options"]["delay"]["delay"].as_f64();
    // Exact to a microsecond, where seconds are no whole number of them.
    (delay.unwrap_or_else(|| panic!("a delay: {listed}")) * 1e6).round() / 1e3
}

#[test]
fn the_latency_of_netem_grows_in_steps_and_no_further() {
    let lab = Lab::new();
    if !has_netem(&lab) {
        return;
    }
    let agent = Agent::start(&lab.app, "");
    agent.inject("f", &spec(r#"{"delay":{"latency":"400ms"}}"#, r#""ramp":{"over":"8s"}"#));
    let begun = Instant::now();
    let mut seen = vec![latency(&lab.app)];
    while seen.last() != Some(&400.0) {
        assert!(begun.elapsed() < PATIENCE, "{seen:?}");
        seen.push(latency(&lab.app));
    }
    println!("{seen:?} ms, in {:?}", begun.elapsed());
    assert!(seen.is_sorted(), "{seen:?}");
    seen.dedup();
    // 80 steps, and a look takes a second at the worst: eight at least.
    assert!(seen.len() >= 4, "{seen:?}");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(latency(&lab.app), 400.0, "it stays there");
    // The queue is the same one all the way: it was changed, not made anew.
    assert_eq!(agent.faults()[0].verdict, partition_agent_proto::Verdict::Confirmed);
}

#[test]
fn a_flapping_latency_of_netem_is_felt_and_not_felt_in_turn() {
    let lab = Lab::new();
    if !has_netem(&lab) {
        return;
    }
    let redis = SocketAddr::new(address(REDIS), 7);
    echo_udp(&lab.redis, redis);
    let agent = Agent::start(&lab.app, "");
    agent.inject("f", &spec(r#"{"delay":{"latency":"1s"}}"#, r#""flap":{"on":"4s","off":"4s"}"#));
    let (begun, mut seen) = (Instant::now(), Vec::new());
    // On, off and on again.
    while seen.len() < 3 {
        assert!(begun.elapsed() < PATIENCE, "{seen:?}");
        for trip in round_trips(&lab.app, redis, 1, Duration::from_millis(50)) {
            seen.push(trip >= Duration::from_secs(1));
        }
        seen.dedup();
        assert_eq!(latency(&lab.app), 1000.0, "the queue is there, on or off");
    }
    assert_eq!(seen, [true, false, true]);
}
