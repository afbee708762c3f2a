//! `profiles`: the links that `inject --profile` knows, and that it makes of them what the list says.

use harness::fake_agent::FakeAgent;
use partition_agent_proto::{FaultStatus, Kind, PROFILES};
use serde_json::Value;

use crate::run::{finish, program, run};

/// No agent is asked.
fn profiles(words: &str) -> String {
    finish(program(words).env("PARTITION_AGENT", "unix:/nonexistent/agent.sock").spawn().unwrap()).done()
}

#[test]
fn every_profile_is_a_line_with_its_figures_and_their_source() {
    let text = profiles("profiles");
    let lines = text.lines().collect::<Vec<_>>();
    assert_eq!(
        lines[0].split_whitespace().collect::<Vec<_>>(),
        ["PROFILE", "DOWN", "UP", "RTT", "JITTER", "LOSS", "SOURCE"]
    );
    assert_eq!(lines.len(), PROFILES.len() + 1);
    let row = |name: &str| {
        let line = lines.iter().find(|line| line.starts_with(&format!("{name} "))).unwrap();
        line.split_whitespace().take(6).collect::<Vec<_>>()
    };
    assert_eq!(row("3g"), ["3g", "1600kbit", "768kbit", "300ms", "20ms", "0.5%"]);
    assert_eq!(row("dsl"), ["dsl", "1500kbit", "384kbit", "50ms", "5ms", "0%"]);
    assert_eq!(row("starlink"), ["starlink", "100mbit", "10mbit", "40ms", "8ms", "0.5%"]);
    for (line, profile) in lines[1..].iter().zip(PROFILES) {
        assert!(line.ends_with(profile.source), "{line}");
    }
}

#[test]
fn in_json_a_profile_is_the_kinds_of_a_fault() {
    let profiles: Vec<Value> = serde_json::from_str(&profiles("profiles --json")).unwrap();
    assert_eq!(profiles.len(), PROFILES.len());
    for (json, profile) in profiles.iter().zip(PROFILES) {
        let kinds = |side: &str| serde_json::from_value::<Vec<Kind>>(json[side].clone()).unwrap();
        assert_eq!((kinds("down"), kinds("up")), (profile.down(), profile.up()));
        assert_eq!(
            (json["name"].as_str(), json["source"].as_str()),
            (Some(profile.name), Some(profile.source))
        );
    }
}

#[test]
fn every_profile_can_be_injected_and_each_direction_has_its_own_figures() {
    let agent = FakeAgent::start();
    for profile in PROFILES {
        let words = format!("inject --profile {0} --peer redis --id {0} --json", profile.name);
        let fault: FaultStatus = run(&agent, &words).json();
        assert_eq!((fault.spec.kinds, fault.spec.ingress_kinds), (profile.up(), profile.down()));
        assert!(fault.engine.is_some());
    }
    let text = run(&agent, "inject --profile dsl --peer redis --dry-run").done();
    for (link, rate) in [("-e", 384_000), ("-i", 1_500_000)] {
        let queue = text.lines().find(|line| line.contains(&format!("{link} root netem"))).unwrap();
        assert!(queue.ends_with(&format!(" delay 25000us 5000us rate {rate}bit")), "{queue}");
    }
    let one_way = run(&agent, "inject --profile dsl --peer redis --direction ingress --dry-run").done();
    assert!(one_way.contains(" rate 1500000bit") && !one_way.contains("384000"), "{one_way}");
}

#[test]
fn a_profile_and_more_of_its_own_go_together() {
    let agent = FakeAgent::start();
    let fault: FaultStatus = run(&agent, "inject --profile cable --duplicate 1% --peer redis --json").json();
    for kinds in [&fault.spec.kinds, &fault.spec.ingress_kinds] {
        assert!(kinds.iter().any(|kind| matches!(kind, Kind::Duplicate { .. })), "{kinds:?}");
        assert!(kinds.iter().any(|kind| matches!(kind, Kind::Rate { .. })), "{kinds:?}");
    }
}
