//! Who reaches whom: between agents on the kernel in memory, over real sockets of loopback.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use harness::fake_agent::FakeAgent;
use partition_agent_proto::ProblemCode::{Invalid, TooLarge};
use partition_agent_proto::{Clock, Effect, Heard, Reach};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::{Api, Reply};

fn target(to: u32, at: SocketAddr, how: &str) -> String {
    format!(r#"{{"to":{to},"address":"{}","port":{},"how":{how}}}"#, at.ip(), at.port())
}

async fn reach(api: &Api, more: &str, targets: &[String]) -> Vec<Reach> {
    let body = format!(r#"{{"round":7,"from":1{more},"targets":[{}]}}"#, targets.join(","));
    api.send("POST", "/v1/reach", body).await.json(200)
}

/// A port of TCP and UDP that nobody answers on.
fn nobody() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap()
}

#[tokio::test]
async fn the_clock_goes_on() {
    let api = Api::start();
    let (one, other): (Clock, Clock) =
        (api.get("/v1/clock").await.json(200), api.get("/v1/clock").await.json(200));
    assert!(one.boot_ns < other.boot_ns && other.wall.ends_with('Z'), "{one:?} {other:?}");
}

#[tokio::test]
async fn another_agent_answers_and_remembers_who_asked() {
    let (api, other) = (Api::start(), Api::start());
    let reached =
        reach(&api, r#","count":20,"every":"1ms""#, &[target(2, other.agent.probes, "\"host\"")]).await;
    let [reach] = reached.as_slice() else { panic!("{reached:?}") };
    assert_eq!((reach.to, reach.sent, reach.answered, reach.connected), (2, 20, 20, Some(true)));
    let trips = reach.rtt_micros.unwrap();
    assert!(0 < trips.min && trips.min <= trips.median, "{trips:?}");
    assert_eq!((reach.status, &reach.error, reach.faults.len()), (None, &None, 0));

    let heard: Vec<Heard> = other.get("/v1/heard?round=7").await.json(200);
    assert_eq!(heard, [Heard { from: 1, datagrams: 20 }]);
    for (api, round) in [(&other, 8), (&api, 7)] {
        let heard: Vec<Heard> = api.get(&format!("/v1/heard?round={round}")).await.json(200);
        assert_eq!(heard, []);
    }
}

#[tokio::test]
async fn an_agent_that_is_not_there_is_not_reached() {
    let api = Api::start();
    let at = nobody();
    let reached =
        reach(&api, r#","count":3,"every":"1ms","timeout":"50ms""#, &[target(2, at, "\"host\"")]).await;
    let [reach] = reached.as_slice() else { panic!("{reached:?}") };
    assert_eq!((reach.sent, reach.answered, reach.rtt_micros, reach.connected), (3, 0, None, Some(false)));
    assert!(reach.error.as_ref().unwrap().contains("refused"), "{reach:?}");
}

#[tokio::test]
async fn many_targets_are_tried_at_once_and_answered_in_order() {
    let api = Api::start();
    let others = [FakeAgent::start(), FakeAgent::start()];
    // More than are tried at the same time, and every other one is slow to fail: nobody answers datagrams there.
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let at = |to: u32| if to.is_multiple_of(2) { others[to as usize / 2 % 2].probes } else { silent };
    let targets = (0..600).map(|to| target(to, at(to), "\"host\"")).collect::<Vec<_>>();
    let begun = std::time::Instant::now();
    let reached = reach(&api, r#","count":1,"timeout":"300ms""#, &targets).await;
    // One after the other it would be 90 s.
    assert!(begun.elapsed() < Duration::from_secs(45), "{:?}", begun.elapsed());
    let to = reached.iter().map(|reach| reach.to).collect::<Vec<_>>();
    assert_eq!(to, (0..600).collect::<Vec<_>>());
    for reach in &reached {
        assert_eq!(reach.answered, u16::from(reach.to.is_multiple_of(2)), "{reach:?}");
    }
}

/// Answers one `GET` in the words of a test, and tells what it was asked.
async fn web(answer: &'static str) -> (SocketAddr, tokio::task::JoinHandle<String>) {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let at = listener.local_addr().unwrap();
    let serve = async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = vec![0; 4096];
        let length = stream.read(&mut asked).await.unwrap();
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(asked[..length].to_vec()).unwrap()
    };
    (at, tokio::spawn(serve))
}

#[tokio::test]
async fn services_are_connected_to_or_asked() {
    let api = Api::start();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let http = r#"{"http":{"path":"/healthz?deep=1"}}"#;
    // An answer that would lead elsewhere, and one whose body never ends.
    let (moved, asked) =
        web("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n").await;
    let (endless, _) = web("HTTP/1.1 503 Busy\r\ncontent-length: 1000000\r\n\r\n...").await;
    let targets = [
        target(1, listener.local_addr().unwrap(), "\"tcp\""),
        target(2, nobody(), "\"tcp\""),
        target(3, moved, http),
        target(4, endless, http),
        target(5, nobody(), http),
    ];
    let reached = reach(&api, r#","timeout":"5s""#, &targets).await;
    let seen = reached.iter().map(|reach| (reach.to, reach.connected, reach.status)).collect::<Vec<_>>();
    let (yes, no) = (Some(true), Some(false));
    assert_eq!(
        seen,
        [(1, yes, None), (2, no, None), (3, yes, Some(302)), (4, yes, Some(503)), (5, no, None)]
    );
    assert!(reached[0].rtt_micros.is_some() && reached[1].rtt_micros.is_none());
    for refused in [&reached[1], &reached[4]] {
        assert!(refused.error.as_ref().unwrap().contains("refused"), "{refused:?}");
    }
    assert!(reached.iter().all(|reach| reach.sent == 0), "no datagrams to services");
    let asked = asked.await.unwrap();
    assert!(
        asked.starts_with("GET /healthz?deep=1 HTTP/1.1\r\n") && !asked.contains("authorization"),
        "{asked}"
    );
}

#[tokio::test]
async fn its_own_faults_have_their_say() {
    let (api, other) = (Api::start(), Api::start());
    let lo = r#""target":{"peers":["127.0.0.1"],"protocol":"udp"},"direction":"egress""#;
    // The kernel in memory lets everything through, so this is what was asked for and not what happens.
    api.agent.world().interfaces = vec!["lo".to_owned()];
    api.put("cut", format!(r#"{{"kinds":[{{"loss":{{"percent":100}}}}],{lo}}}"#)).await;
    api.put("slow", format!(r#"{{"kinds":[{{"delay":{{"latency":"1s"}}}}],{lo}}}"#)).await;
    api.put("later", format!(r#"{{"kinds":[{{"loss":{{"percent":100}}}}],{lo},"start_in":"1h"}}"#)).await;
    let targets = [target(2, other.agent.probes, "\"host\""), target(3, other.agent.tcp, "\"tcp\"")];
    let reached = reach(&api, "", &targets).await;
    let faults = reached[0].faults.iter().map(|meets| (meets.id.as_str(), meets.egress, meets.ingress));
    // TCP gets through: between two agents it is not all of it that is cut.
    let impaired = [("cut", Effect::Impaired, Effect::None), ("slow", Effect::Impaired, Effect::None)];
    assert_eq!(faults.collect::<Vec<_>>(), impaired);
    assert_eq!(reached[1].faults, []);
}

#[tokio::test]
async fn a_whole_number_may_have_a_point() {
    let api = Api::start();
    let body = r#"{"round":7.0,"from":1e0,"count":5.00,"targets":[]}"#;
    assert_eq!(api.send("POST", "/v1/reach", body).await.json::<Vec<Reach>>(200), []);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let api = Api::start();
    let with = |more: &str| format!(r#"{{"round":7,"from":1,"targets":[]{more}}}"#);
    let one = |target: &str| format!(r#"{{"round":7,"from":1,"targets":[{{"to":1,{target}}}]}}"#);
    for (body, detail) in [
        ("{}".to_owned(), "missing field `round`"),
        (r#"{"round":9007199254740992,"from":1,"targets":[]}"#.to_owned(), "too large"),
        (r#"{"round":"7","from":1,"targets":[]}"#.to_owned(), "invalid type"),
        (r#"{"round":-7,"from":1,"targets":[]}"#.to_owned(), "invalid value"),
        (r#"{"round":7.5,"from":1,"targets":[]}"#.to_owned(), "floating point `7.5`, expected u64 at line 1"),
        // Nothing is wrong with the first of the two.
        (r#"{"round":7.0,"from":"1","targets":[]}"#.to_owned(), r#"string "1", expected u32"#),
        (with(r#","count":101"#), "1 to 100"),
        (with(r#","timeout":"11s""#), "at most 10s"),
        (with(r#","every":"1001ms""#), "at most 1s"),
        (with(r#","retries":1"#), "unknown field `retries`"),
        (one(r#""address":"redis","port":1,"how":"tcp""#), "invalid IP address"),
        (one(r#""address":"10.0.0.5","port":0,"how":"tcp""#), "port 0"),
        (one(r#""address":"10.0.0.5","port":70000,"how":"tcp""#), "invalid value"),
        (one(r#""address":"10.0.0.5","port":1,"how":{"http":{"path":"x"}}"#), "no path"),
    ] {
        api.send("POST", "/v1/reach", body).await.refused(Invalid, detail);
    }
    for (query, detail) in [
        ("", "round"),
        ("?round=x", "round"),
        ("?round=1&from=2", "unknown field"),
        ("?round=9007199254740992", "too large"),
    ] {
        api.get(&format!("/v1/heard{query}")).await.refused(Invalid, detail);
    }
}

#[tokio::test]
async fn four_thousand_targets_fit_and_no_more() {
    let api = Api::start();
    let at = "[2001:db8:1111:2222:3333:4444:5555:6666]:65535".parse().unwrap();
    let targets = (0..4097).map(|to| target(to, at, "\"tcp\"")).collect::<Vec<_>>();
    let body = format!(r#"{{"round":7,"from":1,"targets":[{}]}}"#, targets.join(","));
    assert!(body.len() > partition_agent_core::api::BODY_LIMIT);
    api.send("POST", "/v1/reach", body.clone()).await.refused(Invalid, "4097 targets are too many");
    // One byte too many: all of it is sent by the time that it is refused.
    let padded = format!("{body}{}", " ".repeat((1 << 20) + 1 - body.len()));
    api.send("POST", "/v1/reach", padded).await.refused(TooLarge, "1048576 bytes");
}

#[tokio::test]
async fn only_questions_of_this_protocol_are_answered_and_answers_never() {
    let agent = FakeAgent::start();
    let socket = tokio::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    socket.connect(agent.probes).await.unwrap();
    let question = *b"pa-p\x01\x01\0\0\0\0\0\0\0\0\0\x07\0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\0";
    let answer = {
        let mut answer = question;
        answer[5] = 2;
        answer
    };
    let longer = [&question[..], b"\0"].concat();
    for ignored in [&answer[..], &longer, &question[..31], b"", b"hello", &[0; 1400]] {
        socket.send(ignored).await.unwrap();
    }
    socket.send(&question).await.unwrap();
    let mut received = [0; 2048];
    // One answer, to the last of them: had another been answered, that would have come before.
    let length = socket.recv(&mut received).await.unwrap();
    assert_eq!(received[..length], answer);
    socket.send(&answer).await.unwrap();
    socket
        .send(&{
            let mut other = question;
            other[27] = 4;
            other
        })
        .await
        .unwrap();
    socket.recv(&mut received).await.unwrap();
    assert_eq!((received[5], received[27]), (2, 4), "the answer was not answered");
}

#[tokio::test]
async fn a_hang_up_ends_the_probing() {
    let api = Api::start();
    let other = tokio::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let target = target(2, other.local_addr().unwrap(), "\"host\"");
    let body = format!(r#"{{"round":7,"from":1,"count":100,"every":"200ms","targets":[{target}]}}"#);
    let asking = tokio::spawn(Reply::to(api.request("POST", "/v1/reach").body(body)));
    let mut received = [0; 64];
    other.recv(&mut received).await.unwrap();
    asking.abort();
    assert!(asking.await.unwrap_err().is_cancelled());
    let quiet = || tokio::time::timeout(Duration::from_secs(2), async { other.recv(&mut [0; 64]).await });
    // The agent may hear of it late, but not by nine datagrams.
    let mut more = 0;
    while quiet().await.is_ok() {
        more += 1;
        assert!(more < 10, "it goes on");
    }
}
