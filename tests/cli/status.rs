//! `status`, `history` and `doctor`.

use harness::fake_agent::FakeAgent;
use partition_agent_proto::{Check, Coverage, End, FaultStatus, Feature, History, Verdict};

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
    assert_eq!(columns, ["ID", "STATE", "LEFT", "HITS", "VERDICT", "FAULT"]);
    for (line, id, fault) in [
        (cut, "cut ", "loss 100%, redis, egress and ingress"),
        (slow, "slow ", "latency 100ms ± 10ms one way, everybody on port 443, egress and ingress"),
    ] {
        assert!(line.starts_with(id) && line.ends_with(fault), "{text}");
        for (word, column) in [("active", "STATE"), ("none ", "HITS"), ("confirmed", "VERDICT")] {
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
    assert!(
        text.contains("\n  verdict   confirmed\n  hit       none\ntable netdev partition_agent {"),
        "{text}"
    );
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
    assert_eq!(columns, ["ID", "INJECTED", "ENDED", "BY", "END", "HIT", "AS", "BEFORE", "FAULT"]);
    for line in [newest, oldest] {
        for (word, column) in [("none ", "HIT"), ("yes ", "AS BEFORE"), ("loss 100%", "FAULT")] {
            let at = head.find(column).unwrap();
            assert!(line[at..].starts_with(word), "no `{word}` under {column}: {text}");
        }
    }
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
fn history_says_what_it_cannot_know() {
    let agent = FakeAgent::start();
    agent.world().refuse_apply = Some(0);
    run(&agent, "inject --loss 100% --peer redis --id refused").failed(1);
    agent.world().refuse_apply = None;
    run(&agent, "inject --reset --loss 1% --peer redis --id cut").done();
    run(&agent, "restore cut").done();
    let text = run(&agent, "history").done();
    let [head, cut, refused] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
    // The other columns hold no letter of more than one byte.
    let at = |line: &'static str| head.find(line).unwrap();
    assert!(cut[at("HIT")..].starts_with("1 connections reset "), "{text}");
    assert!(cut[at("AS BEFORE")..].starts_with("yes "), "{text}");
    assert!(refused[at("AS BEFORE")..].starts_with("not known "), "{text}");
    let over: Vec<History> = run(&agent, "history --json").json();
    assert_eq!((&over[0].as_before, &over[1].as_before), (&Some(Verdict::Confirmed), &None));
}

#[test]
fn status_tells_a_fault_that_waits_and_one_that_is_behind_another() {
    let agent = FakeAgent::start();
    run(&agent, "inject --latency 10ms --peer redis --id old").done();
    run(&agent, "inject --latency 20ms --peer redis --id new").done();
    run(&agent, "inject --reset --loss 1% --peer redis --id reset").done();
    run(&agent, "inject --loss 1% --peer redis --start-in 1h --id wait").done();
    let text = run(&agent, "status").done();
    let [_, new, old, reset, wait] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
    assert!(old.contains("  confirmed, behind new  ") && new.contains("  confirmed  "), "{text}");
    assert!(reset.contains("  1 connections reset  "), "{text}");
    assert!(wait.contains("  waiting  ") && wait.ends_with(", starting in 1h"), "{text}");
    // An hour until it starts, and a minute then.
    assert!(wait.contains("  1h1m  ") || wait.contains("  1h59s  "), "{text}");
}

#[test]
fn doctor_asks_the_agent() {
    let agent = FakeAgent::start();
    let kernel = nix::sys::utsname::uname().unwrap().release().to_str().unwrap().to_owned();
    let text = run(&agent, "doctor").done();
    let (features, coverage) = text.split_once("\n\n").unwrap();
    let works = ["fake", "netem", "emulator"].map(|name| format!("  works    {name}: tests\n")).concat();
    assert_eq!(format!("{features}\n").to_lowercase(), format!("kernel {kernel}\n{works}").to_lowercase());
    let head = coverage.lines().next().unwrap();
    assert_eq!(head.split_whitespace().collect::<Vec<_>>(), ["KIND", "ENGINE", "A", "B", "C", "D"]);
    let found: Findings = run(&agent, "doctor --json").json();
    assert_eq!((found.kernel, found.features.len()), (kernel, 3));
    assert!(found.features.iter().all(|feature| feature.check == Check::Works), "{:?}", found.features);
    let latency = found.coverage.iter().filter(|row| row.kind == "latency").count();
    // By both engines, in all four scopes.
    assert_eq!(latency, 8);
}

/// What `doctor --json` prints.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Findings {
    kernel: String,
    features: Vec<Feature>,
    coverage: Vec<Coverage>,
}

/// What the table says of a fault by an engine in the scopes that contain this word.
fn cell(text: &str, kind: &str, engine: &str, scope: &str) -> String {
    let columns = |line: &str| {
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let head = columns(text.lines().find(|line| line.starts_with("KIND")).unwrap());
    let is_legend = |line: &&str| line.get(1..3) == Some(": ") && line.contains(scope);
    let letter = &text.lines().find(is_legend).unwrap_or_else(|| panic!("no {scope} in {text}"))[..1];
    let column = head.iter().position(|cell| cell == letter).unwrap();
    let rows =
        text.lines().map(columns).find(|row| row.len() == head.len() && row[0] == kind && row[1] == engine);
    rows.unwrap_or_else(|| panic!("no {kind} by {engine} in {text}"))[column].clone()
}

/// The reason of this number.
fn reason<'a>(text: &'a str, cell: &str) -> &'a str {
    let number = cell.strip_prefix("no: ").unwrap_or_else(|| panic!("{cell}: {text}"));
    text.lines().find_map(|line| line.strip_prefix(&format!("{number}: "))).unwrap()
}

#[test]
fn doctor_shows_which_faults_can_be_had_where() {
    let agent = FakeAgent::start();
    let text = run(&agent, "doctor").done();
    for (kind, scope, engine) in [
        ("loss 100%", "container", "nftables"),
        ("latency", "container", "netem"),
        ("latency", "user", "emulator"),
        ("slot", "label", "emulator"),
        ("reject", "cgroup", "nftables"),
        ("dns", "compose", "forwarder"),
        ("reset", "host, ", "sock_diag"),
        ("latency", "loopback", "netem"),
    ] {
        assert_eq!(cell(&text, kind, engine, scope), "works", "{text}");
    }
    let why = reason(&text, &cell(&text, "reset", "sock_diag", "cgroup"));
    assert!(why.starts_with("connections of a control group"), "{why}");
    let why = reason(&text, &cell(&text, "rate", "emulator", "loopback"));
    assert!(why.contains("it reads Ethernet frames"), "{why}");
}

#[test]
fn doctor_is_content_with_the_emulator_alone() {
    let agent = FakeAgent::start();
    agent.world().without_netem = true;
    let text = run(&agent, "doctor").done();
    assert!(text.contains("  MISSING  "), "{text}");
    assert!(text.contains("the fake kernel was told to have none\n           tell it otherwise\n"), "{text}");
    assert_eq!(reason(&text, &cell(&text, "latency", "netem", "container")), "netem is missing");
}
