//! Faults in Grafana: a stand-in for that, and the real program between it and an agent.

use std::process::Child;

use harness::fake_agent::{FakeAgent, write_token};
use harness::grafana::{Grafana, TOKEN};
use nix::sys::signal::{Signal, kill};
use nix::unistd::gethostname;
use serde_json::Value;
use tempfile::TempDir;

use crate::run::{Run, finish, pid, program_at, run, until};

const CUT: &str = "inject --loss 100% --peer redis --for 1h --id cut";

/// A command that draws, until it is ended.
struct Annotate {
    child: Child,
    _dir: TempDir,
}

impl Annotate {
    fn start(agent: &FakeAgent, grafana: &Grafana, more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let token = dir.path().join("token");
        write_token(&token, TOKEN);
        let words =
            format!("annotate --grafana {} --grafana-token-file {} {more}", grafana.url, token.display());
        Self { child: program_at(agent, &words).spawn().unwrap(), _dir: dir }
    }

    fn end(self) -> Run {
        kill(pid(&self.child), Signal::SIGINT).unwrap();
        finish(self.child)
    }
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

fn only(grafana: &Grafana) -> Value {
    let [one] = &grafana.annotations()[..] else { panic!("{:?}", grafana.annotations()) };
    one.clone()
}

#[test]
fn a_fault_is_drawn_from_its_start_to_its_end() {
    let (agent, grafana) = (FakeAgent::start(), Grafana::start());
    let before = now();
    let annotate = Annotate::start(&agent, &grafana, "--tag game-day --dashboard abc");
    run(&agent, CUT).done();
    until("a start", || grafana.annotations().len() == 1);
    let (one, after) = (only(&grafana), now());
    let start = one["time"].as_i64().unwrap();
    // To the millisecond, by two readings of two clocks.
    assert!((before - 2..=after + 2).contains(&start), "{before} {one} {after}");
    assert!(one.get("timeEnd").is_none(), "{one}");
    let host = gethostname().unwrap().into_string().unwrap();
    assert_eq!(one["tags"], serde_json::json!(["partition-agent", host, "cut", "game-day"]));
    assert_eq!(one["dashboardUID"], "abc");
    let text = one["text"].as_str().unwrap();
    assert!(text.starts_with(&format!("{host}: loss 100%, redis, egress and ingress, by uid ")), "{text}");

    let restored = now();
    run(&agent, "restore cut").done();
    until("an end", || only(&grafana).get("timeEnd").is_some());
    let end = only(&grafana)["timeEnd"].as_i64().unwrap();
    assert!((restored - 2..=now() + 2).contains(&end), "{end}");
    // The same name again is another fault.
    run(&agent, CUT).done();
    until("a start", || grafana.annotations().len() == 2);
    let said = annotate.end().done();
    // It says so after it was done, and may be ended in between: of the last one nothing is expected.
    let told = said.lines().take(2).collect::<Vec<_>>();
    assert!(told[0].starts_with(&format!("{host}: cut started at ")), "{said}");
    assert!(told[1].starts_with(&format!("{host}: cut ended at ")), "{said}");
}

#[test]
fn a_fault_that_waits_is_drawn_when_it_starts_and_a_flap_once() {
    let (agent, grafana) = (FakeAgent::start(), Grafana::start());
    let annotate = Annotate::start(&agent, &grafana, "--json");
    let asked = now();
    run(&agent, "inject --loss 1% --peer redis --id later --start-in 700ms --flap 200ms/200ms --for 2s")
        .done();
    run(&agent, "inject --loss 1% --peer redis --id never --start-in 1h").done();
    until("an end", || grafana.annotations().iter().any(|one| one.get("timeEnd").is_some()));
    let one = only(&grafana);
    let (start, end) = (one["time"].as_i64().unwrap(), one["timeEnd"].as_i64().unwrap());
    assert!(start >= asked + 698, "{asked} {one}");
    // It is in force for two seconds, pauses and all.
    assert!(end - start >= 1_990, "{one}");
    let said = annotate.end().done();
    let told = said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>();
    assert_eq!((&told[0]["id"], &told[0]["annotated"]), (&"later".into(), &"started".into()));
}

#[test]
fn a_command_that_comes_later_goes_on_with_what_is_drawn() {
    let (agent, grafana) = (FakeAgent::start(), Grafana::start());
    run(&agent, CUT).done();
    for (id, count) in [("second", 2), ("third", 3)] {
        let annotate = Annotate::start(&agent, &grafana, "");
        // What comes after shows that what was there has been looked at.
        until("a start", || grafana.annotations().len() + 1 >= count);
        run(&agent, &format!("inject --loss 1% --peer redis --for 1h --id {id}")).done();
        until("another", || grafana.annotations().len() >= count);
        annotate.end().done();
        assert_eq!(grafana.annotations().len(), count);
    }
    let annotate = Annotate::start(&agent, &grafana, "");
    run(&agent, "inject --loss 1% --peer redis --for 1h --id last").done();
    until("another", || grafana.annotations().len() >= 4);
    run(&agent, "restore --all").done();
    until("ends", || grafana.annotations().iter().all(|one| one.get("timeEnd").is_some()));
    annotate.end().done();
    assert_eq!(grafana.annotations().len(), 4);
}

#[test]
fn what_grafana_refuses_for_a_while_is_told_once_and_made_up_for() {
    let (agent, grafana) = (FakeAgent::start(), Grafana::start());
    let annotate = Annotate::start(&agent, &grafana, "");
    run(&agent, CUT).done();
    until("a start", || grafana.annotations().len() == 1);
    grafana.break_down(true);
    run(&agent, "restore cut").done();
    let restored = now();
    run(&agent, "inject --loss 1% --peer redis --id other --for 1h").done();
    // Long enough for it to be tried again.
    std::thread::sleep(std::time::Duration::from_secs(5));
    grafana.break_down(false);
    until("all", || grafana.annotations().len() == 2);
    let end = grafana.annotations()[0]["timeEnd"].as_i64().unwrap();
    assert!(end <= restored + 2, "{end} {restored}");
    let run = annotate.end();
    assert_eq!(
        run.stderr.matches("503 Service Unavailable: database is locked").count(),
        1,
        "{}",
        run.stderr
    );
}

#[test]
fn who_is_not_let_in_is_told_before_anything_is_waited_for() {
    let (agent, grafana) = (FakeAgent::start(), Grafana::start());
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    write_token(&token, "glsa_another_token");
    let words = format!("annotate --grafana {} --grafana-token-file {}", grafana.url, token.display());
    let why = run(&agent, &words).failed(1);
    assert!(
        why.contains("401 Unauthorized: Invalid API key; the token has to be one of a service account"),
        "{why}"
    );
    assert!(!why.contains("glsa_another"), "{why}");
    let why = run(&agent, "annotate --grafana grafana:3000 --grafana-token-file /nonexistent").failed(2);
    assert!(why.contains("write https://HOST"), "{why}");
}
