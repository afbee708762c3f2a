//! Ten thousand targets.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Instant;

use harness::agent::Agent;
use harness::lab::{DB, Lab, REDIS, address};
use harness::traffic::{answers, serve_tcp};

use crate::{PATIENCE, SLACK};

/// Every other address of 10.64.0.0/15, so that none of them merge; and redis.
fn config() -> String {
    let mut list = format!("[peers]\nmany = ['{REDIS}'");
    for n in 0..9_999_u32 {
        let n = n * 2;
        list.push_str(&format!(",'10.{}.{}.{}'", 64 + (n >> 16), (n >> 8) & 255, n & 255));
    }
    list.push_str("]\n");
    list
}

#[test]
fn ten_thousand_targets_are_one_transaction() {
    let lab = Lab::new();
    let [redis, db] = [REDIS, DB].map(|host| SocketAddr::new(address(host), 80));
    serve_tcp(&lab.redis, redis);
    serve_tcp(&lab.db, db);
    let agent = Agent::start(&lab.app, &config());
    let empty = lab.app.sh("nft list ruleset");
    // What the kernel can do is tried once, before the first fault that needs it, in transactions of its own.
    let small = r#"{"kinds":[{"loss":{"percent":100}}],"target":{"peers":["10.9.9.9"]},"for":"10m"}"#;
    agent.inject("first", small);
    agent.restore("first");

    // nft tells of each transaction that is committed: what it held, then the number of the new generation.
    let log = tempfile::NamedTempFile::new().unwrap();
    let said = || std::fs::read_to_string(log.path()).unwrap();
    let monitor = format!("exec nft monitor > {}", log.path().display());
    let monitor = lab.app.spawn("bash", &["-c", &monitor], Stdio::null());
    let begun = Instant::now();
    while !said().contains("new generation") {
        assert!(begun.elapsed() < SLACK * 3, "nft monitor is silent");
        lab.app.sh("nft add table ip pa_test; nft delete table ip pa_test");
    }
    lab.app.sh("sleep 0.2");
    let before = said().matches("# new generation").count();

    let spec = r#"{"kinds":[{"loss":{"percent":100}}],"target":{"peers":["many"]},"for":"10m"}"#;
    let fault = agent.inject("f", spec);
    assert_eq!(fault.addresses, 10_000);
    assert!(!answers(&lab.app, redis, PATIENCE));
    assert!(answers(&lab.app, db, PATIENCE));
    let listed = lab.app.sh("nft list set netdev partition_agent f2_host4 | grep -o expires | wc -l");
    assert_eq!(listed.trim(), "10000");
    let begun = Instant::now();
    while said().matches("# new generation").count() == before {
        assert!(begun.elapsed() < SLACK * 3, "nft monitor does not come to an end");
    }
    lab.app.sh("sleep 0.5");
    assert_eq!(said().matches("# new generation").count() - before, 1);
    drop(monitor);

    agent.restore("f");
    assert!(answers(&lab.app, redis, PATIENCE));
    assert_eq!(lab.app.sh("nft list ruleset"), empty);
}

#[test]
fn networks_that_overlap_on_a_port_are_merged_and_exact() {
    let lab = Lab::new();
    let agent =
        Agent::start(&lab.app, "[peers]\nnets = ['10.77.0.0/16:80', '10.77.1.2:81', '10.77.1.0/24:81']\n");
    let ports = [80, 81, 82].map(|port| SocketAddr::new(address(REDIS), port));
    ports.iter().for_each(|at| serve_tcp(&lab.redis, *at));
    // The kernel refuses intervals that overlap.
    agent.inject("f", r#"{"kinds":[{"loss":{"percent":100}}],"target":{"peers":["nets"]},"for":"10m"}"#);
    assert_eq!(ports.map(|at| answers(&lab.app, at, PATIENCE)), [false, false, true]);
}
