//! The EndpointSlices of a Kubernetes service: its pods are hosts, with labels for their node and zone.

use std::path::Path;

use serde::Deserialize;
use url::Url;

use super::gathered::{AgentOf, Gathered, Said};
use super::http::Get;
use super::{AGENTS, bounded, or_null};

/// What Kubernetes gives to a pod, with which it may ask the API server.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

#[derive(Debug, Deserialize)]
struct Slices {
    #[serde(default, deserialize_with = "or_null")]
    items: Vec<Slice>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Slice {
    address_type: String,
    #[serde(default, deserialize_with = "or_null")]
    endpoints: Vec<Endpoint>,
    #[serde(default, deserialize_with = "or_null")]
    ports: Vec<Port>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Endpoint {
    addresses: Vec<String>,
    #[serde(default)]
    conditions: Conditions,
    hostname: Option<String>,
    node_name: Option<String>,
    zone: Option<String>,
    target_ref: Option<TargetRef>,
}

#[derive(Debug, Default, Deserialize)]
struct Conditions {
    /// Unknown counts as ready: that is how it is defined.
    ready: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct TargetRef {
    name: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Port {
    name: Option<String>,
    port: Option<u16>,
}

/// At `kubectl proxy`, or without a URL at the API server of the cluster that this runs in.
pub async fn service(namespace: &str, service: &str, proxy: Option<&Url>) -> Result<Gathered, String> {
    let text = match proxy {
        Some(url) => {
            Get { url: &endpoint(url, namespace, service)?, headers: &[], authorities: None }.text().await?
        }
        None => in_cluster(namespace, service).await?,
    };
    read(&text, service)
}

pub fn read(text: &str, service: &str) -> Result<Gathered, String> {
    let slices = serde_json::from_str::<Slices>(text)
        .map_err(|error| format!("these are no EndpointSlices: {error}"))?;
    gather(slices, service)
}

async fn in_cluster(namespace: &str, service: &str) -> Result<String, String> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (Some(host), Some(port)) = (variable("KUBERNETES_SERVICE_HOST"), variable("KUBERNETES_SERVICE_PORT"))
    else {
        return Err("this is no pod of a cluster: run `kubectl proxy`, and name it, as in \
                    kubernetes:NAMESPACE/SERVICE@http://127.0.0.1:8001"
            .to_owned());
    };
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let server = format!("https://{host}:{port}").parse::<Url>().map_err(|error| error.to_string())?;
    let account = Path::new(ACCOUNT);
    let token = account.join("token");
    // It changes while a pod runs, so it is read every time.
    let text = bounded::file(&token).map_err(|error| format!("{}: {error}", token.display()))?;
    let headers = [("Authorization", format!("Bearer {}", text.trim()))];
    let authorities = account.join("ca.crt");
    let url = endpoint(&server, namespace, service)?;
    Get { url: &url, headers: &headers, authorities: Some(&authorities) }.text().await
}

fn endpoint(server: &Url, namespace: &str, service: &str) -> Result<Url, String> {
    let mut url = server.clone();
    let path = ["apis", "discovery.k8s.io", "v1", "namespaces", namespace, "endpointslices"];
    url.path_segments_mut().map_err(|()| "write http://HOST:PORT".to_owned())?.pop_if_empty().extend(path);
    url.query_pairs_mut().append_pair("labelSelector", &format!("kubernetes.io/service-name={service}"));
    Ok(url)
}

fn gather(slices: Slices, service: &str) -> Result<Gathered, String> {
    let mut gathered = Gathered::default();
    for Slice { address_type, endpoints, ports } in slices.items {
        // Names of hosts outside, which no controller makes for a service with pods.
        if address_type == "FQDN" {
            return Err("a slice with names in place of addresses: this source knows pods only".to_owned());
        }
        // Of an unnamed port there is one only.
        let is_agents = |port: &&Port| match port.name.as_deref() {
            None | Some("") => service == AGENTS,
            Some(name) => name == AGENTS,
        };
        let port = ports.iter().find(is_agents).and_then(|port| port.port);
        for endpoint in endpoints.into_iter().filter(|endpoint| endpoint.conditions.ready != Some(false)) {
            let parsed = endpoint.addresses.iter().map(|text| text.parse());
            let addresses = parsed
                .collect::<Result<Vec<_>, _>>()
                .map_err(|_| format!("{:?} are no addresses", endpoint.addresses))?;
            let of_pod = endpoint.target_ref.and_then(|target| target.name).or(endpoint.hostname);
            let name = of_pod.or_else(|| endpoint.addresses.first().cloned()).unwrap_or_default();
            let labels = [("node", endpoint.node_name), ("zone", endpoint.zone)];
            let labels = labels.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
            let agent = AgentOf::Usual.or_port(port);
            gathered.add(Said { name, addresses, labels: labels.collect(), agent })?;
        }
    }
    Ok(gathered)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::sources::Usual;

    fn hosts(json: &str, service: &str) -> Vec<String> {
        let found = gather(serde_json::from_str(json).unwrap(), service).unwrap().found(Usual::PLAIN);
        let text = |(name, host)| format!("{name} {}", serde_json::to_string(host).unwrap());
        found.hosts.iter().map(text).collect()
    }

    #[test]
    fn pods_that_are_ready_are_hosts_with_the_addresses_of_both_families() {
        let json = r#"{"items": [
            {"addressType": "IPv4", "ports": [{"name": "http", "port": 80}], "endpoints": [
                {"addresses": ["10.1.0.1"], "conditions": {"ready": true}, "nodeName": "n1", "zone": "eu-1a",
                 "targetRef": {"kind": "Pod", "name": "web-x1"}},
                {"addresses": ["10.1.0.2"], "conditions": {"ready": false}, "targetRef": {"kind": "Pod", "name": "web-x2"}},
                {"addresses": ["10.1.0.3"], "conditions": {}, "hostname": "web-x3"},
                {"addresses": ["10.1.0.4"]}]},
            {"addressType": "IPv6", "ports": null, "endpoints": [
                {"addresses": ["fd00::1"], "conditions": {"ready": true}, "nodeName": "n1", "zone": "eu-1a",
                 "targetRef": {"kind": "Pod", "name": "web-x1"}}]},
            {"addressType": "IPv4", "endpoints": null}]}"#;
        assert_eq!(
            hosts(json, "web"),
            [
                r#"10.1.0.4 {"agent":"http://10.1.0.4:7433","addresses":["10.1.0.4"],"labels":{}}"#,
                r#"web-x1 {"agent":"http://10.1.0.1:7433","addresses":["10.1.0.1","fd00::1"],"labels":{"node":"n1","zone":"eu-1a"}}"#,
                r#"web-x3 {"agent":"http://10.1.0.3:7433","addresses":["10.1.0.3"],"labels":{}}"#,
            ]
        );
    }

    #[test]
    fn the_port_of_the_agents_is_theirs() {
        let slice = |port: &str| {
            format!(
                r#"{{"items": [{{"addressType": "IPv4", "ports": [{port}], "endpoints": [{{"addresses": ["10.1.0.1"]}}]}}]}}"#
            )
        };
        for (port, service, at) in [
            (r#"{"name": "partition-agent", "port": 7000}"#, "web", 7000),
            (r#"{"name": "http", "port": 80}"#, "partition-agent", 7433),
            (r#"{"name": "", "port": 7000}"#, "partition-agent", 7000),
            (r#"{"port": 80}"#, "web", 7433),
        ] {
            let hosts = hosts(&slice(port), service);
            assert!(hosts[0].contains(&format!("http://10.1.0.1:{at}\"")), "{port} {service}: {hosts:?}");
        }
    }

    #[test]
    fn names_outside_are_refused() {
        let json = r#"{"items": [{"addressType": "FQDN", "endpoints": [{"addresses": ["a.example.com"]}]}]}"#;
        assert!(gather(serde_json::from_str(json).unwrap(), "web").is_err());
    }

    #[test]
    fn the_service_is_asked_for_by_its_label() {
        let url = endpoint(&"http://127.0.0.1:8001/".parse().unwrap(), "shop", "web").unwrap();
        assert_eq!(
            url.as_str(),
            "http://127.0.0.1:8001/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3Dweb"
        );
    }
}
