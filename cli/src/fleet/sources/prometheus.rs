//! Prometheus' own format of targets, from a file (`file_sd`) or from a server (`http_sd`).
//!
//! A target is a host and a port of what is scraped there, so several make one host. Its port is not the agent's.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use url::Url;

use super::gathered::{AgentOf, Gathered, Said};
use super::http::Get;
use super::{bounded, resolve};

/// As Prometheus reads it: what it does not know, it refuses.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TargetGroup {
    targets: Vec<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

pub async fn file_sd(path: &Path) -> Result<Gathered, String> {
    let text = bounded::file(path)?;
    let groups = match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => json(&text)?,
        Some("yml" | "yaml") => yaml(&text)?,
        Some(_) | None => {
            return Err("Prometheus reads .json, .yml and .yaml, so call it one of those".to_owned());
        }
    };
    gather(groups).await
}

pub async fn http_sd(url: &Url) -> Result<Gathered, String> {
    let text = Get { url, headers: &[], authorities: None }.text().await?;
    gather(json(&text)?).await
}

fn json(text: &str) -> Result<Vec<TargetGroup>, String> {
    serde_json::from_str(text).map_err(|error| wrong(&error))
}

fn yaml(text: &str) -> Result<Vec<TargetGroup>, String> {
    serde_saphyr::from_str(text).map_err(|error| wrong(&error))
}

fn wrong(error: &dyn std::fmt::Display) -> String {
    format!("these are no targets of Prometheus: {error}")
}

async fn gather(groups: Vec<TargetGroup>) -> Result<Gathered, String> {
    let mut targets = Vec::new();
    for TargetGroup { targets: of_group, mut labels } in groups {
        let agent = AgentOf::taken_from(&mut labels)?;
        // Prometheus drops these, they tell it how to scrape.
        labels.retain(|key, _| !key.starts_with("__"));
        for target in &of_group {
            targets.push((host(target)?.to_owned(), labels.clone(), agent.clone()));
        }
    }
    let addresses = resolve::all(targets.iter().map(|(host, ..)| host.clone())).await?;
    let mut gathered = Gathered::default();
    for (name, labels, agent) in targets {
        let addresses = addresses.get(&name).cloned().unwrap_or_default();
        gathered.add(Said { name, addresses, labels, agent })?;
    }
    Ok(gathered)
}

#[cfg(feature = "fuzz")]
pub async fn fuzz(text: &str, yaml: bool) -> Result<Gathered, String> {
    let groups = if yaml { self::yaml(text)? } else { json(text)? };
    let hosts = groups.iter().flat_map(|group| &group.targets).filter_map(|target| host(target).ok());
    resolve::none_is_looked_up(hosts)?;
    gather(groups).await
}

/// Without the port, if there is one.
fn host(target: &str) -> Result<&str, String> {
    let is_port = |text: &str| text.parse::<u16>().is_ok();
    let host = match target.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) if rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port) => host,
        Some(_) => "",
        None => match target.split_once(':') {
            Some((host, port)) if is_port(port) => host,
            Some(_) => "",
            None => target,
        },
    };
    if host.is_empty() || host.contains('/') {
        return Err(format!("the target `{target}` is no HOST:PORT"));
    }
    Ok(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::sources::Usual;

    async fn hosts(groups: Vec<TargetGroup>) -> BTreeMap<String, String> {
        let found = gather(groups).await.unwrap().found(Usual::PLAIN);
        let text = |host: partition_agent_proto::fleet::FleetHost| serde_json::to_string(&host).unwrap();
        found.hosts.into_iter().map(|(name, host)| (name, text(host))).collect()
    }

    #[tokio::test]
    async fn targets_of_one_host_are_one_host() {
        let groups = json(
            r#"[{"targets": ["10.0.0.1:9100", "10.0.0.1:9121", "[fd00::2]:9100"],
                 "labels": {"region": "eu", "__scheme__": "https"}},
                {"targets": ["10.0.0.3"], "labels": {"__partition_agent__": "http://10.9.0.3:7433"}}]"#,
        );
        let hosts = hosts(groups.unwrap()).await;
        assert_eq!(
            hosts["10.0.0.1"],
            r#"{"agent":"http://10.0.0.1:7433","addresses":["10.0.0.1"],"labels":{"region":"eu"}}"#
        );
        assert_eq!(
            hosts["fd00::2"],
            r#"{"agent":"http://[fd00::2]:7433","addresses":["fd00::2"],"labels":{"region":"eu"}}"#
        );
        assert_eq!(
            hosts["10.0.0.3"],
            r#"{"agent":"http://10.9.0.3:7433","addresses":["10.0.0.3"],"labels":{}}"#
        );
        assert_eq!(hosts.len(), 3);
    }

    #[tokio::test]
    async fn yaml_says_the_same_as_json() {
        let dir = tempfile::tempdir().unwrap();
        let read = async |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            file_sd(&path).await.map(|gathered| gathered.found(Usual::PLAIN).hosts)
        };
        let json = read("a.json", r#"[{"targets": ["10.0.0.1:1"], "labels": {"n": "5", "b": "no"}}]"#).await;
        // YAML takes these for a number and, in its first version, for false; labels are text.
        let yaml = read("a.yml", "# comment\n- targets: ['10.0.0.1:1']\n  labels: {n: 5, b: no}\n").await;
        assert_eq!(json.unwrap(), yaml.unwrap());
        for (name, text, error) in [
            ("a.txt", "[]", "Prometheus reads .json, .yml and .yaml"),
            ("a.json", "[{]", "no targets of Prometheus: key must be a string at line 1 column 3"),
            ("a.json", r#"[{"targets": [], "label": {}}]"#, "unknown field `label`"),
            ("a.yaml", "- targets: ['10.0.0.1:1']\n  label: {}\n", "label"),
            ("a.yaml", "- targets: 5\n", "line 1"),
            ("a.json", r#"[{"targets": ["http://a/metrics"]}]"#, "`http://a/metrics` is no HOST:PORT"),
        ] {
            let found = read(name, text).await.unwrap_err();
            assert!(found.contains(error), "{text}: {found}");
        }
    }

    #[test]
    fn hosts_are_told_from_ports() {
        for (target, name) in
            [("a:1", "a"), ("a", "a"), ("10.0.0.1:80", "10.0.0.1"), ("[::1]:80", "::1"), ("[::1]", "::1")]
        {
            assert_eq!(host(target).as_deref(), Ok(name));
        }
        for target in ["", ":80", "a:", "a:b", "::1", "[::1", "[::1]80", "[]:80", "a/b:1"] {
            assert!(host(target).is_err(), "{target}");
        }
    }
}
