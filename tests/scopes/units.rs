//! Control groups as services live in them: units that restart, servers, service addresses, namespaces of their own.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use harness::agent::Agent;
use harness::lab::{APP_TO_REDIS, DB, REDIS, address};
use harness::text;
use harness::traffic::{answers, serve_tcp};
use partition_agent_proto::End;

use crate::cgroup::{Group, answered, tcp, udp};
use crate::name_server::{NameServer, with_resolv_conf};
use crate::processes::{lab, neighbour, reached};
use crate::{CONFIG, PATIENCE, SLACK, until};

#[test]
fn a_unit_is_found_by_its_name_with_all_of_its_groups_and_followed_when_it_restarts() {
    let lab = lab();
    let agent = Agent::start(&lab.app, CONFIG);
    let unit = Group::service();
    let name = unit.unit().to_owned();
    let inside = Group::at(&format!("{}/worker", unit.path));
    let _process = inside.spawn(&lab.app, "exec sleep 600");
    for name in [name.as_str(), name.trim_end_matches(".service")] {
        agent.cli_ok(&lab.app, &["inject", "--loss", "100%", "--peer", REDIS, "--unit", name, "--id", "f"]);
        assert_eq!(reached(|script| unit.sh(&lab.app, script)), "xxoo");
        assert_eq!(reached(|script| inside.sh(&lab.app, script)), "xxoo", "a group of the unit's own");
        assert_eq!(reached(neighbour(&lab.app)), "oooo");
        agent.restore("f");
    }
    drop((_process, inside));

    agent.cli_ok(
        &lab.app,
        &["inject", "--loss", "100%", "--peer", REDIS, "--unit", &name, "--id", "f", "--for", "10m"],
    );
    let own = |script: &str| answered(&unit.sh(&lab.app, script));
    assert!(!own(&udp(REDIS, 7)));
    unit.remove();
    std::thread::sleep(Duration::from_millis(700));
    let unit = Group::at(&unit.path);
    let begun = Instant::now();
    until("the new unit is cut", SLACK, || !answered(&unit.sh(&lab.app, &udp(REDIS, 7))));
    println!("the new unit was cut within {:?}, with a second of patience in that", begun.elapsed());
    assert_eq!(reached(|script| unit.sh(&lab.app, script)), "xxoo");
    assert_eq!(reached(neighbour(&lab.app)), "oooo");

    unit.remove();
    let removed = Instant::now();
    agent.until_idle(Duration::from_secs(10) + 2 * SLACK);
    println!("over {:?} after the unit was gone", removed.elapsed());
    assert!(removed.elapsed() >= Duration::from_secs(9), "{:?}", removed.elapsed());
    assert_eq!(agent.history()[0].end, End::Vanished { what: format!("unit {name}") });
}

/// A server in the group: clients come to it. What comes in is known by what went out before, so the first packet of a
/// client gets through, and its answer does not, or nothing after it.
#[test]
fn a_server_in_a_control_group_is_cut_off_from_its_client_and_its_neighbour_is_not() {
    if !harness::has_tool("redis-server") {
        return;
    }
    let lab = lab();
    let agent = Agent::start(&lab.app, CONFIG);
    let group = Group::new();
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().display();
    let serve =
        |port: u16| format!("exec redis-server --port {port} --save '' --protected-mode no --dir {dir}");
    let _server = group.spawn(&lab.app, &serve(6379));
    let other = Group::new();
    let _other = other.spawn(&lab.app, &serve(6380));
    // One connection, two questions with a second between them.
    let asks = |port: u16| {
        let ask = format!(
            "(echo PING; sleep 1; echo PING; sleep 1) | timeout -k 0.1 2.5 redis-cli -h {APP_TO_REDIS} -p {port}"
        );
        text(&lab.redis.output("bash", &["-c", &ask]).stdout).matches("PONG").count()
    };
    until("both serve", 6 * SLACK, || asks(6379) == 2 && asks(6380) == 2);
    for (direction, most) in [("egress", 0), ("ingress", 1), ("both", 0)] {
        agent.cli_ok(
            &lab.app,
            &[
                "inject",
                "--loss",
                "100%",
                "--peer",
                REDIS,
                "--cgroup",
                &group.path,
                "--direction",
                direction,
                "--id",
                "f",
            ],
        );
        let answers = asks(6379);
        println!("{direction}: {answers} of 2 answers");
        assert!(answers <= most, "{direction}: {answers}");
        assert_eq!(asks(6380), 2, "{direction}: the neighbour");
        agent.restore("f");
        assert_eq!(asks(6379), 2);
    }
}

