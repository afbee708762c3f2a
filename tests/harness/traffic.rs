//! Traffic between hosts of the lab, and what becomes of it.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};

use crate::lab::Host;

/// Answers every connection to this port with `PONG`, until the test is over.
pub fn serve_tcp(host: &Host, at: SocketAddr) {
    let listener = host.run(|| TcpListener::bind(at)).expect("a free port");
    host.background(move || {
        for stream in listener.incoming() {
            let _ = stream.and_then(|mut stream| stream.write_all(b"PONG"));
        }
    });
}

/// Sends back what comes in on every connection to this port, until the test is over.
pub fn echo_tcp(host: &Host, at: SocketAddr) {
    let listener = host.run(|| TcpListener::bind(at)).expect("a free port");
    host.background(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
        }
    });
}

/// A connection to [`echo_tcp`].
///
/// # Errors
/// When there is none in the time.
pub fn connect(from: &Host, to: SocketAddr, patience: Duration) -> std::io::Result<TcpStream> {
    let stream = from.run(|| TcpStream::connect_timeout(&to, patience))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(patience))?;
    Ok(stream)
}

/// One word there and back on a connection of [`connect`], within its time.
///
/// # Errors
/// What the program sees.
pub fn echo(mut stream: &TcpStream) -> std::io::Result<()> {
    stream.write_all(b"ping")?;
    stream.read_exact(&mut [0; 4])
}

/// Sends every datagram to this port back, until the test is over.
pub fn echo_udp(host: &Host, at: SocketAddr) {
    let socket = host.run(|| UdpSocket::bind(at)).expect("a free port");
    // What it cannot hold would look like a loss; without this it is about 270 datagrams.
    setsockopt(&socket, sockopt::RcvBufForce, &(16 << 20)).expect("root may");
    host.background(move || {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..length], from);
        }
    });
}

/// Whether a new connection to [`serve_tcp`] gets its answer within the time.
#[must_use]
pub fn answers(from: &Host, to: SocketAddr, patience: Duration) -> bool {
    from.run(|| {
        let ask = || -> std::io::Result<bool> {
            let mut stream = TcpStream::connect_timeout(&to, patience)?;
            stream.set_read_timeout(Some(patience))?;
            let mut answer = [0; 4];
            stream.read_exact(&mut answer)?;
            Ok(&answer == b"PONG")
        };
        ask().unwrap_or(false)
    })
}

/// How long it takes from now until there is an answer again.
///
/// # Panics
/// When there is none in the time.
pub fn until_answer(from: &Host, to: SocketAddr, patience: Duration) -> Duration {
    let begun = Instant::now();
    while !answers(from, to, Duration::from_millis(20)) {
        assert!(begun.elapsed() < patience, "{to} is still silent after {patience:?}");
    }
    begun.elapsed()
}

/// What became of a burst of datagrams, one way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Burst {
    pub received: usize,
    /// Errors that the sender saw: a network fault shows none.
    pub errors: Vec<String>,
}

/// Sends numbered datagrams at a pace that a busy machine can keep up with, and counts those that arrive.
#[must_use]
pub fn burst(from: &Host, to: &Host, at: SocketAddr, count: usize) -> Burst {
    let inbox = to.run(|| UdpSocket::bind(at)).expect("a free port");
    inbox.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
    let sent = Arc::new(AtomicBool::new(false));
    let all_sent = Arc::clone(&sent);
    let counter = std::thread::spawn(move || {
        let mut seen = std::collections::BTreeSet::new();
        let mut buffer = [0; 64];
        let mut quiet = 0;
        // Two quiet timeouts after the last one was sent: nothing more is on its way.
        while quiet < 2 {
            match inbox.recv(&mut buffer) {
                Ok(8) => {
                    let number = <[u8; 8]>::try_from(&buffer[..8]).expect("eight bytes");
                    assert!(seen.insert(u64::from_be_bytes(number)), "a datagram arrived twice");
                    quiet = 0;
                }
                Ok(other) => panic!("a datagram of {other} bytes"),
                Err(_) => quiet += usize::from(all_sent.load(Ordering::SeqCst)),
            }
        }
        seen.len()
    });
    let errors = from.run(|| {
        let socket = UdpSocket::bind(any(at.ip())).expect("a socket");
        tell_errors(&socket, at.ip());
        let mut errors = Vec::new();
        for number in 0..count {
            let datagram = u64::try_from(number).expect("a number").to_be_bytes();
            errors.extend(socket.send_to(&datagram, at).err().map(|error| error.to_string()));
            if number % 50 == 49 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        errors
    });
    sent.store(true, Ordering::SeqCst);
    let received = counter.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    Burst { received, errors }
}

/// Round trips to [`echo_udp`], in order; a lost one is missing.
#[must_use]
pub fn round_trips(from: &Host, to: SocketAddr, count: usize, apart: Duration) -> Vec<Duration> {
    from.run(|| {
        let socket = UdpSocket::bind(any(to.ip())).expect("a socket");
        socket.connect(to).expect("a route");
        // Long: an emulated machine that is short of time can stand still for seconds.
        socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        let mut trips = Vec::with_capacity(count);
        for number in 0..count {
            let begun = Instant::now();
            let datagram = number.to_be_bytes();
            socket.send(&datagram).expect("a fault is no error to the sender");
            let mut answer = [0; 64];
            while let Ok(length) = socket.recv(&mut answer) {
                // An answer to an earlier question, late: keep listening.
                if answer[..length] == datagram {
                    trips.push(begun.elapsed());
                    break;
                }
            }
            std::thread::sleep(apart);
        }
        trips
    })
}

/// Tells a program all that ICMP says. Without it the kernel also keeps a dropped datagram (`ENOBUFS`) from the sender, and
/// no fault could be told.
pub fn tell_errors(socket: &UdpSocket, family: IpAddr) {
    match family {
        IpAddr::V4(_) => setsockopt(socket, sockopt::Ipv4RecvErr, &true),
        IpAddr::V6(_) => setsockopt(socket, sockopt::Ipv6RecvErr, &true),
    }
    .expect("a socket option");
}

pub(crate) fn any(like: IpAddr) -> SocketAddr {
    match like {
        IpAddr::V4(_) => ([0; 4], 0).into(),
        IpAddr::V6(_) => ([0_u16; 8], 0).into(),
    }
}

#[must_use]
pub fn median(trips: &[Duration]) -> Duration {
    let mut sorted = trips.to_vec();
    sorted.sort_unstable();
    *sorted.get(sorted.len() / 2).expect("at least one round trip")
}
