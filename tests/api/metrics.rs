//! `/metrics`: what is counted of requests and of faults, and that its reference says so.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use harness::exposition::{Family, families, value};
use harness::fake_agent::Options;
use partition_agent_proto::{FaultStatus, Hits, Problem};
use serde_json::Value;

use crate::client::{Api, BOTH, LOSS, Reply, fault};

async fn page(api: &Api) -> String {
    let reply = api.get("/metrics").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.content_type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    reply.body
}

#[tokio::test]
async fn faults_are_counted_by_state_and_kind() {
    let api = Api::start();
    api.put("both", BOTH).await;
    api.put("leased", fault(r#"{"loss":{"percent":1}}"#, r#","lease":"30s""#)).await;
    api.put("later", fault(r#"{"loss":{"percent":1}}"#, r#","start_in":"1h""#)).await;
    let _: FaultStatus = api.send("PUT", "/v1/faults/ready?prepare=1m", LOSS).await.json(201);
    let _: FaultStatus = api.send("POST", "/v1/faults/leased/renew", "").await.json(200);
    let _: FaultStatus = api.send("POST", "/v1/faults?dry_run=true", LOSS).await.json(200);
    let page = page(&api).await;
    for (series, expected) in [
        (r#"partition_agent_faults{state="active"}"#, 2.0),
        (r#"partition_agent_faults{state="waiting"}"#, 1.0),
        (r#"partition_agent_faults{state="prepared"}"#, 1.0),
        (r#"partition_agent_active_faults{kind="loss"}"#, 2.0),
        (r#"partition_agent_active_faults{kind="latency"}"#, 1.0),
        ("partition_agent_leases", 1.0),
        ("partition_agent_lease_renewals_total", 1.0),
        // The dry run is none.
        ("partition_agent_inject_duration_seconds_count", 4.0),
    ] {
        assert_eq!(value(&page, series), expected, "{series}");
    }
    // By the API's own word on how long they last.
    let now = partition_agent_core::clock::unix().as_secs_f64();
    let deadline = value(&page, r#"partition_agent_fault_deadline_timestamp_seconds{id="leased"}"#);
    assert!((deadline - now - 30.0).abs() < 20.0, "{deadline} at {now}");
    let start = value(&page, r#"partition_agent_fault_start_timestamp_seconds{id="both"}"#);
    assert!((now - start).abs() < 20.0, "{start} at {now}");
}

#[tokio::test]
async fn a_restore_that_the_kernel_refuses_is_counted_and_so_is_the_fault_that_is_stuck() {
    let api = Api::start();
    api.put("cut", LOSS).await;
    api.agent.world().refuse_undo = usize::MAX;
    for tries in [1.0, 2.0] {
        assert_eq!(api.delete("/v1/faults/cut").await.status, 500);
        let page = page(&api).await;
        assert_eq!(value(&page, r#"partition_agent_faults{state="stuck"}"#), 1.0);
        // The agent tries again by itself meanwhile.
        assert!(value(&page, "partition_agent_restore_failures_total") >= tries, "{page}");
        assert!(
            value(&page, r#"partition_agent_refusals_total{reason="kernel-refused"}"#) >= tries,
            "{page}"
        );
        assert_eq!(value(&page, r#"partition_agent_active_faults{kind="loss"}"#), 0.0);
    }
    api.agent.world().refuse_undo = 0;
    // 404 where it has tried again by itself, and was first.
    let status = api.delete("/v1/faults/cut").await.status;
    assert!([200, 404].contains(&status), "{status}");
    let page = page(&api).await;
    assert_eq!(value(&page, r#"partition_agent_faults{state="stuck"}"#), 0.0);
    assert_eq!(value(&page, r#"partition_agent_ended_faults_total{trigger="restored"}"#), 1.0);
}

#[tokio::test]
async fn each_refusal_is_counted_once_by_its_code() {
    let api = Api::with(Options { token: Some("0123456789abcdef"), ..Options::default() });
    let mut refused = BTreeMap::<String, f64>::new();
    for (method, path, body) in [
        ("GET", "/nothing", ""),
        ("GET", "/v1/faults/nope", ""),
        ("DELETE", "/v1/faults/nope", ""),
        ("PUT", "/v1/faults/cut", "{"),
        ("PUT", "/v1/faults/cut", "{}"),
        ("PUT", "/v1/faults/Cut", LOSS),
        ("GET", "/v1/history?page=2", ""),
    ] {
        let problem = serde_json::from_str::<Problem>(&api.send(method, path, body).await.body).unwrap();
        *refused.entry(problem.code.to_string()).or_default() += 1.0;
    }
    for _ in 0..3 {
        let stranger = Reply::to(api.request_tcp("GET", "/metrics")).await;
        assert_eq!(stranger.status, 401, "{stranger:?}");
        *refused.entry("unauthorized".to_owned()).or_default() += 1.0;
    }
    assert!(refused.len() >= 5, "{refused:?}");
    // What is answered is no refusal.
    api.put("cut", LOSS).await;
    assert_eq!(api.get("/metrics").await.status, 200);
    let page = page(&api).await;
    for sample in samples(&page, "partition_agent_refusals_total") {
        let expected = refused.get(&sample["reason"]).copied().unwrap_or_default();
        let series = format!(r#"partition_agent_refusals_total{{reason="{}"}}"#, sample["reason"]);
        assert_eq!(value(&page, &series), expected, "{series}");
    }
}

#[tokio::test]
async fn what_faults_have_hit_goes_on_from_one_fault_to_the_next() {
    let api = Api::start();
    api.put("cut", LOSS).await;
    let hits = Hits { lost_packets: 3, lost_bytes: 300, reset_connections: 1, ..Hits::default() };
    api.agent.world().hits.insert(1, hits);
    api.agent.world().held = 4;
    let _: FaultStatus = api.delete("/v1/faults/cut").await.json(200);
    let page = page(&api).await;
    assert_eq!(value(&page, r#"partition_agent_hit_packets_total{sink="lost"}"#), 3.0);
    assert_eq!(value(&page, r#"partition_agent_hit_bytes_total{sink="lost"}"#), 300.0);
    assert_eq!(value(&page, "partition_agent_reset_connections_total"), 1.0);
    assert_eq!(value(&page, "partition_agent_emulator_queue_packets"), 4.0);
}

#[tokio::test]
async fn peers_and_callers_make_no_series() {
    let api = Api::start();
    let before = families(&page(&api).await).iter().map(|family| family.samples.len()).sum::<usize>();
    let peers = (1..=200).map(|n| format!(r#""10.0.1.{n}:{n}""#)).collect::<Vec<_>>().join(",");
    api.put("many", format!(r#"{{"kinds":[{{"loss":{{"percent":1}}}}],"target":{{"peers":[{peers}]}}}}"#))
        .await;
    let after = families(&page(&api).await).iter().map(|family| family.samples.len()).sum::<usize>();
    assert_eq!(after - before, 2, "a start and a deadline");
}

/// Labels of each series of a name.
fn samples(page: &str, name: &str) -> Vec<BTreeMap<String, String>> {
    let all = families(page).into_iter().flat_map(|family| family.samples);
    all.filter(|sample| sample.name == name).map(|sample| sample.labels).collect()
}

/// The values of a label.
fn values(page: &str, name: &str, label: &str) -> BTreeSet<String> {
    samples(page, name).into_iter().filter_map(|mut labels| labels.remove(label)).collect()
}

#[tokio::test]
async fn every_word_that_the_api_has_is_there_from_the_start() {
    let document = partition_agent_core::api::document();
    let words = |values: &Value| {
        let values = values.as_array().unwrap().iter();
        values.map(|value| value.as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    let named = |name: &str| {
        let schema = &document["components"]["schemas"][name];
        match schema.pointer("/discriminator/mapping") {
            Some(choices) => choices.as_object().unwrap().keys().cloned().collect(),
            None => words(&schema["enum"]),
        }
    };
    let page = page(&Api::start()).await;
    assert_eq!(values(&page, "partition_agent_refusals_total", "reason"), named("ProblemCode"));
    assert_eq!(values(&page, "partition_agent_ended_faults_total", "trigger"), named("End"));
    let mut states = named("State");
    assert!(states.remove("pending") && states.remove("restored"));
    assert_eq!(values(&page, "partition_agent_faults", "state"), states);
}

/// A row of the reference.
fn row(family: &Family) -> String {
    let name = match family.kind.as_str() {
        "counter" => format!("{}_total", family.name),
        "info" => format!("{}_info", family.name),
        _ => family.name.clone(),
    };
    let mut labels = BTreeMap::<&str, BTreeSet<&str>>::new();
    for (label, value) in family.samples.iter().flat_map(|sample| &sample.labels) {
        labels.entry(label).or_default().insert(value);
    }
    let labels = labels.into_iter().filter(|(label, _)| *label != "le").map(|(label, values)| match label {
        "id" | "version" => format!("`{label}`"),
        _ => format!("`{label}`: {}", values.into_iter().collect::<Vec<_>>().join(", ")),
    });
    let labels = labels.collect::<Vec<_>>().join("; ");
    format!("| `{name}` | {} | {labels} | {} |", family.kind, family.help.trim_end_matches('.'))
}

#[tokio::test]
async fn the_reference_is_what_an_agent_shows() {
    let api = Api::start();
    api.put("f", LOSS).await;
    let mut generated = "| Metric | Type | Labels | Means |\n| --- | --- | --- | --- |\n".to_owned();
    for family in families(&page(&api).await) {
        assert!(family.name.starts_with("partition_agent_"), "{}", family.name);
        assert!(family.unit.as_ref().is_none_or(|unit| family.name.ends_with(&format!("_{unit}"))));
        writeln!(generated, "{}", row(&family)).unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once("<!-- generated -->\n").expect("where the table begins");
    let (published, after) = rest.split_once("<!-- to here -->\n").expect("where the table ends");
    if std::env::var_os("UPDATE_METRICS").is_some_and(|value| value == "1") {
        let text = format!("{before}<!-- generated -->\n{generated}<!-- to here -->\n{after}");
        return std::fs::write(&path, text).unwrap();
    }
    assert!(
        published == generated,
        "docs/metrics.md is out of date: UPDATE_METRICS=1 cargo test -p partition-agent-tests --test api metrics"
    );
}
