//! One command for many hosts: complete answers, one connection to each of them, and room for these.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use harness::fake_fleet::FakeFleet;
use partition_agent_proto::{FaultStatus, State};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::run::{finish, program};

const HOSTS: usize = 50;

const INJECT: &str = "inject --on * --max-share 100% --loss 100% --peer 10.0.0.5 --id cut --json";

/// In front of agents: hands on every connection, and counts them.
struct Relays {
    at: Vec<SocketAddr>,
    accepted: Vec<Arc<AtomicUsize>>,
    server: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Relays {
    fn start(to: impl Iterator<Item = SocketAddr>) -> Self {
        let to = to.collect::<Vec<_>>();
        let listen = |_| std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let listeners = (0..to.len()).map(listen).collect::<Vec<_>>();
        let at = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
        let accepted = to.iter().map(|_| Arc::default()).collect::<Vec<_>>();
        let counts = accepted.clone();
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                for ((listener, to), count) in listeners.into_iter().zip(to).zip(counts) {
                    listener.set_nonblocking(true).unwrap();
                    tokio::spawn(relay(TcpListener::from_std(listener).unwrap(), to, count));
                }
                let _ = stopped.await;
            });
        };
        Self { at, accepted, server: Some((stop, std::thread::spawn(serve))) }
    }

    /// Connections to each host so far.
    fn accepted(&self) -> Vec<usize> {
        self.accepted.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }
}

impl Drop for Relays {
    fn drop(&mut self) {
        if let Some((stop, server)) = self.server.take() {
            let _ = stop.send(());
            let _ = server.join();
        }
    }
}

async fn relay(listener: TcpListener, to: SocketAddr, count: Arc<AtomicUsize>) {
    loop {
        let (mut near, _) = listener.accept().await.unwrap();
        count.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            let mut far = TcpStream::connect(to).await.unwrap();
            // Ends with either side.
            let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
        });
    }
}

fn on(fleet: &FakeFleet, words: &str) -> Command {
    program(&format!("{words} --fleet {}", fleet.file().display()))
}

/// The same, with so many open files: the soft limit, and the hard one.
fn limited(command: &Command, soft: usize, hard: usize) -> Command {
    let mut limited = Command::new("prlimit");
    limited.arg(format!("--nofile={soft}:{hard}")).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    limited.stdin(std::process::Stdio::null());
    limited.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    limited
}

#[test]
fn a_command_takes_one_connection_to_each_host_and_tells_of_all() {
    let fleet = FakeFleet::start(HOSTS);
    let relays = Relays::start(fleet.addresses());
    fleet.write(&relays.at);

    let report: Value = finish(on(&fleet, INJECT).spawn().unwrap()).json();
    assert_eq!(relays.accepted(), vec![1; HOSTS], "prepare, clock, commit and look share it");
    let hosts: BTreeMap<String, FaultStatus> = serde_json::from_value(report["hosts"].clone()).unwrap();
    assert_eq!(hosts.len(), HOSTS);
    assert_eq!((&report["failed"], &report["unknown"]), (&json!({}), &json!({})));
    for fault in hosts.values() {
        assert_eq!((fault.id.as_str(), fault.state), ("cut", State::Active));
    }
    assert!((0..HOSTS).all(|nth| fleet.world(nth).timeouts.len() == 1), "it is in every kernel");
    assert!(report["spread"]["micros"].is_u64());

    let restored = finish(on(&fleet, "restore --all --json").spawn().unwrap());
    let restored: BTreeMap<String, Vec<FaultStatus>> = restored.json();
    assert_eq!(relays.accepted(), vec![2; HOSTS]);
    assert_eq!(restored.len(), HOSTS);
    for faults in restored.values() {
        assert_eq!(faults.iter().map(|fault| fault.state).collect::<Vec<_>>(), [State::Restored]);
    }
    assert!((0..HOSTS).all(|nth| fleet.world(nth).is_clean()), "nothing is left in any kernel");
}

#[test]
fn together_they_end_at_one_instant_however_often_the_id_was_used() {
    let fleet = FakeFleet::start(HOSTS);
    for _ in 0..3 {
        finish(on(&fleet, INJECT).spawn().unwrap()).done();
        let ended = finish(on(&fleet, "restore --all --together").spawn().unwrap());
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stdout.contains(&format!("cut: ends together on {HOSTS} hosts")), "{ended:?}");
        assert!(ended.stdout.contains("ended within "), "{ended:?}");
        assert!((0..HOSTS).all(|nth| fleet.world(nth).is_clean()), "nothing is left in any kernel");
    }
}

#[test]
fn a_soft_limit_of_files_is_raised_and_a_hard_one_is_told_before_anybody_is_asked() {
    let fleet = FakeFleet::start(HOSTS);
    // Fewer files than hosts.
    let report: Value = finish(limited(&on(&fleet, INJECT), 32, 256).spawn().unwrap()).json();
    assert_eq!(report["hosts"].as_object().unwrap().len(), HOSTS);
    finish(on(&fleet, "restore --all --json").spawn().unwrap()).done();

    let error = finish(limited(&on(&fleet, INJECT), 32, 64).spawn().unwrap()).failed(1);
    assert_eq!(
        error,
        "partition-agent: a connection to each of 50 agents takes 114 open files, and this process may have 64: raise its \
         hard limit (nofile in limits.conf, LimitNOFILE= of a unit), or name fewer hosts with --on\n"
    );
    let few = finish(limited(&on(&fleet, "status --on h? --json"), 32, 80).spawn().unwrap());
    assert_eq!(few.json::<BTreeMap<String, Value>>().len(), 10, "as it says");
}
