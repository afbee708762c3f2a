//! Packets that vanish: how many, which way, and what the sender sees of it.

use harness::agent::Agent;
use harness::lab::{APP_TO_REDIS, DB, Lab, REDIS, REDIS6, address};
use harness::traffic::{burst, serve_tcp};
use harness::{has_vlan, rounds};

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};

use crate::{PATIENCE, SLACK};

fn spec(percent: u32, peer: &str, direction: &str) -> String {
    format!(
        r#"{{"kinds":[{{"loss":{{"percent":{percent}}}}}],"target":{{"peers":["{peer}"]}},
            "direction":"{direction}","for":"10m"}}"#
    )
}

#[test]
fn the_sender_of_lost_datagrams_sees_success() {
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, "");
    for address_of_redis in [REDIS, REDIS6] {
        let at = SocketAddr::new(address(address_of_redis), 9000);
        for direction in ["egress", "ingress", "both"] {
            agent.inject("f", &spec(100, address_of_redis, direction));
            let out = burst(&lab.app, &lab.redis, at, 200);
            assert_eq!(out.errors, Vec::<String>::new(), "{direction}");
            assert_eq!(out.received, if direction == "ingress" { 200 } else { 0 }, "{direction}");
            agent.restore("f");
            assert_eq!(burst(&lab.app, &lab.redis, at, 200).received, 200);
        }
    }
}

#[test]
fn what_was_hit_is_told_in_packets_and_bytes() {
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, "");
    let [app, redis] = [APP_TO_REDIS, REDIS].map(|host| SocketAddr::new(address(host), 9000));
    // IPv4 and UDP have 28 bytes of headers; the frame that goes out has its Ethernet header, 14, already.
    for (direction, from, source, to, bytes) in [
        ("egress", &lab.app, app, redis, 10 * (14 + 28 + 100)),
        ("ingress", &lab.redis, redis, app, 10 * (28 + 100)),
    ] {
        agent.inject("f", &spec(100, REDIS, direction));
        let socket = from.run(|| std::net::UdpSocket::bind(source)).unwrap();
        for _ in 0..10 {
            socket.send_to(&[0; 100], to).unwrap();
        }
        let begun = std::time::Instant::now();
        while agent.faults()[0].hits.lost_packets < 10 {
            assert!(begun.elapsed() < SLACK, "{direction}: {:?}", agent.faults()[0].hits);
        }
        assert_eq!(agent.faults()[0].hits.lost_bytes, bytes, "{direction}");
        let told = agent.cli_ok(&lab.app, &["status", "f"]);
        assert!(told.contains(&format!("\n  hit       10 lost ({bytes} bytes)\n")), "{told}");
        agent.restore("f");
    }
}

#[test]
fn what_the_target_sends_is_lost_on_ingress_only() {
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, "");
    let at = SocketAddr::new(address("10.77.1.1"), 9000);
    for (direction, received) in [("egress", 200), ("ingress", 0), ("both", 0)] {
        agent.inject("f", &spec(100, REDIS, direction));
        let out = burst(&lab.redis, &lab.app, at, 200);
        assert_eq!((out.received, out.errors.len()), (received, 0), "{direction}");
        agent.restore("f");
    }
}

#[test]
fn a_connection_into_a_cut_times_out_and_is_not_refused() {
    let lab = Lab::new();
    let at = SocketAddr::new(address(REDIS), 80);
    serve_tcp(&lab.redis, at);
    let agent = Agent::start(&lab.app, "");
    for direction in ["egress", "ingress", "both"] {
        agent.inject("f", &spec(100, REDIS, direction));
        let error = lab.app.run(|| TcpStream::connect_timeout(&at, PATIENCE)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{direction}");
        agent.restore("f");
    }
}

/// Binomial: with n packets and probability p, the standard deviation of the share is sqrt(p(1-p)/n). Five of them to
/// each side are left by chance once in 1.7 million runs. 10,000 packets at 30%: 27.7% to 32.3%.
#[test]
#[allow(clippy::cast_precision_loss)]
fn thirty_percent_is_thirty_percent() {
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, "");
    let at = SocketAddr::new(address(REDIS), 9000);
    for direction in ["egress", "ingress"] {
        agent.inject("f", &spec(30, REDIS, direction));
        let count = rounds(10_000).max(2_000);
        let out = match direction {
            "egress" => burst(&lab.app, &lab.redis, at, count),
            _ => burst(&lab.redis, &lab.app, SocketAddr::new(address("10.77.1.1"), 9000), count),
        };
        let lost = count - out.received;
        let share = lost as f64 / count as f64;
        let five_sigma = 5.0 * (0.3 * 0.7 / count as f64).sqrt();
        assert!((share - 0.3).abs() < five_sigma, "{direction}: {share} is not 0.3 ± {five_sigma}");
        assert_eq!(out.errors.len(), 0);
        // The agent's own count, by the kernel's counter, is what was really lost.
        let counted = agent.faults()[0].hits.lost_packets;
        assert_eq!(counted, lost as u64, "{direction}");
        println!("{direction}: {lost} of {count} lost, {:.2}%", share * 100.0);
        agent.restore("f");
    }
}

