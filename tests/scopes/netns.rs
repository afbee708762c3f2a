//! Network namespaces by name, by path and by a process in them.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use harness::agent::Agent;
use harness::lab::{APP_TO_REDIS, DB, Lab, REDIS, address};
use harness::snapshot::Snapshot;
use harness::traffic::{answers, serve_tcp};
use partition_agent_proto::End;

use crate::{CONFIG, PATIENCE, SLACK, until};

fn servers(lab: &Lab) -> [SocketAddr; 3] {
    let [redis, db, app] = [REDIS, DB, APP_TO_REDIS].map(|host| SocketAddr::new(address(host), 80));
    serve_tcp(&lab.redis, redis);
    serve_tcp(&lab.db, db);
    serve_tcp(&lab.app, app);
    [redis, db, app]
}

#[test]
fn a_namespace_is_entered_by_name_by_path_and_by_process() {
    let lab = Lab::new();
    let [redis, db, app] = servers(&lab);
    let agent = Agent::start(&lab.app, CONFIG);
    let process = lab.redis.spawn("sleep", &["600"], Stdio::null());
    let name = lab.redis.namespace.clone();
    let [path, pid] = [format!("/run/netns/{name}"), format!("pid:{}", process.id())];
    let inside = "tc qdisc show; nft list ruleset; ip -d link show; ip addr show | grep -v valid_lft; ip route show table all";
    let before = lab.redis.sh(inside);
    let own = Snapshot::take(&lab.app);
    for scope in [&name, &path, &pid] {
        agent.cli_ok(
            &lab.app,
            &["inject", "--loss", "100%", "--peer", APP_TO_REDIS, "--netns", scope, "--id", "f"],
        );
        assert!(lab.redis.sh("nft list ruleset").contains("partition_agent"), "{scope}");
        own.assert_same(&Snapshot::take(&lab.app), "the agent's own namespace during the fault");
        assert!(!answers(&lab.app, redis, PATIENCE), "{scope}: ingress there");
        assert!(!answers(&lab.redis, app, PATIENCE), "{scope}: egress there");
        assert!(answers(&lab.app, db, PATIENCE));
        agent.restore("f");
        assert!(answers(&lab.app, redis, PATIENCE) && answers(&lab.redis, app, PATIENCE));
        assert_eq!(lab.redis.sh(inside), before, "{scope}");
    }
    // A latency takes a device there, of which nothing stays either.
    agent.cli_ok(
        &lab.app,
        &[
            "inject",
            "--latency",
            "100ms",
            "--engine",
            "emulator",
            "--peer",
            APP_TO_REDIS,
            "--netns",
            &name,
            "--id",
            "f",
        ],
    );
    let begun = Instant::now();
    assert!(answers(&lab.app, redis, 10 * PATIENCE));
    // Two round trips, a delay each way.
    assert!(begun.elapsed() >= Duration::from_millis(400), "{:?}", begun.elapsed());
    agent.restore("f");
    agent.until_idle(2 * SLACK);
    assert_eq!(lab.redis.sh(inside), before);
}

#[test]
fn the_agents_own_namespace_by_name_is_the_host() {
    let lab = Lab::new();
    let [redis, _, _] = servers(&lab);
    let agent = Agent::start(&lab.app, CONFIG);
    let own = lab.app.namespace.clone();
    agent.cli_ok(&lab.app, &["inject", "--loss", "100%", "--peer", REDIS, "--netns", &own, "--id", "f"]);
    assert_eq!(agent.faults()[0].places[0].name, "host");
    assert!(!answers(&lab.app, redis, PATIENCE));
    agent.restore("f");
    assert!(answers(&lab.app, redis, PATIENCE));
}

/// A namespace with a link to the lab's `app`, at 10.77.9.2.
struct Extra(String);

impl Extra {
    fn new(lab: &Lab) -> Self {
        let extra = Self(format!("{}-extra", lab.app.namespace));
        let name = &extra.0;
        run(&format!(
            "ip netns add {name}; ip link add to-extra netns {} type veth peer name eth0 netns {name}
             ip -n {name} link set lo up; ip -n {name} link set eth0 up; ip -n {name} addr add 10.77.9.2/24 dev eth0",
            lab.app.namespace
        ));
        lab.app.sh("ip link set to-extra up; ip addr add 10.77.9.1/24 dev to-extra");
        extra
    }
}

impl Drop for Extra {
    fn drop(&mut self) {
        // Gone already is fine.
        let _ = Command::new("ip").args(["netns", "del", &self.0]).stderr(Stdio::null()).status();
    }
}

