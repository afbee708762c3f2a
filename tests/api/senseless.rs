//! Faults that make no sense. Each is refused for its own reason, and the kernel never hears of it.

use partition_agent_proto::ProblemCode::{self, Invalid, Malformed, UnknownName};
use partition_agent_proto::{FaultStatus, KEEP_HEADER};
use reqwest::header::HeaderValue;

use crate::client::{Api, LOSS, Reply};

/// Under a given id or a made-up one, for real or not: the refusal is the same.
async fn assert_refused<const N: usize>(cases: [(String, ProblemCode, &str); N]) {
    let api = Api::start();
    for (body, code, detail) in cases {
        for (method, path) in
            [("POST", "/v1/faults"), ("PUT", "/v1/faults/cut"), ("POST", "/v1/faults?dry_run=true")]
        {
            let reply = api.send(method, path, body.clone()).await;
            assert!((400..500).contains(&reply.status), "{body}: {reply:?}");
            reply.refused(code, detail);
            api.assert_untouched(&body).await;
        }
    }
}

fn with_kinds(kinds: &str) -> String {
    format!(r#"{{"kinds":{kinds},"target":{{"peers":["10.0.0.5"]}}}}"#)
}

fn with_percent(percent: &str) -> String {
    with_kinds(&format!(r#"[{{"loss":{{"percent":{percent}}}}}]"#))
}

fn with_target(target: &str) -> String {
    format!(r#"{{"kinds":[{{"loss":{{"percent":1}}}}],"target":{target}}}"#)
}

/// A good fault and one thing more.
fn with(more: &str) -> String {
    LOSS.replace("]}}", &format!("]}},{more}}}"))
}

#[tokio::test]
async fn unknown_fields_are_refused_at_every_level() {
    assert_refused([
        (with(r#""hostnames":["a"]"#), Invalid, "unknown field `hostnames`"),
        (with_kinds(r#"[{"loss":{"percent":1,"burst":2}}]"#), Invalid, "unknown field `burst`"),
        (with_kinds(r#"[{"delay":{"latency":"1ms","rate":1}}]"#), Invalid, "unknown field `rate`"),
        (with_kinds(r#"[{"teleport":{}}]"#), Invalid, "unknown variant `teleport`"),
        (with_target(r#"{"peer":["a"]}"#), Invalid, "unknown field `peer`"),
    ])
    .await;
}

#[tokio::test]
async fn a_percentage_is_a_number_from_0_0001_to_100() {
    assert_refused([
        (with_percent("0"), Invalid, "0% is not a share of packets"),
        (with_percent("101"), Invalid, "101% is not a share of packets"),
        (with_percent("-1"), Invalid, "-1% is not a share of packets"),
        (with_percent("0.00001"), Invalid, "0.00001% is not a share of packets"),
        (with_percent("NaN"), Malformed, "line 1 column 30"),
        (with_percent("Infinity"), Malformed, "line 1 column 30"),
        (with_percent("1e999"), Malformed, "number out of range at line 1"),
        (with_percent(r#""30%""#), Invalid, r#"string "30%""#),
        (with_percent("null"), Invalid, "null"),
        (with_percent("[30]"), Invalid, "sequence"),
        (with_kinds(r#"[{"loss":{}}]"#), Invalid, "`percent`"),
    ])
    .await;
}

#[tokio::test]
async fn a_time_is_positive_finite_and_has_a_unit() {
    assert_refused([
        (with(r#""for":"-5s""#), Invalid, "`-5s` is not a length of time"),
        (with(r#""for":"0s""#), Invalid, "0s is out of range"),
        (with(r#""for":"31d""#), Invalid, "is out of range"),
        (with(r#""for":"99999999999999999999s""#), Invalid, "`99999999999999999999s`"),
        (with(r#""for":"18446744073709551615y""#), Invalid, "`18446744073709551615y`"),
        (with(r#""for":"5""#), Invalid, "`5` is not a length of time"),
        (with(r#""for":"""#), Invalid, "`` is not a length of time"),
        (with(r#""for":60"#), Invalid, "integer `60`"),
        (with(r#""for":null"#), Invalid, "null"),
        (with_kinds(r#"[{"delay":{"latency":"0ms"}}]"#), Invalid, "0s is out of range"),
        (with_kinds(r#"[{"delay":{"latency":"-1ms"}}]"#), Invalid, "`-1ms`"),
        (with_kinds(r#"[{"delay":{"latency":"61s"}}]"#), Invalid, "a latency of 1m1s is too long"),
        (with_kinds(r#"[{"delay":{"latency":"1ms","jitter":"2ms"}}]"#), Invalid, "a jitter of 2ms"),
    ])
    .await;
}

#[tokio::test]
async fn a_target_is_neither_empty_nor_contradictory() {
    assert_refused([
        (with_target("{}"), Invalid, "an empty target"),
        (with_target(r#"{"peers":[],"ports":[],"all_traffic":false}"#), Invalid, "an empty target"),
        (with_target(r#"{"except":["10.0.0.5"]}"#), Invalid, "an empty target"),
        (with_target(r#"{"all_traffic":true,"peers":["10.0.0.5"]}"#), Invalid, "all traffic and a peer"),
        (with_target(r#"{"all_traffic":true,"ports":[80]}"#), Invalid, "all traffic and a port"),
        (with_target(r#"{"ports":[0]}"#), Invalid, "0 is not a port"),
        (with_target(r#"{"ports":[65536]}"#), Invalid, "65536"),
        (with_target(r#"{"ports":[-1]}"#), Invalid, "-1"),
        (with_target(r#"{"peers":"10.0.0.5"}"#), Invalid, r#"string "10.0.0.5""#),
        (with_target(r#"{"peers":[""]}"#), Invalid, "an empty peer"),
        (with_target(r#"{"peers":["10.0.0.0/33"]}"#), Invalid, "`10.0.0.0/33`"),
        (with_target(r#"{"peers":["10.0.0.300"]}"#), Invalid, "`10.0.0.300`"),
        (with_target(r#"{"peers":["10.0.0.5:0"]}"#), Invalid, "`10.0.0.5:0` ends in no port"),
        (with_target(r#"{"peers":["10.0.0.5"],"except":["a b"]}"#), Invalid, "`a b`"),
        (with_target("null"), Invalid, "null"),
    ])
    .await;
}

#[tokio::test]
async fn a_name_that_stands_for_nothing_lists_what_was_tried() {
    assert_refused([
        (with_target(r#"{"peers":["no-such-host.invalid"]}"#), UnknownName, "`no-such-host.invalid`"),
        (with_target(r#"{"peers":["redis","no-such-host.invalid:80"]}"#), UnknownName, "which has redis"),
        (
            with_target(r#"{"all_traffic":true,"except":["no-such-host.invalid"]}"#),
            UnknownName,
            "/etc/hosts, DNS",
        ),
    ])
    .await;
}

#[tokio::test]
async fn something_must_be_asked_for_once_and_of_what_there_is() {
    assert_refused([
        (with_kinds("[]"), Invalid, "nothing to do"),
        (with_kinds(r#"[{"loss":{"percent":1}},{"loss":{"percent":2}}]"#), Invalid, "at most once"),
        (with_kinds(r#"["loss"]"#), Invalid, "variant"),
        (with_kinds("{}"), Invalid, "expected a sequence"),
        (r#"{"target":{"peers":["10.0.0.5"]}}"#.to_owned(), Invalid, "missing field `kinds`"),
        (r#"{"kinds":[{"loss":{"percent":1}}]}"#.to_owned(), Invalid, "missing field `target`"),
        (with(r#""direction":"sideways""#), Invalid, "unknown variant `sideways`"),
        (with(r#""for":"1m","for":"2m""#), Invalid, "duplicate field `for`"),
        (with(r#""interface":"""#), Invalid, "`` cannot be an interface"),
        (with(r#""interface":"a/b""#), Invalid, "`a/b` cannot be an interface"),
        (with(r#""interface":"sixteen-bytes-xx""#), Invalid, "`sixteen-bytes-xx` cannot be an interface"),
    ])
    .await;
}

#[tokio::test]
async fn a_body_that_is_no_json_is_told_where_it_breaks() {
    assert_refused([
        (String::new(), Malformed, "EOF while parsing a value at line 1 column 0"),
        ("loss".to_owned(), Malformed, "line 1 column 1"),
        (r#"{"kinds":"#.to_owned(), Malformed, "EOF while parsing"),
        (format!("{LOSS}{LOSS}"), Malformed, "trailing characters"),
        (LOSS.replace('"', "'"), Malformed, "line 1 column 2"),
        ("[".repeat(60_000), Malformed, "line 1 column"),
        ("null".to_owned(), Invalid, "null"),
    ])
    .await;
}

#[tokio::test]
async fn a_change_that_makes_no_sense_leaves_the_deadline_alone() {
    let api = Api::start();
    let before: FaultStatus = api.send("PUT", "/v1/faults/cut", LOSS).await.json(201);
    for (body, code, detail) in [
        (r#"{"for":"-5s"}"#, Invalid, "`-5s`"),
        (r#"{"for":"0s"}"#, Invalid, "0s is out of range"),
        (r#"{"for":"1m","by":"me"}"#, Invalid, "unknown field `by`"),
        (r#"{}"#, Invalid, "missing field `for`"),
        (r#"{"for":60}"#, Invalid, "integer `60`"),
        ("", Malformed, "EOF"),
    ] {
        api.send("PATCH", "/v1/faults/cut", body).await.refused(code, detail);
        let after: FaultStatus = api.get("/v1/faults/cut").await.json(200);
        assert!(after.remaining_ms <= before.remaining_ms, "{body}");
    }
    assert_eq!(api.agent.world().timeouts[&1], before.spec.duration.duration());
}

#[tokio::test]
async fn a_connection_to_keep_is_in_the_format_of_ssh() {
    let api = Api::start();
    let words = ["nonsense", "192.0.2.7 1 192.0.2.1", "192.0.2.7 99999 192.0.2.1 22", "a 1 b 2"];
    let values = words.into_iter().map(HeaderValue::from_static);
    for value in values.chain([HeaderValue::from_bytes(b"\xff").unwrap()]) {
        let request = api.request("PUT", "/v1/faults/cut").header(KEEP_HEADER, value.clone()).body(LOSS);
        Reply::to(request).await.refused(Invalid, KEEP_HEADER);
        api.assert_untouched(&format!("{value:?}")).await;
    }
}

#[tokio::test]
async fn a_fault_without_field_names_is_refused() {
    assert_refused([
        (r#"[[{"loss":{"percent":30}}],{"peers":["10.0.0.5"]}]"#.to_owned(), Invalid, "list where an object"),
        (with_target(r#"[["10.0.0.5"]]"#), Invalid, "list where an object"),
        (with_kinds(r#"[{"loss":[30]}]"#), Invalid, "list where an object"),
    ])
    .await;
}