#[test]
fn a_packet_that_two_targets_of_one_fault_match_is_hit_once() {
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, "");
    let target = r#"{"peers":["10.77.1.2","10.77.1.2:9000","10.77.1.0/24:9000","10.77.0.0/16"]}"#;
    let loss = r#"{"kinds":[{"loss":{"percent":50}}],"direction":"egress""#;
    agent.inject("f", &format!(r#"{loss},"target":{target}}}"#));
    let out = burst(&lab.app, &lab.redis, SocketAddr::new(address(REDIS), 9000), 1_000);
    // Five standard deviations around half of a thousand; hit twice, only 250 would arrive.
    assert!((421..=579).contains(&out.received), "{}", out.received);
}

#[test]
fn a_packet_of_a_vlan_is_hit_once_by_a_fault_on_everything() {
    let lab = Lab::new();
    if !has_vlan(&lab) {
        return;
    }
    for (host, below, ip) in [(&lab.app, "to-redis", "10.78.0.1"), (&lab.redis, "eth0", "10.78.0.2")] {
        host.sh(&format!(
            "ip link add link {below} name vlan9 type vlan id 9 && ip addr add {ip}/24 dev vlan9 && ip link set vlan9 up"
        ));
    }
    let agent = Agent::start(&lab.app, "");
    let at = SocketAddr::new(address("10.78.0.2"), 9000);
    let loss = r#"{"kinds":[{"loss":{"percent":100}}],"direction":"egress","target":{"all_traffic":true},"for":"10m"}"#;
    let fault = agent.inject("all", loss);
    assert_eq!(fault.places[0].interfaces, ["to-redis", "to-db"]);
    assert_eq!(burst(&lab.app, &lab.redis, at, 100).received, 0, "seen on the interface below");
    agent.restore("all");
    agent.inject("half", &loss.replace("100", "50"));
    let received = burst(&lab.app, &lab.redis, at, 1_000).received;
    // Five standard deviations around half of a thousand; hit twice, only 250 would arrive.
    assert!((421..=579).contains(&received), "{received}");
}

#[test]
fn others_lose_nothing() {
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, "");
    agent.inject("f", &spec(100, REDIS, "both"));
    let out = burst(&lab.app, &lab.db, SocketAddr::new(address(DB), 9000), 2_000);
    assert_eq!((out.received, out.errors.len()), (2_000, 0));
}

#[test]
fn two_losses_on_one_target_add_up_and_the_end_of_one_leaves_the_other() {
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, "");
    let at = SocketAddr::new(address(REDIS), 9000);
    agent.inject("cut", &spec(100, "10.77.1.2:9000", "egress"));
    let before = lab.app.sh("nft list table netdev partition_agent | grep -v -e timeout -e elements");
    agent.inject("some", &spec(50, REDIS, "egress"));
    let out = burst(&lab.app, &lab.redis, SocketAddr::new(address(REDIS), 9001), 1_000);
    // Five standard deviations around half of a thousand.
    assert!((421..=579).contains(&out.received), "{}", out.received);
    assert_eq!(burst(&lab.app, &lab.redis, at, 100).received, 0);
    agent.restore("some");
    let counters = |text: &str| {
        let words = text.split_whitespace().collect::<Vec<_>>();
        let is_count = |at: usize| at > 0 && matches!(words[at - 1], "packets" | "bytes");
        (0..words.len()).filter(|at| !is_count(*at)).map(|at| words[at].to_owned()).collect::<Vec<_>>()
    };
    let after = lab.app.sh("nft list table netdev partition_agent | grep -v -e timeout -e elements");
    assert_eq!(counters(&before), counters(&after));
    assert_eq!(burst(&lab.app, &lab.redis, at, 100).received, 0);
    assert_eq!(burst(&lab.app, &lab.redis, SocketAddr::new(address(REDIS), 9001), 100).received, 100);
}