fn run(script: &str) {
    let done = Command::new("bash").args(["-ec", script]).status().expect("it can be started");
    assert!(done.success(), "{script}");
}

#[test]
fn a_namespace_that_is_deleted_is_let_go_and_its_fault_ends() {
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, CONFIG);
    let extra = Extra::new(&lab);
    let name = extra.0.clone();
    agent.cli_ok(
        &lab.app,
        &["inject", "--loss", "100%", "--all-traffic", "--netns", &name, "--id", "f", "--for", "10m"],
    );
    let reached = lab.app.output("ping", &["-c", "1", "-W", "1", "10.77.9.2"]);
    assert!(!reached.status.success());
    let deleted = Instant::now();
    drop(extra);
    // Its end of the link goes with it, and takes ours along: when nobody holds it any more.
    let freed = until("the namespace is gone", SLACK, || !lab.app.sh("ip -o link show").contains("to-extra"));
    println!("freed {freed:?} after ip netns del");
    assert!(agent.faults()[0].places.is_empty());
    agent.until_idle(Duration::from_secs(10) + 2 * SLACK);
    println!("over {:?} after ip netns del", deleted.elapsed());
    assert_eq!(agent.history()[0].end, End::Vanished { what: format!("netns {name}") });
}

#[test]
fn a_namespace_that_is_made_anew_under_its_name_is_entered() {
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, CONFIG);
    let ping = || lab.app.output("ping", &["-c", "1", "-W", "1", "10.77.9.2"]).status.success();
    let extra = Extra::new(&lab);
    assert!(ping());
    agent.cli_ok(
        &lab.app,
        &["inject", "--loss", "100%", "--all-traffic", "--netns", &extra.0, "--id", "f", "--for", "10m"],
    );
    assert!(!ping());
    drop(extra);
    until("the namespace is gone", SLACK, || !lab.app.sh("ip -o link show").contains("to-extra"));
    let extra = Extra::new(&lab);
    let begun = Instant::now();
    until("it is cut", SLACK, || !ping());
    println!("cut {:?} after it was made anew, with a second of patience in that", begun.elapsed());
    agent.restore("f");
    assert!(ping());
    drop(extra);
}

#[test]
fn a_fault_in_the_namespace_of_a_process_ends_with_the_process() {
    let lab = Lab::new();
    let [redis, _, _] = servers(&lab);
    let agent = Agent::start(&lab.app, CONFIG);
    let process = lab.redis.spawn("sleep", &["600"], Stdio::null());
    let scope = format!("pid:{}", process.id());
    agent.cli_ok(
        &lab.app,
        &["inject", "--loss", "100%", "--peer", APP_TO_REDIS, "--netns", &scope, "--for", "10m"],
    );
    assert!(!answers(&lab.app, redis, PATIENCE));
    drop(process);
    let ended = until("it has ended", SLACK, || agent.faults().is_empty());
    println!("over {ended:?} after the process");
    assert!(answers(&lab.app, redis, PATIENCE));
    assert_eq!(agent.history()[0].end, End::Vanished { what: format!("netns {scope}") });
}

#[test]
fn what_is_no_namespace_is_refused_with_a_reason() {
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, CONFIG);
    for (scope, reason) in [
        ("no-such-namespace", lab.redis.namespace.as_str()),
        ("/etc/hostname", "/etc/hostname"),
        ("pid:4194304", "pid"),
    ] {
        let refused = agent.cli(&lab.app, &["inject", "--loss", "1%", "--all-traffic", "--netns", scope]);
        let said = harness::text(&refused.stderr);
        println!("{scope}: {said}");
        assert!(!refused.status.success() && said.contains(reason), "{scope}: {said}");
    }
    assert!(agent.faults().is_empty());
}

/// Without `namespaces = true` the agent gives up what it takes to enter others, and says so.
#[test]
fn an_agent_without_the_privileges_says_which_setting_gives_them() {
    let lab = Lab::new();
    let [redis, _, _] = servers(&lab);
    let agent = Agent::start(&lab.app, "");
    let refused =
        agent.cli(&lab.app, &["inject", "--loss", "100%", "--all-traffic", "--netns", &lab.redis.namespace]);
    let said = harness::text(&refused.stderr);
    println!("{said}");
    assert!(!refused.status.success() && said.contains("namespaces"), "{said}");
    assert!(agent.faults().is_empty() && answers(&lab.app, redis, PATIENCE));
}
