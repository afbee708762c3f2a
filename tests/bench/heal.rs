//! How late a fault ends: at its deadline with the agent stopped, and after `kill -9`. Seen by a stream of datagrams,
//! one each 100 µs.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use harness::agent::Agent;
use harness::lab::{Lab, REDIS, address};
use nix::sys::signal::Signal;

const ROUNDS: usize = 15;

pub fn run() {
    let lab = Lab::new();
    let at = SocketAddr::new(address(REDIS), 9);
    let inbox = lab.redis.run(|| UdpSocket::bind(at)).expect("a free port");
    inbox.set_read_timeout(Some(Duration::from_secs(5))).expect("a socket");
    let outbox = lab.app.run(|| UdpSocket::bind("0.0.0.0:0")).expect("a socket");
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let stream = std::thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            let _ = outbox.send_to(b"x", at);
            std::thread::sleep(Duration::from_micros(100));
        }
    });
    // What is on its way is read off first; the next one to arrive is the first after the heal.
    let next_arrival = || {
        inbox.set_nonblocking(true).expect("a socket");
        while inbox.recv(&mut [0]).is_ok() {}
        inbox.set_nonblocking(false).expect("a socket");
        inbox.recv(&mut [0]).expect("it heals");
        Instant::now()
    };
    let spec = |duration: &str| {
        format!(
            r#"{{"kinds":[{{"loss":{{"percent":100}}}}],"target":{{"peers":["{REDIS}"]}},"for":"{duration}"}}"#
        )
    };
    let (mut deadline, mut killed) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let agent = Agent::start(&lab.app, "");
        let begun = Instant::now();
        agent.inject("f", &spec("500ms"));
        agent.signal(Signal::SIGSTOP);
        // The kernel's timeout began somewhere between the request and the answer, so this is late by up to an inject.
        deadline.push(late(next_arrival() - begun, Duration::from_millis(500)));
        drop(agent);
        let agent = Agent::start(&lab.app, "");
        agent.inject("f", &spec("10m"));
        std::thread::sleep(Duration::from_millis(20));
        let begun = Instant::now();
        agent.signal(Signal::SIGKILL);
        killed.push(late(next_arrival() - begun, Duration::ZERO));
    }
    stop.store(true, Ordering::Relaxed);
    stream.join().expect("the stream ends");
    for (what, mut times) in [("deadline, agent stopped", deadline), ("kill -9", killed)] {
        times.sort_unstable_by(f64::total_cmp);
        let [first, middle, last] = [0, ROUNDS / 2, ROUNDS - 1].map(|nth| times[nth]);
        println!("heals late, {what}: {middle:.2} ms, from {first:.2} to {last:.2} over {ROUNDS}");
    }
}

/// In milliseconds; negative is early, which the kernel's clock of jiffies allows by one of them.
fn late(after: Duration, expected: Duration) -> f64 {
    (after.as_secs_f64() - expected.as_secs_f64()) * 1e3
}
