//! Shaping, by the emulator and, where the kernel has it, by netem: how exact 50 ms are, how much goes through 20 ms, and how
//! soon `kill -9` heals. iperf3 does the sending.

use std::net::{SocketAddr, UdpSocket};
use std::process::Stdio;
use std::time::{Duration, Instant};

use harness::agent::Agent;
use harness::lab::{Lab, REDIS, address};
use harness::traffic::{echo_udp, median, round_trips};
use nix::sys::signal::Signal;

use crate::{millis, percentile};

pub fn run() {
    let lab = Lab::new();
    let at = SocketAddr::new(address(REDIS), 7);
    echo_udp(&lab.redis, at);
    let apart = Duration::from_millis(5);
    let without = median(&round_trips(&lab.app, at, 200, apart));
    let engines = if harness::has_netem(&lab) { vec!["emulator", "netem"] } else { vec!["emulator"] };
    println!("shaping: a round trip without takes {}, iperf3 {}", millis(without), throughput(&lab));
    for engine in engines {
        let agent = Agent::start(&lab.app, "");
        agent.inject("f", &spec(engine, "50ms"));
        let mut trips = round_trips(&lab.app, at, 200, apart);
        trips.sort_unstable();
        let [middle, late] = [50, 99].map(|share| percentile(&trips, share).saturating_sub(without));
        println!("  {engine}: 50 ms are {} at the median, {} at p99", millis(middle), millis(late));
        let begun = Instant::now();
        agent.signal(Signal::SIGKILL);
        println!("  {engine}: kill -9 heals after {}", millis(quick_answer(&lab, at) - begun));
        drop(agent);
        let agent = Agent::start(&lab.app, "");
        agent.inject("f", &spec(engine, "20ms"));
        println!("  {engine}: iperf3 through 20 ms {}; {}", throughput(&lab), agent.faults()[0].hits);
    }
}

/// When a datagram next comes back within 5 ms; none that is delayed does.
fn quick_answer(lab: &Lab, at: SocketAddr) -> Instant {
    lab.app.run(|| {
        let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
        socket.connect(at).expect("a route");
        socket.set_read_timeout(Some(Duration::from_millis(5))).expect("a timeout");
        for number in 0..2_000_u32 {
            socket.send(&number.to_be_bytes()).expect("a fault is no error to the sender");
            let mut answer = [0; 4];
            if socket.recv(&mut answer).is_ok() && answer == number.to_be_bytes() {
                return Instant::now();
            }
        }
        panic!("it does not heal");
    })
}

fn spec(engine: &str, latency: &str) -> String {
    format!(
        r#"{{"kinds":[{{"delay":{{"latency":"{latency}"}}}}],"target":{{"peers":["{REDIS}"]}},"direction":"egress",
            "engine":"{engine}","for":"10m"}}"#
    )
}

/// Of one TCP connection over 4 seconds.
fn throughput(lab: &Lab) -> String {
    let _server = lab.redis.spawn("iperf3", &["-s", "-1"], Stdio::null());
    std::thread::sleep(Duration::from_millis(500));
    let done = lab.app.output("iperf3", &["-c", REDIS, "-t", "4", "-O", "1", "-w", "8M", "-J"]);
    let report = serde_json::from_slice::<serde_json::Value>(&done.stdout).unwrap_or_default();
    match report["end"]["sum_received"]["bits_per_second"].as_f64() {
        Some(bits) => format!("{:.2} Gbit/s", bits / 1e9),
        None => format!("failed: {}", harness::text(&done.stdout)),
    }
}
