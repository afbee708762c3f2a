//! Addresses that are rewritten on their way out, as Kubernetes and Docker do it with service addresses: a fault goes by the
//! address that the program meant, and by the one that the packet has on the wire, and hits each packet once.

use std::net::SocketAddr;

use harness::agent::Agent;
use harness::lab::{DB, Host, Lab, REDIS, address};
use harness::traffic::{answers, echo_udp, median, round_trips, serve_tcp};
use nix::sys::socket::{setsockopt, sockopt};

use crate::PATIENCE;

const VIP: &str = "10.96.0.10";

/// With the rules of nft, or of iptables. The service address has a route as well, or there would be nothing to rewrite.
fn lab(rules: &str, via: &str) -> Lab {
    let lab = Lab::new();
    for (host, on) in [(&lab.redis, REDIS), (&lab.db, DB)] {
        serve_tcp(host, SocketAddr::new(address(on), 80));
        echo_udp(host, SocketAddr::new(address(on), 7));
    }
    lab.app.sh(&format!("ip route add 10.96.0.0/16 via {via}"));
    // For `db`, the host `app` is a router.
    lab.app.sh("echo 1 > /proc/sys/net/ipv4/ip_forward");
    lab.db.sh("ip route add 10.96.0.0/16 via 10.77.2.1; ip route add 10.77.1.0/24 via 10.77.2.1");
    lab.redis.sh("ip route add 10.77.2.0/24 via 10.77.1.1");
    lab.app.sh(rules);
    lab
}

const NFT: &str = "nft 'table ip services {
    chain output { type nat hook output priority -100; ip daddr 10.96.0.10 dnat to 10.77.1.2; }
    chain prerouting { type nat hook prerouting priority -100; ip daddr 10.96.0.10 dnat to 10.77.1.2; }
    }'";

const IPTABLES: &str = "iptables -t nat -A OUTPUT -d 10.96.0.10 -j DNAT --to-destination 10.77.1.2
    iptables -t nat -A PREROUTING -d 10.96.0.10 -j DNAT --to-destination 10.77.1.2";

fn on(address_text: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address(address_text), port)
}

/// Over TCP and UDP: the service, its backend without the service, and another host.
fn reached(from: &Host, others: &str) -> String {
    let udp = |to: &str| from.run(|| echoes(on(to, 7)));
    let seen = [VIP, REDIS, others].map(|to| [answers(from, on(to, 80), PATIENCE), udp(to)]);
    seen.concat().into_iter().map(|seen| if seen { 'o' } else { 'x' }).collect()
}

fn echoes(to: SocketAddr) -> bool {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").expect("a free port");
    socket.connect(to).expect("a route");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket.send(b"?").expect("it can be sent");
    socket.recv(&mut [0; 8]).is_ok()
}

