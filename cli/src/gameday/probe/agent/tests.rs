use std::collections::BTreeMap;
use std::path::PathBuf;

use tokio::sync::mpsc::unbounded_channel;

use super::*;
use crate::client::{Access, Client};
use crate::gameday::file::{Comparison, Probe};
use crate::gameday::probe::fake::{Fake, Says};
use crate::gameday::probe::{Place, Prober};
use crate::tls::TlsFiles;

fn http(url: &str) -> Ask {
    Ask::Http { url: url.to_owned(), headers: BTreeMap::new(), body: None, status: vec![200], json: None }
}

#[test]
fn agents_ask_tcp_and_the_status_of_http() {
    let two = Duration::from_secs(2);
    let tcp = Errand::new(&Ask::Tcp("redis:6379".to_owned()), two).unwrap();
    assert_eq!((tcp.how.clone(), tcp.timeout, tcp.patience()), (How::Tcp, two, Duration::from_secs(3)));
    let get = Errand::new(&http("http://gateway:8080/healthz?a=b#c"), two).unwrap();
    assert_eq!(get.how, How::Http { path: "/healthz?a=b".to_owned() });
    // Once for the connection, once for the answer: together no more than was asked for.
    assert_eq!((get.timeout, get.patience()), (two / 2, Duration::from_secs(3)));
    let patient = Errand::new(&Ask::Tcp("redis:6379".to_owned()), Duration::from_secs(60)).unwrap();
    assert_eq!(patient.timeout, Duration::from_secs(10));
}

#[test]
fn everything_else_is_refused_with_what_to_do() {
    let with = |change: &dyn Fn(&mut Ask)| {
        let mut ask = http("http://gateway/");
        change(&mut ask);
        ask
    };
    let headers = with(&|ask| {
        if let Ask::Http { headers, .. } = ask {
            headers.insert("A".to_owned(), "s3cret".to_owned());
        }
    });
    let body = with(&|ask| {
        if let Ask::Http { body, .. } = ask {
            *body = Some(String::new());
        }
    });
    let json = with(&|ask| {
        if let Ask::Http { json, .. } = ask {
            *json = Some(("a".to_owned(), Comparison::Above(0.0)));
        }
    });
    let at = || "a:1".to_owned();
    for (ask, what) in [
        (headers, "with headers"),
        (body, "with a body"),
        (json, "what is in an answer (json)"),
        (http("https://gateway/"), "over TLS"),
        (Ask::Dns { name: at(), server: None }, "dns"),
        (Ask::Command { command: at(), stdout: None, directory: PathBuf::new() }, "by a command"),
        (Ask::Redis { at: at(), password: None }, "redis"),
        (Ask::Postgresql { at: at() }, "postgresql"),
        (Ask::Nats { at: at() }, "nats"),
    ] {
        let error = can_ask(&ask).unwrap_err();
        assert!(error.starts_with(&format!("agents cannot ask {what}, only tcp")), "{error}");
    }
}

fn member(agent: &Fake) -> Member {
    let access = Access { agent: None, token_file: None, tls: TlsFiles::default() };
    let client = Client::of(&access.ways(false).unwrap(), format!("http://{}", agent.at));
    Member { name: "web-1".to_owned(), client }
}

fn answer(status: &str, body: &str) -> Says {
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n");
    Says::After(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into())
}

#[tokio::test]
async fn what_the_agent_found_is_the_answer() {
    let reach = |more: &str| answer("200 OK", &format!(r#"[{{"to":1,"sent":0,"answered":0{more}}}]"#));
    let tcp = || Ask::Tcp("10.0.0.5:6379".to_owned());
    let problem = r#"{"type":"about:blank","title":"Forbidden","status":403,"code":"forbidden","detail":"only for observers"}"#;
    for (says, ask, expected) in [
        (reach(r#","connected":true"#), tcp(), Ok("connected")),
        (
            reach(r#","connected":false,"error":"Connection refused (os error 111)""#),
            tcp(),
            Err("Connection refused (os error 111)"),
        ),
        (reach(r#","connected":true,"status":200"#), http("http://10.0.0.5/"), Ok("200 OK")),
        (
            reach(r#","connected":true,"status":503"#),
            http("http://10.0.0.5/"),
            Err("503 Service Unavailable"),
        ),
        (
            reach(r#","connected":true,"error":"operation timed out""#),
            http("http://10.0.0.5/"),
            Err("operation timed out"),
        ),
        (answer("200 OK", "[]"), tcp(), Err("the agent tells of nothing")),
        (answer("403 Forbidden", problem), tcp(), Err("the agent of web-1: only for observers")),
    ] {
        let agent = Fake::says(says).await;
        let found = Errand::new(&ask, Duration::from_secs(5)).unwrap().ask(&member(&agent)).await;
        assert_eq!(found.as_deref().map_err(String::as_str), expected, "{ask:?}");
        let asked = agent.asked().await;
        assert!(asked.starts_with("POST /v1/reach HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains(r#""address":"10.0.0.5""#), "{asked}");
    }
}

#[tokio::test]
async fn a_silent_agent_is_told_from_a_silent_server() {
    let agent = Fake::says(Says::Nothing).await;
    let errand = Errand::new(&Ask::Tcp("10.0.0.5:6379".to_owned()), Duration::from_millis(100)).unwrap();
    let found = errand.ask(&member(&agent)).await;
    assert_eq!(found, Err("the agent of web-1 does not answer within 1.1s".to_owned()));
}

#[tokio::test]
async fn a_prober_asks_by_the_agent_until_it_is_dropped() {
    let agent = Fake::says(answer("200 OK", r#"[{"to":1,"sent":0,"answered":0,"connected":true}]"#)).await;
    let (tell, mut told) = unbounded_channel();
    let every = Duration::from_millis(20);
    let probe = Probe {
        ask: Ask::Tcp("10.0.0.5:6379".to_owned()),
        from: None,
        every,
        timeout: Duration::from_secs(5),
    };
    let place = Place::Agent(Box::new(member(&agent)));
    let prober = Prober::start("it".to_owned(), probe, place.clone(), tell.clone()).unwrap();
    for _ in 0..3 {
        let (_, answer) = told.recv().await.unwrap();
        assert_eq!(answer.holds, Ok("connected".to_owned()));
    }
    drop((prober, tell));
    // Its end of the channel is gone with it.
    let gone = async { while told.recv().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(5), gone).await.expect("it asks no more");
    let (tell, _told) = unbounded_channel();
    let dns = Ask::Dns { name: "db".to_owned(), server: None };
    let probe = Probe { ask: dns, from: None, every, timeout: every };
    let error = Prober::start("it".to_owned(), probe, place, tell).err().unwrap();
    assert!(error.to_string().starts_with("agents cannot ask dns"), "{error}");
}
