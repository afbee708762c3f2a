//! Running containers of Docker or Podman that have a label.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::ErrorKind;
use std::path::Path;

use bollard::models::ContainerSummary;
use bollard::query_parameters::ListContainersOptionsBuilder;
use bollard::{API_DEFAULT_VERSION, Docker};
use partition_agent_core::scope::Engines;
use tokio::net::UnixStream;

use super::PATIENCE;
use super::gathered::{AgentOf, Gathered, Said};

/// What compose notes for itself on every container: paths, hashes, versions. Beside the project and the service.
const BOOKKEEPING: &str = "com.docker.compose.";
const TELLING: [&str; 2] = ["com.docker.compose.project", "com.docker.compose.service"];

/// `key` or `key=value`, on every engine that is there.
pub async fn labelled(label: &str) -> Result<Gathered, String> {
    let (mut gathered, mut containers, mut absent) = (Gathered::default(), BTreeMap::new(), Vec::new());
    let sockets = Engines::default().sockets;
    for socket in &sockets {
        match UnixStream::connect(socket).await {
            Ok(_) => {
                let running = running(socket, label).await;
                let running = running.map_err(|why| format!("the engine at {}: {why}", socket.display()))?;
                // Two paths may lead to one engine.
                containers.extend(running.into_iter().map(|container| (container.id.clone(), container)));
            }
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                absent.push(format!("{}: {error}", socket.display()));
            }
            // It is there, and what it knows would be missing.
            Err(error) => return Err(format!("the engine at {}: {error}", socket.display())),
        }
    }
    if absent.len() == sockets.len() {
        let absent = absent.join("; ");
        return Err(format!(
            "no container engine answers ({absent}): start one, or set DOCKER_HOST=unix://..."
        ));
    }
    let mut names = BTreeSet::new();
    for container in containers.into_values() {
        let said = told(container)?;
        if !names.insert(said.name.clone()) {
            return Err(format!("two engines have a container {}: rename one", said.name));
        }
        gathered.add(said)?;
    }
    Ok(gathered)
}

async fn running(socket: &Path, label: &str) -> Result<Vec<ContainerSummary>, String> {
    let asked = async {
        let socket = socket.to_string_lossy();
        let docker = Docker::connect_with_unix(&socket, PATIENCE.as_secs(), API_DEFAULT_VERSION)?;
        let filters = HashMap::from([("label", vec![label]), ("status", vec!["running"])]);
        let options = ListContainersOptionsBuilder::new().filters(&filters).build();
        docker.negotiate_version().await?.list_containers(Some(options)).await
    };
    let listed = tokio::time::timeout(PATIENCE, asked).await;
    listed.map_err(|_| format!("no answer within {PATIENCE:?}"))?.map_err(|error| error.to_string())
}

fn told(container: ContainerSummary) -> Result<Said, String> {
    // Names begin with a slash; those with another one are links of other containers.
    let names = container.names.unwrap_or_default();
    let name = names.iter().map(|name| name.trim_start_matches('/')).find(|name| !name.contains('/'));
    let name = name.or(container.id.as_deref()).unwrap_or_default().to_owned();
    let mut labels = container.labels.unwrap_or_default().into_iter().collect::<BTreeMap<_, _>>();
    labels.retain(|key, _| !key.starts_with(BOOKKEEPING) || TELLING.contains(&key.as_str()));
    let agent = AgentOf::taken_from(&mut labels).map_err(|error| format!("container {name}: {error}"))?;
    let networks = container.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    // In an order that does not change from one time to the next.
    let networks = networks.into_iter().collect::<BTreeMap<_, _>>().into_values();
    let texts = networks.flat_map(|network| [network.ip_address, network.global_ipv6_address]);
    let addresses = texts.flatten().filter_map(|text| text.parse().ok()).collect::<Vec<_>>();
    if addresses.is_empty() {
        return Err(format!(
            "container {name} has no address of its own: it uses the network of the host, of another container, or none; \
             take the label away from it"
        ));
    }
    Ok(Said { name, addresses, labels, agent })
}

#[cfg(feature = "fuzz")]
pub fn fuzz(text: &str) -> Result<Gathered, String> {
    let mut gathered = Gathered::default();
    for container in serde_json::from_str::<Vec<ContainerSummary>>(text).map_err(|error| error.to_string())? {
        gathered.add(told(container)?)?;
    }
    Ok(gathered)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(json: &str) -> Result<Said, String> {
        told(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn a_container_has_its_name_its_labels_and_the_addresses_of_all_its_networks() {
        let said = container(
            r#"{"Id": "abc", "Names": ["/other/alias", "/shop-web-1"],
                "Labels": {"tier": "web", "com.docker.compose.service": "web", "com.docker.compose.version": "2"},
                "NetworkSettings": {"Networks": {
                    "b": {"IPAddress": "172.19.0.2", "GlobalIPv6Address": ""},
                    "a": {"IPAddress": "172.18.0.2", "GlobalIPv6Address": "fd00::2"}}}}"#,
        );
        let said = said.unwrap();
        assert_eq!(said.name, "shop-web-1");
        assert_eq!(
            said.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["172.18.0.2", "fd00::2", "172.19.0.2"]
        );
        let labels = [("com.docker.compose.service", "web"), ("tier", "web")];
        assert_eq!(said.labels, labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    }

    #[test]
    fn a_container_in_the_network_of_the_host_is_no_host() {
        let error =
            container(r#"{"Names": ["/web"], "NetworkSettings": {"Networks": {"host": {"IPAddress": ""}}}}"#);
        assert!(error.unwrap_err().contains("container web has no address of its own"));
    }
}
