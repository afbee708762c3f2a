//! Kubernetes pods, as the kubelet lays out their control groups with the systemd driver.

use std::net::SocketAddr;

use harness::agent::Agent;
use harness::lab::{APP_TO_REDIS, DB, REDIS, address};
use harness::snapshot::Snapshot;
use harness::traffic::{answers, serve_tcp};

use crate::cgroup::{Group, answered, tcp, udp};
use crate::processes::{lab, neighbour, reached};
use crate::{CONFIG, PATIENCE, SLACK, until};

/// The uid of a pod of the test's own, and the control group of a container in it.
fn pod(nth: u32) -> (String, Group) {
    let uid = format!("{:08x}-4a5b-4c6d-8e7f-a0b1c2d3e4{nth:02x}", std::process::id());
    let slice = format!("kubepods-burstable-pod{}.slice", uid.replace('-', "_"));
    let group = Group::at(&format!(
        "/kubepods.slice/kubepods-burstable.slice/{slice}/cri-containerd-{nth:064x}.scope"
    ));
    (uid, group)
}

#[test]
fn a_pod_is_cut_off_by_its_uid_and_its_neighbour_is_not() {
    let lab = lab();
    let app = SocketAddr::new(address(APP_TO_REDIS), 80);
    serve_tcp(&lab.app, app);
    let agent = Agent::start(&lab.app, CONFIG);
    let own = Snapshot::take(&lab.app);
    let (uid, container) = pod(1);
    let (_, neighbour) = pod(2);
    let process = container.spawn(&lab.redis, "exec sleep 600");
    let _other = neighbour.spawn(&lab.db, "exec sleep 600");
    let [redis, db] = [REDIS, DB].map(|host| SocketAddr::new(address(host), 80));
    agent.cli_ok(
        &lab.app,
        &["inject", "--loss", "100%", "--peer", APP_TO_REDIS, "--pod", &uid, "--id", "f", "--for", "10m"],
    );
    assert_eq!(agent.faults()[0].places[0].name, format!("pod {uid}"));
    assert!(!answers(&lab.redis, app, PATIENCE), "what the pod sends");
    assert!(!answers(&lab.app, redis, PATIENCE), "what it receives");
    assert!(answers(&lab.app, db, PATIENCE), "its neighbour");
    assert!(agent.faults()[0].hits.lost_packets >= 2);
    own.assert_same(&Snapshot::take(&lab.app), "the namespace of the agent");

    // One of its containers restarts: the sandbox keeps the namespace, and the fault stays.
    let sandbox = container.spawn(&lab.redis, "exec sleep 600");
    drop(process);
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert!(!answers(&lab.redis, app, PATIENCE));
    drop(sandbox);
    until("nothing of the pod is there", SLACK, || agent.faults()[0].places.is_empty());
    assert!(answers(&lab.redis, app, PATIENCE) && answers(&lab.app, redis, PATIENCE));
}

#[test]
fn a_pod_in_the_network_of_the_host_is_told_by_its_control_group() {
    let lab = lab();
    let agent = Agent::start(&lab.app, CONFIG);
    let (uid, container) = pod(3);
    let _stays = container.spawn(&lab.app, "exec sleep 600");
    let own = |script: &str| container.sh(&lab.app, script);
    agent.cli_ok(&lab.app, &["inject", "--loss", "100%", "--peer", REDIS, "--pod", &uid, "--id", "f"]);
    assert!(!answered(&own(&tcp(REDIS, 80))) && !answered(&own(&udp(REDIS, 7))));
    assert!(answered(&own(&tcp(DB, 80))));
    assert_eq!(reached(neighbour(&lab.app)), "oooo");
    agent.restore("f");
    assert_eq!(reached(own), "oooo");
}
