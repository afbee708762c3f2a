use std::collections::BTreeMap;
use std::path::PathBuf;

use super::*;
use crate::gameday::file::Comparison;

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
