//! Leases in the kernel: `nft` says when the elements end, and traffic says whether they do.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use harness::agent::Agent;
use harness::lab::{Lab, REDIS, address};
use harness::stream::{Pace, stream};
use harness::traffic::{answers, echo_udp, serve_tcp, until_answer};
use nix::sys::signal::Signal;
use partition_agent_proto::Span;
use serde_json::Value;

use crate::{PATIENCE, SLACK};

const MS: Duration = Duration::from_millis(1);

fn leased(lease: &str) -> String {
    format!(
        r#"{{"kinds":[{{"loss":{{"percent":100}}}}],"target":{{"peers":["{REDIS}"]}},"for":"10m","lease":"{lease}"}}"#
    )
}

/// Timeout and time left of every timed element that `nft` finds, in whole seconds, rounded down. Not as JSON: nft 1.0.6 reads
/// freed memory where it writes the flags of an owned table.
fn elements(lab: &Lab) -> Vec<(u64, u64)> {
    let ruleset = lab.app.sh("nft list ruleset");
    // ` timeout 20s expires 19s996ms`; a set has `flags timeout`.
    let timed = ruleset.split(" timeout ").skip(1).filter_map(|rest| {
        let mut words = rest.split([' ', ',', '\n']);
        let (timeout, expires) = (words.next()?, words.next().filter(|word| *word == "expires")?);
        Some((timeout, expires, words.next()?))
    });
    timed.map(|(timeout, _, expires)| (seconds(timeout), seconds(expires))).collect()
}

/// Of `1m9s608ms`.
fn seconds(text: &str) -> u64 {
    text.parse::<Span>().unwrap_or_else(|error| panic!("{text}: {error}")).duration().as_secs()
}

fn renew(agent: &Agent) -> Value {
    let (status, body) = agent.ask("POST", "/v1/faults/cut/renew", None);
    assert_eq!(status, 200, "{body}");
    body
}

#[test]
fn the_elements_end_with_the_lease_and_a_renewal_moves_that_up() {
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, "");
    agent.inject("cut", &leased("20s"));
    let before = elements(&lab);
    assert!(
        !before.is_empty() && before.iter().all(|(timeout, left)| *timeout <= 20 && *left <= 20),
        "{before:?}"
    );
    std::thread::sleep(Duration::from_secs(5));
    let aged = elements(&lab);
    assert!(aged.iter().all(|(_, left)| *left <= 15), "{aged:?}");
    renew(&agent);
    let after = elements(&lab);
    // nft rounds down; the rest is for a slow machine.
    assert_eq!(after.len(), before.len());
    assert!(after.iter().all(|(_, left)| (16..=20).contains(left)), "{after:?} after {aged:?}");
    // A deadline that is nearer than the lease is what counts.
    let (status, _) = agent.ask("PATCH", "/v1/faults/cut", Some(r#"{"for":"9s"}"#));
    assert_eq!(status, 200);
    renew(&agent);
    assert!(elements(&lab).iter().all(|(_, left)| *left <= 9), "{:?}", elements(&lab));
}

#[test]
fn a_cut_has_no_gap_while_it_is_renewed() {
    let lab = Lab::new();
    let Lab { app, redis, .. } = &lab;
    let agent = Agent::start(app, "");
    let at = SocketAddr::new(address(REDIS), 9000);
    echo_udp(redis, at);
    // Much longer than the stream is, also on a slow machine: what comes after the last renewal is hit as well.
    agent.inject("cut", &leased("9m"));
    // A datagram each half millisecond, for longer than fifty renewals take.
    let pace = Pace { count: 16_000, length: 16, bunch: 1, pause: MS / 2, quiet: 400 * MS };
    let (seen, span) = std::thread::scope(|scope| {
        let stream = scope.spawn(move || stream(app, redis, SocketAddr::new(at.ip(), 9001), pace));
        std::thread::sleep(500 * MS);
        let begun = Instant::now();
        for _ in 0..50 {
            renew(&agent);
            std::thread::sleep(20 * MS);
        }
        (stream.join().unwrap(), (begun, Instant::now()))
    });
    let fates = seen.fates();
    let during = seen.sent.iter().filter(|sent| **sent > span.0 && **sent < span.1).count();
    println!("{during} datagrams were sent while the fault was renewed");
    assert!(during > 500, "{during}");
    assert_eq!(fates.iter().filter(|arrived| **arrived).count(), 0, "some got through");
}

#[test]
fn a_lease_is_over_while_the_agent_is_stopped() {
    let lab = Lab::new();
    let redis = SocketAddr::new(address(REDIS), 80);
    serve_tcp(&lab.redis, redis);
    let agent = Agent::start(&lab.app, "");
    agent.inject("cut", &leased("20s"));
    std::thread::sleep(Duration::from_secs(4));
    let begun = Instant::now();
    renew(&agent);
    agent.signal(Signal::SIGSTOP);
    assert!(!answers(&lab.app, redis, PATIENCE));
    until_answer(&lab.app, redis, Duration::from_secs(20) + SLACK);
    let healed = begun.elapsed();
    println!("healed {healed:?} after the last renewal of a lease of 20s");
    assert!(healed > Duration::from_millis(19_900), "too early: {healed:?}");
    agent.signal(Signal::SIGCONT);
    agent.until_idle(SLACK);
    assert_eq!(agent.history()[0].end.to_string(), "lease lost");
    let (status, _) = agent.ask("POST", "/v1/faults/cut/renew", None);
    assert_eq!(status, 404);
}
