//! The API's description: published as it is generated, served as it is published, and true.

use std::collections::BTreeSet;
use std::path::Path;

use partition_agent_core::api;
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;

use crate::client::{Api, LOSS};

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
    assert!(operations.len() >= 12, "{operations:?}");
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
            let url = path.replace("{id}", "cut");
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
                assert_fits(&document, schema, &answer, &format!("{method} {path}"));
            }
        }
    }
}

/// The fields of an answer are those of its schema, at the top level.
fn assert_fits(document: &Value, schema: &Value, answer: &Value, of: &str) {
    if let Some(items) = schema.get("items") {
        for item in answer.as_array().unwrap() {
            assert_fits(document, items, item, of);
        }
        return;
    }
    let reference = schema["$ref"].as_str().unwrap();
    let schema = document.pointer(reference.trim_start_matches('#')).unwrap();
    let names = |object: &Value| object.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let (known, there) = (names(&schema["properties"]), names(answer));
    assert!(there.is_subset(&known), "{of} answers with more than {reference}: {:?}", &there - &known);
    for required in schema["required"].as_array().unwrap() {
        assert!(there.contains(required.as_str().unwrap()), "{of}: {required} of {reference} is not there");
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
