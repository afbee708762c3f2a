//! Containers come and go while a fault lasts: it goes along, and leaves nothing where it was.

use std::fs::File;
use std::time::Duration;

use harness::agent::Agent;
use harness::lab::Lab;
use harness::text;
use nix::sched::{CloneFlags, setns};
use partition_agent_proto::{End, FaultStatus};

use crate::compose::{Container, Project, docker};
use crate::{CONFIG, SLACK, until};

fn cut(agent: &Agent, lab: &Lab, project: &Project) {
    let redis = project.path("redis");
    let inject =
        ["inject", "--loss", "100%", "--all-traffic", "--compose", &redis, "--id", "cut", "--for", "10m"];
    agent.cli_ok(&lab.app, &inject);
}

fn is_cut(container: &Container) -> bool {
    container.sh("nft list tables").contains("partition_agent")
}

/// From when the engine says that it has started the container until the agent says that it is in there, in milliseconds.
fn followed_after(agent: &Agent, container: &Container) -> f64 {
    let said = format!("it is now in container {} ", container.name);
    // Rules come before words.
    until("the agent tells of it", SLACK, || agent.log().contains(&said));
    let log = agent.log();
    let line = log.lines().rfind(|line| line.contains(&said)).expect("the agent tells of it");
    let started = docker(&["inspect", "--format", "{{.State.StartedAt}}", &container.id]);
    let seconds = |time: &str| {
        let done = std::process::Command::new("date").args(["-d", time, "+%s.%N"]).output();
        let said = text(&done.expect("it can be started").stdout);
        said.trim().parse::<f64>().expect("seconds")
    };
    let now = line.split_whitespace().next().expect("a time");
    let took = (seconds(now) - seconds(started.trim())) * 1e3;
    assert!(took < SLACK.as_secs_f64() * 1e3, "{took} ms: {line}");
    took
}

fn places(fault: &FaultStatus) -> usize {
    fault.places.len()
}

/// Open files of the agent that are network namespaces, other than its own.
fn open_namespaces(agent: &Agent) -> Vec<String> {
    let dir = format!("/proc/{}/fd", agent.pid());
    let own = std::fs::read_link(format!("/proc/{}/ns/net", agent.pid())).expect("it is there");
    let links = std::fs::read_dir(dir)
        .expect("it is there")
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    let links = links.filter(|link| *link != own).map(|link| link.display().to_string());
    let unique = links.filter(|link| link.starts_with("net:")).collect::<std::collections::BTreeSet<_>>();
    unique.into_iter().collect()
}

/// What is in a network namespace whose container is gone: tables, links, qdiscs, and who has netlink sockets there.
fn inside(netns: &File, script: &str) -> String {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            setns(netns, CloneFlags::CLONE_NEWNET).expect("root may enter");
            text(
                &std::process::Command::new("bash")
                    .args(["-c", script])
                    .output()
                    .expect("it can be started")
                    .stdout,
            )
        });
        thread.join().expect("the thread ends well")
    })
}

#[test]
fn a_restarted_container_is_hit_again_and_its_old_namespace_is_let_go() {
    let Some(project) = Project::up() else { return };
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, CONFIG);
    let app = project.one("app");
    let redis = project.service("redis");
    let clean = redis[0].snapshot();
    cut(&agent, &lab, &project);
    assert!(redis.iter().all(|redis| !app.reaches(redis)));

    // Kept open here, so that it can be looked at.
    let (old, old_id) = (redis[0].netns(), redis[0].netns_id());
    docker(&["restart", &redis[0].id]);
    let again = redis[0].again();
    assert_ne!(again.netns_id(), old_id);
    until("the new one is cut", SLACK, || is_cut(&again));
    println!("after docker restart: followed {:.0} ms after its start", followed_after(&agent, &again));
    assert!(!app.reaches(&again) && !app.reaches(&redis[1]));
    until("both are places", SLACK, || places(&agent.faults()[0]) == 2);
    let listed = text(
        &std::process::Command::new("lsns").args(["-t", "net", "-n", "-o", "NS"]).output().unwrap().stdout,
    );
    assert!(!listed.contains(old_id.trim_matches(|c: char| !c.is_ascii_digit())), "{old_id} has processes");
    let open = open_namespaces(&agent);
    assert!(open.contains(&again.netns_id()) && !open.contains(&old_id), "{open:?}, old {old_id}");
    // Port ids of netlink sockets are those of processes; 0 is the kernel's own.
    let left = inside(
        &old,
        "nft list ruleset | grep partition_agent; ip -o link show | grep pa-; \
        tail -n +2 /proc/thread-self/net/netlink | awk '$3 != 0'; grep partition-agent /proc/thread-self/net/unix",
    );
    assert_eq!(left, "", "left in the old namespace");
    drop(old);

    agent.restore("cut");
    assert!(app.reaches(&again) && app.reaches(&redis[1]));
    assert_eq!(without_names(&again.snapshot()), without_names(&clean));
    assert_eq!(open_namespaces(&agent), [""; 0], "a restored fault keeps no namespace open");

    // Nobody follows a fault that is over.
    docker(&["restart", &redis[0].id]);
    std::thread::sleep(Duration::from_secs(2));
    let again = redis[0].again();
    assert!(app.reaches(&again) && !is_cut(&again));
    assert_eq!(agent.history()[0].as_before, Some(partition_agent_proto::Verdict::Confirmed));
}

