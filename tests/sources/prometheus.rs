//! The real Prometheus reads the same file, and must see the same hosts with the same labels.

use std::collections::{BTreeMap, BTreeSet};

use harness::has_tool;
use harness::lab::Lab;
use harness::prometheus::Prometheus;
use serde_json::Value;

use crate::fleet::{Fleet, shown};

/// No scrape in the time of a test: it is the list that matters.
const CONFIG: &str = "global: {scrape_interval: 1h}
scrape_configs:
- job_name: fleet
  file_sd_configs:
  - files: ['targets.json', 'targets.yml']
";

const JSON: &str = r#"[
  {"targets": ["10.0.0.1:9100", "10.0.0.2:9100"], "labels": {"region": "eu", "zone": "eu-1a", "__meta_note": "dropped"}},
  {"targets": ["[fd00::3]:9100"], "labels": {"region": "us", "__partition_agent__": "http://[fd00::3]:7000"}},
  {"targets": ["10.0.0.1:9121"], "labels": {"region": "eu", "zone": "eu-1a"}}
]"#;

const YAML: &str = "# The same as JSON, and more of YAML.
- targets: ['10.0.0.4:9100', 10.0.0.5:9100]
  labels: &labels
    region: eu
    rack: 12
- targets:
    - 10.0.0.6:9100
  labels: *labels
";

/// Host and labels of a target, as Prometheus shows them: without its own two labels.
fn seen(target: &Value) -> (String, BTreeMap<String, String>) {
    let mut labels = serde_json::from_value::<BTreeMap<String, String>>(target["labels"].clone()).unwrap();
    let instance = labels.remove("instance").unwrap();
    assert_eq!(labels.remove("job").as_deref(), Some("fleet"));
    let (host, _port) = instance.rsplit_once(':').unwrap();
    (host.trim_matches(['[', ']']).to_owned(), labels)
}

#[test]
fn the_real_server_sees_the_hosts_that_we_see() {
    if !has_tool("prometheus") {
        return;
    }
    for (name, text, targets) in [("targets.json", JSON, 4), ("targets.yml", YAML, 3)] {
        let lab = Lab::new();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(name);
        std::fs::write(&file, text).unwrap();
        let mut server = Prometheus::start(&lab.app, dir.path(), CONFIG);
        let theirs = server.until("targets", "targets?state=active", |data| {
            let active = data["activeTargets"].as_array()?;
            (active.len() >= targets).then(|| active.iter().map(seen).collect::<BTreeSet<_>>())
        });
        let Fleet { hosts, .. } = shown(&format!("file_sd:{}", file.display()));
        let ours = hosts.into_iter().map(|host| (host.name, host.labels)).collect::<BTreeSet<_>>();
        assert_eq!(ours, theirs, "{name}");
    }
}
