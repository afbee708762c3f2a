//! An agent that shows others asks them on behalf of those who look: what somebody could make of that.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use harness::fake_agent::{FakeAgent, Options, write_token};
use harness::fake_member::{FakeMember, Says};
use partition_agent_proto::ProblemCode::{
    Forbidden, Invalid, Malformed, NoSuchMethod, NoSuchRoute, Unauthorized,
};
use partition_agent_proto::{FleetView, Hearing};
use tempfile::TempDir;

use crate::wire::{PATIENCE, problem, request, say, status};

/// What it shows to the others.
const SHOWN: &str = "the-token-of-the-fleet";
/// What those show who look.
const LOOKS: &str = "authorization: Bearer the-token-that-looks\r\n";

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// An agent that asks these, and who may look at it.
fn showing(dir: &TempDir, members: &[&TcpListener]) -> FakeAgent {
    let [looks, shown] = ["looks", "shown"].map(|name| dir.path().join(name));
    write_token(&looks, "the-token-that-looks");
    write_token(&shown, SHOWN);
    let hosts = members.iter().map(|member| format!("'{}'", member.local_addr().unwrap()));
    let access = format!(
        "[[tokens]]\nname = 'looks'\nfile = '{}'\nrole = 'observe'\n[fleet]\nhosts = [{}]\ntoken_file = '{}'\n",
        looks.display(),
        hosts.collect::<Vec<_>>().join(", "),
        shown.display()
    );
    FakeAgent::with(Options { access, ..Options::default() })
}

fn look(agent: &FakeAgent) -> String {
    say(agent, request("GET", "/v1/fleet", LOOKS, ""))
}

fn view(answer: &str) -> FleetView {
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1)
        .unwrap_or_else(|error| panic!("{error}: {answer}"))
}

