//! Many, slow, and without an end. Each bound is waited for with generous room: an agent that has none never answers.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use harness::fake_agent::{FakeAgent, Options};
use partition_agent_proto::ProblemCode::{Busy, TooSlow};

use crate::pki::Pki;
use crate::wire::{LOSS, PATIENCE, assert_untouched, problem, read_to_end, request, say, status, tcp, unix};

/// The bounds of the agent are 10 s; on a busy machine they come late.
const AT_LEAST: Duration = Duration::from_secs(9);

fn ended_in_time(begun: Instant) {
    let took = begun.elapsed();
    assert!((AT_LEAST..PATIENCE).contains(&took), "{took:?}");
}

#[test]
fn a_head_that_comes_slowly() {
    let agent = FakeAgent::start();
    let begun = Instant::now();
    let mut stream = tcp(&agent);
    stream.write_all(b"GET /v1/clock HTTP/1.1\r\n").unwrap();
    let mut drip = stream.try_clone().unwrap();
    // A byte now and then, for longer than the agent waits.
    let dripping = std::thread::spawn(move || {
        while drip.write_all(b"x").is_ok() && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(500));
        }
    });
    let answer = read_to_end(stream);
    ended_in_time(begun);
    assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    dripping.join().unwrap();
}

#[test]
fn a_connection_that_says_nothing() {
    let agent = FakeAgent::start();
    let begun = Instant::now();
    assert_eq!(read_to_end(tcp(&agent)), "");
    ended_in_time(begun);
}

#[test]
fn a_connection_that_asks_once_and_stays() {
    let agent = FakeAgent::start();
    let begun = Instant::now();
    let mut stream = tcp(&agent);
    stream.write_all(b"GET /v1/clock HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").unwrap();
    assert_eq!(status(&read_to_end(stream)), 200);
    ended_in_time(begun);
}

#[test]
fn a_handshake_that_is_never_made() {
    let pki = Pki::new();
    let agent = pki.agent();
    for beginning in [&b""[..], b"\x16\x03\x01\x02\x00"] {
        let begun = Instant::now();
        let mut stream = tcp(&agent);
        stream.write_all(beginning).unwrap();
        assert_eq!(read_to_end(stream), "");
        ended_in_time(begun);
    }
}

#[test]
fn a_body_without_an_end() {
    let agent = FakeAgent::start();
    let head = "PUT /v1/faults/cut HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n";
    for beginning in [
        format!("{head}content-length: 100\r\n\r\n{{"),
        format!("{head}transfer-encoding: chunked\r\n\r\n1\r\n{{\r\n"),
    ] {
        let begun = Instant::now();
        let mut stream = tcp(&agent);
        stream.write_all(beginning.as_bytes()).unwrap();
        assert_eq!(problem(&read_to_end(stream)).code, TooSlow);
        ended_in_time(begun);
    }
    // And one that does come, for ever.
    let mut stream = tcp(&agent);
    stream.write_all(format!("{head}transfer-encoding: chunked\r\n\r\n").as_bytes()).unwrap();
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
    while stream.write_all(chunk.as_bytes()).is_ok() {}
    assert_untouched(&agent, "endless");
}

#[test]
fn as_many_connections_as_there_may_be() {
    let access = "insecure_loopback = true\nmost_connections = 4\n".to_owned();
    let agent = FakeAgent::with(Options { access, ..Options::default() });
    let mut slow = (0..4).map(|_| tcp(&agent)).collect::<Vec<_>>();
    for stream in &mut slow {
        // Answered, and so counted.
        stream.write_all(b"GET /v1/clock HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").unwrap();
        assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
    }
    let refused = problem(&say(&agent, request("GET", "/v1/clock", "", "")));
    assert_eq!(refused.code, Busy);
    assert!(refused.detail.contains("4 connections") && refused.hint.unwrap().contains("unix socket"));
    // Who floods TCP keeps nobody from the unix socket, nor from restoring there.
    let mut stream = unix(&agent);
    stream.write_all(request("DELETE", "/v1/faults", "", "").as_bytes()).unwrap();
    assert_eq!(status(&read_to_end(stream)), 200);
    // And it is seen there.
    let mut stream = unix(&agent);
    stream.write_all(request("GET", "/metrics", "", "").as_bytes()).unwrap();
    let page = read_to_end(stream);
    assert!(page.contains(r#"partition_agent_refusals_total{reason="busy"} 1"#), "{page}");
    drop(slow);
    let begun = Instant::now();
    while status(&say(&agent, request("GET", "/v1/clock", "", ""))) != 200 {
        assert!(begun.elapsed() < PATIENCE, "places are not given back");
    }
}

#[test]
fn as_many_listeners_as_there_may_be() {
    let agent = FakeAgent::start();
    let mut listeners = (0..64).map(|_| tcp(&agent)).collect::<Vec<_>>();
    for stream in &mut listeners {
        stream.write_all(b"GET /v1/events HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
    }
    let refused = problem(&say(&agent, request("GET", "/v1/events", "", "")));
    assert_eq!(refused.code, Busy);
    assert!(refused.detail.contains("64 others listen"), "{refused}");
    // Nor do they take the places of the unix socket.
    let mut local = unix(&agent);
    local.write_all(b"GET /v1/events HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let mut head = [0; 12];
    local.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    // None of them is in the way of a fault and of its end.
    assert_eq!(status(&say(&agent, request("PUT", "/v1/faults/cut", "", LOSS))), 201);
    assert_eq!(status(&say(&agent, request("DELETE", "/v1/faults/cut", "", ""))), 200);
    drop(listeners);
    let begun = Instant::now();
    loop {
        let mut stream = tcp(&agent);
        stream.write_all(b"GET /v1/events HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        if &head == b"HTTP/1.1 200" {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "places are not given back");
    }
}

#[test]
fn more_of_the_past_than_there_is() {
    let agent = FakeAgent::start();
    for (limit, code) in [("18446744073709551615", 200), ("99999999999999999999", 422), ("-1", 422)] {
        let answer = say(&agent, request("GET", &format!("/v1/history?limit={limit}"), "", ""));
        assert_eq!(status(&answer), code, "{limit}");
    }
}

#[test]
fn slow_callers_hold_up_nobody() {
    let agent = FakeAgent::start();
    let slow = (0..100).map(|nth| {
        let mut stream = tcp(&agent);
        let head = "PUT /v1/faults/cut HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n";
        let beginning =
            if nth % 2 == 0 { head.to_owned() } else { format!("{head}content-length: 9\r\n\r\n{{") };
        stream.write_all(beginning.as_bytes()).unwrap();
        stream
    });
    let _slow = slow.collect::<Vec<_>>();
    let begun = Instant::now();
    assert_eq!(status(&say(&agent, request("PUT", "/v1/faults/f", "", LOSS))), 201);
    assert_eq!(status(&say(&agent, request("DELETE", "/v1/faults/f", "", ""))), 200);
    // Milliseconds, where the machine has nothing else to do; and far less than the slow ones are waited for.
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
}
