//! The API's description: published as it is generated, served as it is published, and true.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use partition_agent_core::api;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::client::{Api, LOSS, Reply, fault};
use crate::kinds::SHAPED;
use crate::schema::misfit;

fn generated() -> String {
    serde_json::to_string_pretty(&api::document()).unwrap() + "\n"
}

#[test]
fn the_published_document_is_the_generated_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/openapi.json");
    if std::env::var_os("UPDATE_OPENAPI").is_some_and(|value| value == "1") {
        std::fs::write(&path, generated()).unwrap();
    }
    let published = std::fs::read_to_string(&path).unwrap();
    assert!(
        published == generated(),
        "proto/openapi.json is out of date: UPDATE_OPENAPI=1 cargo test -p partition-agent-tests --test api openapi"
    );
}

#[tokio::test]
async fn the_agent_serves_the_published_document() {
    let served: Value = Api::start().get("/openapi.json").await.json(200);
    assert_eq!(served, api::document());
}

/// A body that makes sense to a route.
fn body(method: &str, path: &str) -> &'static str {
    match (method, path) {
        ("post", "/v1/faults") | ("put", _) => LOSS,
        ("patch", _) => r#"{"for":"1m"}"#,
        ("post", "/v1/probe") => r#"{"to":"127.0.0.1:1"}"#,
        ("post", "/v1/reach") => {
            r#"{"round":7,"from":1,"count":1,"targets":[{"to":2,"address":"127.0.0.1","port":1,"how":"tcp"}]}"#
        }
        _ => "",
    }
}

/// Every operation of the document.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            operations.push((method.clone(), path.clone(), operation.clone()));
        }
    }
    assert!(operations.len() >= 21, "{operations:?}");
    operations
}

/// Where the document knows the operation: that it knows the status, too, its media type, and what is in the body.
pub fn assert_promised(method: &str, path: &str, reply: &Reply) {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(api::document);
    let matches = |template: &str| {
        let mut parts = template.split('/').zip(path.split('/'));
        template.split('/').count() == path.split('/').count()
            && parts.all(|(known, part)| known == part || known.starts_with('{'))
    };
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let operation =
        paths.iter().find(|(template, _)| matches(template)).and_then(|(_, item)| item.get(method));
    let Some(operation) = operation else { return };
    let promised = operation["responses"].get(reply.status.to_string());
    let promised =
        promised.unwrap_or_else(|| panic!("the document does not know this of {method} {path}: {reply:?}"));
    let media = reply.content_type.split(';').next().unwrap();
    let schema = &promised["content"][media]["schema"];
    assert!(!schema.is_null(), "{method} {path} answers in {media}: {promised}");
    if media.ends_with("json") {
        let answer = serde_json::from_str(&reply.body).unwrap();
        assert_eq!(misfit(&DOCUMENT, schema, &answer), None, "{method} {path}: {answer}");
    }
}

