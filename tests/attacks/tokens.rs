//! Tokens: none, a wrong one, one from elsewhere.

use std::path::Path;

use harness::fake_agent::{FakeAgent, Options, write_token};
use partition_agent_proto::ProblemCode::{Forbidden, Unauthorized};
use tempfile::TempDir;

use crate::wire::{LOSS, assert_untouched, problem, request, say, status};

const OWN: &str = "the-token-for-all";

/// An agent with a token of each role, one that comes from elsewhere, and the one of `token_file`.
pub fn agent(dir: &Path) -> FakeAgent {
    let mut access = String::new();
    for (name, role, from) in [
        ("looks", "observe", ""),
        ("injects", "inject", "from = ['127.0.0.0/8', '::1']"),
        ("rules", "admin", ""),
        ("elsewhere", "admin", "from = ['192.0.2.0/24', '2001:db8::/32']"),
    ] {
        let file = dir.join(name);
        write_token(&file, &format!("the-token-that-{name}"));
        access.push_str(&format!(
            "[[tokens]]\nname = '{name}'\nfile = '{}'\nrole = '{role}'\n{from}\n",
            file.display()
        ));
    }
    FakeAgent::with(Options { access, token: Some(OWN), ..Options::default() })
}

pub fn bearer(name: &str) -> String {
    format!("authorization: Bearer the-token-that-{name}\r\n")
}

/// What there is and what there is not.
const PATHS: [(&str, &str); 10] = [
    ("GET", "/v1/faults"),
    ("PUT", "/v1/faults/cut"),
    ("DELETE", "/v1/faults"),
    ("GET", "/v1/events"),
    ("GET", "/healthz"),
    ("GET", "/openapi.json"),
    ("GET", "/nothing"),
    ("DELETE", "/v1/info"),
    ("POST", "/"),
    ("OPTIONS", "*"),
];

#[test]
fn without_a_token_nothing_is_told_not_even_what_there_is() {
    let dir = TempDir::new().unwrap();
    let agent = agent(dir.path());
    let told = PATHS.map(|(method, path)| {
        let answer = say(&agent, request(method, path, "", LOSS));
        assert_eq!(problem(&answer).code, Unauthorized, "{method} {path}");
        assert!(answer.contains("\r\nwww-authenticate: Bearer\r\n"), "{answer}");
        // But for the time of day, one answer is like the other.
        answer.lines().filter(|line| !line.starts_with("date: ")).collect::<Vec<_>>().join("\n")
    });
    assert!(told.iter().all(|other| *other == told[0]), "{told:?}");
    assert_untouched(&agent, "no token");
}

#[test]
fn without_a_token_nothing_is_told_about_the_site_or_the_form_either() {
    let dir = TempDir::new().unwrap();
    let agent = agent(dir.path());
    for head in [
        "",
        "host: evil.example\r\n",
        "host: 127.0.0.1\r\nhost: evil.example\r\n",
        "host: 127.0.0.1\r\norigin: http://evil.example\r\n",
        "host: 127.0.0.1\r\nsec-fetch-site: cross-site\r\n",
        "host: 127.0.0.1\r\ncontent-type: text/plain\r\n",
    ] {
        let length = LOSS.len();
        let answer = say(
            &agent,
            format!(
                "PUT /v1/faults/cut HTTP/1.1\r\n{head}connection: close\r\ncontent-length: {length}\r\n\r\n{LOSS}"
            ),
        );
        assert_eq!(problem(&answer).code, Unauthorized, "{head:?}: {answer}");
    }
    assert_untouched(&agent, "no token");
}

