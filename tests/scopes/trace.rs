//! What is left of a fault in a container: while it is there, once it is over, and once the agent is.

use harness::agent::Agent;
use harness::lab::Lab;
use partition_agent_proto::Engine;
use std::time::Duration;

use crate::compose::{Container, Project};
use crate::{CONFIG, SLACK, until};

/// Milliseconds that a busy machine adds to the shortest of five pings.
const LATE: f64 = 40.0;

#[test]
fn a_latency_in_a_container_is_felt_in_each_direction_and_leaves_no_trace() {
    let Some(project) = Project::up() else { return };
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, CONFIG);
    let [app, db] = ["app", "db"].map(|service| project.one(service));
    let redis = &project.service("redis")[0];
    let before = redis.snapshot();
    let (service, peer) = (project.path("redis"), format!("compose:{}", project.path("app")));
    for (direction, least) in [("egress", 100.0), ("ingress", 100.0), ("both", 200.0)] {
        agent.cli_ok(
            &lab.app,
            &[
                "inject",
                "--latency",
                "100ms",
                "--engine",
                "emulator",
                "--peer",
                &peer,
                "--compose",
                &service,
                "--direction",
                direction,
                "--id",
                "f",
                "--for",
                "10m",
            ],
        );
        let felt = app.ping(redis);
        println!("{direction}: {felt} ms from app, {} ms from db", db.ping(redis));
        assert!((least..least + LATE).contains(&felt), "{direction}: {felt} ms");
        assert!(db.ping(redis) < LATE, "db is no peer of the fault");
        assert!(app.ping(&db) < LATE);
        let fault = &agent.faults()[0];
        assert_eq!(fault.engine, Some(Engine::Emulator));
        assert!(fault.hits.shaped_packets >= 5, "{:?}", fault.hits);
        assert!(redis.sh_ok("ip -o link show").contains("pa-f"), "the emulator's device is in the container");
        agent.restore("f");
        agent.until_idle(2 * SLACK);
        assert!(app.ping(redis) < LATE);
        assert_eq!(redis.snapshot(), before, "{direction}");
    }
}

#[test]
fn kill_9_of_the_agent_heals_containers_at_once_and_completely() {
    let Some(project) = Project::up() else { return };
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, CONFIG);
    let [app, db] = ["app", "db"].map(|service| project.one(service));
    let redis = project.service("redis");
    let before = redis.iter().map(Container::snapshot).collect::<Vec<_>>();
    let service = project.path("redis");
    let peer = |service: &str| format!("compose:{}", project.path(service));
    let everywhere = ["--compose", &service, "--for", "10m"];
    agent
        .cli_ok(&lab.app, &[&["inject", "--loss", "100%", "--peer", &peer("app")], &everywhere[..]].concat());
    let slow = ["inject", "--latency", "300ms", "--engine", "emulator", "--peer", &peer("db")];
    agent.cli_ok(&lab.app, &[&slow, &everywhere[..]].concat());
    let reject = ["inject", "--reject", "--port", "1", "--engine", "auto"];
    agent.cli_ok(&lab.app, &[&reject, &everywhere[..]].concat());
    assert!(redis.iter().all(|redis| !app.reaches(redis)));
    assert!(redis.iter().all(|redis| db.ping(redis) >= 600.0));

    let dir = agent.kill_9();
    let healed = until("app reaches redis", SLACK, || redis.iter().all(|redis| app.reaches(redis)));
    println!("healed {healed:?} after kill -9, two new connections included");
    // A connection attempt that got through on its first SYN: a lost one comes again only after a second.
    assert!(healed < Duration::from_secs(1), "{healed:?}");
    assert!(redis.iter().all(|redis| db.ping(redis) < LATE));
    let after = || redis.iter().map(Container::snapshot).collect::<Vec<_>>();
    // The kernel takes tables away on a worker of its own.
    until("nothing is left", SLACK, || after() == before);
    assert_eq!(after(), before);

    // A later agent knows what happened, and works.
    let agent = Agent::start_in(&lab.app, CONFIG, dir);
    assert_eq!(agent.history().len(), 3);
    assert!(agent.history().iter().all(|over| over.end == partition_agent_proto::End::AgentDied));
    agent
        .cli_ok(&lab.app, &[&["inject", "--loss", "100%", "--peer", &peer("app")], &everywhere[..]].concat());
    assert!(!app.reaches(&redis[0]));
    drop(agent.terminate());
    assert!(app.reaches(&redis[0]), "an agent that is told to stop restores");
    assert_eq!(after(), before);
}

#[test]
fn a_fault_in_containers_ends_at_its_deadline() {
    let Some(project) = Project::up() else { return };
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, CONFIG);
    let app = project.one("app");
    let redis = project.service("redis");
    let before = redis.iter().map(Container::snapshot).collect::<Vec<_>>();
    let service = project.path("redis");
    let injected = std::time::Instant::now();
    agent.cli_ok(
        &lab.app,
        &["inject", "--loss", "100%", "--all-traffic", "--compose", &service, "--for", "4s"],
    );
    assert!(redis.iter().all(|redis| !app.reaches(redis)));
    until("it ends", Duration::from_secs(4) + SLACK, || redis.iter().all(|redis| app.reaches(redis)));
    // redis-cli had a second of patience: the margin on the early side.
    assert!(injected.elapsed() > Duration::from_secs(3), "{:?}", injected.elapsed());
    agent.until_idle(SLACK);
    assert_eq!(agent.history()[0].end, partition_agent_proto::End::Deadline);
    assert_eq!(redis.iter().map(Container::snapshot).collect::<Vec<_>>(), before);
}
