//! `inject --loss 100% --peer redis`, against a real redis.

use std::process::Stdio;
use std::time::{Duration, Instant};

use harness::agent::Agent;
use harness::lab::{DB, Lab, REDIS, address};
use harness::traffic::{answers, serve_tcp};
use harness::{has_tool, text};

use crate::{PATIENCE, SLACK};

/// `redis-cli ping`, with so many seconds to start and to answer.
fn pong(lab: &Lab, seconds: u32) -> bool {
    let ping = ["-k", "0.1", &seconds.to_string(), "redis-cli", "-h", REDIS, "ping"];
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
    while !pong(&lab, 1) {
        assert!(begun.elapsed() < Duration::from_secs(30), "redis does not start");
    }
    let second_port = (address(REDIS), 80).into();
    let second_host = (address(DB), 6379).into();
    serve_tcp(&lab.redis, second_port);
    serve_tcp(&lab.db, second_host);
    let agent = Agent::start(&lab.app, &format!("[peers]\nredis = ['{REDIS}:6379']\n"));

    let injected = Instant::now();
    agent.cli_ok(&lab.app, &["inject", "--loss", "100%", "--peer", "redis", "--for", "5s"]);
    assert!(!pong(&lab, 1));
    assert!(answers(&lab.app, second_port, PATIENCE), "another port of the same host");
    assert!(answers(&lab.app, second_host, PATIENCE), "another host");
    // TCP asks again a second after the first time, and an emulated machine takes half of one to start a program.
    while !pong(&lab, 3) {
        assert!(injected.elapsed() < Duration::from_secs(5) + 4 * SLACK, "redis does not come back");
    }
    // The three seconds of `pong` can only make it later.
    assert!(injected.elapsed() > Duration::from_secs(4), "redis was back too early");
    agent.until_idle(SLACK);
    let over = agent.history();
    assert_eq!(over.len(), 1);
    assert!(over[0].hits.lost_packets > 0, "{over:?}");
}
