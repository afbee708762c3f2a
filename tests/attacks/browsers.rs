//! A web page in a browser on this host, or in this network: on an agent that takes no token, which is the worst case.

use std::io::Write;

use harness::fake_agent::{FakeAgent, Options};
use partition_agent_proto::ProblemCode::{Forbidden, Malformed, NotJson};

use crate::wire::{LOSS, assert_untouched, problem, read_to_end, request, say, status, unix};

#[test]
fn a_post_of_another_site() {
    let agent = FakeAgent::start();
    for origin in ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1.evil.example"] {
        let answer = say(&agent, request("POST", "/v1/faults", &format!("origin: {origin}\r\n"), LOSS));
        let refused = problem(&answer);
        assert_eq!(refused.code, Forbidden, "{origin}");
        assert!(refused.detail.contains(&format!("another site, `{origin}`")), "{refused}");
    }
    assert_untouched(&agent, "origins");
    assert_eq!(status(&say(&agent, request("GET", "/v1/faults", "origin: http://127.0.0.1\r\n", ""))), 200);
}

#[test]
fn a_request_that_the_browser_says_another_site_has_made() {
    let agent = FakeAgent::start();
    for site in ["cross-site", "same-site", "something-new"] {
        for (method, path) in [("POST", "/v1/faults"), ("GET", "/v1/faults"), ("DELETE", "/v1/faults")] {
            let answer = say(&agent, request(method, path, &format!("sec-fetch-site: {site}\r\n"), LOSS));
            assert_eq!(problem(&answer).code, Forbidden, "{site} {method}");
        }
    }
    assert_untouched(&agent, "sec-fetch-site");
}

fn with_host(agent: &FakeAgent, host: &str) -> String {
    say(agent, format!("GET /v1/clock HTTP/1.1\r\n{host}connection: close\r\n\r\n"))
}

#[test]
fn a_name_that_somebody_else_has_pointed_here() {
    let access = "insecure_loopback = true\nhosts = ['agent.example']\n".to_owned();
    let agent = FakeAgent::with(Options { access, ..Options::default() });
    let own = nix::sys::utsname::uname().unwrap().nodename().to_str().unwrap().to_owned();
    let at = agent.tcp;
    for host in [
        at.to_string(),
        "localhost".to_owned(),
        "[::1]:7433".to_owned(),
        own,
        "AGENT.example:7433".to_owned(),
    ] {
        assert_eq!(status(&with_host(&agent, &format!("host: {host}\r\n"))), 200, "{host}");
    }
    for host in
        ["evil.example", "evil.example:7433", "agent.example.evil.example", "127.1", "localhost.evil.example"]
    {
        let refused = problem(&with_host(&agent, &format!("host: {host}\r\n")));
        assert_eq!(refused.code, Forbidden, "{host}");
        assert!(refused.hint.unwrap().contains("`hosts`"), "{host}");
    }
}

#[test]
fn no_host_two_hosts_or_a_target_that_says_otherwise() {
    let agent = FakeAgent::start();
    for hosts in ["", "host: 127.0.0.1\r\nhost: 127.0.0.1\r\n", "host: 127.0.0.1\r\nhost: evil.example\r\n"] {
        assert_eq!(problem(&with_host(&agent, hosts)).code, Malformed, "{hosts:?}");
    }
    let answer = say(
        &agent,
        "GET http://evil.example/v1/clock HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n",
    );
    assert_eq!(problem(&answer).code, Malformed);
    assert!(say(&agent, "GET /v1/clock HTTP/1.0\r\n\r\n").starts_with("HTTP/1.0 400 "));
}

#[test]
fn a_form_that_a_page_may_post_without_asking() {
    let agent = FakeAgent::start();
    for media in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain; application/json",
    ] {
        let length = LOSS.len();
        let head = "POST /v1/faults HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n";
        let answer =
            say(&agent, format!("{head}content-type: {media}\r\ncontent-length: {length}\r\n\r\n{LOSS}"));
        assert_eq!(problem(&answer).code, NotJson, "{media}");
    }
    let head = "POST /v1/faults HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n";
    let answer = say(&agent, format!("{head}content-length: {}\r\n\r\n{LOSS}", LOSS.len()));
    assert_eq!(problem(&answer).code, NotJson, "no media type");
    assert_untouched(&agent, "forms");
}

#[test]
fn a_preflight_is_answered_by_no_leave() {
    let agent = FakeAgent::start();
    let asked = "access-control-request-method: PUT\r\naccess-control-request-headers: content-type\r\n";
    for origin in ["", "origin: http://127.0.0.1\r\n", "origin: http://evil.example\r\n"] {
        let answer = say(&agent, request("OPTIONS", "/v1/faults/cut", &format!("{origin}{asked}"), ""));
        assert!([403, 405].contains(&status(&answer)), "{answer}");
        assert!(!answer.to_ascii_lowercase().contains("access-control-allow"), "{answer}");
    }
}

#[test]
fn over_the_unix_socket_any_host_will_do_and_another_site_will_not() {
    let agent = FakeAgent::start();
    let ask = |headers: &str| {
        let mut stream = unix(&agent);
        stream
            .write_all(format!("GET /v1/clock HTTP/1.1\r\n{headers}connection: close\r\n\r\n").as_bytes())
            .unwrap();
        status(&read_to_end(stream))
    };
    assert_eq!(ask("host: whatever.example\r\n"), 200);
    assert_eq!(ask("host: proxy.example\r\norigin: http://evil.example\r\n"), 403);
    assert_eq!(ask("host: proxy.example\r\nsec-fetch-site: cross-site\r\n"), 403);
    assert_eq!(ask(""), 400);
}
