//! The fleet of a lab as a fleet file, for commands on its hosts.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use partition_agent_proto::fleet::{Fleet, FleetHost, LinkEnd, Service};
use serde::Serialize;

use crate::exit::Failure;

#[derive(Serialize)]
struct File<'a> {
    token_file: &'a Path,
    max_share: String,
    hosts: BTreeMap<&'a str, Host<'a>>,
    groups: BTreeMap<&'a str, String>,
    services: BTreeMap<&'a str, Offered<'a>>,
    links: BTreeMap<&'a str, Way>,
}

#[derive(Serialize)]
struct Host<'a> {
    address: &'a [IpAddr],
    agent: Agent<'a>,
    labels: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Agent<'a> {
    At(&'a str),
    None(bool),
}

#[derive(Serialize)]
struct Offered<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    address: &'a [IpAddr],
    #[serde(skip_serializing_if = "Option::is_none")]
    hosts: Option<String>,
    ports: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<&'a str>,
}

#[derive(Serialize)]
struct Way {
    from: String,
    to: String,
}

/// As text.
///
/// # Errors
/// None that is known of.
pub fn fleet(fleet: &Fleet, token_file: &Path) -> Result<String, Failure> {
    let Fleet { hosts, groups, services, links, max_share } = fleet;
    let file = File {
        token_file,
        max_share: max_share.to_string(),
        hosts: hosts.iter().map(|(name, host)| (name.as_str(), of_host(host))).collect(),
        groups: groups.iter().map(|(name, hosts)| (name.as_str(), hosts.to_string())).collect(),
        services: services.iter().map(|(name, service)| (name.as_str(), of_service(service))).collect(),
        links: links
            .iter()
            .map(|(name, link)| {
                let to = match &link.to {
                    LinkEnd::Service(service) => service.clone(),
                    LinkEnd::Hosts(hosts) => hosts.to_string(),
                };
                (name.as_str(), Way { from: link.from.to_string(), to })
            })
            .collect(),
    };
    toml::to_string(&file).map_err(|error| Failure::Failed(error.to_string()))
}

fn of_host(host: &FleetHost) -> Host<'_> {
    let agent = host.agent.as_deref().map_or(Agent::None(false), Agent::At);
    Host { address: &host.addresses, agent, labels: &host.labels }
}

fn of_service(service: &Service) -> Offered<'_> {
    Offered {
        address: &service.addresses,
        hosts: service.hosts.as_ref().map(ToString::to_string),
        ports: service.ports.iter().map(ToString::to_string).collect(),
        http: service.http.as_deref(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{Source, load};

    const WHOLE: &str = r#"
token_file = "token"
max_share = "50%"
[hosts.web-1]
address = ["10.0.0.11", "fd00::11"]
labels = { region = "eu \"1\"\n", role = "web" }
[hosts.db]
address = "10.0.0.13"
agent = false
[groups]
app = "web-*,!db"
[services.redis]
address = "10.0.0.5"
ports = [6379, "7000-7010"]
http = "/healthz"
[services.pg]
hosts = "db"
[links.a]
from = "@app"
to = "redis"
[links.b]
from = "web-1"
to = "db"
"#;

    #[tokio::test]
    async fn what_is_written_is_read_as_the_same_fleet() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fleet.toml");
        std::fs::write(&path, WHOLE).unwrap();
        let source = Source::File(path.clone());
        let first = load(Some(&source), false).await.unwrap();
        std::fs::write(&path, fleet(&first.fleet, Path::new("/run/lab/token")).unwrap()).unwrap();
        let second = load(Some(&source), false).await.unwrap();
        assert_eq!(first.fleet, second.fleet);
        assert_eq!(second.token_file.as_deref(), Some(Path::new("/run/lab/token")));
    }
}
