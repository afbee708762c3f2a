//! Packets that are refused, and connections that are reset: what programs see of it, and how soon.

use std::io::{Error, Read};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use harness::agent::Agent;
use harness::lab::{APP_TO_REDIS, DB, Host, Lab, REDIS, REDIS6, address};
use harness::traffic::{answers, connect, echo, echo_tcp, serve_tcp, tell_errors};
use nix::errno::Errno;

use crate::{PATIENCE, SLACK};

/// A connection attempt that nobody answers is repeated after a second; what is refused at once does not get there.
const AT_ONCE: Duration = Duration::from_millis(900);

/// Unless the refusal is an ICMPv6 message that comes while the attempt is still being sent, as it does from this host and
/// over a veth: the kernel then only notes it (`tcp_v6_err`, `sk_err_soft`), and heeds the one that answers the repetition.
const BY_THE_REPETITION: Duration = Duration::from_millis(1_900);

/// How it is refused, and what a program sees of it over IPv4 and IPv6.
const ROWS: [(&str, Errno, Errno); 4] = [
    ("tcp_reset", Errno::ECONNREFUSED, Errno::ECONNREFUSED),
    ("port_unreachable", Errno::ECONNREFUSED, Errno::ECONNREFUSED),
    ("host_unreachable", Errno::EHOSTUNREACH, Errno::EHOSTUNREACH),
    // RFC 1812 and RFC 4443 have a code for it each; Linux has a different error for each of these.
    ("admin_prohibited", Errno::EHOSTUNREACH, Errno::EACCES),
];

fn tcp(from: &Host, to: SocketAddr) -> Option<Error> {
    from.run(|| TcpStream::connect_timeout(&to, Duration::from_secs(5))).err()
}

/// A packet that is refused in the IP stack of its own host fails the `send` (`EPERM`); the ICMP message comes besides.
fn udp(from: &Host, to: SocketAddr) -> Option<Error> {
    let socket =
        from.run(|| UdpSocket::bind((if to.is_ipv4() { "0.0.0.0" } else { "::" }, 0))).expect("a free port");
    tell_errors(&socket, to.ip());
    socket.connect(to).expect("a route");
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    if let Err(error) = socket.send(b"?") {
        assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied, "{error}");
    }
    socket.recv(&mut [0; 1]).err()
}

/// What a program sees, and how soon: the soonest of at most three times.
fn tried(limit: Duration, attempt: impl Fn() -> Option<Error>) -> (Option<Errno>, Duration) {
    let once = || {
        let begun = Instant::now();
        let error = attempt().and_then(|error| error.raw_os_error()).map(Errno::from_raw);
        (error, begun.elapsed())
    };
    let mut best = once();
    for _ in 1..3 {
        if best.1 > limit {
            best = once();
        }
    }
    best
}

#[test]
fn every_way_to_refuse_is_seen_at_once_by_whoever_sends() {
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, "");
    let mut failures = Vec::new();
    let ends = [(REDIS, APP_TO_REDIS), (REDIS6, "fd77:1::1")];
    for (peer, own) in ends {
        serve_tcp(&lab.redis, SocketAddr::new(address(peer), 80));
        serve_tcp(&lab.app, SocketAddr::new(address(own), 80));
    }
    for (with, error, error6) in ROWS {
        for ((peer, own), error) in ends.into_iter().zip([error, error6]) {
            for direction in ["egress", "ingress", "both"] {
                let target =
                    format!(r#""target":{{"peers":["{peer}"]}},"direction":"{direction}","for":"10m""#);
                agent.inject("f", &format!(r#"{{"kinds":[{{"reject":{{"with":"{with}"}}}}],{target}}}"#));
                // What is refused on its way in is sent by the peer; the program that sees it is there.
                let mut senders = Vec::new();
                if direction != "ingress" {
                    senders.push((&lab.app, SocketAddr::new(address(peer), 80)));
                }
                if direction != "egress" {
                    senders.push((&lab.redis, SocketAddr::new(address(own), 80)));
                }
                for (from, to) in senders {
                    let limit = if to.is_ipv6() && with != "tcp_reset" { BY_THE_REPETITION } else { AT_ONCE };
                    let seen = [
                        ("tcp", limit, tried(limit, || tcp(from, to))),
                        ("udp", AT_ONCE, tried(AT_ONCE, || udp(from, to))),
                    ];
                    for (protocol, limit, (seen, took)) in seen {
                        let cell = format!("reject {with} {direction} {protocol} to {to}");
                        println!("{cell}: {seen:?} after {took:?}");
                        if seen != Some(error) || took > limit {
                            failures.push(format!("{cell}: {seen:?} after {took:?}, not {error:?} at once"));
                        }
                    }
                }
                if agent.faults()[0].hits.rejected_packets < 2 {
                    failures.push(format!("reject {with} {direction} {peer}: {:?}", agent.faults()[0].hits));
                }
                agent.restore("f");
                if !answers(&lab.app, SocketAddr::new(address(peer), 80), SLACK) {
                    failures.push(format!("reject {with} {direction} {peer}: still felt after the restore"));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_reset_ends_the_connections_that_there_are_and_no_others() {
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, "");
    let db = SocketAddr::new(address(DB), 80);
    echo_tcp(&lab.db, db);
    let other = connect(&lab.app, db, SLACK).unwrap();
    for (peer, own) in [(REDIS, APP_TO_REDIS), (REDIS6, "fd77:1::1")] {
        let [to, back] = [(peer, 80), (own, 81)].map(|(host, port)| SocketAddr::new(address(host), port));
        echo_tcp(&lab.redis, to);
        echo_tcp(&lab.app, back);
        // Two that this host has opened, and one that the peer has.
        let mut streams = [(&lab.app, to), (&lab.app, to), (&lab.redis, back)]
            .map(|(from, to)| connect(from, to, Duration::from_secs(10)).unwrap());
        streams.iter().for_each(|stream| echo(stream).unwrap());
        let fault = agent.inject(
            "f",
            &format!(r#"{{"kinds":[{{"reset":{{}}}}],"target":{{"peers":["{peer}"]}},"for":"10m"}}"#),
        );
        assert_eq!(fault.hits.reset_connections, 3, "{peer}");
        for stream in &mut streams {
            let error = stream.read(&mut [0; 1]).unwrap_err();
            let errno = Errno::from_raw(error.raw_os_error().unwrap());
            println!("reset {peer}: {errno}");
            // `tcp_abort`: the program of this host; the peer gets the reset.
            assert!(matches!(errno, Errno::ECONNABORTED | Errno::ECONNRESET), "{peer}: {errno}");
        }
        echo(&other).unwrap();
        let anew = connect(&lab.app, to, SLACK).unwrap();
        echo(&anew).unwrap();
        agent.restore("f");
        echo(&anew).unwrap();
    }
}

#[test]
fn a_reset_with_a_cut_leaves_nobody_connected() {
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, "");
    let to = SocketAddr::new(address(REDIS), 80);
    echo_tcp(&lab.redis, to);
    let mut stream = connect(&lab.app, to, Duration::from_secs(10)).unwrap();
    echo(&stream).unwrap();
    let kinds = r#"[{"reset":{}},{"loss":{"percent":100}}]"#;
    agent.inject("f", &format!(r#"{{"kinds":{kinds},"target":{{"peers":["{REDIS}"]}},"for":"10m"}}"#));
    let error = stream.read(&mut [0; 1]).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(Errno::ECONNABORTED as i32), "{error}");
    let error = connect(&lab.app, to, PATIENCE).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut, "cut, not refused");
}
