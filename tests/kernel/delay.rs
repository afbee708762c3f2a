//! Packets that come later, by every engine that there is.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use harness::agent::Agent;
use harness::lab::{DB, Host, Lab, REDIS, address};
use harness::traffic::{echo_udp, median, round_trips};
use harness::{engines, rounds};

const MS: Duration = Duration::from_millis(1);

/// The lab, its engines, and what answers at redis and at db.
fn lab() -> (Lab, Vec<&'static str>, SocketAddr, SocketAddr) {
    let lab = Lab::new();
    let engines = engines(&lab);
    let [redis, db] = [REDIS, DB].map(|host| SocketAddr::new(address(host), 7));
    echo_udp(&lab.redis, redis);
    echo_udp(&lab.db, db);
    (lab, engines, redis, db)
}

fn spec(kinds: &str, direction: &str, engine: &str) -> String {
    format!(
        r#"{{"kinds":[{kinds}],"target":{{"peers":["{REDIS}"]}},"direction":"{direction}","engine":"{engine}","for":"10m"}}"#
    )
}

const LATENCY: &str = r#"{"delay":{"latency":"100ms"}}"#;

/// A timer is never early. Late is what the machine adds: an emulated one a few milliseconds for each packet.
const LATE: Duration = Duration::from_millis(40);

/// A link that a fault shapes by.
fn link(engine: &str) -> &'static str {
    if engine == "netem" { "pa-f1-e" } else { "pa-f1-e0" }
}

/// A socket of the host, and the same for another thread.
fn connected(host: &Host, to: SocketAddr) -> (UdpSocket, UdpSocket) {
    let socket = host.run(|| UdpSocket::bind("0.0.0.0:0")).expect("a free port");
    socket.connect(to).expect("a route");
    // Long: an emulated machine that is short of time can stand still for seconds.
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    let sender = socket.try_clone().expect("a second handle");
    (socket, sender)
}

#[test]
fn a_latency_is_felt_in_the_direction_that_was_asked_for() {
    let (lab, engines, redis, db) = lab();
    let agent = Agent::start(&lab.app, "");
    let before = median(&round_trips(&lab.app, db, 20, MS));
    for engine in engines {
        for (direction, wanted) in [("egress", 100), ("ingress", 100), ("both", 200)] {
            agent.inject("f", &spec(LATENCY, direction, engine));
            let trips = round_trips(&lab.app, redis, 10, MS);
            let middle = median(&trips);
            println!("{engine} {direction}: {middle:?} of {trips:?}");
            assert_eq!(trips.len(), 10, "none is lost");
            assert!(trips.iter().all(|trip| *trip >= wanted * MS), "{engine} {direction}: {trips:?}");
            assert!(middle < wanted * MS + LATE, "{engine} {direction}: {middle:?}");
            let others = median(&round_trips(&lab.app, db, 20, MS));
            assert!(others < before + LATE, "an unaffected peer: {others:?}, before {before:?}");
            agent.restore("f");
            agent.until_idle(Duration::from_secs(10));
            assert!(median(&round_trips(&lab.app, redis, 10, MS)) < LATE);
        }
    }
}