#[tokio::test]
async fn every_documented_route_answers_as_documented() {
    for (method, path, _) in operations(&api::document()) {
        // An answer without an end: only its head can be looked at.
        if path == "/v1/events" {
            let api = Api::start();
            let response = api.request("GET", &path).send().await.unwrap();
            let content_type = response.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
            let head = Reply { status: response.status().as_u16(), content_type, body: String::new() };
            assert_promised(&method, &path, &head);
            continue;
        }
        // Each on an agent of its own, once with the fault and once without.
        for exists in [false, true] {
            let api = Api::start();
            if exists {
                api.send("PUT", "/v1/faults/cut", LOSS).await.json::<Value>(201);
            }
            let url = path.replace("{id}", "cut").replace("/heard", "/heard?round=7");
            let reply = api.send(&method.to_uppercase(), &url, body(&method, &path)).await;
            assert!(!reply.body.contains(r#""code":"no-such-"#), "{method} {path}: {reply:?}");
        }
    }
}

#[test]
fn every_operation_has_a_name_of_its_own_and_says_what_its_answers_are() {
    let mut names = BTreeSet::new();
    for (method, path, operation) in operations(&api::document()) {
        let name = operation["operationId"].as_str().unwrap().to_owned();
        assert!(names.insert(name), "{method} {path}");
        for (status, response) in operation["responses"].as_object().unwrap() {
            assert!(status.parse::<u16>().is_ok(), "{method} {path}: {status}");
            assert!(!response["description"].as_str().unwrap().is_empty(), "{method} {path}: {status}");
        }
    }
}

/// Faults with everything that there is to ask for.
fn examples() -> Vec<String> {
    let of = |kinds: &str| fault(kinds, "");
    let more = |more: &str| fault(r#"{"loss":{"percent":0.5}}"#, more);
    let to = |target: &str| format!(r#"{{"kinds":[{{"loss":{{"percent":100}}}}],"target":{target}}}"#);
    let mut examples = SHAPED.map(|(kinds, _)| of(kinds)).to_vec();
    let rejects = ["tcp_reset", "port_unreachable", "host_unreachable", "admin_prohibited"];
    examples.extend(rejects.map(|with| of(&format!(r#"{{"reject":{{"with":"{with}"}}}}"#))));
    let answers = [r#""nxdomain""#, r#""servfail""#, r#""timeout""#, r#"{"delay":{"latency":"2s"}}"#];
    examples
        .extend(answers.map(|answer| of(&format!(r#"{{"dns":{{"names":["*.a.b"],"answer":{answer}}}}}"#))));
    examples.extend(["auto", "netem", "emulator"].map(|engine| more(&format!(r#","engine":"{engine}""#))));
    examples.extend(["egress", "ingress", "both"].map(|way| more(&format!(r#","direction":"{way}""#))));
    examples.extend([
        of(r#"{"reset":{}}"#),
        of(r#"{"delay":{"latency":"9ms","jitter":"1ms","distribution":"pareto"}}"#),
        more(r#","ingress_kinds":[{"rate":{"rate":"1mbit"}}]"#),
        more(r#","scope":"host""#),
        more(r#","scope":{"user":"nobody"}"#),
        more(r#","interface":"eth0","start_in":"1h","flap":{"on":"30s","off":"10s"},"for":"10m""#),
        more(r#","ramp":{"over":"30s","from":[{"loss":{"percent":0.1}}]}"#),
        to(r#"{"all_traffic":true,"except":["10.0.0.9:22"]}"#),
        to(r#"{"peers":["redis","10.0.0.0/24:80-90"],"protocol":"tcp","state":"new","flows":30}"#),
        to(r#"{"ports":[80,"6000-6010"],"protocol":"sctp"}"#),
        to(r#"{"local_ports":[80,"6000-6010"],"protocol":"udp"}"#),
        to(r#"{"peers":["10.0.0.5"],"protocol":"icmp"}"#),
    ]);
    examples
}

#[tokio::test]
async fn what_the_api_takes_and_answers_fits_the_document() {
    let document = api::document();
    let named = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    let api = Api::start();
    for (nth, example) in examples().into_iter().enumerate() {
        let asked = serde_json::from_str::<Value>(&example).unwrap();
        assert_eq!(misfit(&document, &named("FaultSpec"), &asked), None, "{example}");
        let path = format!("/v1/faults/f{nth}");
        let _: Value = api.send("PUT", &path, example.clone()).await.json(201);
        let answer: Value = api.get(&path).await.json(200);
        assert_eq!(misfit(&document, &named("FaultStatus"), &answer), None, "{example}");
        let ended: Value = api.delete(&path).await.json(200);
        assert_eq!(misfit(&document, &named("FaultStatus"), &ended), None, "{example}");
    }
    for over in api.get("/v1/history?limit=1000").await.json::<Vec<Value>>(200) {
        assert_eq!(misfit(&document, &named("History"), &over), None, "{over}");
    }
}

#[test]
fn the_document_knows_every_reference_that_it_makes() {
    let (document, text) = (api::document(), generated());
    let references = text.split("\"$ref\": \"#").skip(1).map(|rest| rest.split('"').next().unwrap());
    for reference in references {
        assert!(document.pointer(reference).is_some(), "{reference}");
    }
}
