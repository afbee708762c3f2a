//! Names that fail: for whom, how, and that nobody else can tell.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use harness::agent::Agent;
use harness::lab::{Lab, REDIS, REDIS6, address};
use harness::snapshot::Snapshot;
use harness::{has_tool, text};
use partition_agent_proto::End;

use crate::asker::{ask, question};
use crate::name_server::{NameServer, with_resolv_conf};
use crate::{PATIENCE, SLACK};

fn servers() -> [SocketAddr; 2] {
    [REDIS, REDIS6].map(|host| SocketAddr::new(address(host), 53))
}

fn fault(answer: &str) -> String {
    format!(
        r#"{{"kinds":[{{"dns":{{"names":["api.example.com","*.wild.example"],"answer":{answer}}}}}],
            "target":{{"peers":["{REDIS}","{REDIS6}"]}},"for":"10m"}}"#
    )
}

const FAILING: [&str; 4] = ["api.example.com", "API.Example.COM", "a.wild.example", "b.c.wild.example"];
const OTHERS: [&str; 4] =
    ["example.com", "wild.example", "api.example.com.example.net", "notapi.example.com"];

/// Over both protocols, to the servers of both families.
fn ways() -> impl Iterator<Item = (SocketAddr, bool)> {
    servers().into_iter().flat_map(|server| [(server, false), (server, true)])
}

/// Answered as if there were no agent, by every way.
fn assert_as_ever(lab: &Lab, name: &str, when: &str) {
    for (server, tcp) in ways() {
        let asked = question(0x1234, name);
        // On the server's own host nothing stands between.
        let true_answer = ask(&lab.redis, server, tcp, &asked, 4 * PATIENCE);
        let answer = ask(&lab.app, server, tcp, &asked, 4 * PATIENCE);
        assert!(true_answer.is_some());
        assert_eq!(answer, true_answer, "{when}: {name}, {server}, tcp {tcp}");
    }
}

