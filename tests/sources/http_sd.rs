//! Prometheus' format from a server, and what any server can answer instead.

use std::process::Command;

use harness::text;

use crate::fleet::{refused, show, shown};
use crate::server::{Server, answer};

const TARGETS: &str = r#"[{"targets": ["10.0.0.1:9100", "localhost:9100"], "labels": {"region": "eu"}}]"#;

#[test]
fn targets_are_hosts() {
    let server = Server::json(TARGETS);
    let fleet = shown(&format!("http_sd:http://127.0.0.1:{}/targets?team=a%20b", server.port));
    let lines = fleet.lines();
    assert_eq!(lines[0], "10.0.0.1 http://10.0.0.1:7433 10.0.0.1 region=eu");
    // What the system has for it, which is one address or two.
    assert!(lines[1].starts_with("localhost http://") && lines[1].ends_with(" region=eu"), "{lines:?}");
    let request = server.only_request();
    assert!(request.starts_with("GET /targets?team=a%20b HTTP/1.1\r\n"), "{request}");
    let headers = request.to_ascii_lowercase();
    for header in [format!("host: 127.0.0.1:{}", server.port), "accept: application/json".to_owned()] {
        assert!(headers.contains(&header), "{request}");
    }
}

#[test]
fn in_a_fleet_file_they_come_to_its_own_hosts() {
    let server = Server::json(TARGETS);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fleet.toml");
    let from = format!("http_sd:http://127.0.0.1:{}/", server.port);
    std::fs::write(
        &path,
        format!("port = 7000\nfrom = '{from}'\n[hosts.a]\naddress = '10.0.0.2'\n[groups]\nall = 'a,@eu'\n"),
    )
    .unwrap();
    let fleet = shown(&path.display().to_string());
    assert_eq!(fleet.lines()[0], "10.0.0.1 http://10.0.0.1:7000 10.0.0.1 region=eu");
    assert_eq!(fleet.groups["all"], ["10.0.0.1", "a", "localhost"]);
}

#[test]
fn what_is_no_answer_is_told_with_its_reason() {
    let moved = "HTTP/1.1 302 Found\r\nLocation: https://elsewhere/targets\r\nContent-Length: 0\r\n\r\n";
    let long = format!("HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\n\r\n{}", " ".repeat(17 * 1024 * 1024));
    for (answer, reason) in [
        (answer("403 Forbidden", "not you\nnor anybody"), "it answers 403 Forbidden: not you\n"),
        (answer("200 OK", "<html>"), "these are no targets of Prometheus: expected value at line 1 column 1"),
        (answer("200 OK", "[]"), "hosts: a fleet without hosts"),
        (moved.to_owned(), "it answers 302 Found and sends to https://elsewhere/targets: name that instead"),
        (long, "it is longer than 16 MiB"),
        ("SSH-2.0-OpenSSH_9.2\r\n".to_owned(), "no answer of HTTP"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n[".to_owned(), "its answer breaks off"),
    ] {
        let server = Server::start(answer, None);
        let source = format!("http_sd:http://127.0.0.1:{}/", server.port);
        let error = refused(&show(&source).output().unwrap());
        assert!(error.contains(&source) && error.contains(reason), "{reason}: {error}");
    }
    // Its port is free again.
    let port = Server::json("[]").port;
    let error = refused(&show(&format!("http_sd:http://127.0.0.1:{port}/")).output().unwrap());
    assert!(error.contains("no answer: Connection refused"), "{error}");
}

#[test]
fn a_proxy_of_the_environment_is_not_asked() {
    let server = Server::json(TARGETS);
    let source = format!("http_sd:http://127.0.0.1:{}/", server.port);
    let proxy = [("http_proxy", "http://127.0.0.1:1"), ("ALL_PROXY", "http://127.0.0.1:1")];
    assert!(show(&source).envs(proxy).output().unwrap().status.success());
}

/// A server that does not answer is given up, by the program itself.
#[test]
fn a_silent_server_is_given_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let source = format!("http_sd:http://{}/", listener.local_addr().unwrap());
    let mut command = Command::new("timeout");
    let program = show(&source);
    command.arg("60").arg(program.get_program()).args(program.get_args());
    let done = command.output().unwrap();
    assert_eq!(done.status.code(), Some(1), "{}", text(&done.stderr));
    assert!(text(&done.stderr).contains("no answer within 10s"), "{}", text(&done.stderr));
}