#[test]
fn a_process_loses_a_service_address_and_its_neighbour_does_not() {
    let lab = lab();
    lab.app.sh("ip route add 10.96.0.0/16 via 10.77.1.2
        nft 'table ip nat { chain output { type nat hook output priority -100; ip daddr 10.96.0.10 dnat to 10.77.1.2; }; }'");
    let agent = Agent::start(&lab.app, CONFIG);
    let group = Group::new();
    let own = |script: &str| group.sh(&lab.app, script);
    let vip = "10.96.0.10";
    for direction in ["egress", "ingress", "both"] {
        agent.cli_ok(
            &lab.app,
            &[
                "inject",
                "--loss",
                "100%",
                "--peer",
                vip,
                "--cgroup",
                &group.path,
                "--direction",
                direction,
                "--id",
                "f",
            ],
        );
        assert!(!answered(&own(&tcp(vip, 80))) && !answered(&own(&udp(vip, 7))), "{direction}");
        assert!(answered(&own(&tcp(REDIS, 80))), "{direction}: past the service address");
        let other = neighbour(&lab.app);
        assert!(answered(&other(&tcp(vip, 80))) && answered(&other(&udp(vip, 7))), "{direction}");
        agent.restore("f");
        assert!(answered(&own(&tcp(vip, 80))));
    }
}

/// As a unit with PrivateNetwork has it: the fault is in that namespace, where all packets are theirs.
#[test]
fn a_control_group_with_a_namespace_of_its_own_is_hit_there() {
    let lab = lab();
    let app = SocketAddr::new(address(APP_TO_REDIS), 80);
    serve_tcp(&lab.app, app);
    let agent = Agent::start(&lab.app, CONFIG);
    let group = Group::new();
    let _process = group.spawn(&lab.redis, "exec sleep 600");
    agent.cli_ok(
        &lab.app,
        &["inject", "--loss", "100%", "--all-traffic", "--cgroup", &group.path, "--id", "f"],
    );
    assert!(!answers(&lab.redis, app, PATIENCE));
    assert!(lab.redis.sh("nft list tables").contains("partition_agent"));
    assert!(!lab.app.sh("nft list tables").contains("partition_agent"));
    assert!(answers(&lab.app, SocketAddr::new(address(DB), 80), PATIENCE));
    agent.restore("f");
    assert!(answers(&lab.redis, app, PATIENCE));
}

/// A sandbox that one process of many makes for itself takes the fault off none of the others.
#[test]
fn one_process_with_a_namespace_of_its_own_leaves_the_fault_on_the_others() {
    let lab = lab();
    let agent = Agent::start(&lab.app, CONFIG);
    let group = Group::new();
    let own = |script: &str| group.sh(&lab.app, script);
    let _stays = group.spawn(&lab.app, "exec sleep 600");
    let inject = ["inject", "--loss", "100%", "--peer", REDIS, "--cgroup", &group.path, "--id", "f"];
    agent.cli_ok(&lab.app, &inject);
    let app = SocketAddr::new(address(APP_TO_REDIS), 80);
    serve_tcp(&lab.app, app);
    let places = || agent.faults()[0].places.iter().map(|place| place.name.clone()).collect::<Vec<_>>();

    // Without any interface but loopback there is nothing to hit; the place is known all the same.
    let alone = group.spawn(&lab.app, "exec unshare --net sleep 600");
    // Twice as long as it takes to be seen.
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(reached(own), "xxoo");
    assert_eq!(places(), ["host"]);
    // So it is from the beginning.
    agent.restore("f");
    agent.cli_ok(&lab.app, &inject);
    assert_eq!(places(), ["host"]);
    drop(alone);

    // In a namespace with a network it is hit there, with everything in it.
    let other = group.spawn(&lab.redis, "exec sleep 600");
    until("it is in both", SLACK, || places().len() == 2);
    assert_eq!(reached(own), "xxoo");
    assert_eq!(reached(neighbour(&lab.app)), "oooo");
    drop(other);
    until("it has left the second", SLACK, || places() == ["host"]);
    assert_eq!(reached(own), "xxoo");
    agent.restore("f");
    assert_eq!(reached(own), "oooo");
    let inject = ["inject", "--loss", "100%", "--all-traffic", "--cgroup", &group.path, "--id", "both"];
    let _other = group.spawn(&lab.redis, "exec sleep 600");
    agent.cli_ok(&lab.app, &inject);
    assert!(!answers(&lab.redis, app, PATIENCE), "everything there");
    assert_eq!(reached(own), "xxxx");
    assert!(answers(&lab.app, SocketAddr::new(address(DB), 80), PATIENCE), "the neighbour");
}

/// Questions that nobody answers take 5 s each.
#[test]
fn names_without_an_answer_hold_up_no_process() {
    let lab = lab();
    let names = NameServer::start(&lab.app, &["127.0.0.1:53".parse().unwrap()]);
    let agent = with_resolv_conf("nameserver 127.0.0.1\n", || Agent::start(&lab.app, CONFIG));
    let group = Group::new();
    let _stays = group.spawn(&lab.app, "exec sleep 600");
    agent.cli_ok(
        &lab.app,
        &[
            "inject",
            "--loss",
            "100%",
            "--peer",
            "one.example,two.example",
            "--cgroup",
            &group.path,
            "--id",
            "f",
            "--for",
            "10m",
        ],
    );
    let silent = ["one.example", "two.example"];
    silent.iter().for_each(|name| names.silence(name));
    names.asked();
    let mut asked = Vec::new();
    until("one is asked for in vain", 2 * SLACK, || {
        asked.extend(names.asked());
        silent.iter().any(|name| asked.iter().any(|asked| asked == name))
    });
    let _other = group.spawn(&lab.redis, "exec sleep 600");
    let both = || agent.faults()[0].places.len() == 2;
    // The agent looks every half second; what it has asked in vain goes on for longer than this.
    let took = until("it is in both", Duration::from_secs(4), both);
    println!("followed after {took:?} while names had no answer");
    assert!(agent.log().matches("keeps the addresses that it has").count() <= 2, "{}", agent.log());
}

/// The processes of a group may be anybody's, and are looked at: that takes more than an agent has by default.
#[test]
fn an_agent_without_the_privileges_says_which_setting_a_group_takes() {
    let lab = lab();
    let agent = Agent::start(&lab.app, "");
    let group = Group::new();
    let _process = group.spawn(&lab.app, "exec sleep 600");
    let refused =
        agent.cli(&lab.app, &["inject", "--loss", "100%", "--peer", REDIS, "--cgroup", &group.path]);
    let said = text(&refused.stderr);
    assert!(!refused.status.success() && said.contains("namespaces = true"), "{said}");
    assert!(agent.faults().is_empty());
    assert_eq!(reached(|script| group.sh(&lab.app, script)), "oooo");
}
