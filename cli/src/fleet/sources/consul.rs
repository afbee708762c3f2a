//! Consul's catalogue: `GET /v1/catalog/service/NAME`. A node is a host; the instances of the service on it are its
//! addresses, its tags are named groups.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;
use url::Url;

use super::gathered::{AgentOf, Gathered, Said};
use super::http::Get;
use super::{AGENTS, or_null, resolve};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Instance {
    node: String,
    address: String,
    #[serde(default)]
    datacenter: String,
    #[serde(default)]
    service_address: String,
    #[serde(default)]
    service_port: u16,
    #[serde(default, deserialize_with = "or_null")]
    service_tags: Vec<String>,
    #[serde(default, deserialize_with = "or_null")]
    node_meta: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "or_null")]
    service_meta: BTreeMap<String, String>,
}

/// Of a service, as `http://127.0.0.1:8500/web`, where a query (`?dc=dc2`) is passed on.
pub async fn service(at: &Url) -> Result<Gathered, String> {
    let (url, service) = endpoint(at)?;
    // The variables that Consul's own programs go by.
    let token = std::env::var("CONSUL_HTTP_TOKEN").ok().filter(|token| !token.is_empty());
    let headers = token.map(|token| ("X-Consul-Token", token)).into_iter().collect::<Vec<_>>();
    let authorities = std::env::var_os("CONSUL_CACERT").map(PathBuf::from);
    let text = Get { url: &url, headers: &headers, authorities: authorities.as_deref() }.text().await?;
    gather(instances(&text)?, &service).await
}

fn instances(text: &str) -> Result<Vec<Instance>, String> {
    serde_json::from_str(text).map_err(|error| format!("this is no service of a catalogue: {error}"))
}

#[cfg(feature = "fuzz")]
pub async fn fuzz(text: &str) -> Result<Gathered, String> {
    let instances = instances(text)?;
    let names = instances.iter().flat_map(|instance| [&instance.address, &instance.service_address]);
    resolve::none_is_looked_up(names.filter(|name| !name.is_empty()).map(String::as_str))?;
    gather(instances, AGENTS).await
}

fn endpoint(at: &Url) -> Result<(Url, String), String> {
    let wrong = || "write consul:http://HOST:8500/SERVICE".to_owned();
    let service =
        at.path_segments().and_then(|mut segments| segments.next_back()).filter(|name| !name.is_empty());
    let service = service.ok_or_else(wrong)?.to_owned();
    let mut url = at.clone();
    url.path_segments_mut().map_err(|()| wrong())?.pop().extend(["v1", "catalog", "service"]).push(&service);
    Ok((url, service))
}

async fn gather(instances: Vec<Instance>, service: &str) -> Result<Gathered, String> {
    let names = instances.iter().flat_map(|instance| [&instance.address, &instance.service_address]);
    let addresses = resolve::all(names.filter(|name| !name.is_empty()).cloned()).await?;
    let of = |name: &str| addresses.get(name).cloned().unwrap_or_default();
    let mut gathered = Gathered::default();
    for instance in instances {
        let mut labels = instance.node_meta;
        // What Consul notes for itself.
        labels.retain(|key, _| !key.starts_with("consul-"));
        labels.extend(instance.service_meta);
        if !instance.datacenter.is_empty() {
            labels.insert("datacenter".to_owned(), instance.datacenter);
        }
        let (node, service_at) = (of(&instance.address), of(&instance.service_address));
        let agent =
            AgentOf::taken_from(&mut labels).map_err(|error| format!("{}: {error}", instance.node))?;
        let agent = match (agent, service_at.first().or(node.first())) {
            (AgentOf::Usual, Some(address)) if service == AGENTS && instance.service_port != 0 => {
                AgentOf::At(format!("http://{}", SocketAddr::new(*address, instance.service_port)))
            }
            (agent, _) => agent,
        };
        // The node's own comes first, as the agent is on the node. Others may know the service by another.
        let addresses = [node, service_at].concat();
        for tag in instance.service_tags {
            gathered.join(&tag, &instance.node);
        }
        gathered.add(Said { name: instance.node, addresses, labels, agent })?;
    }
    Ok(gathered)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::sources::Usual;

    async fn told(json: &str, service: &str) -> (BTreeMap<String, String>, Vec<String>) {
        let found = gather(serde_json::from_str(json).unwrap(), service).await.unwrap().found(Usual::PLAIN);
        let hosts =
            found.hosts.iter().map(|(name, host)| (name.clone(), serde_json::to_string(host).unwrap()));
        let groups = found.groups.iter().map(|(name, hosts)| format!("{name}: {hosts}"));
        (hosts.collect(), groups.collect())
    }

    #[tokio::test]
    async fn nodes_are_hosts_and_tags_are_groups() {
        let json = r#"[
            {"Node": "n1", "Address": "10.0.0.1", "Datacenter": "dc1", "ServiceAddress": "172.17.0.2", "ServicePort": 80,
             "ServiceTags": ["primary", "a=b"], "NodeMeta": {"rack": "r1", "consul-version": "1.20.0"}, "ServiceMeta": null},
            {"Node": "n1", "Address": "10.0.0.1", "Datacenter": "dc1", "ServiceAddress": "172.17.0.3", "ServicePort": 80,
             "ServiceTags": null, "NodeMeta": {"rack": "r1"}, "ServiceMeta": {}},
            {"Node": "N2", "Address": "10.0.0.2", "ServiceAddress": "", "ServiceMeta": {"partition_agent": "false"}}]"#;
        let (hosts, groups) = told(json, "web").await;
        assert_eq!(
            hosts["n1"],
            r#"{"agent":"http://10.0.0.1:7433","addresses":["10.0.0.1","172.17.0.2","172.17.0.3"],"labels":{"datacenter":"dc1","rack":"r1"}}"#
        );
        assert_eq!(hosts["n2"], r#"{"agent":null,"addresses":["10.0.0.2"],"labels":{}}"#);
        assert_eq!(groups, ["primary: n1"]);
    }

    #[tokio::test]
    async fn a_service_of_agents_says_where_they_are() {
        let json =
            r#"[{"Node": "n1", "Address": "10.0.0.1", "ServiceAddress": "10.9.0.1", "ServicePort": 7000}]"#;
        let agent = r#""agent":"http://10.9.0.1:7000""#;
        assert!(told(json, AGENTS).await.0["n1"].contains(agent));
        assert!(told(json, "web").await.0["n1"].contains(r#""agent":"http://10.0.0.1:7433""#));
    }

    #[test]
    fn the_last_part_of_the_url_is_the_service() {
        let asked =
            |text: &str| endpoint(&text.parse().unwrap()).map(|(url, service)| (url.to_string(), service));
        assert_eq!(
            asked("http://127.0.0.1:8500/web?dc=dc2").unwrap(),
            ("http://127.0.0.1:8500/v1/catalog/service/web?dc=dc2".to_owned(), "web".to_owned())
        );
        assert_eq!(
            asked("https://consul/behind/web").unwrap().0,
            "https://consul/behind/v1/catalog/service/web"
        );
        assert!(asked("http://127.0.0.1:8500").is_err());
        assert!(asked("http://127.0.0.1:8500/web/").is_err());
    }
}
