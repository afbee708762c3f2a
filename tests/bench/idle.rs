//! What an agent costs while there is nothing to do.

use std::time::Duration;

use harness::agent::Agent;
use harness::lab::{Lab, REDIS};

pub fn run() {
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, "");
    println!("resident memory: {} after the start, {} after 100 faults", resident(&agent), {
        for n in 0..100 {
            let spec = format!(
                r#"{{"kinds":[{{"loss":{{"percent":1}}}}],"target":{{"peers":["{REDIS}"]}},"for":"{}s"}}"#,
                100 + n
            );
            agent.inject(&format!("f{n}"), &spec);
        }
        agent.ask("DELETE", "/v1/faults", None);
        resident(&agent)
    });
    std::thread::sleep(Duration::from_secs(1));
    let before = switches(&agent);
    std::thread::sleep(Duration::from_secs(10));
    println!("wake-ups in 10 idle seconds: {}", switches(&agent) - before);
}

fn resident(agent: &Agent) -> String {
    field(&format!("/proc/{}/status", agent.pid()), "VmRSS:")
}

fn switches(agent: &Agent) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", agent.pid())).expect("it runs");
    let status = tasks.map(|task| task.expect("a task").path().join("status").display().to_string());
    status.map(|path| field(&path, "voluntary_ctxt_switches:").parse::<u64>().expect("a number")).sum()
}

fn field(path: &str, name: &str) -> String {
    let status = std::fs::read_to_string(path).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the kernel tells");
    line.trim().to_owned()
}
