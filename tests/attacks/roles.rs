//! A role that is too low, on every route that there is.

use partition_agent_proto::{ProblemCode, Role};
use serde_json::Value;
use tempfile::TempDir;

use crate::tokens::{agent, bearer};
use crate::wire::{LOSS, assert_untouched, problem, request, say, status};

/// By the method: whoever only looks on may `GET`, and nothing else. Who asked for what is for those who may do everything.
fn takes(method: &str, path: &str) -> Role {
    match method {
        "get" if path == "/v1/audit" => Role::Admin,
        "get" => Role::Observe,
        "post" | "put" | "patch" | "delete" => Role::Inject,
        other => panic!("a method that has no role: {other}"),
    }
}

#[test]
fn every_route_of_the_document_takes_its_role() {
    let document = partition_agent_core::api::document();
    let dir = TempDir::new().unwrap();
    let mut seen = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        // A listener's answer has no end.
        for method in item.as_object().unwrap().keys().filter(|_| path != "/v1/events") {
            seen += 1;
            let dir = TempDir::new_in(dir.path()).unwrap();
            let agent = agent(dir.path());
            let path = path.replace("{id}", "cut");
            for (name, role) in [("looks", Role::Observe), ("injects", Role::Inject), ("rules", Role::Admin)]
            {
                // A body that is nonsense to all: only the role is asked for.
                let body = if method == "get" { "" } else { "[]" };
                let answer = say(&agent, request(&method.to_uppercase(), &path, &bearer(name), body));
                if role >= takes(method, &path) {
                    assert!(![401, 403].contains(&status(&answer)), "{name} {method} {path}: {answer}");
                    continue;
                }
                let refused = problem(&answer);
                assert_eq!(refused.code, ProblemCode::Forbidden, "{name} {method} {path}");
                let needed = takes(method, &path);
                assert!(
                    refused
                        .detail
                        .contains(&format!("takes the role {needed}; token {name} from 127.0.0.1:"))
                );
                assert!(refused.hint.unwrap().contains(&format!("`role` is {needed}")));
            }
        }
    }
    assert!(seen >= 14, "{seen}");
}

#[test]
fn who_only_looks_on_injects_and_restores_nothing() {
    let dir = TempDir::new().unwrap();
    let agent = agent(dir.path());
    let answer = say(&agent, request("PUT", "/v1/faults/cut", &bearer("looks"), LOSS));
    assert_eq!(status(&answer), 403);
    // Another spelling of the method, and headers that some servers take for one.
    let override_ = format!("{}x-http-method-override: PUT\r\n", bearer("looks"));
    assert_eq!(status(&say(&agent, request("put", "/v1/faults/cut", &bearer("looks"), LOSS))), 405);
    assert_eq!(status(&say(&agent, request("GET", "/v1/faults", &override_, ""))), 200);
    assert_untouched(&agent, "observe");

    let answer = say(&agent, request("PUT", "/v1/faults/cut", &bearer("injects"), LOSS));
    assert_eq!(status(&answer), 201, "{answer}");
    for path in ["/v1/faults/cut", "/v1/faults"] {
        assert_eq!(status(&say(&agent, request("DELETE", path, &bearer("looks"), ""))), 403);
    }
    let answer = say(&agent, request("GET", "/v1/faults", &bearer("looks"), ""));
    let faults = serde_json::from_str::<Value>(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(faults.as_array().unwrap().len(), 1);
    // Restoring is never harder than injecting.
    assert_eq!(status(&say(&agent, request("DELETE", "/v1/faults", &bearer("injects"), ""))), 200);
}
