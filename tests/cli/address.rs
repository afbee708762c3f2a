//! Where the agent is: an option, the environment, a unix socket or TCP.

use harness::fake_agent::FakeAgent;
use partition_agent_proto::FaultStatus;

use crate::run::{Run, finish, program, run, unix};

fn agent_with_a_fault() -> FakeAgent {
    let agent = FakeAgent::start();
    run(&agent, "inject --loss 100% --peer redis --id cut").done();
    agent
}

fn spawned(words: &str, environment: &[(&str, &str)]) -> Run {
    finish(program(words).envs(environment.iter().copied()).spawn().unwrap())
}

#[test]
fn the_address_comes_from_the_option_before_or_after_the_verb() {
    let agent = agent_with_a_fault();
    let at = unix(&agent);
    for words in
        [format!("--agent {at} status"), format!("status --agent {at}"), format!("status --agent={at}")]
    {
        assert!(spawned(&words, &[]).done().contains("\ncut "), "{words}");
    }
}

#[test]
fn the_address_comes_from_the_environment_and_an_option_overrides_it() {
    let (with, without) = (agent_with_a_fault(), FakeAgent::start());
    let environment = [("PARTITION_AGENT", unix(&with))];
    let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert!(spawned("status", &environment).done().contains("\ncut "));
    let other = format!("status --agent {}", unix(&without));
    assert_eq!(spawned(&other, &environment).done(), "no faults\n");
    let nobody = [("PARTITION_AGENT", "unix:/nonexistent/agent.sock")];
    let error = spawned("inject --loss 1% --peer 10.0.0.5", &nobody).failed(3);
    assert!(error.contains("no agent answers at /nonexistent/agent.sock"), "{error}");
}

#[test]
fn an_agent_on_tcp_spares_the_connection_of_the_command() {
    let agent = FakeAgent::start();
    let words = format!("inject --loss 100% --all-traffic --json --agent http://{}/", agent.tcp);
    let fault: FaultStatus = spawned(&words, &[]).json();
    assert!(fault.by.starts_with("127.0.0.1:"), "{}", fault.by);
    let kept = format!("your connection from {} to local port {}", fault.by, agent.tcp.port());
    assert_eq!(fault.protects.last(), Some(&kept));
}

#[test]
fn a_proxy_of_the_environment_does_not_come_between_the_command_and_a_unix_socket() {
    let agent = agent_with_a_fault();
    let proxy = [("http_proxy", "http://127.0.0.1:1"), ("ALL_PROXY", "http://127.0.0.1:1")];
    assert!(spawned(&format!("status --agent {}", unix(&agent)), &proxy).done().contains("\ncut "));
}

#[test]
fn a_proxy_of_the_environment_does_not_come_between_the_command_and_an_agent_on_tcp() {
    let agent = agent_with_a_fault();
    let proxy = [("http_proxy", "http://127.0.0.1:1"), ("ALL_PROXY", "http://127.0.0.1:1")];
    let words = format!("status --agent http://{}", agent.tcp);
    assert!(spawned(&words, &proxy).done().contains("\ncut "));
}
