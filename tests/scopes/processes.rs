//! Faults for the processes of a control group, a unit or a user: their neighbours on the same host notice nothing.

use std::net::{SocketAddr, UdpSocket};
use std::process::Output;
use std::time::{Duration, Instant};

use harness::agent::Agent;
use harness::lab::{DB, Host, Lab, REDIS, REDIS6, address};
use harness::snapshot::Snapshot;
use harness::text;
use harness::traffic::{echo_udp, serve_tcp};
use nix::sys::socket::{setsockopt, sockopt};
use partition_agent_proto::Verdict;

use crate::cgroup::{Group, answered, tcp, udp};
use crate::{CONFIG, SLACK};

/// redis and db answer on port 80 over TCP and on port 7 over UDP.
pub fn lab() -> Lab {
    let lab = Lab::new();
    for (host, on) in [(&lab.redis, REDIS), (&lab.redis, REDIS6), (&lab.db, DB)] {
        serve_tcp(host, SocketAddr::new(address(on), 80));
        echo_udp(host, SocketAddr::new(address(on), 7));
    }
    lab
}

/// What a process reaches, as letters: redis over TCP, UDP and UDP of IPv6, db over TCP.
pub fn reached(run: impl Fn(&str) -> Output + Sync) -> String {
    let scripts = [tcp(REDIS, 80), udp(REDIS, 7), udp(REDIS6, 7), tcp(DB, 80)];
    std::thread::scope(|scope| {
        let asked = scripts.each_ref().map(|script| scope.spawn(|| answered(&run(script))));
        asked
            .into_iter()
            .map(|asked| if asked.join().expect("the thread ends well") { 'o' } else { 'x' })
            .collect()
    })
}

pub fn neighbour(host: &Host) -> impl Fn(&str) -> Output + Sync {
    |script| host.output("bash", &["-c", script])
}

#[test]
fn only_the_processes_of_a_control_group_lose_their_peer() {
    let lab = lab();
    let agent = Agent::start(&lab.app, CONFIG);
    let group = Group::new();
    let own = |script: &str| group.sh(&lab.app, script);
    let before = Snapshot::take(&lab.app);
    assert_eq!(reached(own), "oooo");
    for direction in ["egress", "ingress", "both"] {
        agent.cli_ok(
            &lab.app,
            &[
                "inject",
                "--loss",
                "100%",
                "--peer",
                &format!("{REDIS},{REDIS6}"),
                "--cgroup",
                &group.path,
                "--direction",
                direction,
                "--id",
                "f",
            ],
        );
        assert_eq!(reached(own), "xxxo", "{direction}");
        assert_eq!(reached(neighbour(&lab.app)), "oooo", "{direction}: the neighbour");
        assert_eq!(agent.ask("GET", "/v1/faults/f", None).1["verdict"]["is"], "confirmed");
        assert!(agent.faults()[0].hits.lost_packets >= 3);
        agent.restore("f");
        assert_eq!(reached(own), "oooo");
        before.assert_same(&Snapshot::take(&lab.app), direction);
    }
    assert!(agent.history().iter().all(|over| over.as_before == Some(Verdict::Confirmed)));
}

/// How many of these datagrams from a process arrive.
fn burst(from: impl Fn(&str) -> Output + Sync, to: &Host, at: SocketAddr, count: usize) -> usize {
    let inbox = to.run(|| UdpSocket::bind(at)).expect("a free port");
    inbox.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
    // Room for all of them, should the machine have no time for the reader.
    setsockopt(&inbox, sockopt::RcvBufForce, &(8 << 20)).expect("root may");
    let (host, port) = (at.ip(), at.port());
    let send = format!(
        "exec 3>/dev/udp/{host}/{port}; for ((i = 0; i < {count}; i++)); do printf x >&3; ((i % 50)) || sleep 0.002; done"
    );
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| from(&send));
        let mut seen = 0;
        let mut buffer = [0; 8];
        loop {
            match inbox.recv(&mut buffer) {
                Ok(_) => seen += 1,
                Err(_) if sender.is_finished() => break,
                Err(_) => {}
            }
        }
        let sent = sender.join().expect("the thread ends well");
        assert!(
            sent.status.success(),
            "a network fault shows no error to the sender: {}",
            text(&sent.stderr)
        );
        // Some came after the last wait began and before the sender was seen to have ended.
        while inbox.recv(&mut buffer).is_ok() {
            seen += 1;
        }
        seen
    })
}