/// A container gets another index, hardware address and port of Docker's name server each time.
fn without_names(snapshot: &str) -> String {
    let words = snapshot.split_whitespace().filter(|word| !word.contains(|c: char| c.is_ascii_digit()));
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_service_that_is_scaled_is_followed_up_and_down() {
    let Some(project) = Project::up() else { return };
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, CONFIG);
    let app = project.one("app");
    cut(&agent, &lab, &project);
    project.scale_redis(4);
    let redis = project.service("redis");
    assert_eq!(redis.len(), 4);
    for redis in &redis {
        until("the new ones are cut", SLACK, || is_cut(redis));
        assert!(!app.reaches(redis), "{}", redis.name);
    }
    until("all are places", SLACK, || places(&agent.faults()[0]) == 4);
    for redis in &redis[2..] {
        println!(
            "scaled up: {} was followed {:.0} ms after its start",
            redis.name,
            followed_after(&agent, redis)
        );
    }

    project.scale_redis(1);
    let one = project.one("redis");
    until("only one place is left", SLACK, || places(&agent.faults()[0]) == 1);
    assert!(!app.reaches(&one));
    assert_eq!(open_namespaces(&agent), [one.netns_id()]);
    agent.restore("cut");
    assert!(app.reaches(&one));
}

#[test]
fn a_fault_whose_containers_are_all_gone_ends_by_itself_and_says_why() {
    let Some(project) = Project::up() else { return };
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, CONFIG);
    cut(&agent, &lab, &project);
    let removed = std::time::Instant::now();
    for redis in project.service("redis") {
        docker(&["rm", "-f", &redis.id]);
    }
    until("its places are let go of", SLACK, || open_namespaces(&agent).is_empty());
    println!("all namespaces let go of {:?} after the first docker rm -f", removed.elapsed());
    // It waits: this could be a restart.
    let fault = &agent.faults()[0];
    assert_eq!(places(fault), 0);
    assert!(fault.verdict.to_string().contains("not there at the moment"), "{}", fault.verdict);
    agent.until_idle(Duration::from_secs(10) + 2 * SLACK);
    println!("over {:?} after it", removed.elapsed());
    // The grace is ten seconds from when the last one went, which is after the first one.
    assert!(removed.elapsed() >= Duration::from_secs(9), "{:?}", removed.elapsed());
    let end = &agent.history()[0].end;
    assert_eq!(*end, End::Vanished { what: format!("compose {}", project.path("redis")) });
    assert!(agent.cli_ok(&lab.app, &["history"]).contains("is gone"));
}

#[test]
fn a_container_that_comes_back_within_the_grace_is_hit_again() {
    let Some(project) = Project::up() else { return };
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, CONFIG);
    let app = project.one("app");
    let redis = &project.service("redis")[0];
    let name = redis.name.clone();
    agent.cli_ok(
        &lab.app,
        &["inject", "--loss", "100%", "--all-traffic", "--container", &name, "--for", "10m"],
    );
    docker(&["stop", &redis.id]);
    until("its place is let go of", SLACK, || open_namespaces(&agent).is_empty());
    std::thread::sleep(Duration::from_secs(3));
    docker(&["start", &redis.id]);
    let again = redis.again();
    until("it is cut", SLACK, || is_cut(&again));
    println!(
        "after docker stop and start: followed {:.0} ms after its start",
        followed_after(&agent, &again)
    );
    assert!(!app.reaches(&again));
    assert!(agent.faults()[0].hits.lost_packets >= 1);
}