fn spec(kind: &str, peers: &str, direction: &str) -> String {
    format!(r#"{{"kinds":[{kind}],"target":{{"peers":[{peers}]}},"direction":"{direction}","for":"10m"}}"#)
}

const CUT: &str = r#"{"loss":{"percent":100}}"#;

#[test]
fn a_service_address_is_cut_and_its_backend_is_not() {
    for (what, rules) in [("nft", NFT), ("iptables", IPTABLES)] {
        if what == "iptables" && !harness::has_tool("iptables") {
            continue;
        }
        let lab = lab(rules, REDIS);
        let agent = Agent::start(&lab.app, "");
        assert_eq!(reached(&lab.app, DB), "oooooo", "{what}");
        for direction in ["egress", "ingress", "both"] {
            let what = format!("{what} {direction}");
            agent.inject("f", &spec(CUT, &format!(r#""{VIP}""#), direction));
            assert_eq!(reached(&lab.app, DB), "xxoooo", "{what}: the service");
            agent.restore("f");
            agent.inject("f", &spec(CUT, &format!(r#""{REDIS}""#), direction));
            assert_eq!(reached(&lab.app, DB), "xxxxoo", "{what}: the backend");
            agent.restore("f");
            agent.inject("f", &spec(CUT, &format!(r#""{VIP}:80""#), direction));
            assert_eq!(reached(&lab.app, DB), "xooooo", "{what}: a port of the service");
            agent.restore("f");
            assert_eq!(reached(&lab.app, DB), "oooooo", "{what}: restored");
        }
    }
}

/// The names of the older iptables' tables are root's to read, and the shipped unit is not root.
#[test]
fn the_older_iptables_is_known_to_an_agent_that_is_not_root() {
    if !harness::has_tool("iptables-legacy") {
        return;
    }
    let lab = lab(&IPTABLES.replace("iptables", "iptables-legacy"), REDIS);
    let agent = Agent::start_as_nobody(&lab.app, "");
    assert_eq!(reached(&lab.app, DB), "oooooo");
    agent.inject("f", &spec(CUT, &format!(r#""{VIP}""#), "both"));
    assert_eq!(reached(&lab.app, DB), "xxoooo", "the service");
    agent.restore("f");
    assert_eq!(reached(&lab.app, DB), "oooooo", "restored");
}

#[test]
fn an_agent_that_is_not_root_knows_where_there_is_no_nat() {
    let lab = Lab::new();
    lab.app.sh("nft 'add table ip probe; add chain ip probe c { type filter hook output priority 0; }'");
    if !lab.app.sh("nft list hooks ip").contains("hook output") {
        return harness::skip("this kernel does not tell who is on its hooks");
    }
    let agent = Agent::start_as_nobody(&lab.app, "");
    let before = lab.app.sh("cat /proc/net/ip_tables_names || true");
    let fault = agent.inject("f", &spec(CUT, &format!(r#""{REDIS}""#), "both"));
    assert_eq!(fault.places[0].interfaces, ["to-redis"]);
    assert_eq!(lab.app.sh("cat /proc/net/ip_tables_names || true"), before, "nothing is made by asking");
}

#[test]
fn what_is_forwarded_to_a_service_address_is_cut_too() {
    let lab = lab(NFT, REDIS);
    let agent = Agent::start(&lab.app, "");
    let others = "10.77.2.1";
    serve_tcp(&lab.app, on(others, 80));
    echo_udp(&lab.app, on(others, 7));
    assert_eq!(reached(&lab.db, others), "oooooo");
    for direction in ["egress", "ingress", "both"] {
        agent.inject("f", &spec(CUT, &format!(r#""{VIP}""#), direction));
        assert_eq!(reached(&lab.db, others), "xxoooo", "{direction}: the service");
        agent.restore("f");
        agent.inject("f", &spec(CUT, &format!(r#""{REDIS}""#), direction));
        assert_eq!(reached(&lab.db, others), "xxxxoo", "{direction}: the backend");
        agent.restore("f");
        assert_eq!(reached(&lab.db, others), "oooooo");
    }
}

#[test]
fn each_packet_is_hit_once_whatever_its_address_was() {
    let lab = lab(NFT, REDIS);
    let agent = Agent::start(&lab.app, "");
    let half = r#"{"loss":{"percent":50}}"#;
    // To the service, and past it.
    let arrive = |port: u16| [VIP, REDIS].map(|to| half_burst(&lab, to, port));
    let around_half = 421..=579;
    for (nth, (peers, service, direct)) in [
        (format!(r#""{VIP}""#), true, false),
        (format!(r#""{REDIS}""#), true, true),
        (format!(r#""{VIP}","{REDIS}""#), true, true),
    ]
    .into_iter()
    .enumerate()
    {
        agent.inject("f", &spec(half, &peers, "egress"));
        let [through, past] = arrive(9000 + u16::try_from(nth).unwrap());
        println!("{peers}: {through} of 1000 through the service, {past} past it");
        // Five standard deviations of sqrt(1000)/2; hit twice it would be 250.
        for (seen, is_hit) in [(through, service), (past, direct)] {
            assert!(if is_hit { around_half.contains(&seen) } else { seen == 1_000 }, "{peers}: {seen}");
        }
        let lost = usize::try_from(agent.faults()[0].hits.lost_packets).unwrap();
        assert_eq!(lost, 2_000 - through - past, "{peers}");
        agent.restore("f");
    }
}

/// A thousand datagrams, of which the backend sees some.
fn half_burst(lab: &Lab, to: &str, port: u16) -> usize {
    counted(lab, on(REDIS, port), on(to, port))
}

fn counted(lab: &Lab, inbox: SocketAddr, to: SocketAddr) -> usize {
    let inbox = lab.redis.run(|| std::net::UdpSocket::bind(inbox)).expect("a free port");
    inbox.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    // Room for all of them, should the machine have no time for the reader.
    setsockopt(&inbox, sockopt::RcvBufForce, &(8 << 20)).expect("root may");
    let sender = lab.app.run(|| std::net::UdpSocket::bind("0.0.0.0:0")).expect("a free port");
    sender.connect(to).expect("a route");
    std::thread::scope(|scope| {
        let counter = scope.spawn(|| std::iter::from_fn(|| inbox.recv(&mut [0; 8]).ok()).count());
        for number in 0..1_000 {
            sender.send(b"x").expect("it can be sent");
            if number % 50 == 49 {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
        counter.join().expect("the thread ends well")
    })
}

#[test]
fn answers_of_a_service_are_hit_once() {
    let lab = lab(NFT, REDIS);
    let agent = Agent::start(&lab.app, "");
    for peers in [format!(r#""{VIP}""#), format!(r#""{REDIS}""#), format!(r#""{VIP}","{REDIS}""#)] {
        agent.inject("f", &spec(r#"{"loss":{"percent":50}}"#, &peers, "ingress"));
        let echoed = lab.app.run(|| {
            let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
            socket.connect(on(VIP, 7)).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            let sender = socket.try_clone().unwrap();
            let sending = std::thread::spawn(move || {
                for number in 0..1_000 {
                    sender.send(b"?").unwrap();
                    if number % 5 == 4 {
                        std::thread::sleep(std::time::Duration::from_millis(1));
                    }
                }
            });
            let echoed = std::iter::from_fn(|| socket.recv(&mut [0; 8]).ok()).count();
            sending.join().unwrap();
            echoed
        });
        println!("{peers}: {echoed} of 1000 answers");
        assert!((421..=579).contains(&echoed), "{peers}: {echoed}");
        agent.restore("f");
    }
}

#[test]
fn a_service_is_delayed_once_in_each_direction() {
    let lab = lab(NFT, REDIS);
    let agent = Agent::start(&lab.app, "");
    let ms = std::time::Duration::from_millis;
    for peers in [format!(r#""{VIP}""#), format!(r#""{VIP}","{REDIS}""#)] {
        let slow = spec(r#"{"delay":{"latency":"100ms"}}"#, &peers, "both")
            .replace("\"for\"", "\"engine\":\"emulator\",\"for\"");
        agent.inject("f", &slow);
        let trips = round_trips(&lab.app, on(VIP, 7), 10, ms(1));
        assert_eq!(trips.len(), 10);
        assert!(trips.iter().all(|trip| *trip >= ms(200)), "{trips:?}");
        // Twice in one direction it would be 300.
        assert!(median(&trips) < ms(280), "{trips:?}");
        assert!(median(&round_trips(&lab.app, on(DB, 7), 10, ms(1))) < ms(40));
        agent.restore("f");
        agent.until_idle(std::time::Duration::from_secs(10));
    }
}

#[test]
fn the_ninth_fault_behind_nat_is_refused_and_not_left_without_its_bit() {
    let lab = lab(NFT, REDIS);
    let agent = Agent::start(&lab.app, "");
    for nth in 0..8 {
        agent.inject(&format!("f{nth}"), &spec(r#"{"loss":{"percent":1}}"#, r#""10.96.0.99""#, "egress"));
    }
    let vip = spec(CUT, &format!(r#""{VIP}""#), "both");
    let (status, problem) = agent.ask("PUT", "/v1/faults/ninth", Some(&vip));
    let detail = problem["detail"].to_string();
    assert!(status == 422 && detail.contains("all 8 bits") && detail.contains("NAT"), "{status} {problem}");
    // What is rejected is so before NAT, and needs none.
    agent.inject("rejected", &spec(r#"{"reject":{"with":"tcp_reset"}}"#, r#""10.96.0.99""#, "egress"));
    assert_eq!(reached(&lab.app, DB), "oooooo");
    agent.restore("f3");
    agent.inject("ninth", &vip);
    assert_eq!(reached(&lab.app, DB), "xxoooo");
    assert!(lab.app.sh("nft list ruleset").contains("meta mark set meta mark | 0x08000000"));
}

/// As on a node of a cluster: to services leads the default route, to pods a bridge or a tunnel.
#[test]
fn a_service_is_hit_wherever_the_way_to_its_backend_leads() {
    let lab = lab(NFT, DB);
    let agent = Agent::start(&lab.app, "");
    for direction in ["egress", "ingress", "both"] {
        agent.inject("f", &spec(CUT, &format!(r#""{VIP}""#), direction));
        assert_eq!(reached(&lab.app, DB), "xxoooo", "{direction}: {:?}", agent.faults()[0].places);
        agent.restore("f");
    }
    agent.inject("f", &spec(r#"{"loss":{"percent":50}}"#, &format!(r#""{VIP}""#), "egress"));
    let seen = half_burst(&lab, VIP, 9000);
    assert!((421..=579).contains(&seen), "{seen}");
    agent.restore("f");
    let slow = spec(r#"{"delay":{"latency":"100ms"}}"#, &format!(r#""{VIP}""#), "both");
    agent.inject("f", &slow.replace("\"for\"", "\"engine\":\"emulator\",\"for\""));
    let trips = round_trips(&lab.app, on(VIP, 7), 5, std::time::Duration::from_millis(1));
    assert!(trips.iter().all(|trip| *trip >= std::time::Duration::from_millis(200)), "{trips:?}");
}

/// As flannel has it: the packet inside a tunnel and the one around it both leave this host, and both have the mark.
#[test]
fn a_packet_to_a_service_behind_a_tunnel_is_hit_once() {
    let lab = lab(NFT, DB);
    let tunnel = |own: &str, other: &str, inner: &str, device: &str| {
        format!(
            "ip link add tunnel type vxlan id 5 remote {other} local {own} dstport 4789 dev {device} && \
             ip link set tunnel up && ip addr add {inner}/24 dev tunnel"
        )
    };
    let made = lab.app.output("bash", &["-c", &tunnel("10.77.1.1", REDIS, "10.50.0.1", "to-redis")]);
    if !made.status.success() {
        harness::skip("this kernel has no vxlan");
        return;
    }
    lab.redis.sh(&tunnel(REDIS, "10.77.1.1", "10.50.0.2", "eth0"));
    lab.app.sh("nft flush ruleset; nft 'add table ip services; add chain ip services output { type nat hook output priority -100; }; \
                add rule ip services output ip daddr 10.96.0.10 dnat to 10.50.0.2'");
    let agent = Agent::start(&lab.app, "");
    assert_eq!(tunnelled(&lab, 9000), 1_000);
    agent.inject("f", &spec(r#"{"loss":{"percent":50}}"#, &format!(r#""{VIP}""#), "egress"));
    let seen = tunnelled(&lab, 9001);
    println!("{seen} of 1000 through the service and the tunnel");
    // Five standard deviations; hit inside and around it would be 250.
    assert!((421..=579).contains(&seen), "{seen}");
    agent.restore("f");
    assert_eq!(tunnelled(&lab, 9002), 1_000);
}

fn tunnelled(lab: &Lab, port: u16) -> usize {
    counted(lab, on("10.50.0.2", port), on(VIP, port))
}
