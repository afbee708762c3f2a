//! `status`, `history` and `doctor`.

use harness::fake_agent::FakeAgent;
use partition_agent_proto::{Check, End, FaultStatus, Feature, History};

use crate::run::run;

#[test]
fn status_of_an_idle_agent_is_no_faults() {
    let agent = FakeAgent::start();
    assert_eq!(run(&agent, "status").done(), "no faults\n");
    assert_eq!(run(&agent, "status --json").json::<Vec<FaultStatus>>(), []);
}

#[test]
fn status_is_a_line_for_each_fault() {
    let agent = FakeAgent::start();
    run(&agent, "inject --loss 100% --peer redis --id cut").done();
    run(&agent, "inject --latency 100ms --jitter 10ms --port 443 --for 10m --id slow").done();
    let text = run(&agent, "status").done();
    let [head, cut, slow] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
    let columns = head.split_whitespace().collect::<Vec<_>>();
    assert_eq!(columns, ["ID", "STATE", "LEFT", "PACKETS", "VERDICT", "FAULT"]);
    for (line, id, fault) in [
        (cut, "cut ", "loss 100%, redis, egress and ingress"),
        (slow, "slow ", "latency 100ms ± 10ms one way, everybody on port 443, egress and ingress"),
    ] {
        assert!(line.starts_with(id) && line.ends_with(fault), "{text}");
        for (word, column) in [("active", "STATE"), ("0 ", "PACKETS"), ("confirmed", "VERDICT")] {
            let at = head.find(column).unwrap();
            assert!(line[at..].starts_with(word), "no `{word}` under {column}: {text}");
        }
    }
    let json: Vec<FaultStatus> = run(&agent, "status --json").json();
    assert_eq!(json.iter().map(|fault| fault.id.as_str()).collect::<Vec<_>>(), ["cut", "slow"]);
}

#[test]
fn status_of_one_fault_shows_its_plan() {
    let agent = FakeAgent::start();
    run(&agent, "inject --loss 100% --peer redis --id cut").done();
    let text = run(&agent, "status cut").done();
    assert!(text.starts_with("cut: loss 100%, redis, egress and ingress\n  hits "), "{text}");
    assert!(text.contains("\n  verdict   confirmed\ntable netdev partition_agent {"), "{text}");
    let json: FaultStatus = run(&agent, "status cut --json").json();
    assert!(text.contains(json.plan.unwrap().trim_end()));
}

#[test]
fn history_is_a_line_for_each_fault_that_is_over() {
    let agent = FakeAgent::start();
    assert_eq!(run(&agent, "history").done(), "no faults yet\n");
    assert_eq!(run(&agent, "history --json").json::<Vec<History>>(), []);
    for id in ["a", "b"] {
        run(&agent, &format!("inject --loss 100% --peer redis --id {id}")).done();
        run(&agent, &format!("restore {id}")).done();
    }
    let text = run(&agent, "history").done();
    let [head, newest, oldest] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
    let columns = head.split_whitespace().collect::<Vec<_>>();
    assert_eq!(columns, ["ID", "INJECTED", "ENDED", "BY", "END", "FAULT"]);
    assert!(newest.starts_with("b ") && oldest.starts_with("a "), "{text}");
    assert!(newest.contains(&format!("restored by uid {}", nix::unistd::getuid())), "{text}");
    assert!(newest.ends_with("loss 100%, redis, egress and ingress"), "{text}");
}

#[test]
fn history_is_as_long_as_asked() {
    let agent = FakeAgent::start();
    for id in ["a", "b", "c"] {
        run(&agent, &format!("inject --loss 100% --peer redis --id {id}")).done();
    }
    run(&agent, "restore --all").done();
    let two: Vec<History> = run(&agent, "history --limit 2 --json").json();
    assert_eq!(two.iter().map(|over| over.id.as_str()).collect::<Vec<_>>(), ["c", "b"]);
    assert!(two.iter().all(|over| matches!(over.end, End::Restored { .. })), "{two:?}");
}

#[test]
fn history_tells_a_deadline_from_a_failure() {
    let agent = FakeAgent::start();
    run(&agent, "inject --loss 100% --peer redis --for 100ms --wait --id short").done();
    agent.world().refuse_apply = Some(0);
    run(&agent, "inject --loss 100% --peer redis --id refused").failed(1);
    let text = run(&agent, "history").done();
    let [_, refused, short] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
    assert!(short.contains("  deadline  "), "{text}");
    assert!(refused.contains("  failed: the kernel refused `"), "{text}");
}

#[test]
fn doctor_asks_the_agent() {
    let agent = FakeAgent::start();
    let kernel = nix::sys::utsname::uname().unwrap().release().to_str().unwrap().to_owned();
    assert_eq!(run(&agent, "doctor").done(), format!("kernel {kernel}\n  works    fake: tests\n"));
    let features: Vec<Feature> = run(&agent, "doctor --json").json();
    assert_eq!((features.len(), &features[0].check), (1, &Check::Works));
}
