//! Several faults on the same packets, and rates as TCP feels them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use harness::agent::Agent;
use harness::engines;
use harness::lab::{APP_TO_REDIS, Host, Lab, REDIS, address};
use harness::traffic::{connect, echo_udp, median, round_trips};
use partition_agent_proto::FaultStatus;

const MS: Duration = Duration::from_millis(1);

/// What a busy or emulated machine adds to a round trip.
const LATE: Duration = Duration::from_millis(60);

fn spec(kinds: &str, engine: &str) -> String {
    format!(
        r#"{{"kinds":[{kinds}],"target":{{"peers":["{REDIS}"]}},"direction":"egress","engine":"{engine}","for":"10m"}}"#
    )
}

fn latency(millis: u32) -> String {
    format!(r#"{{"delay":{{"latency":"{millis}ms"}}}}"#)
}

/// Everything that nft and tc say of the agent's objects, less the counts and times that run.
fn tools(host: &Host) -> String {
    let text = host.sh("nft list ruleset; ip -o link show | cut -d: -f2 | grep pa- | sort; tc qdisc show | grep 'dev pa-' | sort");
    let mut words = text.split_inclusive(char::is_whitespace);
    let mut kept = String::new();
    while let Some(word) = words.next() {
        kept.push_str(word);
        if matches!(word.trim(), "packets" | "bytes" | "expires") {
            let _runs = words.next();
        }
    }
    kept
}

fn shadows(agent: &Agent) -> Vec<(String, Vec<String>)> {
    let name = |fault: &FaultStatus| {
        (fault.id.to_string(), fault.shadowed_by.iter().map(ToString::to_string).collect())
    };
    let mut names = agent.faults().iter().map(name).collect::<Vec<_>>();
    names.sort();
    names
}

/// Until no more faults than these are left.
fn until_left(agent: &Agent, count: usize) {
    let begun = Instant::now();
    while agent.faults().len() > count {
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", agent.faults());
        std::thread::sleep(10 * MS);
    }
}

#[test]
fn of_two_shaping_faults_the_newer_wins_and_leaves_the_older_as_it_was() {
    let lab = Lab::new();
    let redis = SocketAddr::new(address(REDIS), 7);
    echo_udp(&lab.redis, redis);
    let middle = || median(&round_trips(&lab.app, redis, 5, MS));
    let felt = |wanted: u32, when: &str| {
        let middle = middle();
        println!("{when}: {middle:?}");
        assert!(middle >= wanted * MS && middle < wanted * MS + LATE, "{when}: {middle:?}, not {wanted} ms");
    };
    for engine in engines(&lab) {
        let agent = Agent::start(&lab.app, "");
        agent.inject("old", &spec(&latency(100), engine));
        let before = tools(&lab.app);
        assert!(before.contains("f1_egress_shape") && before.contains("pa-f1-e"), "{before}");
        felt(100, &format!("{engine}, one"));
        agent.inject("young", &spec(&latency(300), engine));
        felt(300, &format!("{engine}, the newer of two"));
        let young = "young".to_owned();
        assert_eq!(shadows(&agent), [("old".to_owned(), vec![young.clone()]), (young.clone(), vec![])]);
        agent.restore("young");
        until_left(&agent, 1);
        assert_eq!(tools(&lab.app), before, "{engine}: the newer one has left a trace");
        assert_eq!(shadows(&agent), [("old".to_owned(), vec![])]);
        felt(100, &format!("{engine}, the older again"));
        agent.inject("young", &spec(&latency(300), engine));
        agent.restore("old");
        until_left(&agent, 1);
        felt(300, &format!("{engine}, the newer alone"));
        assert!(!tools(&lab.app).contains("f1_egress"), "the older one is gone");
        let other = spec(&latency(10), engine).replace(REDIS, "10.77.2.2");
        agent.inject("other", &other);
        assert_eq!(shadows(&agent), [("other".to_owned(), vec![]), (young, vec![])], "another target");
        let _dir = agent.terminate();
        assert!(tools(&lab.app).trim().is_empty(), "{}", tools(&lab.app));
    }
}

#[test]
fn a_loss_and_a_latency_are_both_felt_whichever_came_first() {
    let lab = Lab::new();
    let redis = SocketAddr::new(address(REDIS), 9000);
    for engine in engines(&lab) {
        let agent = Agent::start(&lab.app, "");
        let both = [("loss", r#"{"loss":{"percent":50}}"#.to_owned()), ("late", latency(100))];
        for order in [[0, 1], [1, 0]] {
            for nth in order {
                agent.inject(both[nth].0, &spec(&both[nth].1, engine));
            }
            let pace = harness::stream::Pace {
                count: 400,
                length: 16,
                bunch: 2,
                pause: MS,
                quiet: Duration::from_millis(600),
            };
            let stream = harness::stream::stream(&lab.app, &lab.redis, redis, pace);
            let arrived = stream.arrived.len();
            let least = stream.arrived.iter().map(|arrival| arrival.took).min().unwrap();
            println!(
                "{engine}, {} first: {arrived} of 400 arrived, after {least:?} at least",
                both[order[0]].0
            );
            // Five standard deviations of √(400 · 0.5 · 0.5) = 10 around the half.
            assert!((150..=250).contains(&arrived), "{engine}: {arrived}");
            assert!(least >= 100 * MS, "{engine}: {least:?}");
            let faults = agent.faults();
            assert!(faults.iter().all(|fault| fault.shadowed_by.is_empty()), "a loss takes no packet away");
            let shaped = faults.iter().map(|fault| fault.hits.shaped_packets).sum::<u64>();
            let lost = faults.iter().map(|fault| fault.hits.lost_packets).sum::<u64>();
            assert_eq!((shaped, shaped + lost), (arrived as u64, 400), "{engine}");
            agent.restore("loss");
            agent.restore("late");
            agent.until_idle(Duration::from_secs(10));
        }
        let _dir = agent.terminate();
    }
}

/// How long it takes until all of it has been read.
fn transfer(from: &Host, to: &Host, at: SocketAddr, bytes: usize) -> Duration {
    let listener = to.run(|| TcpListener::bind(at)).expect("a free port");
    let reader = std::thread::spawn(move || {
        let mut received = Vec::new();
        let (mut stream, _) = listener.accept().expect("a connection");
        stream.read_to_end(&mut received).expect("all of it");
        (received.len(), Instant::now())
    });
    let mut stream = connect(from, at, Duration::from_secs(10)).expect("a connection");
    let begun = Instant::now();
    stream.write_all(&vec![7; bytes]).expect("it is read");
    drop(stream);
    let (received, ended) = reader.join().expect("the reader ends");
    assert_eq!(received, bytes);
    ended - begun
}

/// 1 MB at 8 Mbit/s is a second of payload, and its headers, few as the kernel passes on segments of up to 64 KB whole. Slower
/// by what TCP needs to find the rate, and by what a retransmission that is lost, too, costs.
#[test]
fn tcp_gets_the_rate_and_no_more() {
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, "");
    let open = transfer(&lab.app, &lab.redis, SocketAddr::new(address(REDIS), 9000), 1_000_000);
    println!("without a fault: {open:?}");
    for engine in engines(&lab) {
        for direction in ["egress", "ingress"] {
            let rate = spec(r#"{"rate":{"rate":"8mbit"}}"#, engine).replace("egress", direction);
            agent.inject("f", &rate);
            let took = match direction {
                "egress" => transfer(&lab.app, &lab.redis, SocketAddr::new(address(REDIS), 9001), 1_000_000),
                _ => transfer(&lab.redis, &lab.app, SocketAddr::new(address(APP_TO_REDIS), 9001), 1_000_000),
            };
            println!("{engine} {direction}: {took:?}, {:.2} Mbit/s", 8.0 / took.as_secs_f64());
            assert!(took >= Duration::from_secs(1), "{engine} {direction}: faster than the rate: {took:?}");
            assert!(took < Duration::from_secs(4) + open, "{engine} {direction}: {took:?}");
            agent.restore("f");
            agent.until_idle(Duration::from_secs(10));
        }
    }
}
