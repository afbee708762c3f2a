//! An agent that starts after another has died.

use harness::agent::Agent;
use harness::has_netem;
use harness::lab::{Lab, REDIS};
use harness::snapshot::Snapshot;

use crate::cut;

#[test]
fn a_later_agent_tells_what_became_of_the_faults_of_a_dead_one() {
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, "");
    agent.inject("done", &cut("10m"));
    agent.restore("done");
    agent.inject("open", &cut("10m").replace("100", "50"));
    let dir = agent.kill_9();
    let agent = Agent::start_in(&lab.app, "", dir);
    assert!(agent.faults().is_empty());
    let over = agent.history();
    let told = over.iter().map(|h| (h.id.as_str(), h.end.to_string())).collect::<Vec<_>>();
    assert_eq!(told[0], ("open", "agent died".to_owned()));
    assert!(told[1].1.starts_with("restored by uid 0"), "{told:?}");
}

#[test]
fn what_stays_of_a_delay_is_inert_and_swept() {
    let lab = Lab::new();
    if !has_netem(&lab) {
        return;
    }
    let before = Snapshot::take(&lab.app);
    let agent = Agent::start(&lab.app, "");
    let spec = format!(
        r#"{{"kinds":[{{"delay":{{"latency":"50ms"}}}}],"target":{{"peers":["{REDIS}"]}},"for":"10m"}}"#
    );
    agent.inject("f", &spec);
    // Somebody else's IFB with a name like ours is not ours.
    lab.app.sh("ip link add pa-f9-e type ifb");
    let dir = agent.kill_9();
    assert!(lab.app.sh("ip -o link").contains("pa-f1-e"), "the queues stay, and nothing leads into them");
    assert_eq!(lab.app.sh("nft list ruleset"), "");
    let agent = Agent::start_in(&lab.app, "", dir);
    let links = lab.app.sh("ip -o link");
    assert!(!links.contains("pa-f1-"), "{links}");
    assert!(links.contains("pa-f9-e"), "{links}");
    lab.app.sh("ip link del pa-f9-e");
    before.assert_same(&Snapshot::take(&lab.app), "after the sweep");
    drop(agent);
}

#[test]
fn a_corrupt_journal_is_no_obstacle() {
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, "");
    agent.inject("f", &cut("10m"));
    let dir = agent.kill_9();
    let journal = dir.path().join("state/journal.jsonl");
    let mut bytes = std::fs::read(&journal).unwrap();
    bytes.extend(b"{\"op\":\"inj");
    std::fs::write(&journal, bytes).unwrap();
    let agent = Agent::start_in(&lab.app, "", dir);
    assert!(agent.log().contains("cannot be read"), "{}", agent.log());
    assert_eq!(agent.history()[0].id.as_str(), "f");
    agent.inject("g", &cut("10m"));
}

#[test]
fn an_idle_agent_sleeps() {
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, "");
    agent.inject("f", &cut("10m"));
    agent.restore("f");
    let switches = || {
        let mut sum = 0_u64;
        for task in std::fs::read_dir(format!("/proc/{}/task", agent.pid())).unwrap() {
            let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
            let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches")).unwrap();
            sum += line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap();
        }
        sum
    };
    // What the last answer still had to do.
    std::thread::sleep(std::time::Duration::from_millis(500));
    let before = switches();
    std::thread::sleep(std::time::Duration::from_secs(5));
    assert_eq!(switches() - before, 0, "wake-ups in five idle seconds");
}
