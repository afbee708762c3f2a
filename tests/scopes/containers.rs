//! Which containers a fault acts in, and which it leaves alone.

use harness::agent::Agent;
use harness::lab::Lab;

use crate::CONFIG;
use crate::compose::{Container, Project, docker};

/// Who reaches whom, as letters: app to both replicas, app to db, db to app, db to both replicas, the replicas to db.
fn reached(project: &Project) -> String {
    let [app, db] = ["app", "db"].map(|service| project.one(service));
    let redis = project.service("redis");
    let [first, second] = [&redis[0], &redis[1]];
    let pairs: [(&Container, &Container); 8] = [
        (&app, first),
        (&app, second),
        (&app, &db),
        (&db, &app),
        (&db, first),
        (&db, second),
        (first, &db),
        (second, &db),
    ];
    std::thread::scope(|scope| {
        let asked = pairs.map(|(from, to)| scope.spawn(|| from.reaches(to)));
        asked
            .into_iter()
            .map(|asked| if asked.join().expect("the thread ends well") { 'o' } else { 'x' })
            .collect()
    })
}

#[test]
fn a_fault_on_a_service_hits_every_replica_and_nobody_else() {
    let Some(project) = Project::up() else { return };
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, CONFIG);
    let everybody = ["app", "db", "redis"].map(|service| project.service(service)).concat();
    assert_eq!(everybody.len(), 4);
    let before = everybody.iter().map(Container::snapshot).collect::<Vec<_>>();
    assert_eq!(reached(&project), "oooooooo");

    let redis = project.path("redis");
    let inject =
        ["inject", "--loss", "100%", "--all-traffic", "--compose", &redis, "--id", "cut", "--for", "10m"];
    agent.cli_ok(&lab.app, &inject);
    assert_eq!(reached(&project), "xxooxxxx");
    let fault = &agent.faults()[0];
    let mut places = fault.places.iter().map(|place| place.name.clone()).collect::<Vec<_>>();
    places.sort();
    assert_eq!(places.len(), 2, "{places:?}");
    for (place, container) in places.iter().zip(project.service("redis")) {
        assert!(place.contains(&container.name) && place.contains(&container.id[..12]), "{place}");
        assert!(container.sh_ok("nft list ruleset").contains("table netdev partition_agent"));
    }
    for container in [project.one("app"), project.one("db")] {
        assert!(!container.sh_ok("nft list ruleset").contains("partition_agent"), "{}", container.name);
    }
    // The first packet of each of the six connections, at least.
    assert!(fault.hits.lost_packets >= 6, "{:?}", fault.hits);
    // Over loopback it still answers, for health checks.
    assert_eq!(docker(&["exec", &project.service("redis")[0].id, "redis-cli", "ping"]).trim(), "PONG");

    agent.restore("cut");
    assert_eq!(reached(&project), "oooooooo");
    let after = everybody.iter().map(Container::snapshot).collect::<Vec<_>>();
    assert_eq!(before, after);
    let over = &agent.history()[0];
    assert_eq!(over.as_before, Some(partition_agent_proto::Verdict::Confirmed), "{over:?}");
}

#[test]
fn a_fault_on_one_peer_of_a_service_leaves_its_other_peers_alone() {
    let Some(project) = Project::up() else { return };
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, CONFIG);
    let (redis, app) = (project.path("redis"), format!("compose:{}", project.path("app")));
    for (how, heard) in [("--loss=100%", ""), ("--reject", "Connection refused")] {
        // Refused on their way in, and the way out stays free for that answer.
        agent.cli_ok(
            &lab.app,
            &["inject", how, "--peer", &app, "--compose", &redis, "--direction", "ingress", "--id", "f"],
        );
        assert_eq!(reached(&project), "xxoooooo", "{how}");
        let first = &project.service("redis")[0];
        let said = project.one("app").sh(&format!("timeout 1 redis-cli -h {} ping 2>&1", first.address));
        assert!(said.contains(heard) && !said.contains("PONG"), "{how}: {said}");
        agent.restore("f");
        assert_eq!(reached(&project), "oooooooo");
    }
}

#[test]
fn a_container_is_found_by_name_by_the_beginning_of_its_id_and_by_label() {
    let Some(project) = Project::up() else { return };
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, CONFIG);
    let redis = project.service("redis");
    let first = &redis[0];
    let service = format!("com.docker.compose.project={}", project.name);
    let cases = [
        ("--container", first.name.as_str(), "xoooxoxo"),
        ("--container", &first.id, "xoooxoxo"),
        ("--container", &first.id[..12], "xoooxoxo"),
        ("--label", "pa.test.role=cache", "xxooxxxx"),
        ("--label", "pa.test.role", "xxooxxxx"),
        ("--label", &service, "xxxxxxxx"),
    ];
    for (flag, value, expected) in cases {
        agent.cli_ok(&lab.app, &["inject", "--loss", "100%", "--all-traffic", flag, value, "--id", "f"]);
        assert_eq!(reached(&project), expected, "{flag} {value}");
        agent.restore("f");
    }
    assert_eq!(reached(&project), "oooooooo");
}

#[test]
fn what_is_not_there_or_is_the_host_is_refused_with_a_reason_and_nothing_is_done() {
    let Some(project) = Project::up() else { return };
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, CONFIG);
    let name = format!("{}_onhost", project.name);
    let label = format!("com.docker.compose.project={}", project.name);
    docker(&[
        "run",
        "-d",
        "--network",
        "host",
        "--name",
        &name,
        "--label",
        &label,
        project.image(),
        "sh",
        "-c",
        "busybox sleep 600",
    ]);
    let absent = format!("{}/nobody", project.name);
    let short = &project.one("db").id[..3];
    let cases = [
        ("--container", name.as_str(), "host"),
        ("--container", "no-such-container", "running are:"),
        ("--container", short, "running are:"),
        ("--compose", &absent, "app, db, redis"),
        ("--label", "pa.test.role=web", "pa.test.role=cache"),
    ];
    for (flag, value, reason) in cases {
        let refused = agent.cli(&lab.app, &["inject", "--loss", "100%", "--all-traffic", flag, value]);
        let said = harness::text(&refused.stderr);
        assert!(!refused.status.success() && said.contains(reason), "{flag} {value}: {said}");
    }
    docker(&["rm", "-f", &name]);
    docker(&["stop", &project.one("db").id]);
    let db = project.path("db");
    let refused = agent.cli(&lab.app, &["inject", "--loss", "100%", "--all-traffic", "--compose", &db]);
    let said = harness::text(&refused.stderr);
    assert!(said.contains("exited") && said.contains("start it first"), "{said}");
    assert!(agent.faults().is_empty());
}
