//! More packets than there is room for: what is dropped is counted, and told apart from what was asked to be lost.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use harness::agent::Agent;
use harness::lab::{Lab, REDIS, address};
use harness::stream::{Pace, stream};
use nix::sys::signal::Signal;
use partition_agent_proto::FaultStatus;

/// What a TAP holds.
const RING: usize = 10_000;

/// A latency whose queue has more room than the TAP, so that all drops are the TAP's; and with it a loss that is the
/// emulator's, as it correlates.
const CASES: [(&str, bool); 2] = [
    (r#"{"delay":{"latency":"100ms"}}"#, false),
    (r#"{"delay":{"latency":"100ms"}},{"loss":{"percent":50,"correlation":1}}"#, true),
];

#[test]
fn what_does_not_fit_while_the_agent_is_stopped_is_counted_and_shown() {
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, "");
    let (at, sent) = (SocketAddr::new(address(REDIS), 9000), RING + 5_000);
    for (kinds, loses) in CASES {
        let target = format!(r#""target":{{"peers":["{REDIS}"]}},"direction":"egress""#);
        agent.inject("f", &format!(r#"{{"kinds":[{kinds}],{target},"engine":"emulator","for":"10m"}}"#));
        agent.signal(Signal::SIGSTOP);
        // What waits in the TAP comes after the agent goes on, which takes it a moment.
        let quiet = Duration::from_secs(3);
        let pace = Pace { count: sent, length: 16, bunch: 100, pause: Duration::from_millis(1), quiet };
        let arrived = std::thread::scope(|scope| {
            let sending = scope.spawn(|| stream(&lab.app, &lab.redis, at, pace));
            let begun = Instant::now();
            while dropped_by_tap(&lab) < sent - RING {
                assert!(begun.elapsed() < Duration::from_secs(60), "{} dropped", dropped_by_tap(&lab));
                std::thread::sleep(Duration::from_millis(10));
            }
            agent.signal(Signal::SIGCONT);
            let stream = sending.join().expect("a stream ends");
            assert_eq!(stream.errors, [""; 0], "the sender sees nothing of it");
            stream.arrived.len()
        });
        let FaultStatus { hits, .. } = agent.faults().remove(0);
        println!("{kinds}: {arrived} of {sent} arrived, {hits}");
        let [shaped, all, overflow] = [hits.shaped_packets, hits.queue_drops, hits.overflow_drops]
            .map(|count| usize::try_from(count).expect("a count"));
        assert_eq!(shaped, sent, "{kinds}");
        assert_eq!(all, sent - arrived, "{kinds}");
        assert_eq!(overflow, dropped_by_tap(&lab), "{kinds}");
        // Five standard deviations of √(10,000 · 0.5 · 0.5) = 50, or none.
        let lost = all - overflow;
        assert!(if loses { (4_750..=5_250).contains(&lost) } else { lost == 0 }, "{kinds}: {lost}");
        let shown = agent.cli_ok(&lab.app, &["status"]);
        assert!(shown.contains(&format!("{overflow} dropped for want of room")), "{shown}");
        assert_eq!(shown.contains("lost in the queue"), loses, "{shown}");
        agent.restore("f");
        agent.until_idle(Duration::from_secs(10));
        let end = agent.history().remove(0);
        assert_eq!(end.hits, hits, "the history says the same");
    }
}

#[test]
fn what_a_device_that_is_down_refuses_is_counted() {
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, "");
    let target = format!(r#""target":{{"peers":["{REDIS}"]}},"direction":"egress""#);
    let late = r#"{"delay":{"latency":"2s"}}"#;
    agent.inject("f", &format!(r#"{{"kinds":[{late}],{target},"engine":"emulator","for":"10m"}}"#));
    let at = SocketAddr::new(address(REDIS), 9000);
    let sent = Instant::now();
    let sender = lab.app.run(|| std::net::UdpSocket::bind("0.0.0.0:0")).expect("a free port");
    for _ in 0..50 {
        sender.send_to(b"x", at).expect("it can be sent");
    }
    lab.app.sh("ip link set pa-f1-e0 down");
    assert!(sent.elapsed() < Duration::from_secs(2), "too slow: they are on their way already");
    let overflow = || agent.faults()[0].hits.overflow_drops;
    while overflow() < 50 {
        assert!(sent.elapsed() < Duration::from_secs(10), "{} counted", overflow());
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!((overflow(), agent.faults()[0].hits.queue_drops), (50, 50));
}

/// As another tool counts it.
fn dropped_by_tap(lab: &Lab) -> usize {
    let count = lab
        .app
        .sh("ip -j -s link show | jq '.[] | select(.ifname | startswith(\"pa-\")) | .stats64.tx.dropped'");
    count.trim().parse().expect("one device with a count")
}
