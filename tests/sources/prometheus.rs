//! The real Prometheus reads the same file, and must see the same hosts with the same labels.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use harness::has_tool;
use harness::lab::{Host, Lab, Running};
use serde_json::Value;

use crate::fleet::{Fleet, shown};

/// A server takes seconds to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

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

/// The server on the loopback address of a network namespace, where it reaches nobody, with its data in a directory of its own.
fn prometheus(host: &Host, dir: &tempfile::TempDir) -> Running {
    let config = dir.path().join("prometheus.yml");
    // No scrape in the time of a test: it is the list that matters.
    let text = "global: {scrape_interval: 1h}\nscrape_configs:\n- job_name: fleet\n  file_sd_configs:\n  - files: ['targets.json', 'targets.yml']\n";
    std::fs::write(&config, text).unwrap();
    let arguments = [
        format!("--config.file={}", config.display()),
        format!("--storage.tsdb.path={}", dir.path().join("data").display()),
        "--web.listen-address=127.0.0.1:9090".to_owned(),
    ];
    host.spawn("prometheus", &arguments.each_ref().map(String::as_str), Stdio::null())
}

/// Once it has read the file.
fn active_targets(server: &mut Running, host: &Host, expected: usize) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let targets = host.run(ask).unwrap_or_default();
        if targets.len() >= expected {
            return targets;
        }
        let ended = server.try_wait().unwrap();
        assert!(ended.is_none(), "Prometheus has ended: {ended:?}");
        assert!(begun.elapsed() < PATIENCE, "Prometheus sees {targets:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn ask() -> Option<Vec<Value>> {
    TcpStream::connect(("127.0.0.1", 9090)).ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let asked = async {
        let client = reqwest::Client::builder().no_proxy().build().ok()?;
        let response = client.get("http://127.0.0.1:9090/api/v1/targets?state=active").send().await.ok()?;
        response.json::<Value>().await.ok()
    };
    runtime.block_on(asked)?["data"]["activeTargets"].as_array().cloned()
}

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
        let mut server = prometheus(&lab.app, &dir);
        let theirs = active_targets(&mut server, &lab.app, targets).iter().map(seen).collect::<BTreeSet<_>>();
        let Fleet { hosts, .. } = shown(&format!("file_sd:{}", file.display()));
        let ours = hosts.into_iter().map(|host| (host.name, host.labels)).collect::<BTreeSet<_>>();
        assert_eq!(ours, theirs, "{name}");
    }
}