#[test]
fn who_is_known_and_comes_from_a_wrong_place_is_written_down_by_name() {
    let dir = TempDir::new().unwrap();
    let agent = agent(dir.path());
    let own = bearer("injects");
    for (headers, told) in [
        (bearer("elsewhere"), "token elsewhere from 127.0.0.1:"),
        (format!("{own}origin: http://evil.example\r\n"), "token injects from 127.0.0.1:"),
        (format!("{own}sec-fetch-site: cross-site\r\n"), "token injects from 127.0.0.1:"),
    ] {
        assert_eq!(status(&say(&agent, request("PUT", "/v1/faults/cut", &headers, LOSS))), 403, "{headers}");
        let newest = say(&agent, request("GET", "/v1/audit?limit=1", &bearer("rules"), ""));
        assert!(
            newest.contains(&format!(r#""by":"{told}"#)) && newest.contains(r#""status":403"#),
            "{newest}"
        );
    }
    // Strangers have their lines elsewhere: as many as they like push none of these out.
    for _ in 0..100 {
        assert_eq!(status(&say(&agent, request("PUT", "/v1/faults/cut", "", LOSS))), 401);
    }
    assert_eq!(status(&say(&agent, request("PUT", "/v1/faults/cut", &bearer("elsewhere"), LOSS))), 403);
    let newest = say(&agent, request("GET", "/v1/audit?limit=10", &bearer("rules"), ""));
    assert!(newest.contains("token elsewhere from"), "{newest}");
    assert_untouched(&agent, "wrong places");
}

#[test]
fn a_wrong_token() {
    let dir = TempDir::new().unwrap();
    let agent = agent(dir.path());
    for value in [
        "Bearer the-token-for-al",
        "Bearer the-token-for-alll",
        "Bearer THE-TOKEN-FOR-ALL",
        "Bearer the-token-for-all,the-token-that-rules",
        "Basic the-token-for-all",
        "the-token-for-all",
        "Bearer",
        "",
    ] {
        let answer =
            say(&agent, request("PUT", "/v1/faults/cut", &format!("authorization: {value}\r\n"), LOSS));
        let refused = problem(&answer);
        assert_eq!(refused.code, Unauthorized, "{value}");
        assert!(!answer.contains(OWN), "{answer}");
    }
    // Which of two counts would be a matter of who reads them.
    let two = format!("{}authorization: Bearer nonsense\r\n", bearer("rules"));
    let answer = say(&agent, request("PUT", "/v1/faults/cut", &two, LOSS));
    assert!(problem(&answer).detail.contains("more than one Authorization"));
    assert_untouched(&agent, "wrong tokens");
}

#[test]
fn a_token_in_the_query_or_the_body_is_none() {
    let dir = TempDir::new().unwrap();
    let agent = agent(dir.path());
    for path in [format!("/v1/faults?token={OWN}"), format!("/v1/faults?access_token={OWN}")] {
        assert_eq!(status(&say(&agent, request("GET", &path, "", ""))), 401);
    }
}

#[test]
fn a_token_from_another_network() {
    let dir = TempDir::new().unwrap();
    let agent = agent(dir.path());
    let answer = say(&agent, request("PUT", "/v1/faults/cut", &bearer("elsewhere"), LOSS));
    let refused = problem(&answer);
    assert_eq!(refused.code, Forbidden);
    assert!(refused.detail.contains("the token elsewhere is not to be used from 127.0.0.1"), "{refused}");
    assert!(!answer.contains("192.0.2") && !answer.contains("2001:db8"), "{answer}");
    assert_untouched(&agent, "another network");
    assert_eq!(status(&say(&agent, request("GET", "/v1/faults", &bearer("injects"), ""))), 200);
}

#[test]
fn whoever_injects_is_written_down_by_the_name_of_the_token() {
    let dir = TempDir::new().unwrap();
    let agent = agent(dir.path());
    let answer = say(&agent, request("PUT", "/v1/faults/cut", &bearer("injects"), LOSS));
    assert_eq!(status(&answer), 201, "{answer}");
    assert!(answer.contains(r#""by":"token injects from 127.0.0.1:"#), "{answer}");
    assert!(!answer.contains("the-token-that"), "{answer}");
}