#[test]
fn names_fail_as_asked_and_all_others_are_answered_byte_for_byte() {
    let lab = Lab::new();
    let upstream = NameServer::start(&lab.redis, &servers());
    let agent = Agent::start(&lab.app, "");
    let before = Snapshot::take(&lab.app);
    for (answer, code) in [(r#""nxdomain""#, Some(3)), (r#""servfail""#, Some(2)), (r#""timeout""#, None)] {
        FAILING.iter().for_each(|name| assert_as_ever(&lab, name, "before"));
        agent.inject("f", &fault(answer));
        upstream.asked();
        let mut asked = 0;
        for (nth, name) in FAILING.into_iter().enumerate() {
            for (server, tcp) in ways() {
                let id = 100 + u16::try_from(nth).unwrap();
                let question = question(id, name);
                let answer = ask(&lab.app, server, tcp, &question, PATIENCE);
                let seen = answer.as_ref().map(|answer| u16::from(answer[3] & 15));
                assert_eq!(seen, code, "{name}, {server}, tcp {tcp}");
                if let Some(answer) = answer {
                    assert_eq!(answer[..2], id.to_be_bytes());
                    assert_eq!(
                        answer[12..question.len()],
                        question[12..],
                        "the question, in the case that it had"
                    );
                }
                asked += 1;
            }
        }
        assert_eq!(upstream.asked(), [""; 0], "no failing question gets through");
        OTHERS.iter().for_each(|name| assert_as_ever(&lab, name, answer));
        assert_eq!(agent.faults()[0].hits.failed_questions, asked);
        // Questions of others to the same server are not the agent's business.
        assert!(ask(&lab.redis, servers()[0], false, &question(1, FAILING[0]), PATIENCE).is_some());
        agent.restore("f");
        FAILING.iter().for_each(|name| assert_as_ever(&lab, name, "right after the restore"));
        agent.until_idle(2 * SLACK);
        before.assert_same(&Snapshot::take(&lab.app), answer);
    }
}

#[test]
fn a_slow_name_has_its_true_answer_later() {
    let lab = Lab::new();
    let _upstream = NameServer::start(&lab.redis, &servers());
    let agent = Agent::start(&lab.app, "");
    agent.inject("f", &fault(r#"{"delay":{"latency":"600ms"}}"#));
    let late = Duration::from_millis(600);
    for (server, tcp) in ways() {
        let asked = question(7, FAILING[2]);
        let true_answer = ask(&lab.redis, server, tcp, &asked, PATIENCE);
        let begun = Instant::now();
        assert_eq!(ask(&lab.app, server, tcp, &asked, late + SLACK), true_answer);
        assert!(begun.elapsed() >= late, "{:?}", begun.elapsed());
        let begun = Instant::now();
        assert!(ask(&lab.app, server, tcp, &question(8, OTHERS[0]), SLACK).is_some());
        assert!(begun.elapsed() < late, "{:?}", begun.elapsed());
    }
    // One that waits when the fault is restored is answered all the same.
    let waiting = std::thread::scope(|scope| {
        let asked =
            scope.spawn(|| ask(&lab.app, servers()[0], false, &question(9, FAILING[0]), late + SLACK));
        std::thread::sleep(late / 3);
        agent.restore("f");
        asked.join().unwrap()
    });
    assert!(waiting.is_some(), "a question that was delayed got lost with the restore");
    assert_as_ever(&lab, FAILING[0], "after the restore");
}

#[test]
fn names_work_again_at_the_deadline_and_when_the_agent_is_killed() {
    let lab = Lab::new();
    let _upstream = NameServer::start(&lab.redis, &servers());
    let agent = Agent::start(&lab.app, "");
    let before = Snapshot::take(&lab.app);
    let fails = || {
        ask(&lab.app, servers()[0], false, &question(1, FAILING[0]), PATIENCE).is_some_and(|a| a[3] & 15 == 3)
    };
    let injected = Instant::now();
    agent.inject("f", &fault(r#""nxdomain""#).replace("10m", "2s"));
    assert!(fails());
    while fails() {
        assert!(injected.elapsed() < Duration::from_secs(2) + SLACK);
        std::thread::sleep(Duration::from_millis(5));
    }
    println!("fails for {:?} of 2s", injected.elapsed());
    assert!(injected.elapsed() >= Duration::from_secs(2) - PATIENCE);
    FAILING.iter().for_each(|name| assert_as_ever(&lab, name, "after the deadline"));
    agent.until_idle(2 * SLACK);
    assert_eq!(agent.history()[0].end, End::Deadline);
    before.assert_same(&Snapshot::take(&lab.app), "after the deadline");

    agent.inject("f", &fault(r#""nxdomain""#));
    assert!(fails());
    let _dir = agent.kill_9();
    FAILING.iter().for_each(|name| assert_as_ever(&lab, name, "right after kill -9"));
    let begun = Instant::now();
    while lab.app.sh("nft list tables").contains("partition_agent") {
        assert!(begun.elapsed() < SLACK);
    }
    before.assert_same(&Snapshot::take(&lab.app), "after kill -9");
}

/// A fault on a name server that is named, and gets another address while it lasts.
fn on_a_named_server(lab: &Lab) -> (Agent, NameServer) {
    let names = NameServer::start(&lab.app, &["127.0.0.1:53".parse().expect("an address")]);
    names.set("dns.example", REDIS);
    let agent = with_resolv_conf("nameserver 127.0.0.1\n", || Agent::start(&lab.app, ""));
    agent.inject(
        "f",
        &fault(r#""nxdomain""#).replace(&format!(r#""{REDIS}","{REDIS6}""#), r#""dns.example""#),
    );
    (agent, names)
}

/// How a failing name is answered by each of the two.
fn codes(lab: &Lab) -> [Option<u8>; 2] {
    servers().map(|server| {
        let answer = ask(&lab.app, server, false, &question(1, FAILING[0]), PATIENCE);
        answer.map(|answer| answer[3] & 15)
    })
}

#[test]
fn questions_are_counted_on_when_a_name_server_joins() {
    let lab = Lab::new();
    let _upstream = NameServer::start(&lab.redis, &servers());
    let (agent, names) = on_a_named_server(&lab);
    for _ in 0..3 {
        assert_eq!(codes(&lab), [Some(3), Some(0)]);
    }
    assert_eq!(agent.faults()[0].hits.failed_questions, 3);
    names.set("dns.example", REDIS6);
    let (begun, mut failed, mut unanswered) = (Instant::now(), 3, 0);
    loop {
        let codes = codes(&lab);
        failed += codes.iter().filter(|code| **code == Some(3)).count() as u64;
        // One that is on its way when the forwarders change is counted or not.
        unanswered += codes.iter().filter(|code| code.is_none()).count() as u64;
        if codes == [Some(3), Some(3)] {
            break;
        }
        assert!(begun.elapsed() < 2 * SLACK, "{codes:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    let counted = agent.faults()[0].hits.failed_questions;
    assert!(
        (failed..=failed + unanswered).contains(&counted),
        "{counted}, not {failed} and {unanswered} more"
    );
    assert_eq!(codes(&lab), [Some(3), Some(3)]);
    assert_eq!(agent.faults()[0].hits.failed_questions, counted + 2);
}

/// Without ::1 there is no port in the place of a name server of IPv6.
#[test]
fn a_name_server_that_cannot_be_stood_in_for_leaves_the_others_as_they_were() {
    let lab = Lab::new();
    let _upstream = NameServer::start(&lab.redis, &servers());
    let (agent, names) = on_a_named_server(&lab);
    lab.app.sh("ip -6 addr del ::1/128 dev lo");
    assert_eq!(codes(&lab), [Some(3), Some(0)]);
    names.set("dns.example", REDIS6);
    let begun = Instant::now();
    while !agent.log().contains("could not follow a change") {
        assert!(begun.elapsed() < 2 * SLACK, "{}", agent.log());
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(codes(&lab), [Some(3), Some(0)]);
    OTHERS.iter().for_each(|name| assert_as_ever(&lab, name, "after a change that failed"));
    let (_, fault) = agent.ask("GET", "/v1/faults/f", None);
    // What there was is in force, and what came is not.
    let found = fault["verdict"]["found"].as_str().unwrap_or_default();
    assert!(found.contains("could not follow a change"), "{fault}");
    agent.restore("f");
    FAILING.iter().for_each(|name| assert_as_ever(&lab, name, "after the restore"));
}

#[test]
fn the_name_servers_are_those_of_resolv_conf_and_nobody_elses_are_touched() {
    let lab = Lab::new();
    let _upstream = NameServer::start(&lab.redis, &servers());
    let agent = with_resolv_conf(&format!("nameserver {REDIS}\n"), || Agent::start(&lab.app, ""));
    let spec = fault(r#""nxdomain""#).replace(&format!(r#""peers":["{REDIS}","{REDIS6}"]"#), "");
    agent.inject("f", &spec);
    let code = |server| {
        let answer = ask(&lab.app, server, false, &question(1, FAILING[0]), PATIENCE);
        answer.map(|answer| answer[3] & 15)
    };
    assert_eq!(servers().map(code), [Some(3), Some(0)]);
    agent.restore("f");
    assert_eq!(servers().map(code), [Some(0), Some(0)]);
}

/// As clouds have them next to the host (169.254.169.254), and Kubernetes nodes on themselves (169.254.20.10).
#[test]
fn names_fail_at_link_local_servers_of_ipv4_too() {
    let lab = Lab::new();
    let [metadata, node] = ["169.254.169.254", "169.254.20.10"];
    lab.redis.sh(&format!("ip addr add {metadata}/32 dev eth0"));
    lab.app.sh(&format!("ip route add {metadata} dev to-redis; ip addr add {node}/32 dev lo"));
    let [metadata, node] = [metadata, node].map(|server| SocketAddr::new(address(server), 53));
    let upstreams = [NameServer::start(&lab.redis, &[metadata]), NameServer::start(&lab.app, &[node])];
    let file = format!("nameserver {}\nnameserver {}\nnameserver fe80::1%to-db\n", metadata.ip(), node.ip());
    let agent = with_resolv_conf(&file, || Agent::start(&lab.app, ""));
    let spec = fault(r#""nxdomain""#).replace(&format!(r#""peers":["{REDIS}","{REDIS6}"]"#), "");
    let code = |server, tcp, name| {
        let answer = ask(&lab.app, server, tcp, &question(1, name), PATIENCE);
        answer.map(|answer| answer[3] & 15)
    };
    agent.inject("f", &spec);
    for (server, upstream) in [(metadata, &upstreams[0]), (node, &upstreams[1])] {
        for tcp in [false, true] {
            upstream.asked();
            assert_eq!(code(server, tcp, FAILING[0]), Some(3), "{server}, tcp {tcp}");
            assert_eq!(upstream.asked(), [""; 0]);
            assert_eq!(code(server, tcp, OTHERS[0]), Some(0), "{server}, tcp {tcp}");
            assert_eq!(upstream.asked(), [OTHERS[0]]);
        }
    }
    agent.restore("f");
    assert_eq!([metadata, node].map(|server| code(server, false, FAILING[0])), [Some(0), Some(0)]);
}

#[test]
fn only_the_lookups_of_a_user_fail() {
    if !has_tool("dig") {
        return;
    }
    let lab = Lab::new();
    let _upstream = NameServer::start(&lab.redis, &servers());
    let agent = Agent::start(&lab.app, "");
    let spec = fault(r#""nxdomain""#).replace("\"target\"", "\"scope\":{\"user\":\"nobody\"},\"target\"");
    agent.inject("f", &spec);
    for server in [REDIS, REDIS6] {
        for more in ["+notcp", "+tcp"] {
            let at = format!("@{server}");
            let dig = ["dig", &at, "api.example.com", more, "+noedns", "+tries=1", "+timeout=2"];
            let nobody = [&["--reuid", "65534", "--clear-groups", "--"], &dig[..]].concat();
            let nobody = text(&lab.app.output("setpriv", &nobody).stdout);
            assert!(nobody.contains("NXDOMAIN"), "{server} {more}: {nobody}");
            let root = text(&lab.app.output(dig[0], &dig[1..]).stdout);
            assert!(root.contains("10.9.8.7"), "{server} {more}: {root}");
        }
    }
}