/// Looks until it is so.
fn until(agent: &FakeAgent, what: &str, is_so: impl Fn(&str) -> bool) -> String {
    let begun = Instant::now();
    loop {
        let answer = look(agent);
        if is_so(&answer) {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: {answer}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn quiet() -> Says {
    Says::This { faults: "[]".to_owned(), info: r#"{"host":"member","version":"1"}"#.to_owned() }
}

#[test]
fn the_agent_is_no_proxy() {
    let dir = TempDir::new().unwrap();
    let (inside, outside) = (listener(), listener());
    let (at, other) = (inside.local_addr().unwrap(), outside.local_addr().unwrap());
    let agent = showing(&dir, &[&inside]);
    let (member, victim) = (FakeMember::on(inside, quiet()), FakeMember::on(outside, quiet()));

    // Strangers start nothing.
    assert_eq!(problem(&say(&agent, request("GET", "/v1/fleet", "", ""))).code, Unauthorized);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(member.heard(), Vec::<String>::new());

    // Whom it asks, and what, nobody has a say in.
    for path in [
        format!("/v1/fleet?host={other}"),
        format!("/v1/fleet?url=http://{other}/"),
        "/v1/fleet?path=/v1/audit".to_owned(),
    ] {
        assert_eq!(problem(&say(&agent, request("GET", &path, LOOKS, ""))).code, Invalid, "{path}");
    }
    for method in ["POST", "PUT", "DELETE"] {
        let answer = say(&agent, request(method, "/v1/fleet", LOOKS, &format!(r#"{{"host":"{other}"}}"#)));
        assert_eq!(problem(&answer).code, NoSuchMethod, "{method}");
    }
    for (method, path) in [
        ("GET", format!("/v1/fleet/{at}")),
        ("GET", format!("/v1/fleet/{other}/v1/faults")),
        ("DELETE", format!("/v1/fleet/{at}/v1/faults")),
        ("GET", "/v1/fleet/../audit".to_owned()),
    ] {
        let answer = say(&agent, request(method, &path, LOOKS, &format!(r#"{{"host":"{other}"}}"#)));
        assert_eq!(problem(&answer).code, NoSuchRoute, "{method} {path}");
    }
    for target in [format!("http://{other}/v1/fleet"), format!("http://{at}/v1/faults")] {
        assert_eq!(problem(&say(&agent, request("GET", &target, LOOKS, ""))).code, Malformed, "{target}");
    }
    let connect = say(
        &agent,
        format!("CONNECT {other} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n{LOOKS}\r\n"),
    );
    assert_ne!(status(&connect), 200, "{connect}");
    let named = say(
        &agent,
        format!("GET /v1/fleet HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n{LOOKS}\r\n"),
    );
    assert_eq!(problem(&named).code, Forbidden);

    // Of what comes along with a look nothing goes on.
    let along = format!(
        "{LOOKS}cookie: secret=1\r\nx-forwarded-host: {other}\r\nforwarded: host={other}\r\nreferer: http://{other}/\r\n\
         partition-agent-keep: 10.0.0.9 1 10.0.0.1 22\r\nx-http-method-override: DELETE\r\nrange: bytes=0-1\r\nte: trailers\r\n"
    );
    let begun = Instant::now();
    while member.heard().len() < 6 {
        assert!(begun.elapsed() < PATIENCE, "{:?}", member.heard());
        assert_eq!(status(&say(&agent, request("GET", "/v1/fleet", &along, r#"{"host":"x"}"#))), 200);
        std::thread::sleep(Duration::from_millis(200));
    }
    for head in member.heard() {
        let mut lines = head.trim_end().split("\r\n");
        let line = lines.next().unwrap();
        assert!(["GET /v1/faults HTTP/1.1", "GET /v1/info HTTP/1.1"].contains(&line), "{head}");
        let mut headers = lines.map(str::to_ascii_lowercase).collect::<Vec<_>>();
        headers.sort_unstable();
        assert_eq!(headers, [format!("authorization: bearer {SHOWN}"), format!("host: {at}")], "{head}");
    }
    assert_eq!(victim.heard(), Vec::<String>::new());
}

#[test]
fn a_member_sends_it_nowhere_else() {
    let dir = TempDir::new().unwrap();
    let (inside, outside) = (listener(), listener());
    let elsewhere = format!("http://{}/v1/faults", outside.local_addr().unwrap());
    let agent = showing(&dir, &[&inside]);
    let victim = FakeMember::on(outside, quiet());
    let _member = FakeMember::on(inside, Says::Elsewhere(elsewhere));
    let answer = until(&agent, "it is told", |answer| answer.contains("302 Found"));
    assert!(answer.contains("not like a partition-agent"), "{answer}");
    assert_eq!(victim.heard(), Vec::<String>::new());
}

#[test]
fn a_member_that_tells_what_it_was_asked_with_gives_nothing_away() {
    let dir = TempDir::new().unwrap();
    let (one, other) = (listener(), listener());
    let agent = showing(&dir, &[&one, &other]);
    let refusal =
        format!(r#"{{"type":"x","title":"x","status":403,"code":"forbidden","detail":"no {SHOWN}"}}"#);
    let refused = format!(
        "HTTP/1.1 403 Forbidden\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n\r\n{refusal}",
        refusal.len()
    );
    let _members =
        [FakeMember::on(one, Says::Echo), FakeMember::on(other, Says::Bytes(refused.into_bytes()))];
    let answer =
        until(&agent, "both are told", |answer| answer.matches("has sent back the token").count() == 2);
    assert!(!answer.contains(SHOWN), "{answer}");
    assert!(view(&answer).hosts.iter().all(|host| host.faults.is_empty()));
}

#[test]
fn answers_that_are_too_long_have_no_end_or_are_none_cost_nobody_else_anything() {
    let dir = TempDir::new().unwrap();
    let all = [listener(), listener(), listener(), listener(), listener()];
    let agent = showing(&dir, &all.each_ref());
    let says = [
        Says::TooMuch,
        Says::NoEnd,
        Says::Bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n[".to_vec()),
        Says::Bytes([b"HTTP/1.1 200 OK\r\nx: ", &b"y".repeat(1 << 20)[..]].concat()),
        quiet(),
    ];
    let _members = all.into_iter().zip(says).map(|(at, says)| FakeMember::on(at, says)).collect::<Vec<_>>();
    // At one time: where this machine has much to do, what is too long takes too long, and for a moment whoever answers is late.
    until(&agent, "four are silent, and one answers", |answer| {
        let hosts = view(answer).hosts;
        let why = |nth: usize| match &hosts[nth].hearing {
            Hearing::Silent { why, .. } => why.as_str(),
            Hearing::Asked | Hearing::Answers => "",
        };
        let all = (0..4).all(|nth| !why(nth).is_empty()) && hosts[4].hearing == Hearing::Answers;
        all && hosts[4].host.as_deref() == Some("member")
            && why(0).contains("more than 2 MiB")
            && why(1).contains("no answer within 4s")
    });
}

#[test]
fn who_looks_a_thousand_times_has_no_more_asked() {
    let dir = TempDir::new().unwrap();
    let inside = listener();
    let agent = showing(&dir, &[&inside]);
    let member = FakeMember::on(inside, quiet());
    let begun = Instant::now();
    for _ in 0..1_000 {
        assert_eq!(status(&look(&agent)), 200);
    }
    // Once every two seconds, and twice more at first.
    let most = 3 + begun.elapsed().as_secs() / 2;
    let heard = u64::try_from(member.heard().len()).unwrap();
    assert!((1..=most).contains(&heard), "{heard} in {:?}", begun.elapsed());
}
