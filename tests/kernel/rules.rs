//! The table as another tool reads it.

use std::path::Path;

use harness::agent::Agent;
use harness::lab::Lab;
use harness::snapshot::Snapshot;

use crate::name_server::with_file_over;

#[test]
fn nft_lists_what_the_plan_says() {
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, "");
    let spec = r#"{"kinds":[{"loss":{"percent":30}}],
        "target":{"peers":["10.77.1.2","10.77.1.0/24:80","[fd77:1::2]:80","fd77:1::3"],"except":["10.77.1.9"]},
        "for":"10m"}"#;
    agent.inject("f", spec);
    let listed = lab.app.sh("nft list table netdev partition_agent");
    for line in [
        "flags owner",
        "set guard_ports",
        "type inet_proto . inet_service",
        "type ipv4_addr . inet_proto . inet_service",
        "flags interval,timeout",
        "type filter hook egress device \"to-redis\" priority filter; policy accept;",
        "type filter hook ingress device \"to-redis\" priority filter; policy accept;",
        "icmpv6 type 133-137 accept",
        "meta l4proto . th sport @guard_ports accept",
        "meta l4proto . th dport @guard_ports accept",
        "ip daddr @f1_host4 jump f1_egress_loss comment \"f1\"",
        "ip saddr @f1_host4 jump f1_ingress_loss comment \"f1\"",
        "ip6 daddr . meta l4proto . th dport @f1_svc6 jump f1_egress_loss comment \"f1\"",
        "ip daddr @f1_except_host4 return comment \"f1\"",
        "numgen random mod 1000000 < 300000 counter packets 0 bytes 0 fwd to 0 comment \"f1\"",
        "numgen random mod 1000000 < 300000 counter packets 0 bytes 0 drop comment \"f1\"",
        "goto egress",
        "jump egress_loss",
        "goto egress_shape",
    ] {
        assert!(listed.contains(line), "missing: {line}\n{listed}");
    }
}

#[test]
fn every_element_of_every_target_set_has_a_timeout_of_its_own() {
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, "");
    for target in [
        r#"{"all_traffic":true}"#,
        r#"{"ports":[80]}"#,
        r#"{"peers":["10.77.1.2","fd77:1::2"]}"#,
        r#"{"peers":["10.77.1.2:80"],"except":["10.77.1.3"]}"#,
    ] {
        let id = format!("f{}", target.len());
        agent.inject(
            &id,
            &format!(r#"{{"kinds":[{{"loss":{{"percent":1}}}}],"target":{target},"for":"10m"}}"#),
        );
    }
    let listed = lab.app.sh("nft -j list sets netdev");
    let listed = serde_json::from_str::<serde_json::Value>(&listed).unwrap();
    let mut seen = 0;
    for object in listed["nftables"].as_array().unwrap() {
        let Some(set) = object.get("set") else { continue };
        let name = set["name"].as_str().unwrap();
        if name == "guard_ports" || name.contains("except") || name.contains("keep") {
            continue;
        }
        for element in set["elem"].as_array().unwrap() {
            let timeout = element["elem"]["timeout"].as_u64();
            assert_eq!(timeout, Some(600), "{name}: {element}");
            seen += 1;
        }
    }
    assert!(seen >= 8, "{seen} elements");
}

#[test]
fn a_changed_deadline_is_the_kernels() {
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, "");
    let spec = r#"{"kinds":[{"loss":{"percent":1}}],"target":{"peers":["10.77.1.2","10.77.3.0/24","10.77.1.4:80"]},"for":"10m"}"#;
    agent.inject("f", spec);
    for (asked, most) in [("1h", 3600), ("30s", 30)] {
        agent.cli_ok(&lab.app, &["change", "f", "--for", asked]);
        for set in ["f1_host4", "f1_net4", "f1_svc4"] {
            let listed = lab.app.sh(&format!("nft -j list set netdev partition_agent {set}"));
            let listed = serde_json::from_str::<serde_json::Value>(&listed).unwrap();
            let elements = listed["nftables"][1]["set"]["elem"].as_array().unwrap().clone();
            assert!(!elements.is_empty());
            for element in elements {
                let expires = element["elem"]["expires"].as_u64().unwrap();
                assert!(expires <= most && expires + 20 > most, "{set} {asked}: {element}");
            }
        }
    }
}

#[test]
fn doctor_tells_the_same_while_a_fault_is_in_force() {
    let lab = Lab::new();
    let before = Agent::start(&lab.app, "");
    let quiet = before.ask("GET", "/v1/info", None).1["features"].clone();
    drop(before);
    let agent = Agent::start(&lab.app, "");
    agent.inject("f", r#"{"kinds":[{"loss":{"percent":1}}],"target":{"peers":["10.77.1.2"]},"for":"10m"}"#);
    assert_eq!(agent.ask("GET", "/v1/info", None).1["features"], quiet);
    assert_eq!(agent.faults().len(), 1);
    let works = |nth: usize| quiet[nth]["check"]["is"] == "works";
    assert!((0..5).all(works), "what every fault needs works here: {quiet}");
}

#[test]
fn an_emulator_that_cannot_be_had_is_refused_before_anything_is_touched() {
    let lab = Lab::new();
    let agent = with_file_over("/dev/net/tun", Path::new("/dev/null"), || Agent::start(&lab.app, ""));
    let before = Snapshot::take(&lab.app);
    let spec =
        r#"{"kinds":[{"delay":{"latency":"10ms"}}],"target":{"peers":["10.77.1.2"]},"engine":"emulator"}"#;
    let (status, body) = agent.ask("PUT", "/v1/faults/f", Some(spec));
    assert_eq!(status, 422, "{body}");
    assert!(body["detail"].as_str().unwrap().contains("this kernel has no emulator"), "{body}");
    assert!(body["hint"].as_str().unwrap().contains("/dev/net/tun"), "{body}");
    before.assert_same(&Snapshot::take(&lab.app), "after a refused latency");
    // It never began, so it is no failure of the past.
    assert_eq!(agent.history(), []);
    agent.inject("f", r#"{"kinds":[{"loss":{"percent":1}}],"target":{"peers":["10.77.1.2"]}}"#);
}
