//! Who is hit, and who is not.

use std::net::SocketAddr;

use harness::agent::Agent;
use harness::lab::{APP_TO_REDIS, DB, Lab, REDIS, REDIS6, address};
use harness::traffic::{answers, serve_tcp};

use crate::PATIENCE;

/// The places that are looked at: redis on two ports and two families, and another host.
const PLACES: [(&str, u16); 4] = [(REDIS, 80), (REDIS, 81), (REDIS6, 80), (DB, 80)];

fn servers(lab: &Lab) {
    for (host, port) in PLACES {
        serve_tcp(if host == DB { &lab.db } else { &lab.redis }, SocketAddr::new(address(host), port));
    }
}

/// Which of [`PLACES`] answer, as letters.
fn reachable(lab: &Lab) -> String {
    let answer =
        |(host, port): (&str, u16)| answers(&lab.app, SocketAddr::new(address(host), port), PATIENCE);
    PLACES.into_iter().map(|place| if answer(place) { 'o' } else { 'x' }).collect()
}

#[test]
fn each_way_to_name_a_target_hits_that_target_and_nothing_else() {
    let lab = Lab::new();
    servers(&lab);
    let agent = Agent::start(&lab.app, &format!("[peers]\nredis = ['{REDIS}:80', '{REDIS6}']\n"));
    assert_eq!(reachable(&lab), "oooo");
    let cases = [
        (r#"{"peers":["10.77.1.2"]}"#, "xxoo"),
        (r#"{"peers":["10.77.1.2:80"]}"#, "xooo"),
        (r#"{"peers":["10.77.1.2"],"ports":[81]}"#, "oxoo"),
        (r#"{"peers":["fd77:1::2"]}"#, "ooxo"),
        (r#"{"peers":["[fd77:1::/64]:80"]}"#, "ooxo"),
        (r#"{"peers":["redis"]}"#, "xoxo"),
        (r#"{"peers":["10.77.0.0/16"]}"#, "xxox"),
        (r#"{"peers":["10.77.0.0/16"],"except":["10.77.2.0/24"]}"#, "xxoo"),
        (r#"{"peers":["10.77.1.2"],"except":["10.77.1.2:81"]}"#, "xooo"),
        (r#"{"ports":[80]}"#, "xoxx"),
        (r#"{"ports":[80],"except":["10.77.2.2"]}"#, "xoxo"),
        (r#"{"all_traffic":true}"#, "xxxx"),
        (r#"{"all_traffic":true,"except":["10.77.1.2:81","fd77::/16"]}"#, "xoox"),
    ];
    for (target, expected) in cases {
        let spec = format!(r#"{{"kinds":[{{"loss":{{"percent":100}}}}],"target":{target},"for":"10m"}}"#);
        agent.inject("f", &spec);
        assert_eq!(reachable(&lab), expected, "{target}");
        agent.restore("f");
    }
    assert_eq!(reachable(&lab), "oooo");
}

#[test]
fn a_host_name_is_resolved_where_the_fault_is_applied() {
    let lab = Lab::new();
    servers(&lab);
    let agent = Agent::start(&lab.app, "");
    // localhost is in every /etc/hosts; the target is then on loopback.
    serve_tcp(&lab.app, "127.0.0.1:80".parse().unwrap());
    let fault =
        agent.inject("f", r#"{"kinds":[{"loss":{"percent":100}}],"target":{"peers":["localhost:80"]}}"#);
    assert_eq!(fault.places[0].interfaces, ["lo"]);
    assert!(!answers(&lab.app, "127.0.0.1:80".parse().unwrap(), PATIENCE));
    assert_eq!(reachable(&lab), "oooo");
}

#[test]
fn interfaces_follow_the_routes() {
    let lab = Lab::new();
    lab.app.sh("ip route add 10.88.0.0/16 via 10.77.2.2; ip route add 10.88.1.0/24 via 10.77.1.2; ip route add default via 10.77.2.2");
    let agent = Agent::start(&lab.app, "");
    let on = |target: &str, more: &str| {
        let spec = format!(r#"{{"kinds":[{{"loss":{{"percent":1}}}}],"target":{target}{more}}}"#);
        let (status, body) = agent.ask("PUT", "/v1/faults/f?dry_run=true", Some(&spec));
        assert_eq!(status, 200, "{body}");
        serde_json::from_value::<Vec<String>>(body["places"][0]["interfaces"].clone()).unwrap().join(",")
    };
    assert_eq!(on(r#"{"peers":["10.77.1.2"]}"#, ""), "to-redis");
    assert_eq!(on(r#"{"peers":["fd77:2::2"]}"#, ""), "to-db");
    assert_eq!(on(r#"{"peers":["10.88.2.0/24"]}"#, ""), "to-db");
    assert_eq!(on(r#"{"peers":["10.88.0.0/16"]}"#, ""), "to-redis,to-db");
    assert_eq!(on(r#"{"peers":["192.0.2.1"]}"#, ""), "to-db");
    assert_eq!(on(r#"{"all_traffic":true}"#, ""), "to-redis,to-db");
    assert_eq!(on(&format!(r#"{{"peers":["{APP_TO_REDIS}"]}}"#), ""), "lo");
    assert_eq!(on(r#"{"all_traffic":true}"#, r#","interface":"to-db""#), "to-db");
    let spec = r#"{"kinds":[{"loss":{"percent":1}}],"target":{"ports":[1]},"interface":"eth9"}"#;
    let (status, body) = agent.ask("POST", "/v1/faults", Some(spec));
    assert_eq!(status, 422);
    assert!(body["hint"].as_str().unwrap().contains("to-redis"), "{body}");
}

/// As a PPP link or a tunnel between two has them: an address of its own, and that of the other end.
#[test]
fn the_other_end_of_a_point_to_point_link_is_not_this_host() {
    let lab = Lab::new();
    lab.app.sh("ip addr add 10.99.0.1 peer 10.99.0.2/32 dev to-redis; ip addr add fd99::1 peer fd99::2/128 dev to-redis nodad");
    lab.redis.sh("ip addr add 10.99.0.2 peer 10.99.0.1/32 dev eth0; ip addr add fd99::2 peer fd99::1/128 dev eth0 nodad");
    let agent = Agent::start(&lab.app, "");
    let ends = [("10.99.0.2:80", "10.99.0.1:80"), ("[fd99::2]:80", "[fd99::1]:80")];
    for (other, own) in ends {
        let [at_other, at_own] = [other, own].map(|end| end.parse::<SocketAddr>().expect("an address"));
        serve_tcp(&lab.redis, at_other);
        serve_tcp(&lab.app, at_own);
        let seen = || [at_other, at_own].map(|at| answers(&lab.app, at, PATIENCE));
        assert_eq!(seen(), [true, true], "{other}");
        for (peer, interface, wanted) in [(other, "to-redis", [false, true]), (own, "lo", [true, false])] {
            let spec = format!(
                r#"{{"kinds":[{{"loss":{{"percent":100}}}}],"target":{{"peers":["{peer}"]}},"for":"10m"}}"#
            );
            let fault = agent.inject("f", &spec);
            assert_eq!(fault.places[0].interfaces, [interface], "{peer}");
            assert_eq!(seen(), wanted, "{peer}");
            agent.restore("f");
        }
    }
}

#[test]
fn an_interface_limits_the_fault_to_it() {
    let lab = Lab::new();
    servers(&lab);
    let agent = Agent::start(&lab.app, "");
    // Another fault hooks the other interface too: the limit is in the rules, not in the hooks.
    agent.inject(
        "other",
        r#"{"kinds":[{"loss":{"percent":100}}],"target":{"peers":["192.0.2.1"]},"for":"10m"}"#,
    );
    let spec = r#"{"kinds":[{"loss":{"percent":100}}],"target":{"all_traffic":true},"interface":"to-db","for":"10m"}"#;
    agent.inject("f", spec);
    assert_eq!(reachable(&lab), "ooox");
}
