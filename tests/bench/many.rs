//! Ten thousand targets: how long it takes, and what a flow pays that is not one of them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use harness::agent::Agent;
use harness::lab::{DB, Lab, address};
use harness::traffic::{echo_udp, median, round_trips};

use crate::millis;

const TRIPS: usize = 4_000;
const PAIRS: usize = 5;

pub fn run() {
    let lab = Lab::new();
    let db = SocketAddr::new(address(DB), 7);
    echo_udp(&lab.db, db);
    let targets = (0..10_000_u32)
        .map(|n| n * 2)
        .map(|n| format!("'10.{}.{}.{}'", 64 + (n >> 16), (n >> 8) & 255, n & 255));
    let targets = targets.collect::<Vec<_>>().join(",");
    let agent = Agent::start(&lab.app, &format!("[peers]\nmany = [{targets}]\n"));
    let spec = r#"{"kinds":[{"loss":{"percent":100}}],"target":{"peers":["many"]},"for":"10m"}"#;
    let mut injects = Vec::new();
    let (mut without, mut with) = (Vec::new(), Vec::new());
    let trip = || median(&round_trips(&lab.app, db, TRIPS, Duration::ZERO));
    // In pairs, one after the other, so that a machine that slows down slows both.
    for _ in 0..PAIRS {
        without.push(trip());
        let begun = Instant::now();
        agent.inject("f", spec);
        injects.push(begun.elapsed());
        assert!(
            lab.app.sh("nft list table netdev partition_agent").contains("egress_to-db"),
            "the flow's interface is hooked"
        );
        with.push(trip());
        agent.restore("f");
    }
    let [inject, without, with] = [injects, without, with].map(|times| median(&times));
    println!("10,000 targets, request to in force: median {} over {PAIRS}", millis(inject));
    println!(
        "round trip of another flow: {:.1} us without, {:.1} us with 10,000 targets, ratio {:.3} (medians of {PAIRS} x {TRIPS})",
        without.as_secs_f64() * 1e6,
        with.as_secs_f64() * 1e6,
        with.as_secs_f64() / without.as_secs_f64(),
    );
}