/// 100 ms ± 10 ms, uniform, less the latest tenth: a machine that stands still for a moment makes packets late and never
/// early. What is left of a uniform spread, 90 to 108 ms, has a mean of 99 and a standard deviation of 5.2 ms; of 180
/// round trips the mean is within 5 · 5.2 / √180 = 1.9 ms of that by chance, plus what the machine adds (LATE).
#[test]
fn jitter_spreads_evenly_around_the_latency() {
    let (lab, engines, redis, _) = lab();
    let agent = Agent::start(&lab.app, "");
    let idle = median(&round_trips(&lab.app, redis, 50, MS)).as_secs_f64() * 1e3;
    for engine in engines {
        agent.inject("f", &spec(r#"{"delay":{"latency":"100ms","jitter":"10ms"}}"#, "egress", engine));
        // Apart by more than the spread, so that keeping the order holds nobody back.
        let mut trips = round_trips(&lab.app, redis, 200, 25 * MS);
        assert_eq!(trips.len(), 200);
        trips.sort_unstable();
        trips.truncate(180);
        let millis = trips.iter().map(|trip| trip.as_secs_f64() * 1e3 - idle).collect::<Vec<_>>();
        let mean = millis.iter().sum::<f64>() / 180.0;
        let deviation = (millis.iter().map(|m| (m - mean).powi(2)).sum::<f64>() / 180.0).sqrt();
        let (least, most) = (millis[0], millis[179]);
        println!(
            "{engine}: mean {mean:.1} ms, standard deviation {deviation:.1} ms, {least:.1} to {most:.1} ms (idle {idle:.1})"
        );
        assert!((97.0..=101.0 + LATE.as_secs_f64() * 1e3).contains(&mean), "{engine}: {mean}");
        assert!((4.0..=20.0).contains(&deviation), "{engine}: {deviation}");
        assert!((85.0..=95.0).contains(&least), "{engine}: {least}");
        agent.restore("f");
        agent.until_idle(Duration::from_secs(10));
    }
}

#[test]
fn jitter_does_not_reorder() {
    let (lab, engines, redis, _) = lab();
    let agent = Agent::start(&lab.app, "");
    for engine in engines {
        agent.inject("f", &spec(r#"{"delay":{"latency":"50ms","jitter":"50ms"}}"#, "egress", engine));
        let (socket, sender) = connected(&lab.app, redis);
        for number in 0..200_u32 {
            sender.send(&number.to_be_bytes()).unwrap();
            std::thread::sleep(MS);
        }
        let mut answer = [0; 4];
        let order = (0..200)
            .map(|_| socket.recv(&mut answer).map(|_| u32::from_be_bytes(answer)).unwrap())
            .collect::<Vec<_>>();
        assert!(order.is_sorted(), "{engine}: {order:?}");
        agent.restore("f");
        agent.until_idle(Duration::from_secs(10));
    }
}

#[test]
fn a_restored_delay_loses_no_packet_that_is_on_its_way() {
    let (lab, engines, redis, _) = lab();
    let agent = Agent::start(&lab.app, "");
    for engine in engines {
        let mut sent_in_all = 0;
        for _ in 0..rounds(4).max(2) {
            agent.inject("f", &spec(r#"{"delay":{"latency":"200ms"}}"#, "both", engine));
            let (socket, sender) = connected(&lab.app, redis);
            let sending = std::thread::spawn(move || {
                for number in 0..400_u32 {
                    sender.send(&number.to_be_bytes()).unwrap();
                    std::thread::sleep(2 * MS);
                }
            });
            // In the middle of the traffic, with a hundred packets in the queues.
            std::thread::sleep(Duration::from_millis(400));
            agent.restore("f");
            let mut seen = std::collections::BTreeSet::new();
            let mut answer = [0; 4];
            while seen.len() < 400 && socket.recv(&mut answer).is_ok() {
                seen.insert(u32::from_be_bytes(answer));
            }
            sending.join().unwrap();
            let lost = (0..400).filter(|number| !seen.contains(number)).collect::<Vec<_>>();
            assert!(lost.is_empty(), "{engine} lost {lost:?}");
            agent.until_idle(Duration::from_secs(10));
            let end = &agent.history()[0];
            assert_eq!(end.hits.queue_drops, 0, "{engine}");
            sent_in_all += seen.len();
        }
        println!("{engine}: 0 of {sent_in_all} packets lost");
    }
}

#[test]
fn loss_and_latency_together_and_the_queue_is_what_tc_says() {
    let (lab, engines, redis, _) = lab();
    for engine in engines {
        let agent = Agent::start(&lab.app, "");
        agent.inject("f", &spec(&format!(r#"{{"loss":{{"percent":30}}}},{LATENCY}"#), "egress", engine));
        if engine == "netem" {
            let qdiscs = lab.app.sh("tc qdisc show dev pa-f1-e");
            assert!(qdiscs.contains("netem") && qdiscs.contains("limit 20000 delay 100ms"), "{qdiscs}");
        }
        assert!(
            lab.app.sh("tc qdisc show dev to-redis").contains("noqueue"),
            "the root of the device is untouched"
        );
        let (socket, sender) = connected(&lab.app, redis);
        // Read while they are sent: a socket has room for about 270 datagrams.
        let sending = std::thread::spawn(move || {
            for number in 0..500_u32 {
                sender.send(&number.to_be_bytes()).unwrap();
                if number % 10 == 9 {
                    std::thread::sleep(5 * MS);
                }
            }
        });
        let mut answer = [0; 4];
        let received = std::iter::from_fn(|| socket.recv(&mut answer).ok()).count();
        sending.join().unwrap();
        // 350 expected; five standard deviations of sqrt(500 * 0.3 * 0.7) = 10.2.
        assert!((299..=401).contains(&received), "{engine}: {received}");
        let hits = agent.faults()[0].hits;
        assert_eq!(usize::try_from(hits.lost_packets).unwrap() + received, 500, "{engine}");
        assert_eq!(usize::try_from(hits.shaped_packets).unwrap(), received, "{engine}");
        assert_eq!(hits.queue_drops, 0, "{engine}");
        let _dir = agent.terminate();
    }
}

#[test]
fn a_delay_whose_queue_somebody_deletes_ends_and_does_not_become_a_cut() {
    let (lab, engines, redis, _) = lab();
    for engine in engines {
        let agent = Agent::start(&lab.app, "");
        agent.inject("f", &spec(LATENCY, "egress", engine));
        assert!(median(&round_trips(&lab.app, redis, 3, MS)) >= 100 * MS);
        let link = link(engine);
        lab.app.sh(&format!("ip link del {link}"));
        agent.until_idle(Duration::from_secs(10));
        assert_eq!(round_trips(&lab.app, redis, 3, MS).len(), 3, "{engine}");
        let end = agent.history()[0].end.to_string();
        assert!(end.contains("somebody changed its queue") && end.contains(link), "{engine}: {end}");
        let _dir = agent.terminate();
    }
}

#[test]
fn a_kernel_without_netem_refuses_it_and_changes_nothing() {
    let lab = Lab::new();
    let tried = lab.app.output("tc", &["qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"]);
    if tried.status.success() {
        harness::skip("this kernel has sch_netem, and cannot show what happens on one that has not");
        return;
    }
    let agent = Agent::start(&lab.app, "");
    let before = harness::snapshot::Snapshot::take(&lab.app);
    let (status, body) = agent.ask("POST", "/v1/faults", Some(&spec(LATENCY, "both", "netem")));
    assert_eq!(status, 422);
    assert!(body["detail"].as_str().unwrap().contains("this kernel has no netem"), "{body}");
    before.assert_same(&harness::snapshot::Snapshot::take(&lab.app), "after a refused delay");
}
