//! `inject`: what it says, in words and in JSON, and what the agent then has.

use harness::fake_agent::FakeAgent;
use partition_agent_proto::{FaultStatus, State, Verdict};

use crate::run::{finish, program_at, run};

const CUT: &str = "inject --loss 100% --peer redis --id cut";

#[test]
fn an_injected_fault_is_described() {
    let agent = FakeAgent::start();
    let text = run(&agent, CUT).done();
    let [head, hits, ends, protects, verdict] = text.lines().collect::<Vec<_>>()[..] else {
        panic!("{text}")
    };
    assert_eq!(head, "cut: loss 100%, redis, egress and ingress");
    assert_eq!(hits, "  hits      10.0.0.5:6379, on eth0");
    let in_time = ["in 1m, at 20", "in 59s, at 20"].map(|left| format!("  ends      {left}"));
    assert!(in_time.iter().any(|head| ends.starts_with(head)), "{ends}");
    assert!(ends.ends_with("Z, by the kernel; `partition-agent restore cut` ends it now"), "{ends}");
    let guard = "  protects  IPv6 link control, local port tcp/22, local port tcp/";
    assert_eq!(protects, format!("{guard}{}", agent.tcp.port()));
    assert_eq!(verdict, "  verdict   confirmed");
}

#[test]
fn a_fault_without_a_name_is_given_one_that_restore_takes() {
    let agent = FakeAgent::start();
    let text = run(&agent, "inject --loss 100% --peer redis").done();
    let (id, _) = text.split_once(": ").unwrap();
    assert!(id.starts_with("loss-redis-"), "{text}");
    assert_eq!(
        run(&agent, &format!("restore {id}")).done(),
        format!("{id}: restored; nothing of it is left; all else is as it was before\n")
    );
}

#[test]
fn every_option_reaches_the_agent() {
    let agent = FakeAgent::start();
    let words = "inject --loss 0.5% --latency 100ms --jitter 10ms --peer redis,10.1.0.0/16 --port 80,443 \
                 --except 10.1.0.1 --direction egress --interface eth0 --for 5m --id all-of-it --json";
    let fault: FaultStatus = run(&agent, words).json();
    let json = r#"{"kinds":[{"loss":{"percent":0.5}},{"delay":{"latency":"100ms","jitter":"10ms"}}],
        "target":{"peers":["redis","10.1.0.0/16"],"ports":[80,443],"except":["10.1.0.1"]},
        "direction":"egress","interface":"eth0","for":"5m"}"#;
    assert_eq!(fault.spec, serde_json::from_str(json).unwrap());
    assert_eq!(fault.first_addresses, ["10.0.0.5:6379", "10.1.0.0/16:80", "10.1.0.0/16:443"]);
    assert_eq!((fault.state, fault.verdict), (State::Active, Verdict::Confirmed));
}

#[test]
fn many_addresses_are_counted() {
    let agent = FakeAgent::start();
    let peers = (1..=20).map(|n| format!("10.9.0.{n}")).collect::<Vec<_>>().join(",");
    let text = run(&agent, &format!("inject --loss 1% --peer {peers} --id many")).done();
    assert!(text.starts_with("many: loss 1%, 10.9.0.1, 10.9.0.2 and 18 more, "), "{text}");
    assert!(text.contains("10.9.0.16 and 4 more, on eth0\n"), "{text}");
}

#[test]
fn the_same_command_again_is_harmless() {
    let agent = FakeAgent::start();
    run(&agent, CUT).done();
    assert!(run(&agent, CUT).done().starts_with("cut: loss 100%"));
    assert_eq!(run(&agent, "status --json").json::<Vec<FaultStatus>>().len(), 1);
    let error = run(&agent, "inject --loss 50% --peer redis --id cut").failed(1);
    assert!(error.contains("the id cut is taken by another fault (loss 100%"), "{error}");
    assert!(error.contains("\n  take another id"), "{error}");
}

#[test]
fn a_dry_run_shows_the_plan_and_changes_nothing() {
    let agent = FakeAgent::start();
    let text = run(&agent, "inject --loss 10% --latency 100ms --peer redis --dry-run").done();
    let head = "# loss 10% and latency 100ms one way, redis, egress and ingress: nothing was changed\n";
    assert!(text.starts_with(head), "{text}");
    for line in
        ["ip link add pa-f1-e type ifb", "tc qdisc add dev pa-f1-i root netem limit 20000 delay 100000us"]
    {
        assert!(text.lines().any(|seen| seen == line), "no `{line}` in:\n{text}");
    }
    assert!(text.contains("\ntable netdev partition_agent {") && text.ends_with("\n}\n"), "{text}");
    assert!(agent.is_untouched());
    assert_eq!(run(&agent, "history").done(), "no faults yet\n");
}

#[test]
fn a_dry_run_in_json_carries_the_plan() {
    let agent = FakeAgent::start();
    let fault: FaultStatus = run(&agent, &format!("{CUT} --dry-run --json")).json();
    assert_eq!(fault.state, State::Pending);
    assert!(fault.plan.unwrap().starts_with("table netdev partition_agent {"));
    assert!(agent.is_untouched());
}

fn protected(ssh_connection: &str) -> String {
    let agent = FakeAgent::start();
    let child = program_at(&agent, CUT).env("SSH_CONNECTION", ssh_connection).spawn().unwrap();
    let text = finish(child).done();
    text.lines().find(|line| line.starts_with("  protects ")).unwrap().to_owned()
}

#[test]
fn the_ssh_session_that_the_command_is_typed_in_is_protected() {
    let line = protected("192.0.2.7 51234 192.0.2.1 22");
    assert!(line.ends_with(", your connection from 192.0.2.7:51234 to local port 22"), "{line}");
}

#[test]
fn an_ssh_session_over_a_link_local_address_is_protected() {
    let line = protected("fe80::7%eth0 51234 fe80::1%eth0 22");
    assert!(line.contains("your connection from [fe80::7"), "{line}");
}

#[test]
fn an_ssh_session_without_addresses_has_nothing_to_protect() {
    let line = protected("UNKNOWN 65535 UNKNOWN 65535");
    assert!(!line.contains("your connection"), "{line}");
}
