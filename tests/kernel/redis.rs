//! `inject --loss 100% --peer redis`, against a real redis.

use std::process::Stdio;
use std::time::{Duration, Instant};

use harness::agent::Agent;
use harness::lab::{DB, Lab, REDIS, address};
use harness::traffic::{answers, serve_tcp};
use harness::{has_tool, text};

use crate::{PATIENCE, SLACK};

/// `redis-cli ping`, with a second to answer.
fn pong(lab: &Lab) -> bool {
    let ping = ["-k", "0.1", "1", "redis-cli", "-h", REDIS, "ping"];
    text(&lab.app.output("timeout", &ping).stdout).trim() == "PONG"
}

#[test]
fn redis_is_cut_off_and_comes_back_by_itself_and_nobody_else_notices() {
    if !has_tool("redis-server") {
        return;
    }
    let lab = Lab::new();
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().display().to_string();
    let serve = ["--port", "6379", "--save", "", "--protected-mode", "no", "--dir", &dir];
    let _redis = lab.redis.spawn("redis-server", &serve, Stdio::null());
    let begun = Instant::now();
    while !pong(&lab) {
        assert!(begun.elapsed() < Duration::from_secs(30), "redis does not start");
    }
    let second_port = (address(REDIS), 80).into();
    let second_host = (address(DB), 6379).into();
    serve_tcp(&lab.redis, second_port);
    serve_tcp(&lab.db, second_host);
    let agent = Agent::start(&lab.app, &format!("[peers]\nredis = ['{REDIS}:6379']\n"));

    let injected = Instant::now();
    agent.cli_ok(&lab.app, &["inject", "--loss", "100%", "--peer", "redis", "--for", "5s"]);
    assert!(!pong(&lab));
    assert!(answers(&lab.app, second_port, PATIENCE), "another port of the same host");
    assert!(answers(&lab.app, second_host, PATIENCE), "another host");
    while !pong(&lab) {
        assert!(injected.elapsed() < Duration::from_secs(5) + SLACK, "redis does not come back");
    }
    // A second of patience in `pong` is the margin on the early side.
    assert!(injected.elapsed() > Duration::from_secs(4), "redis was back too early");
    agent.until_idle(SLACK);
    let over = agent.history();
    assert_eq!(over.len(), 1);
    assert!(over[0].hits.lost_packets > 0, "{over:?}");
}