#[test]
fn a_share_of_a_process_packets_is_lost_and_each_is_hit_once() {
    let lab = lab();
    let agent = Agent::start(&lab.app, CONFIG);
    let group = Group::new();
    let own = |script: &str| group.sh(&lab.app, script);
    agent.cli_ok(
        &lab.app,
        &["inject", "--loss", "50%", "--peer", REDIS, "--cgroup", &group.path, "--id", "f"],
    );
    let at = SocketAddr::new(address(REDIS), 9000);
    let received = burst(own, &lab.redis, at, 1_000);
    // Five standard deviations around half of a thousand; hit twice it would be 250.
    assert!((421..=579).contains(&received), "{received}");
    let lost = agent.faults()[0].hits.lost_packets;
    assert_eq!(usize::try_from(lost).unwrap() + received, 1_000);
    assert_eq!(burst(neighbour(&lab.app), &lab.redis, at, 500), 500);
}

#[test]
fn a_process_is_delayed_and_its_neighbour_is_not() {
    let lab = lab();
    let agent = Agent::start(&lab.app, CONFIG);
    let group = Group::new();
    let timed = |run: &dyn Fn(&str) -> Output, script: &str| {
        let begun = Instant::now();
        assert!(answered(&run(script)), "{script}");
        begun.elapsed()
    };
    let own = |script: &str| group.sh(&lab.app, script);
    for (direction, least) in [("egress", 150), ("ingress", 150), ("both", 300)] {
        agent.cli_ok(
            &lab.app,
            &[
                "inject",
                "--latency",
                "150ms",
                "--engine",
                "emulator",
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
        let least = Duration::from_millis(least);
        let felt = timed(&own, &udp(REDIS, 7));
        println!("{direction}: {felt:?} for an echo, program start included");
        assert!(felt >= least && felt < least + Duration::from_millis(400), "{direction}: {felt:?}");
        // The handshake takes a round trip, the answer half of one or more.
        assert!(timed(&own, &tcp(REDIS, 80)) >= least, "{direction}");
        let other = timed(&neighbour(&lab.app), &udp(REDIS, 7));
        assert!(other < Duration::from_millis(150), "{direction}: the neighbour, {other:?}");
        assert!(timed(&own, &tcp(DB, 80)) < Duration::from_millis(150));
        agent.restore("f");
        agent.until_idle(2 * SLACK);
    }
}

#[test]
fn a_process_is_refused_and_its_neighbour_is_not() {
    let lab = lab();
    let agent = Agent::start(&lab.app, CONFIG);
    let group = Group::new();
    let own = |script: &str| group.sh(&lab.app, script);
    // An ICMP message that comes back while connect() still holds the socket is a hint that the kernel keeps to itself: it
    // tries again after a second, and then believes it. A reset it always believes.
    for (how, said, longest) in
        [("--reject", "Connection refused", 900), ("--reject=host-unreachable", "No route to host", 3_500)]
    {
        agent.cli_ok(
            &lab.app,
            &["inject", how, "--peer", REDIS, "--cgroup", &group.path, "--direction", "egress", "--id", "f"],
        );
        let begun = Instant::now();
        let refused = own(&tcp(REDIS, 80).replace("0.1 1", "0.1 5"));
        println!("{how}: {:?}", begun.elapsed());
        assert!(text(&refused.stderr).contains(said), "{how}: {}", text(&refused.stderr));
        assert!(begun.elapsed() < Duration::from_millis(longest), "refused, and not out of time");
        assert_eq!(reached(neighbour(&lab.app)), "oooo", "{how}");
        assert!(agent.faults()[0].hits.rejected_packets >= 1);
        agent.restore("f");
        assert_eq!(reached(own), "oooo");
    }
}

#[test]
fn only_the_processes_of_a_user_lose_their_peer() {
    let lab = lab();
    // It takes no more than what every agent has.
    let agent = Agent::start(&lab.app, "");
    let nobody = |script: &str| {
        lab.app.output("setpriv", &["--reuid", "65534", "--clear-groups", "--", "bash", "-c", script])
    };
    let root = neighbour(&lab.app);
    assert_eq!(reached(nobody), "oooo");
    for user in ["nobody", "65534"] {
        for direction in ["egress", "ingress", "both"] {
            agent.cli_ok(
                &lab.app,
                &[
                    "inject",
                    "--loss",
                    "100%",
                    "--peer",
                    REDIS,
                    "--user",
                    user,
                    "--direction",
                    direction,
                    "--id",
                    "f",
                ],
            );
            assert_eq!(reached(nobody), "xxoo", "{user} {direction}");
            assert_eq!(reached(&root), "oooo", "{user} {direction}");
            agent.restore("f");
        }
    }
    agent.cli_ok(
        &lab.app,
        &["inject", "--reject", "--peer", REDIS, "--user", "nobody", "--direction", "egress", "--id", "f"],
    );
    assert!(text(&nobody(&tcp(REDIS, 80)).stderr).contains("Connection refused"));
    assert_eq!(reached(&root), "oooo");
    agent.restore("f");
    assert_eq!(reached(nobody), "oooo");
}
