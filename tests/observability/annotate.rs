//! Faults in Grafana, and the agent that has made them dies.

use std::process::{Command, Stdio};
use std::time::Duration;

use harness::agent::Agent;
use harness::fake_agent::write_token;
use harness::grafana::{Grafana, TOKEN};
use harness::lab::{DB, Lab};
use harness::{binary, until};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_fault_whose_agent_dies_is_drawn_to_that_moment() {
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, "");
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    write_token(&token, TOKEN);
    let grafana = Grafana::start();
    let flags = ["annotate", "--grafana", &grafana.url, "--grafana-token-file"];
    // Here and not in the lab: the agent is reached by a file.
    let mut annotate = Command::new(binary())
        .args(["--agent", &agent.address()])
        .args(flags)
        .arg(&token)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    agent.inject(
        "cut",
        &format!(r#"{{"kinds":[{{"loss":{{"percent":100}}}}],"target":{{"peers":["{DB}"]}},"for":"1h"}}"#),
    );
    until("a start", PATIENCE, || grafana.annotations().len() == 1);
    let now = || jiff::Timestamp::now().as_millisecond();
    let before = now();
    let killed = agent.kill_9();
    let after = now();
    // Nobody knows yet whether it is dead or out of reach.
    std::thread::sleep(Duration::from_secs(8));
    assert!(grafana.annotations()[0].get("timeEnd").is_none());
    let agent = Agent::start_in(&lab.app, "", killed);
    until("an end", PATIENCE, || grafana.annotations()[0].get("timeEnd").is_some());
    let end = grafana.annotations()[0]["timeEnd"].as_i64().unwrap();
    println!("killed by {after}, drawn to {end}, found out by {}", now());
    assert!((before..=after + 5_000).contains(&end), "killed from {before} to {after}, drawn to {end}");
    assert_eq!(agent.history()[0].end.to_string(), "agent died");
    annotate.kill().unwrap();
    annotate.wait().unwrap();
}
