//! What the policy protects, felt by real traffic: networks in the kernel's guard, and interfaces that are left out.

use std::net::SocketAddr;

use harness::agent::Agent;
use harness::lab::{DB, Lab, REDIS, REDIS6, address};
use harness::traffic::{answers, serve_tcp};
use serde_json::Value;

use crate::PATIENCE;

const DB6: &str = "fd77:2::2";

fn all(kind: &str) -> String {
    format!(r#"{{"kinds":[{kind}],"target":{{"all_traffic":true}},"for":"10m"}}"#)
}

/// Port 80 of redis and db, each by IPv4 and IPv6.
fn served(lab: &Lab) -> [SocketAddr; 4] {
    let at = [REDIS, REDIS6, DB, DB6].map(|ip| SocketAddr::new(address(ip), 80));
    for (nth, at) in at.iter().enumerate() {
        serve_tcp(if nth < 2 { &lab.redis } else { &lab.db }, *at);
    }
    at
}

/// Whether each of them answers.
fn heard(lab: &Lab, at: [SocketAddr; 4]) -> [bool; 4] {
    at.map(|at| answers(&lab.app, at, PATIENCE))
}

const LOSS: &str = r#"{"loss":{"percent":100}}"#;
const REJECT: &str = r#"{"reject":{"with":"host_unreachable"}}"#;

#[test]
fn protected_networks_pass_a_cut_and_a_reject_of_everything_in_both_families() {
    let lab = Lab::new();
    let at = served(&lab);
    let agent = Agent::start(&lab.app, "[policy]\nprotected_networks = ['10.77.1.0/24', 'fd77:1::/64']\n");
    // What comes in, too: connections from there to this host.
    let here =
        ["10.77.1.1", "fd77:1::1", "10.77.2.1", "fd77:2::1"].map(|ip| SocketAddr::new(address(ip), 81));
    here.iter().for_each(|at| serve_tcp(&lab.app, *at));
    for kind in [LOSS, REJECT] {
        let protects = agent.inject("f", &all(kind)).protects;
        for network in ["network 10.77.1.0/24", "network fd77:1::/64"] {
            assert!(protects.contains(&network.to_owned()), "{protects:?}");
        }
        assert_eq!(heard(&lab, at), [true, true, false, false], "{kind}");
        for (nth, at) in here.iter().enumerate() {
            let from = if nth < 2 { &lab.redis } else { &lab.db };
            assert_eq!(answers(from, *at, PATIENCE), nth < 2, "{kind}: {at}");
        }
        agent.restore("f");
        assert_eq!(heard(&lab, at), [true; 4]);
    }
    // As nft shows it, while it is there.
    agent.inject("f", &all(LOSS));
    let listed = lab.app.sh("nft list set netdev partition_agent guard_net4");
    assert!(listed.contains("10.77.1.0/24"), "{listed}");
}

#[test]
fn connections_with_a_protected_network_are_not_reset() {
    let lab = Lab::new();
    let at = served(&lab);
    let agent = Agent::start(&lab.app, "[policy]\nprotected_networks = ['10.77.1.0/24']\n");
    [at[0], at[2]]
        .iter()
        .for_each(|at| harness::traffic::echo_tcp(host(&lab, *at), SocketAddr::new(at.ip(), 7)));
    let [kept, reset] = [at[0], at[2]].map(|at| {
        let at = SocketAddr::new(at.ip(), 7);
        harness::traffic::connect(&lab.app, at, PATIENCE * 5).expect("nothing is cut yet")
    });
    let spec = r#"{"kinds":[{"reset":{}}],"target":{"peers":["10.77.0.0/16"]},"for":"10s"}"#;
    let (status, body) = agent.ask("PUT", "/v1/faults/f", Some(spec));
    assert_eq!(status, 201, "{body}");
    assert!(harness::traffic::echo(&kept).is_ok());
    assert!(harness::traffic::echo(&reset).is_err());
}

fn host(lab: &Lab, at: SocketAddr) -> &harness::lab::Host {
    if at.ip() == address(REDIS) { &lab.redis } else { &lab.db }
}

#[test]
fn a_protected_interface_that_a_route_leads_to_is_left_out() {
    let lab = Lab::new();
    let at = served(&lab);
    let agent = Agent::start(&lab.app, "[policy]\nprotected_interfaces = ['to-redis']\n");
    for kind in [LOSS, REJECT] {
        let fault = agent.inject("f", &all(kind));
        // A reject is done in the IP stack, and hooks none.
        let hooked: &[&str] = if kind == LOSS { &["to-db"] } else { &[] };
        assert_eq!(fault.places[0].interfaces, hooked);
        assert_eq!(heard(&lab, at), [true, true, false, false], "{kind}");
        agent.restore("f");
    }
    let refused = |spec: &str| -> Value {
        let (status, body) = agent.ask("PUT", "/v1/faults/g", Some(spec));
        assert_eq!(status, 403, "{body}");
        body["detail"].clone()
    };
    let only = format!(r#"{{"kinds":[{LOSS}],"target":{{"peers":["{REDIS}"]}}}}"#);
    let text = refused(&only);
    assert_eq!(
        text,
        "policy.protected_interfaces leaves to-redis alone, and no other interface leads to the target"
    );
    let named = only.replace("]}}", r#"]},"interface":"to-redis"}"#);
    assert_eq!(refused(&named), "policy.protected_interfaces leaves to-redis alone; this names it");
    assert_eq!(lab.app.sh("nft list ruleset"), "");
}

#[test]
fn behind_nat_a_protected_interface_is_left_out_as_well() {
    let lab = Lab::new();
    lab.app.sh("nft 'add table ip nat; add chain ip nat post { type nat hook postrouting priority 100; }'");
    let at = served(&lab);
    let agent = Agent::start(&lab.app, "[policy]\nprotected_interfaces = ['to-redis']\n");
    agent.inject("f", &all(LOSS));
    assert_eq!(heard(&lab, at), [true, true, false, false]);
}
