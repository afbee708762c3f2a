//! A stream of numbered datagrams: which of them arrive, when, how often and in which order.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};

use crate::lab::Host;
use crate::traffic::{any, tell_errors};

/// How a stream of datagrams is sent.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub count: usize,
    /// Bytes of each: 8 at least.
    pub length: usize,
    /// So many at once, then a pause.
    pub bunch: usize,
    pub pause: Duration,
    /// How long nothing must have come for those that are missing to count as lost.
    pub quiet: Duration,
}

/// What became of a stream of datagrams, one way.
#[derive(Debug, Clone)]
pub struct Stream {
    pub pace: Pace,
    pub sent: Vec<Instant>,
    /// As they arrived, twice what arrived twice.
    pub arrived: Vec<Arrival>,
    /// Datagrams that the receiver's program saw, and that are not what was sent.
    pub damaged: usize,
    /// Datagrams that the receiver's kernel refused, by its own count.
    pub checksum_errors: u64,
    /// Errors that the sender saw.
    pub errors: Vec<String>,
}

/// One datagram at its destination.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    pub number: usize,
    pub at: Instant,
    /// From just before it was sent until it was read: never less than it took.
    pub took: Duration,
}

impl Stream {
    /// For each datagram, whether it arrived.
    #[must_use]
    pub fn fates(&self) -> Vec<bool> {
        let mut fates = vec![false; self.sent.len()];
        for arrival in &self.arrived {
            fates[arrival.number] = true;
        }
        fates
    }
}

/// Sends numbered datagrams and notes when each arrives.
#[must_use]
pub fn stream(from: &Host, to: &Host, at: SocketAddr, pace: Pace) -> Stream {
    let inbox = to.run(|| UdpSocket::bind(at)).expect("a free port");
    inbox.set_read_timeout(Some(Duration::from_millis(10))).expect("a timeout");
    // What it cannot hold would look like a loss; without this it is about 270 datagrams.
    setsockopt(&inbox, sockopt::RcvBufForce, &(64 << 20)).expect("root may");
    let errors_before = checksum_errors(to, at.ip());
    let sent = Arc::new(AtomicBool::new(false));
    let all_sent = Arc::clone(&sent);
    let reader = std::thread::spawn(move || read_stream(&inbox, pace, &all_sent));
    let outbox = from.run(|| UdpSocket::bind(any(at.ip()))).expect("a socket");
    tell_errors(&outbox, at.ip());
    let mut times = Vec::with_capacity(pace.count);
    let mut errors = Vec::new();
    let mut datagram = vec![0; pace.length];
    for number in 0..pace.count {
        fill(&mut datagram, number);
        times.push(Instant::now());
        // An error is about an earlier datagram, and this one was not sent.
        if let Err(error) = outbox.send_to(&datagram, at) {
            errors.push(error.to_string());
            errors.extend(outbox.send_to(&datagram, at).err().map(|error| error.to_string()));
        }
        if (number + 1) % pace.bunch == 0 {
            std::thread::sleep(pace.pause);
        }
    }
    sent.store(true, Ordering::SeqCst);
    let (read, damaged) = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    let took = |(number, at): (usize, Instant)| Arrival { number, at, took: at - times[number] };
    let arrived = read.into_iter().map(took).collect();
    let checksum_errors = checksum_errors(to, at.ip()) - errors_before;
    Stream { pace, arrived, damaged, checksum_errors, errors, sent: times }
}

/// The number, and after it bytes that follow from it.
fn fill(datagram: &mut [u8], number: usize) {
    let (head, rest) = datagram.split_at_mut(8);
    head.copy_from_slice(&number.to_be_bytes());
    rest.fill(head[7]);
}

fn read_stream(inbox: &UdpSocket, pace: Pace, all_sent: &AtomicBool) -> (Vec<(usize, Instant)>, usize) {
    // A straggler after the last of them would be a second copy.
    const STRAGGLERS: Duration = Duration::from_millis(50);
    let mut arrived = Vec::with_capacity(pace.count);
    let mut missing = vec![true; pace.count];
    let (mut left, mut damaged) = (pace.count, 0);
    let (mut buffer, mut expected) = ([0; 2048], vec![0; pace.length]);
    let mut last = Instant::now();
    loop {
        match inbox.recv(&mut buffer) {
            Ok(length) => {
                last = Instant::now();
                let head = <[u8; 8]>::try_from(&buffer[..8]).expect("eight bytes");
                let number = usize::from_be_bytes(head);
                fill(&mut expected, number);
                if number >= pace.count || buffer[..length] != expected {
                    damaged += 1;
                    continue;
                }
                left -= usize::from(std::mem::take(&mut missing[number]));
                arrived.push((number, last));
            }
            Err(_) if !all_sent.load(Ordering::SeqCst) => last = Instant::now(),
            Err(_) if last.elapsed() > if left == 0 { STRAGGLERS } else { pace.quiet } => {
                return (arrived, damaged);
            }
            Err(_) => {}
        }
    }
}

/// UDP's `InCsumErrors` of a host.
fn checksum_errors(host: &Host, family: IpAddr) -> u64 {
    // Not /proc/net: that is the namespace of the process, and a thread has its own.
    let read = |name: &str| std::fs::read_to_string(format!("/proc/thread-self/net/{name}"));
    host.run(|| match family {
        IpAddr::V4(_) => {
            let text = read("snmp").expect("procfs");
            let mut udp = text.lines().filter_map(|line| line.strip_prefix("Udp: "));
            let (names, counts) = (udp.next().expect("names"), udp.next().expect("counts"));
            let mut both = names.split(' ').zip(counts.split(' '));
            both.find(|(name, _)| *name == "InCsumErrors").map(|(_, count)| count.to_owned())
        }
        IpAddr::V6(_) => {
            let text = read("snmp6").expect("procfs");
            let line = text.lines().find(|line| line.starts_with("Udp6InCsumErrors"));
            line.and_then(|line| line.split_whitespace().nth(1)).map(str::to_owned)
        }
    })
    .and_then(|count| count.parse().ok())
    .expect("a count")
}
