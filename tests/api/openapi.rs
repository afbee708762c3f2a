//! The API's description: published as it is generated, served as it is published, and true.

use std::path::Path;

use partition_agent_core::api;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::client::{Api, LOSS, fault};
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
    assert_eq!(served, serde_json::from_str::<Value>(&generated()).unwrap());
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
    assert!(operations.len() >= 15, "{operations:?}");
    operations
}

/// The response that the document promises for a status, by its number or by its class.
fn promised(operation: &Value, status: u16) -> Option<&Value> {
    let responses = &operation["responses"];
    responses.get(status.to_string()).or_else(|| responses.get(format!("{}XX", status / 100)))
}

#[tokio::test]
async fn every_documented_route_answers_as_documented() {
    let document = serde_json::from_str::<Value>(&generated()).unwrap();
    for (method, path, operation) in operations(&document) {
        // Each on an agent of its own, once with the fault and once without.
        for exists in [false, true] {
            let api = Api::start();
            if exists {
                api.send("PUT", "/v1/faults/cut", LOSS).await.json::<Value>(201);
            }
            let url = path.replace("{id}", "cut").replace("/heard", "/heard?round=7");
            let response =
                api.request(&method.to_uppercase(), &url).body(body(&method, &path)).send().await.unwrap();
            let status = response.status().as_u16();
            let promised = promised(&operation, status).unwrap_or_else(|| {
                panic!("{method} {path} answers {status}, which the document does not know")
            });
            let content_type = response.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
            let media = content_type.split(';').next().unwrap();
            let schema = &promised["content"][media]["schema"];
            assert!(!schema.is_null(), "{method} {path} answers in {media}: {promised}");
            if media.ends_with("json") {
                let answer = serde_json::from_str::<Value>(&response.text().await.unwrap()).unwrap();
                assert_ne!(answer["code"], "no-such-route", "{method} {path}");
                assert_eq!(misfit(&document, schema, &answer), None, "{method} {path}");
            }
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
    let document = serde_json::from_str::<Value>(&generated()).unwrap();
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
    let document = serde_json::from_str::<Value>(&generated()).unwrap();
    let text = generated();
    let references = text.split("\"$ref\": \"#").skip(1).map(|rest| rest.split('"').next().unwrap());
    for reference in references {
        assert!(document.pointer(reference).is_some(), "{reference}");
    }
}
