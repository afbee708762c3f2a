//! What is scraped is what the kernel has counted, and what the emulator holds.

use std::net::UdpSocket;
use std::time::Duration;

use harness::agent::Agent;
use harness::exposition::value;
use harness::lab::{Host, Lab, REDIS};
use harness::until;

use crate::SLACK;

fn send(host: &Host, port: u16, count: usize) {
    host.run(|| {
        let socket = UdpSocket::bind("0.0.0.0:0").expect("a free port");
        for _ in 0..count {
            // The kernel fails the first call after a reject.
            let _ = socket.send_to(b"x", (REDIS, port));
        }
    });
}

/// Packets and bytes, of all counters that there are.
fn nft(lab: &Lab) -> [f64; 2] {
    let rules = lab.app.sh("nft list ruleset | grep -o 'counter packets [0-9]* bytes [0-9]*'");
    let sum = |nth| rules.lines().filter_map(|line| line.split(' ').nth(nth)?.parse::<f64>().ok()).sum();
    [sum(2), sum(4)]
}

#[test]
fn packets_and_bytes_are_those_that_nft_counts() {
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, "");
    for (sink, kind) in [
        ("lost", r#"{"loss":{"percent":100}}"#),
        ("rejected", r#"{"reject":{"with":"port_unreachable"}}"#),
        ("shaped", r#"{"delay":{"latency":"1ms"}}"#),
    ] {
        let target = format!(r#""target":{{"peers":["{REDIS}:9001"],"protocol":"udp"}}"#);
        let more = r#""direction":"egress","engine":"emulator","for":"10m""#;
        agent.inject(sink, &format!(r#"{{"kinds":[{kind}],{target},{more}}}"#));
        send(&lab.app, 9001, 30);
        let counted = nft(&lab);
        println!("{sink}: {counted:?} packets and bytes");
        assert!(counted[0] >= 30.0, "{sink}: {counted:?}");
        let series = |what| format!(r#"partition_agent_hit_{what}_total{{sink="{sink}"}}"#);
        let scraped = || {
            let page = agent.metrics();
            ["packets", "bytes"].map(|what| value(&page, &series(what)))
        };
        // What is scraped may be a second old.
        until(sink, SLACK, || scraped() == counted);
        agent.restore(sink);
        agent.until_idle(SLACK);
        assert_eq!(scraped(), counted, "{sink} is over and still counted");
    }
}

#[test]
fn what_the_emulator_holds_and_how_late_faults_end_is_told() {
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, "");
    let target = format!(r#""target":{{"peers":["{REDIS}:9001"]}},"direction":"egress","engine":"emulator""#);
    agent.inject("slow", &format!(r#"{{"kinds":[{{"delay":{{"latency":"60s"}}}}],{target},"for":"10s"}}"#));
    send(&lab.app, 9001, 50);
    let held = || value(&agent.metrics(), "partition_agent_emulator_queue_packets");
    until("all are held", SLACK, || held() >= 50.0);
    assert_eq!(held(), 50.0);
    let lateness =
        |what: &str| value(&agent.metrics(), &format!("partition_agent_restore_lateness_seconds_{what}"));
    until("out of force", Duration::from_secs(10) + SLACK, || lateness("count") >= 1.0);
    // It does not look before that.
    assert!(lateness("sum") >= 0.02, "{}", lateness("sum"));
    // Nothing that is delayed is lost by the end of its fault.
    assert_eq!(
        (held(), value(&agent.metrics(), r#"partition_agent_faults{state="restoring"}"#)),
        (50.0, 1.0)
    );
}