/// A leg of the lab's host `app`, where the agent is, in the project's network.
fn join(project: &Project, lab: &Lab) -> String {
    let id = docker(&["network", "inspect", "--format", "{{.Id}}", &project.network()]);
    let subnet =
        docker(&["network", "inspect", "--format", "{{(index .IPAM.Config 0).Subnet}}", &project.network()]);
    let (net, length) = subnet.trim().split_once('/').expect("an address with its length");
    let own = net.rsplit_once('.').expect("an address with its length").0.to_owned() + ".250";
    let link = format!("pat{}", std::process::id());
    let script = format!(
        "ip link add {link} type veth peer name shop netns {} && ip link set {link} master br-{} up",
        lab.app.namespace,
        &id[..12]
    );
    let done = std::process::Command::new("bash").args(["-c", &script]).output().expect("it can be started");
    assert!(done.status.success(), "{}", text(&done.stderr));
    lab.app.sh(&format!("ip link set shop up && ip addr add {own}/{length} dev shop"));
    own
}

/// Gives the container another address: while it is away, a stranger takes the one that it had. Docker gives out the lowest
/// that is free, or the next one, so of a few strangers one has it.
fn move_away(project: &Project, container: &Container) -> (Container, Container) {
    docker(&["stop", &container.id]);
    let label = format!("com.docker.compose.project={}", project.name);
    let network = project.network();
    let stranger = || {
        let id = docker(&["run", "-d", "--network", &network, "--label", &label, project.image()]);
        Container::inspect(id.trim())
    };
    let mut strangers = std::iter::repeat_with(stranger).take(8);
    let stranger = strangers.find(|stranger| stranger.address == container.address);
    let stranger = stranger.expect("a stranger with the old address");
    docker(&["start", &container.id]);
    let moved = container.again();
    assert_ne!(moved.address, container.address);
    (moved, stranger)
}

#[test]
fn a_service_as_a_peer_is_followed_to_its_new_address() {
    let Some(project) = Project::up() else { return };
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, CONFIG);
    join(&project, &lab);
    let (app, db) = (project.one("app"), project.one("db"));
    let peer = format!("compose:{}", project.path("redis"));
    let host_reaches = |address: &str| {
        let ping = ["-k", "0.1", "1", "redis-cli", "-h", address, "ping"];
        text(&lab.app.output("timeout", &ping).stdout).trim() == "PONG"
    };
    let redis = project.service("redis");
    assert!(redis.iter().all(|redis| host_reaches(&redis.address)) && host_reaches(&db.address));
    // From the agent's own host, and from a container.
    let inject = ["inject", "--loss", "100%", "--peer", &peer, "--for", "10m", "--id"];
    agent.cli_ok(&lab.app, &[&inject[..], &["host"]].concat());
    assert!(redis.iter().all(|redis| !host_reaches(&redis.address) && app.reaches(redis)));
    assert!(host_reaches(&db.address));
    agent.cli_ok(&lab.app, &[&inject[..], &["app", "--compose", &project.path("app")]].concat());
    assert!(
        redis.iter().all(|redis| !host_reaches(&redis.address) && !app.reaches(redis) && db.reaches(redis))
    );

    let (moved, stranger) = move_away(&project, &redis[0]);
    let begun = std::time::Instant::now();
    let targets = |agent: &Agent| {
        agent.faults().iter().all(|fault| {
            fault.first_addresses.contains(&moved.address)
                && !fault.first_addresses.contains(&stranger.address)
        })
    };
    until("the new address is the target, and the old one is not", SLACK, || targets(&agent));
    println!(
        "moved from {} to {}: followed {:?} after docker start",
        stranger.address,
        moved.address,
        begun.elapsed()
    );
    assert!(!host_reaches(&moved.address) && !app.reaches(&moved), "the new address is cut");
    assert!(host_reaches(&stranger.address) && app.reaches(&stranger), "a stranger has the old address");
    assert!(!host_reaches(&redis[1].address) && !app.reaches(&redis[1]), "the other replica stays cut");
    agent.cli_ok(&lab.app, &["restore", "--all"]);
    assert!(host_reaches(&moved.address) && app.reaches(&moved));
}
