//! Others at work on the same host while a fault is in force.

use std::net::SocketAddr;
use std::time::Instant;

use harness::agent::Agent;
use harness::has_tool;
use harness::lab::{Lab, REDIS, address};
use harness::traffic::{answers, serve_tcp, until_answer};

use crate::{PATIENCE, SLACK, cut};

fn faulty() -> (Lab, SocketAddr, Agent) {
    let lab = Lab::new();
    let redis = SocketAddr::new(address(REDIS), 80);
    serve_tcp(&lab.redis, redis);
    let agent = Agent::start(&lab.app, "");
    assert!(answers(&lab.app, redis, PATIENCE));
    agent.inject("f", &cut("10m"));
    assert!(!answers(&lab.app, redis, PATIENCE));
    (lab, redis, agent)
}

#[test]
fn a_flush_of_all_rules_by_somebody_else_leaves_the_fault() {
    let (lab, redis, agent) = faulty();
    lab.app.sh("nft add table inet theirs; nft add chain inet theirs c; nft flush ruleset");
    assert!(!answers(&lab.app, redis, PATIENCE));
    assert!(!lab.app.sh("nft list tables").contains("theirs"));
    let delete = lab.app.output("nft", &["delete", "table", "netdev", "partition_agent"]);
    assert!(!delete.status.success(), "the kernel lets only the owner delete it");
    assert!(!answers(&lab.app, redis, PATIENCE));
    agent.restore("f");
    assert!(answers(&lab.app, redis, PATIENCE));
}

#[test]
fn a_reload_of_iptables_leaves_the_fault() {
    if !has_tool("iptables-restore") {
        return;
    }
    let (lab, redis, agent) = faulty();
    lab.app.sh("iptables -A INPUT -p tcp --dport 9 -j DROP; iptables-save > /dev/null");
    lab.app.sh("printf '*filter\\n:INPUT ACCEPT\\n-A INPUT -j ACCEPT\\nCOMMIT\\n' | iptables-restore");
    assert!(!answers(&lab.app, redis, PATIENCE));
    agent.restore("f");
    assert!(answers(&lab.app, redis, PATIENCE));
    assert!(lab.app.sh("iptables-save").contains("-A INPUT -j ACCEPT"), "theirs is as they left it");
}

#[test]
fn an_interface_that_goes_down_and_up_keeps_the_fault() {
    let (lab, redis, agent) = faulty();
    lab.app.sh("ip link set to-redis down; ip link set to-redis up");
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE * 3 {
        assert!(!answers(&lab.app, redis, PATIENCE), "the fault is gone after down and up");
    }
    agent.restore("f");
    until_answer(&lab.app, redis, SLACK);
}

#[test]
fn an_interface_that_is_made_anew_is_cut_again() {
    let (lab, redis, agent) = faulty();
    let redis_ns = &lab.redis.namespace;
    lab.app.sh("ip link del to-redis");
    lab.app.sh(&format!(
        "ip link add to-redis type veth peer name eth0 netns {redis_ns} && \
         ip addr add 10.77.1.1/24 dev to-redis && ip link set to-redis up"
    ));
    lab.redis.sh("ip addr add 10.77.1.2/24 dev eth0 && ip link set eth0 up");
    // Older kernels delete the hook with the interface, and the agent brings it back.
    let begun = Instant::now();
    let hooked =
        || lab.app.sh("nft list table netdev partition_agent").contains("egress device \"to-redis\"");
    while !hooked() {
        assert!(begun.elapsed() < SLACK, "not hooked again\n{}", agent.log());
    }
    let before = agent.faults()[0].hits.lost_packets;
    assert!(!answers(&lab.app, redis, PATIENCE));
    assert!(agent.faults()[0].hits.lost_packets > before, "it is the fault that cuts");
    agent.restore("f");
    until_answer(&lab.app, redis, SLACK);
}

#[test]
fn a_second_agent_is_told_that_there_is_one() {
    let (lab, redis, _agent) = faulty();
    let program = harness::binary().display().to_string();
    let dir = tempfile::tempdir().unwrap();
    let [socket, state] = ["agent.sock", "state"].map(|name| dir.path().join(name).display().to_string());
    let second = lab.app.output(&program, &["serve", "--socket", &socket, "--state-dir", &state]);
    assert_eq!(second.status.code(), Some(1));
    let said = harness::text(&second.stderr);
    assert!(said.contains("another agent runs in this network namespace"), "{said}");
    assert!(!answers(&lab.app, redis, PATIENCE), "the first one's fault is untouched");
}
