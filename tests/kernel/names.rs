//! A fault on a name goes where the name goes, and through the interfaces that the routes name.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use harness::agent::Agent;
use harness::lab::{DB, Lab, REDIS, address};
use harness::traffic::{answers, echo_udp, round_trips, serve_tcp};
use partition_agent_proto::{Event, EventKind};

use crate::name_server::{NameServer, with_resolv_conf};
use crate::{PATIENCE, SLACK};

/// `GET /v1/events`, as they come.
fn events(agent: &Agent) -> Receiver<Event> {
    let socket = agent.address().trim_start_matches("unix:").to_owned();
    let mut stream = UnixStream::connect(socket).expect("the agent listens");
    stream.write_all(b"GET /v1/events HTTP/1.1\r\nHost: agent\r\n\r\n").expect("it can be sent");
    let mut lines = BufReader::new(stream).lines();
    assert!(lines.next().expect("an answer").expect("an answer").contains("200"));
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let Some(json) = line.strip_prefix("data:") else { continue };
            if sender.send(serde_json::from_str(json).expect("an event")).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Waits for a `followed` that says this.
fn followed(events: &Receiver<Event>, what: &str) {
    let begun = Instant::now();
    loop {
        let left = SLACK.checked_sub(begun.elapsed()).expect("an event in time");
        let event = events.recv_timeout(left).expect("an event");
        if event.kind == EventKind::Followed && event.text.contains(what) {
            return;
        }
    }
}

/// Until this answers or does not, and how long that took.
fn until(lab: &Lab, at: SocketAddr, wanted: bool) -> Duration {
    let begun = Instant::now();
    // Silence is told soon enough; an answer takes longer than that where the machine is emulated.
    let patience = if wanted { PATIENCE } else { Duration::from_millis(50) };
    while answers(&lab.app, at, patience) != wanted {
        assert!(begun.elapsed() < 2 * SLACK, "{at} does not become {wanted}");
    }
    begun.elapsed()
}

#[test]
fn a_name_is_followed_to_its_new_address() {
    let lab = Lab::new();
    let [redis, db] = [REDIS, DB].map(|host| SocketAddr::new(address(host), 80));
    serve_tcp(&lab.redis, redis);
    serve_tcp(&lab.db, db);
    let names = NameServer::start(&lab.app, &["127.0.0.1:53".parse().unwrap()]);
    names.set("cache.shop.example", REDIS);
    let agent = with_resolv_conf("nameserver 127.0.0.1\n", || Agent::start(&lab.app, ""));
    let events = events(&agent);
    let spec =
        r#"{"kinds":[{"loss":{"percent":100}}],"target":{"peers":["cache.shop.example:80"]},"for":"10m"}"#;
    let fault = agent.inject("f", spec);
    assert_eq!(fault.first_addresses, [format!("{REDIS}:80")]);
    assert!(!answers(&lab.app, redis, PATIENCE) && answers(&lab.app, db, PATIENCE));
    let (mut is, mut was) = ((db, DB), (redis, REDIS));
    for _ in 0..3 {
        names.set("cache.shop.example", is.1);
        let changed = Instant::now();
        until(&lab, is.0, false);
        println!(
            "the new address was cut {:?} after the answer changed (its time to live is 1 s)",
            changed.elapsed()
        );
        assert!(changed.elapsed() < Duration::from_secs(2) + SLACK);
        until(&lab, was.0, true);
        println!("the old one was free after {:?}", changed.elapsed());
        followed(&events, "its target is now");
        assert_eq!(agent.faults()[0].first_addresses, [format!("{}:80", is.1)]);
        std::mem::swap(&mut is, &mut was);
    }
    // Nobody answers any more: the fault keeps what it has.
    names.asked();
    agent.restore("f");
    assert!(answers(&lab.app, redis, PATIENCE) && answers(&lab.app, db, PATIENCE));
    // Whoever followed it has stopped to ask; one question may have been on its way.
    std::thread::sleep(Duration::from_millis(500));
    names.asked();
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(names.asked(), [""; 0], "a fault that is over is not followed");
}

#[test]
fn a_name_without_an_answer_keeps_its_addresses_and_holds_up_no_other() {
    let lab = Lab::new();
    let [redis, db] = [REDIS, DB].map(|host| SocketAddr::new(address(host), 80));
    serve_tcp(&lab.redis, redis);
    serve_tcp(&lab.db, db);
    let names = NameServer::start(&lab.app, &["127.0.0.1:53".parse().unwrap()]);
    let config = "[peers]\ngroup = ['moves.example:80', 'gone.example:80']\n";
    let agent = with_resolv_conf("nameserver 127.0.0.1\n", || Agent::start(&lab.app, config));
    for peers in ["group", r#"moves.example:80","gone.example:80"#] {
        names.set("moves.example", REDIS);
        names.set("gone.example", "10.99.0.2");
        names.set("spared.example", "10.99.0.3");
        let spec = format!(
            r#"{{"kinds":[{{"loss":{{"percent":100}}}}],"target":{{"peers":["{peers}"],"except":["spared.example"]}},"for":"10m"}}"#
        );
        agent.inject("f", &spec);
        assert!(!answers(&lab.app, redis, PATIENCE) && answers(&lab.app, db, PATIENCE));
        for gone in ["gone.example", "spared.example"] {
            names.silence(gone);
        }
        // Both have been asked for in vain once; that takes the 5 s of a question, and begins within the second of an answer.
        names.asked();
        std::thread::sleep(Duration::from_millis(1_500));
        let asked = names.asked();
        assert!(
            ["gone.example", "spared.example"].iter().all(|name| asked.iter().any(|asked| asked == name))
        );
        names.set("moves.example", DB);
        let changed = Instant::now();
        until(&lab, db, false);
        println!("the new address was cut {:?} after the answer changed", changed.elapsed());
        assert_eq!(agent.faults()[0].first_addresses, [format!("{DB}:80"), "10.99.0.2:80".to_owned()]);
        let (_, status) = agent.ask("GET", "/v1/faults/f", None);
        assert!(status["plan"].as_str().expect("a plan").contains("10.99.0.3"), "still spared: {status}");
        agent.restore("f");
    }
    names.silence("moves.example");
    let (status, body) = agent.ask(
        "PUT",
        "/v1/faults/f",
        Some(r#"{"kinds":[{"loss":{"percent":100}}],"target":{"peers":["10.0.0.1","moves.example"]},"for":"1m"}"#),
    );
    assert!(
        status == 422 && body["detail"].as_str().expect("words").contains("moves.example"),
        "{status} {body}"
    );
}

/// 10.99.0.1 lives on both hosts; routes say which of them is meant.
const BOTH: &str = "10.99.0.1";

fn on_both(lab: &Lab) -> SocketAddr {
    let at = SocketAddr::new(address(BOTH), 80);
    for host in [&lab.redis, &lab.db] {
        host.sh(&format!("ip addr add {BOTH}/32 dev lo"));
        serve_tcp(host, at);
        echo_udp(host, SocketAddr::new(address(BOTH), 7));
    }
    lab.app.sh(&format!("ip route add {BOTH} via {REDIS}"));
    at
}

#[test]
fn a_target_whose_route_changes_is_cut_on_the_other_interface() {
    let lab = Lab::new();
    let at = on_both(&lab);
    let agent = Agent::start(&lab.app, "");
    let events = events(&agent);
    let spec =
        format!(r#"{{"kinds":[{{"loss":{{"percent":100}}}}],"target":{{"peers":["{BOTH}"]}},"for":"10m"}}"#);
    assert!(answers(&lab.app, at, PATIENCE));
    let fault = agent.inject("f", &spec);
    assert_eq!(fault.places[0].interfaces, ["to-redis"]);
    assert!(!answers(&lab.app, at, PATIENCE));
    for (via, device) in [(DB, "to-db"), (REDIS, "to-redis")] {
        lab.app.sh(&format!("ip route replace {BOTH} via {via}"));
        let took = until(&lab, at, false);
        println!("cut {took:?} after the route changed to {device}");
        followed(&events, device);
        assert_eq!(agent.faults()[0].places[0].interfaces, [device]);
        assert!(!answers(&lab.app, at, PATIENCE));
    }
    // Two ways at once.
    lab.app.sh(&format!("ip route replace {BOTH} nexthop via {REDIS} nexthop via {DB}"));
    let begun = Instant::now();
    while agent.faults()[0].places[0].interfaces.len() < 2 {
        assert!(begun.elapsed() < SLACK, "{:?}", agent.faults());
    }
    for _ in 0..8 {
        assert!(!answers(&lab.app, at, Duration::from_millis(50)));
    }
    agent.restore("f");
    // By one of the two ways the answer would go to the address of the other.
    lab.app.sh(&format!("ip route replace {BOTH} via {REDIS}"));
    until(&lab, at, true);
}

#[test]
fn a_latency_moves_to_the_other_interface_with_the_route() {
    let lab = Lab::new();
    on_both(&lab);
    let agent = Agent::start(&lab.app, "");
    let spec = format!(
        r#"{{"kinds":[{{"delay":{{"latency":"100ms"}}}}],"target":{{"peers":["{BOTH}"]}},"engine":"emulator","for":"10m"}}"#
    );
    agent.inject("f", &spec);
    let echo = SocketAddr::new(address(BOTH), 7);
    let delayed = |count| {
        let trips = round_trips(&lab.app, echo, count, Duration::from_millis(1));
        assert_eq!(trips.len(), count, "none is lost");
        trips.iter().all(|trip| *trip >= Duration::from_millis(200))
    };
    assert!(delayed(5));
    for via in [DB, REDIS] {
        lab.app.sh(&format!("ip route replace {BOTH} via {via}"));
        let begun = Instant::now();
        while !delayed(1) {
            assert!(begun.elapsed() < SLACK);
        }
        println!(
            "delayed {:?} after the route changed, with one round trip of 200 ms in that",
            begun.elapsed()
        );
        assert!(delayed(5));
    }
    agent.restore("f");
    agent.until_idle(2 * SLACK);
    assert!(!delayed(1));
    assert!(!lab.app.sh("ip -o link show").contains("pa-f"));
}

#[test]
fn an_interface_that_comes_later_is_hooked_when_the_route_leads_there() {
    let lab = Lab::new();
    let at = on_both(&lab);
    let agent = Agent::start(&lab.app, "");
    let spec =
        format!(r#"{{"kinds":[{{"loss":{{"percent":100}}}}],"target":{{"peers":["{BOTH}"]}},"for":"10m"}}"#);
    agent.inject("f", &spec);
    assert!(!answers(&lab.app, at, PATIENCE));
    let link = format!("ip link add later type veth peer name eth1 netns {}", lab.redis.namespace);
    lab.app.sh(&format!("{link} && ip link set later up && ip addr add 10.77.5.1/24 dev later"));
    lab.redis.sh("ip link set eth1 up && ip addr add 10.77.5.2/24 dev eth1");
    lab.app.sh(&format!("ip route replace {BOTH} via 10.77.5.2"));
    println!("cut {:?} after the route changed", until(&lab, at, false));
    assert!(!answers(&lab.app, at, PATIENCE));
    assert_eq!(agent.faults()[0].places[0].interfaces, ["later"]);
    // It goes, and the route with it; then the route leads somewhere else.
    lab.app.sh(&format!("ip link del later && ip route replace {BOTH} via {DB}"));
    println!("cut {:?} after the interface was gone", until(&lab, at, false));
    assert!(!answers(&lab.app, at, PATIENCE));
    agent.restore("f");
    assert!(answers(&lab.app, at, PATIENCE));
}
