//! The forwarder against a name server on loopback, asked at its own port.

use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};
use std::{fs, io};

use partition_agent_proto::DnsAnswer;

use super::fake_upstream::{FakeUpstream, answer, frame, question, read_frame};
use super::forwarder::Redirect;
use super::{Forwarder, Rules, start};

const MARK: u32 = 0x5041_0001;
/// Long enough for a noisy machine to answer in, short enough to wait for nothing.
const SILENCE: Duration = Duration::from_millis(400);

fn failing(answer: DnsAnswer) -> Rules {
    Rules::new(vec!["bad.example".parse().unwrap(), "*.bad.example".parse().unwrap()], answer)
}

fn begin(upstream: &FakeUpstream, answer: DnsAnswer) -> (Forwarder, SocketAddr) {
    let (forwarder, redirects) = start(|| Ok(()), failing(answer), &[upstream.at], MARK).unwrap();
    assert_eq!(redirects.len(), 1);
    assert_eq!(redirects[0].upstream, upstream.at);
    (forwarder, redirects[0].at)
}

fn upstream() -> FakeUpstream {
    FakeUpstream::start("127.0.0.1:0".parse().unwrap())
}

fn socket(at: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(SocketAddr::new(at.ip(), 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket.connect(at).unwrap();
    socket
}

fn ask(socket: &UdpSocket, message: &[u8]) -> io::Result<Vec<u8>> {
    socket.send(message)?;
    let mut buffer = vec![0; 65_535];
    let length = socket.recv(&mut buffer)?;
    buffer.truncate(length);
    Ok(buffer)
}

fn connect(at: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    stream
}

/// The response code of an answer without records that has `asked` as its question.
fn code(asked: &[u8], answer: &[u8]) -> u8 {
    assert_eq!(answer[..2], asked[..2]);
    assert_eq!(answer[4..], asked[4..]);
    answer[3] & 0x0f
}

#[test]
fn other_names_come_back_byte_for_byte() {
    let upstream = upstream();
    let (forwarder, at) = begin(&upstream, DnsAnswer::Nxdomain);
    let socket = socket(at);
    let mut stream = connect(at);
    for message in [question(7, "Good.EXAMPLE"), b"\x12\x34 not DNS".to_vec(), vec![9]] {
        assert_eq!(ask(&socket, &message).unwrap(), answer(&message).unwrap());
        stream.write_all(&frame(&message)).unwrap();
        assert_eq!(read_frame(&mut stream).unwrap(), answer(&message).unwrap());
    }
    assert_eq!((forwarder.failed_questions(), forwarder.dropped_questions()), (0, 0));
    assert_eq!(upstream.asked(), 6);
}

#[test]
fn failing_names_never_reach_the_name_server() {
    for (kind, rcode) in [(DnsAnswer::Nxdomain, 3), (DnsAnswer::Servfail, 2)] {
        let upstream = upstream();
        let (forwarder, at) = begin(&upstream, kind);
        let asked = question(0xffff, "a.BAD.example");
        assert_eq!(code(&asked, &ask(&socket(at), &asked).unwrap()), rcode);
        let mut stream = connect(at);
        stream.write_all(&frame(&asked)).unwrap();
        assert_eq!(code(&asked, &read_frame(&mut stream).unwrap()), rcode);
        assert_eq!(forwarder.failed_questions(), 2);
        assert_eq!(upstream.asked(), 0);
    }
}

#[test]
fn a_timeout_is_silence_for_the_failing_name_only() {
    let upstream = upstream();
    let (forwarder, at) = begin(&upstream, DnsAnswer::Timeout);
    let socket = socket(at);
    socket.send(&question(1, "bad.example")).unwrap();
    let good = question(2, "good.example");
    assert_eq!(ask(&socket, &good).unwrap(), answer(&good).unwrap());
    socket.set_read_timeout(Some(SILENCE)).unwrap();
    assert!(socket.recv(&mut [0; 512]).is_err());
    assert_eq!((forwarder.failed_questions(), upstream.asked()), (1, 1));
}

#[test]
fn a_delay_is_the_true_answer_later() {
    let upstream = upstream();
    let (forwarder, at) = begin(&upstream, DnsAnswer::Delay { latency: "300ms".parse().unwrap() });
    let (bad, good) = (question(1, "bad.example"), question(2, "good.example"));
    let started = Instant::now();
    let socket = socket(at);
    socket.send(&bad).unwrap();
    assert_eq!(ask(&socket, &good).unwrap(), answer(&good).unwrap(), "the delayed one holds nobody up");
    let mut buffer = [0; 512];
    let length = socket.recv(&mut buffer).unwrap();
    assert_eq!(buffer[..length], answer(&bad).unwrap());
    assert!(started.elapsed() >= Duration::from_millis(300));

    let started = Instant::now();
    let mut stream = connect(at);
    stream.write_all(&[frame(&bad), frame(&good)].concat()).unwrap();
    // Closing this half does not lose the question that still waits.
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_frame(&mut stream).unwrap(), answer(&good).unwrap());
    assert_eq!(read_frame(&mut stream).unwrap(), answer(&bad).unwrap());
    assert!(started.elapsed() >= Duration::from_millis(300));
    assert_eq!(read_frame(&mut stream).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(forwarder.failed_questions(), 2);
}

#[test]
fn questions_on_one_connection_are_each_answered() {
    let upstream = upstream();
    let (forwarder, at) = begin(&upstream, DnsAnswer::Nxdomain);
    let mut stream = connect(at);
    let name = |id: u16| if id.is_multiple_of(3) { "bad.example" } else { "good.example" };
    let mut bytes: Vec<u8> = (0..300).flat_map(|id| frame(&question(id, name(id)))).collect();
    // Cut at odd places: one byte, then the middle of a frame, then the rest.
    let (rest, tail) = (bytes.split_off(1), bytes);
    stream.write_all(&tail).unwrap();
    stream.write_all(&rest[..999]).unwrap();
    stream.write_all(&rest[999..]).unwrap();
    let mut ids = Vec::new();
    for _ in 0..300 {
        let got = read_frame(&mut stream).unwrap();
        let id = u16::from_be_bytes([got[0], got[1]]);
        let asked = question(id, name(id));
        if id.is_multiple_of(3) {
            assert_eq!(code(&asked, &got), 3);
        } else {
            assert_eq!(got, answer(&asked).unwrap());
        }
        ids.push(id);
    }
    ids.sort_unstable();
    assert_eq!(ids, (0..300).collect::<Vec<u16>>());
    assert_eq!((forwarder.failed_questions(), upstream.asked()), (100, 200));
}

#[test]
fn a_long_message_passes_over_tcp() {
    let upstream = upstream();
    let (_forwarder, at) = begin(&upstream, DnsAnswer::Nxdomain);
    let mut long = question(5, "good.example");
    long.resize(65_535, 0);
    let mut stream = connect(at);
    stream.write_all(&frame(&long)).unwrap();
    assert_eq!(read_frame(&mut stream).unwrap(), answer(&long).unwrap());
}

#[test]
fn a_silent_or_missing_name_server_is_silence() {
    let upstream = upstream();
    let (forwarder, at) = begin(&upstream, DnsAnswer::Nxdomain);
    let socket = socket(at);
    socket.set_read_timeout(Some(SILENCE)).unwrap();
    assert!(ask(&socket, &question(1, "silent.example")).is_err());
    drop(upstream);
    assert!(ask(&socket, &question(2, "good.example")).is_err(), "refused");
    let bad = question(3, "bad.example");
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert_eq!(code(&bad, &ask(&socket, &bad).unwrap()), 3, "still serving");
    assert_eq!(forwarder.dropped_questions(), 0);
    let mut stream = connect(at);
    stream.write_all(&frame(&question(4, "good.example"))).unwrap();
    // Closed or reset, as the connection to a name server that is gone would be.
    assert!(read_frame(&mut stream).is_err());
}

#[test]
fn beyond_a_thousand_in_flight_questions_are_dropped_and_counted() {
    let upstream = upstream();
    let (forwarder, at) = begin(&upstream, DnsAnswer::Delay { latency: "60s".parse().unwrap() });
    let socket = socket(at);
    let bad = question(1, "bad.example");
    let started = Instant::now();
    while forwarder.failed_questions() < 1100 && started.elapsed() < Duration::from_secs(30) {
        socket.send(&bad).unwrap();
    }
    assert!(forwarder.failed_questions() >= 1100);
    // Counted just after the decision, by another thread.
    let expected = || forwarder.failed_questions() - 1000;
    while forwarder.dropped_questions() != expected() && started.elapsed() < Duration::from_secs(30) {}
    assert_eq!(forwarder.dropped_questions(), expected());
    drop(forwarder);
}

#[test]
fn thread_and_sockets_are_gone_after_drop() {
    // The thread that `enter` runs on is the one that must be gone.
    let upstreams = [upstream(), FakeUpstream::start("[::1]:0".parse().unwrap())];
    let (told, tid) = std::sync::mpsc::channel();
    let enter = move || told.send(nix::unistd::gettid()).map_err(io::Error::other);
    let addresses = upstreams.each_ref().map(|upstream| upstream.at);
    let (forwarder, redirects) = start(enter, failing(DnsAnswer::Timeout), &addresses, MARK).unwrap();
    let task = format!("/proc/self/task/{}/comm", tid.recv().unwrap());
    assert_eq!(fs::read_to_string(&task).unwrap(), "dns-forwarder\n");
    let [v4, v6] = redirects.as_slice() else { panic!("{redirects:?}") };
    assert!(v4.at.is_ipv4() && v6.at.is_ipv6());
    for Redirect { at, .. } in &redirects {
        let good = question(3, "good.example");
        assert_eq!(ask(&socket(*at), &good).unwrap(), answer(&good).unwrap());
    }
    let mut stream = connect(v4.at);
    drop(forwarder);
    assert!(!fs::exists(&task).unwrap());
    assert!(read_frame(&mut stream).is_err());
    for Redirect { at, .. } in redirects {
        assert_eq!(TcpStream::connect(at).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        drop(UdpSocket::bind(at).unwrap());
    }
}

#[test]
fn what_goes_wrong_at_the_start_is_reported() {
    let address = ["127.0.0.1:53".parse().unwrap()];
    let error =
        start(|| Err(io::Error::other("no such namespace")), failing(DnsAnswer::Timeout), &address, MARK);
    assert_eq!(error.unwrap_err().to_string(), "no such namespace");
}
