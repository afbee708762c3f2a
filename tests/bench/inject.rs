//! From the request to the fault in force, with a warm agent: the answer comes when the kernel has committed and was
//! read back, so it is an upper bound. A datagram sent right after it must be lost.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use harness::agent::Agent;
use harness::lab::{Lab, REDIS, address};

use crate::{millis, percentile};

const ROUNDS: usize = 1_000;

/// The kernel clears a deleted table away behind the scenes, for about 10 ms (a grace period of RCU), and makes the next
/// transaction wait for that. So an inject right behind a restore is slower than one by itself, and both are shown.
const APART: Duration = Duration::from_millis(20);

pub fn run() {
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, "");
    let spec = format!(
        r#"{{"kinds":[{{"loss":{{"percent":100}}}}],"target":{{"peers":["{REDIS}"]}},"direction":"egress","for":"10m"}}"#
    );
    let at = SocketAddr::new(address(REDIS), 9);
    let inbox = lab.redis.run(|| UdpSocket::bind(at)).expect("a free port");
    inbox.set_nonblocking(true).expect("a socket");
    let outbox = lab.app.run(|| UdpSocket::bind("0.0.0.0:0")).expect("a socket");
    for (what, apart, rounds) in
        [("by itself", APART, ROUNDS), ("right behind a restore", Duration::ZERO, ROUNDS / 5)]
    {
        let (mut injects, mut restores) = (Vec::new(), Vec::new());
        // The first ones warm up.
        for round in 0..rounds + 10 {
            std::thread::sleep(apart);
            let begun = Instant::now();
            let (status, _) = agent.ask("PUT", "/v1/faults/f", Some(&spec));
            let injected = begun.elapsed();
            assert_eq!(status, 201);
            outbox.send_to(b"x", at).expect("a fault is no error to the sender");
            std::thread::sleep(Duration::from_millis(1));
            assert!(inbox.recv(&mut [0]).is_err(), "a datagram went through after the answer");
            let begun = Instant::now();
            agent.restore("f");
            if round >= 10 {
                injects.push(injected);
                restores.push(begun.elapsed());
            }
        }
        for (verb, mut times) in [("inject", injects), ("restore", restores)] {
            times.sort_unstable();
            println!(
                "{verb} {what}, request to answer: p50 {}, p99 {}, max {} over {rounds}",
                millis(percentile(&times, 50)),
                millis(percentile(&times, 99)),
                millis(percentile(&times, 100)),
            );
        }
    }
}
