//! The files in `docs/deploy/observability`, and what they ask for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/deploy/observability").join(name)
}

pub fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap()
}

/// Whatever the dashboard asks Prometheus: its panels and its annotations.
pub fn dashboard_queries() -> Vec<String> {
    let dashboard = serde_json::from_str::<Value>(&text("dashboard.json")).unwrap();
    let mut queries = Vec::new();
    collect(&dashboard, &mut queries);
    queries
}

fn collect(value: &Value, queries: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            queries.extend(fields.get("expr").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| collect(value, queries));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, queries)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A metric of ours in a text, with what is asked of its labels.
#[derive(Debug)]
pub struct Asked {
    pub name: String,
    /// Those with a value that has to be just that, and those without.
    pub labels: BTreeMap<String, Option<String>>,
}

/// Every mention of a metric of ours.
pub fn asked(text: &str) -> Vec<Asked> {
    let starts = text.match_indices("partition_agent_").map(|(at, _)| &text[at..]);
    starts.map(mention).collect()
}

fn mention(text: &str) -> Asked {
    let end =
        text.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(text.len());
    let selector =
        text[end..].strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(inside, _)| inside);
    let label = |text: &str| {
        let (name, value) = text.split_once('=').unwrap_or_else(|| panic!("no label: {text}"));
        let exact = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        (name.trim().to_owned(), exact.map(str::to_owned))
    };
    let labels = selector.split(',').filter(|label| !label.trim().is_empty()).map(label).collect();
    Asked { name: text[..end].to_owned(), labels }
}

#[test]
fn mentions_are_found_with_their_labels() {
    let found = asked(r#"rate(partition_agent_a_total{job=~"x", cause="overflow"}[5m]) > partition_agent_b"#);
    assert_eq!(
        found.iter().map(|asked| asked.name.as_str()).collect::<Vec<_>>(),
        ["partition_agent_a_total", "partition_agent_b"]
    );
    assert_eq!(found[0].labels["cause"].as_deref(), Some("overflow"));
    assert_eq!(found[0].labels["job"], None);
    assert!(found[1].labels.is_empty());
}
