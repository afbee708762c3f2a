//! Requests that are wrong before anybody looks at a fault: path, method, query, id, size, or no HTTP at all.

use partition_agent_proto::ProblemCode::{Invalid, Malformed, NoSuchMethod, NoSuchRoute, TooLarge};
use partition_agent_proto::{FaultStatus, Problem, State};
use reqwest::header::ALLOW;

use crate::client::{Api, LOSS};

const LIMIT: usize = partition_agent_core::api::BODY_LIMIT;

#[tokio::test]
async fn a_path_or_method_that_is_not_there_is_named() {
    let api = Api::start();
    for (method, path, code) in [
        ("GET", "/v2/faults", NoSuchRoute),
        ("GET", "/v1", NoSuchRoute),
        ("POST", "/v1/faults/", NoSuchRoute),
        ("GET", "/v1/faults/a/b", NoSuchRoute),
        ("GET", "/V1/FAULTS", NoSuchRoute),
        ("PUT", "/v1/faults", NoSuchMethod),
        ("PATCH", "/v1/faults", NoSuchMethod),
        ("POST", "/v1/faults/cut", NoSuchMethod),
        ("DELETE", "/v1/info", NoSuchMethod),
        ("DELETE", "/v1/history", NoSuchMethod),
        ("GET", "/v1/probe", NoSuchMethod),
        ("POST", "/healthz", NoSuchMethod),
        ("BREW", "/v1/faults", NoSuchMethod),
    ] {
        let refused = api.send(method, path, LOSS).await;
        let problem = refused.refused(code, &format!("there is no {method} {path}"));
        assert!(problem.hint.unwrap().contains("/openapi.json"));
        api.assert_untouched(path).await;
    }
}

#[tokio::test]
async fn a_method_that_is_not_there_is_refused_with_those_that_are() {
    let api = Api::start();
    for (path, allowed) in [
        ("/v1/info", "GET,HEAD"),
        ("/v1/faults", "DELETE,GET,HEAD,POST"),
        ("/v1/faults/cut", "DELETE,GET,HEAD,PATCH,PUT"),
        ("/v1/faults/cut/renew", "POST"),
    ] {
        let refused = api.request("OPTIONS", path).send().await.unwrap();
        assert_eq!(refused.status(), 405, "{path}");
        let mut methods = refused.headers()[ALLOW].to_str().unwrap().split(',').collect::<Vec<_>>();
        methods.sort_unstable();
        assert_eq!(methods.join(","), allowed, "{path}");
    }
}

#[tokio::test]
async fn an_id_that_could_climb_out_of_a_path_or_a_log_line_is_refused() {
    let api = Api::start();
    let long = "a".repeat(65);
    let ids =
        [("Cut", "`Cut`"), ("a%2Fb", "`a/b`"), ("%2e%2e%2fx", "`../x`"), (".a", "`.a`"), ("a%0ab", "`a\nb`")];
    let ids = ids.into_iter().chain([("a%20b", "`a b`"), ("%ff", "UTF-8"), (long.as_str(), long.as_str())]);
    for (id, named) in ids {
        for (method, body) in [("GET", ""), ("PUT", LOSS), ("PATCH", r#"{"for":"1m"}"#), ("DELETE", "")] {
            let head = format!("{method} /v1/faults/{id} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n");
            let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
            let answer = api.raw(request.as_bytes()).await;
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("HTTP/1.1 422 "), "{request}: {head}");
            assert!(head.contains("content-type: application/problem+json"), "{request}: {head}");
            let problem = serde_json::from_str::<Problem>(body).unwrap();
            assert_eq!(problem.code, Invalid);
            assert!(problem.detail.contains(named), "{request}: {}", problem.detail);
        }
        api.assert_untouched(id).await;
    }
}

#[tokio::test]
async fn a_query_that_is_not_understood_is_refused() {
    let api = Api::start();
    for (method, path, detail) in [
        ("POST", "/v1/faults?dryrun=true", "unknown field `dryrun`"),
        ("PUT", "/v1/faults/cut?dry_run=true&force=1", "unknown field `force`"),
        ("POST", "/v1/faults?dry_run=yes", "dry_run"),
        ("POST", "/v1/faults?dry_run", "dry_run"),
        ("POST", "/v1/faults?dry_run=true&dry_run=false", "duplicate field `dry_run`"),
        ("GET", "/v1/history?limit=-1", "limit"),
        ("GET", "/v1/history?limit=many", "limit"),
        ("GET", "/v1/history?page=2", "unknown field `page`"),
    ] {
        api.send(method, path, LOSS).await.refused(Invalid, detail);
        api.assert_untouched(path).await;
    }
}

#[tokio::test]
async fn a_query_where_there_is_none_is_refused() {
    let api = Api::start();
    let _: FaultStatus = api.send("PUT", "/v1/faults/cut", LOSS).await.json(201);
    for (method, path, body) in [
        ("PATCH", "/v1/faults/cut?dry_run=true", r#"{"for":"1h"}"#),
        ("DELETE", "/v1/faults/cut?dry_run=true", ""),
        ("DELETE", "/v1/faults?id=other", ""),
        ("GET", "/v1/faults?state=active", ""),
    ] {
        api.send(method, path, body).await.refused(Invalid, "unknown");
    }
    assert_eq!(api.faults().await[0].state, State::Active);
}

#[tokio::test]
async fn a_body_may_have_64_kib_and_no_more() {
    let api = Api::start();
    let padded = |length: usize| format!("{LOSS}{}", " ".repeat(length - LOSS.len()));
    for path in ["/v1/faults/cut", "/v1/faults/cut?dry_run=true"] {
        let problem = api.send("PUT", path, padded(LIMIT + 1)).await.refused(TooLarge, "65536 bytes");
        assert!(problem.hint.is_some());
        api.assert_untouched(path).await;
    }
    let _: FaultStatus = api.send("PUT", "/v1/faults/cut", padded(LIMIT)).await.json(201);
}

#[tokio::test]
async fn a_body_in_chunks_is_measured_too() {
    let api = Api::start();
    let body = " ".repeat(LIMIT + 1);
    let head =
        "POST /v1/faults HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
    let request = format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let answer = api.raw(request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains(r#""code":"too-large""#), "{answer}");
    api.assert_untouched("413").await;
}

#[tokio::test]
async fn bytes_that_are_no_text_are_refused() {
    let api = Api::start();
    api.send("POST", "/v1/faults", &b"\x00\xff\xfe"[..]).await.refused(Malformed, "line 1 column 1");
    let inside = LOSS.as_bytes().split(|byte| *byte == b'1').collect::<Vec<_>>().join(&0xff);
    let reply = api.send("POST", "/v1/faults", inside).await;
    assert!((400..500).contains(&reply.status), "{reply:?}");
    api.assert_untouched("not UTF-8").await;
}

#[tokio::test]
async fn what_is_not_http_harms_nobody() {
    let api = Api::start();
    let nonsense: [&[u8]; 4] = [
        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
        b"\r\n\r\nhello\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9\r\n\r\n",
    ];
    for bytes in nonsense {
        let answer = api.raw(bytes).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{bytes:?}: {answer}");
    }
    api.assert_untouched("no HTTP").await;
}
