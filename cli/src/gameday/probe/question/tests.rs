use std::collections::BTreeMap;
use std::path::PathBuf;

use super::*;
use crate::gameday::probe::fake::{Fake, Says, ask, ask_within, hostile};

fn command(line: &str, stdout: Option<Comparison>) -> Ask {
    Ask::Command { command: line.to_owned(), stdout, directory: PathBuf::from("/") }
}

#[tokio::test]
async fn a_port_holds_when_it_takes_a_connection() {
    let server = Fake::says(Says::Nothing).await;
    assert_eq!(ask(Ask::Tcp(server.at.to_string())).await, Ok("connected".to_owned()));
    let at = server.at;
    drop(server);
    tokio::task::yield_now().await;
    assert_eq!(
        ask(Ask::Tcp(at.to_string())).await,
        Err("no connection: Connection refused (os error 111)".to_owned())
    );
}

#[tokio::test]
async fn commands_hold_by_their_status_and_by_what_they_print() {
    let one = || Some(Comparison::Equals("1".to_owned()));
    for (line, stdout, expected) in [
        ("true", None, Ok("exit status 0")),
        ("echo $PROBE on ${HOST:-nobody}", None, Ok("it on nobody")),
        ("echo 1; echo no >&2", one(), Ok("1")),
        ("echo 2", one(), Err("it prints: 2")),
        ("true", one(), Err("it prints: exit status 0")),
        ("echo 1; exit 4", one(), Err("exit status 4: 1")),
        ("echo 5", Some(Comparison::Above(4.5)), Ok("5")),
        ("pwd", None, Ok("/")),
        ("kill -9 $$", None, Err("killed by SIGKILL")),
    ] {
        let found = ask(command(line, stdout)).await;
        assert_eq!(found.as_deref().map_err(String::as_str), expected, "{line}");
    }
    let found = ask_within(command("trap '' TERM; sleep 600", None), Duration::from_millis(200)).await;
    assert!(found.is_err_and(|why| why.contains("within 200ms")));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_before_it_is_asked() {
    for (ask, error) in [
        (Ask::Tcp("redis".to_owned()), "`redis` is no HOST:PORT"),
        (Ask::Nats { at: ":4222".to_owned() }, "`:4222` is no HOST:PORT"),
        (
            Ask::Dns { name: "a".to_owned(), server: Some("b".to_owned()) },
            "the name server `b` is no address",
        ),
    ] {
        let found = self::ask(ask).await.unwrap_err();
        assert!(found.starts_with(error), "{found}");
    }
    hostile(|at| Ask::Http {
        url: format!("http://{at}"),
        headers: BTreeMap::new(),
        body: Some("a".to_owned()),
        status: vec![200],
        json: None,
    })
    .await;
}

#[test]
fn descriptions_have_nothing_secret() {
    let secret = || "s3cret".to_owned();
    let http = |url: &str| Ask::Http {
        url: url.to_owned(),
        headers: BTreeMap::from([("X-API-Key".to_owned(), secret())]),
        body: Some(secret()),
        status: Vec::new(),
        json: None,
    };
    let prometheus = Ask::Prometheus {
        url: "https://prom:9090/?s3cret".to_owned(),
        query: "up\n== 1".to_owned(),
        headers: BTreeMap::from([("Authorization".to_owned(), secret())]),
        value: Comparison::Above(0.0),
    };
    for (ask, from, text) in [
        (http("http://gateway:8080/healthz"), Some("client"), "http http://gateway:8080/healthz from client"),
        (http("http://gateway/healthz?key=s3cret"), None, "http http://gateway/healthz?…"),
        (http("http://u:s3cret@gateway/"), None, "http"),
        (Ask::Tcp("a:1".to_owned()), None, "tcp a:1"),
        (Ask::Dns { name: "a".to_owned(), server: None }, None, "dns a"),
        (Ask::Dns { name: "a".to_owned(), server: Some("10.0.0.1".to_owned()) }, None, "dns a of 10.0.0.1"),
        (command("./leader.sh\nmore", None), Some("db"), "command ./leader.sh from db"),
        (prometheus, None, "prometheus up at https://prom:9090/?…"),
        (Ask::Redis { at: "redis:6379".to_owned(), password: Some(secret()) }, None, "redis redis:6379"),
        (Ask::Postgresql { at: "db:5432".to_owned() }, None, "postgresql db:5432"),
        (Ask::Nats { at: "nats:4222".to_owned() }, None, "nats nats:4222"),
    ] {
        let from = from.map(str::to_owned);
        let probe = Probe { ask, from, every: Duration::from_secs(1), timeout: Duration::from_secs(1) };
        assert_eq!(describe(&probe), text);
    }
}
