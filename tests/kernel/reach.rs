//! Who reaches whom, as two agents find it out, and what their own faults say about it.

use harness::agent::Agent;
use harness::lab::{APP_TO_REDIS, Lab, REDIS, REDIS6};
use partition_agent_proto::{Effect, Heard, Reach};

use crate::PATIENCE;
use crate::fleet::Fleet;

const A: u32 = 1;
const B: u32 = 2;

/// What one host finds out about an address of the other one.
fn reach(agent: &Agent, round: u32, (from, to): (u32, u32), address: &str) -> Reach {
    let timeout = PATIENCE.as_millis();
    let body = format!(
        r#"{{"round":{round},"from":{from},"timeout":"{timeout}ms",
            "targets":[{{"to":{to},"address":"{address}","port":7434,"how":"host"}}]}}"#
    );
    let (status, answer) = agent.ask("POST", "/v1/reach", Some(&body));
    assert_eq!(status, 200, "{answer}");
    let mut reached = serde_json::from_value::<Vec<Reach>>(answer).expect("what was found out");
    assert_eq!(reached.len(), 1, "{reached:?}");
    reached.remove(0)
}

fn heard(agent: &Agent, round: u32) -> Vec<(u32, u32)> {
    let (status, answer) = agent.ask("GET", &format!("/v1/heard?round={round}"), None);
    assert_eq!(status, 200, "{answer}");
    let heard = serde_json::from_value::<Vec<Heard>>(answer).expect("who was heard");
    heard.iter().map(|heard| (heard.from, heard.datagrams)).collect()
}

fn cut(direction: &str) -> String {
    format!(
        r#"{{"kinds":[{{"loss":{{"percent":100}}}}],"target":{{"peers":["{REDIS}","{REDIS6}"]}},
            "direction":"{direction}","for":"10m"}}"#
    )
}

fn assert_reached(reach: &Reach) {
    assert_eq!((reach.sent, reach.answered, reach.connected), (5, 5, Some(true)), "{reach:?}");
    assert!(reach.rtt_micros.is_some() && reach.error.is_none() && reach.faults.is_empty(), "{reach:?}");
}

fn assert_not_reached(reach: &Reach) {
    // A fault is no error to whoever sends: all of them were sent.
    assert_eq!((reach.sent, reach.answered, reach.connected), (5, 0, Some(false)), "{reach:?}");
}

#[test]
fn each_direction_is_told_from_the_other_and_held_against_the_faults() {
    let lab = Lab::new();
    let Fleet { a, b, .. } = Fleet::start(&lab);
    for address in [REDIS, REDIS6] {
        assert_reached(&reach(&a, 10, (A, B), address));
    }
    assert_reached(&reach(&b, 10, (B, A), APP_TO_REDIS));
    assert_eq!((heard(&a, 10), heard(&b, 10)), (vec![(B, 5)], vec![(A, 5)]));

    for (direction, round, egress, ingress, b_hears, a_hears) in [
        ("egress", 20, Effect::Cut, Effect::None, vec![], vec![(B, 5)]),
        ("ingress", 30, Effect::None, Effect::Cut, vec![(A, 5)], vec![]),
        ("both", 40, Effect::Cut, Effect::Cut, vec![], vec![]),
    ] {
        a.inject("cut", &cut(direction));
        for address in [REDIS, REDIS6] {
            let reach = reach(&a, round, (A, B), address);
            assert_not_reached(&reach);
            let faults = reach.faults.iter().map(|meets| (meets.id.as_str(), meets.egress, meets.ingress));
            assert_eq!(faults.collect::<Vec<_>>(), [("cut", egress, ingress)], "{direction} {address}");
        }
        let back = reach(&b, round, (B, A), APP_TO_REDIS);
        assert_not_reached(&back);
        assert_eq!(back.faults, [], "it is none of the other host's");
        assert_eq!((heard(&b, round), heard(&a, round)), (b_hears, a_hears), "{direction}");
        a.restore("cut");
    }
    assert_reached(&reach(&a, 50, (A, B), REDIS));
}

#[test]
fn what_is_impaired_is_told_from_what_is_cut() {
    let lab = Lab::new();
    let Fleet { a, b: _b, .. } = Fleet::start(&lab);
    a.inject("half", &cut("egress").replace("100", "50"));
    let half = reach(&a, 10, (A, B), REDIS);
    assert_eq!((half.faults[0].egress, half.faults[0].ingress), (Effect::Impaired, Effect::None));
    a.restore("half");
    // What is refused here was never sent, and says so.
    a.inject(
        "no",
        &cut("egress").replace(r#"{"loss":{"percent":100}}"#, r#"{"reject":{"with":"tcp_reset"}}"#),
    );
    let refused = reach(&a, 20, (A, B), REDIS);
    assert_eq!((refused.answered, refused.connected), (0, Some(false)), "{refused:?}");
    assert_eq!((refused.faults[0].egress, refused.faults[0].ingress), (Effect::Cut, Effect::None));
    assert!(refused.error.is_some(), "{refused:?}");
}

#[test]
fn an_answer_comes_from_the_address_that_was_asked() {
    let lab = Lab::new();
    let Fleet { a: _a, b, .. } = Fleet::start(&lab);
    // The other address of `app`: by its routes the kernel would answer from the one that it has on this link.
    lab.redis.sh("ip route add 10.77.2.1/32 via 10.77.1.1");
    assert_reached(&reach(&b, 10, (B, A), "10.77.2.1"));
}

#[test]
fn a_probe_port_that_is_taken_keeps_the_agent_from_starting() {
    let lab = Lab::new();
    let taken = lab.app.run(|| std::net::UdpSocket::bind("127.0.0.1:7434")).unwrap();
    let start = |config: &str| {
        let dir = tempfile::tempdir().unwrap();
        let conf = dir.path().join("agent.toml");
        std::fs::write(&conf, config).unwrap();
        let [conf, socket, state] =
            [conf, dir.path().join("s"), dir.path().join("state")].map(|path| path.display().to_string());
        let program = harness::binary().display().to_string();
        let done = lab.app.output(
            "timeout",
            &["10", &program, "serve", "--config", &conf, "--socket", &socket, "--state-dir", &state],
        );
        (done.status.code(), harness::text(&done.stderr))
    };
    let (code, error) = start("listen = '127.0.0.1:7433'\ninsecure_loopback = true\n");
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("127.0.0.1:7434") && error.contains("probe_port"), "{error}");
    drop(taken);
    for config in ["probe_port = 7435\n", "probe_port = 0\n"] {
        let listen = "listen = '127.0.0.1:7433'\ninsecure_loopback = true\n";
        let agent = Agent::start(&lab.app, &format!("{listen}{config}"));
        let bound = lab.app.sh("ss -Hlun sport ge :7434 and sport le :7435");
        assert_eq!(bound.contains("127.0.0.1:7435"), config.contains("7435"), "{bound}");
        let _dir = agent.terminate();
    }
}
