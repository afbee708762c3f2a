//! The log: a line for each step of a fault's life, with its id, for people and for programs. In the journal it is looked for on a machine
//! with systemd: tests/packages.

use harness::agent::Agent;
use harness::lab::{Lab, REDIS};
use serde_json::Value;

const KINDS: [&str; 3] = ["injected", "ended", "restored"];

fn log_of(env: &[&str]) -> String {
    let lab = Lab::new();
    let by = [&["env", "-u", "JOURNAL_STREAM"], env].concat();
    let agent = Agent::start_by(&lab.app, &by, "", tempfile::tempdir().expect("a directory"));
    let spec =
        format!(r#"{{"kinds":[{{"loss":{{"percent":100}}}}],"target":{{"peers":["{REDIS}"]}},"for":"10m"}}"#);
    agent.inject("cut", &spec);
    agent.restore("cut");
    let dir = agent.terminate();
    std::fs::read_to_string(dir.path().join("log")).expect("a log")
}

#[test]
fn programs_read_an_object_a_line_with_the_id_of_the_fault() {
    let log = log_of(&["PARTITION_AGENT_LOG=json"]);
    let lines =
        log.lines().map(|line| serde_json::from_str::<Value>(line).expect("an object")).collect::<Vec<_>>();
    let kinds =
        lines.iter().filter(|line| line["id"] == "cut").map(|line| line["kind"].as_str().unwrap_or_default());
    assert_eq!(kinds.collect::<Vec<_>>(), KINDS, "{log}");
    assert!(lines.iter().all(|line| line["timestamp"].is_string() && line["level"].is_string()), "{log}");
}

#[test]
fn people_read_lines_and_no_colours_where_there_is_no_terminal() {
    let log = log_of(&[]);
    let lines = log.lines().filter(|line| line.contains("id=cut"));
    let kinds = lines.filter_map(|line| KINDS.iter().find(|kind| line.contains(&format!("kind={kind}"))));
    assert_eq!(kinds.copied().collect::<Vec<_>>(), KINDS, "{log}");
    assert!(!log.contains('\u{1b}'), "{log}");
}
