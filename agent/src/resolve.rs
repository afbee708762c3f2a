//! From names to addresses, on the host that applies the fault. Names of the configuration come first, then whatever
//! the system's resolver knows (`/etc/hosts`, DNS). A name that stands for nothing is an error, never an empty target.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use ipnetwork::IpNetwork;
use partition_agent_proto::{Host, Peer, Target};

use crate::plan::Address;

/// How long the system's resolver may take for one name.
const PATIENCE: Duration = Duration::from_secs(5);

/// Names of the agent's configuration.
pub type Peers = BTreeMap<String, Vec<Peer>>;

/// A name that stands for no address.
#[derive(Debug, thiserror::Error)]
#[error("`{name}` is unknown: it is no name of the configuration ({configured}), and {resolver}")]
pub struct UnknownName {
    name: String,
    configured: String,
    resolver: String,
}

/// Whom a fault hits, and whom it spares.
///
/// # Errors
/// The first name that is unknown.
pub async fn target(target: &Target, known: &Peers) -> Result<(Vec<Address>, Vec<Address>), UnknownName> {
    let everybody = || ["0.0.0.0/0", "::/0"].into_iter().filter_map(|net| net.parse::<IpNetwork>().ok());
    let nobody_named = target.all_traffic || target.peers.is_empty();
    let mut targets = BTreeSet::new();
    for net in everybody().filter(|_| nobody_named) {
        targets.extend(on_ports(net, None, &target.ports));
    }
    for peer in &target.peers {
        for (net, port) in addresses(peer, known).await? {
            targets.extend(on_ports(net, port, &target.ports));
        }
    }
    let mut except = BTreeSet::new();
    for peer in &target.except {
        except.extend(addresses(peer, known).await?.into_iter().map(|(net, port)| Address { net, port }));
    }
    Ok((targets.into_iter().collect(), except.into_iter().collect()))
}

/// A peer's own port wins over those of the whole target.
fn on_ports(net: IpNetwork, own: Option<u16>, ports: &[u16]) -> Vec<Address> {
    match own {
        None if !ports.is_empty() => ports.iter().map(|port| Address { net, port: Some(*port) }).collect(),
        port => vec![Address { net, port }],
    }
}

/// The networks behind a peer, each with the port that was asked for, or else the one it is configured with.
pub async fn addresses(peer: &Peer, known: &Peers) -> Result<Vec<(IpNetwork, Option<u16>)>, UnknownName> {
    let name = match &peer.host {
        Host::Net(net) => return Ok(vec![(*net, peer.port)]),
        Host::Name(name) => name,
    };
    let Some(configured) = known.get(name) else {
        return Ok(resolve(name, known).await?.into_iter().map(|net| (net, peer.port)).collect());
    };
    let mut found = Vec::new();
    for entry in configured {
        let port = peer.port.or(entry.port);
        match &entry.host {
            Host::Net(net) => found.push((*net, port)),
            Host::Name(name) => found.extend(resolve(name, known).await?.into_iter().map(|net| (net, port))),
        }
    }
    Ok(found)
}

async fn resolve(name: &str, known: &Peers) -> Result<Vec<IpNetwork>, UnknownName> {
    let unknown = |resolver: String| {
        let names = known.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let configured =
            if names.is_empty() { "which has none".to_owned() } else { format!("which has {names}") };
        UnknownName { name: name.to_owned(), configured, resolver }
    };
    let found = match tokio::time::timeout(PATIENCE, tokio::net::lookup_host((name, 0))).await {
        Ok(Ok(found)) => found.map(|socket| IpNetwork::from(plain(socket.ip()))).collect::<BTreeSet<_>>(),
        Ok(Err(error)) => return Err(unknown(format!("the resolver (/etc/hosts, DNS) says: {error}"))),
        Err(_) => {
            return Err(unknown(format!("the resolver (/etc/hosts, DNS) has no answer after {PATIENCE:?}")));
        }
    };
    if found.is_empty() {
        return Err(unknown("the resolver (/etc/hosts, DNS) knows no address for it".to_owned()));
    }
    Ok(found.into_iter().collect())
}

/// An IPv4 address in IPv6's clothes travels as IPv4.
fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Peers {
        let peers = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        BTreeMap::from([
            ("redis".to_owned(), peers(&["10.0.0.5:6379", "fd00::5"])),
            ("loop".to_owned(), peers(&["localhost:1"])),
        ])
    }

    async fn text(json: &str) -> Result<String, String> {
        let spec = serde_json::from_str(json).unwrap();
        let (targets, except) = target(&spec, &known()).await.map_err(|error| error.to_string())?;
        let list =
            |addresses: Vec<Address>| addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        Ok(format!("{} except {}", list(targets), list(except)))
    }

    #[tokio::test]
    async fn ports_come_from_the_peer_then_the_configuration_then_the_target() {
        assert_eq!(text(r#"{"peers":["redis"]}"#).await.unwrap(), "10.0.0.5:6379 fd00::5 except ");
        assert_eq!(text(r#"{"peers":["redis:80"]}"#).await.unwrap(), "10.0.0.5:80 [fd00::5]:80 except ");
        assert_eq!(
            text(r#"{"peers":["redis"],"ports":[1]}"#).await.unwrap(),
            "10.0.0.5:6379 [fd00::5]:1 except "
        );
        assert_eq!(
            text(r#"{"ports":[1],"except":["10.0.0.0/8"]}"#).await.unwrap(),
            "0.0.0.0/0:1 [::/0]:1 except 10.0.0.0/8"
        );
        assert_eq!(text(r#"{"all_traffic":true}"#).await.unwrap(), "0.0.0.0/0 ::/0 except ");
    }

    #[tokio::test]
    async fn the_resolver_is_asked_for_what_the_configuration_does_not_know() {
        assert!(text(r#"{"peers":["loop"]}"#).await.unwrap().contains("127.0.0.1:1"));
        assert!(text(r#"{"peers":["localhost"]}"#).await.unwrap().contains("127.0.0.1"));
    }

    #[tokio::test]
    async fn an_unknown_name_lists_what_was_tried() {
        let error = text(r#"{"peers":["no-such-host.invalid"]}"#).await.unwrap_err();
        assert!(error.contains("`no-such-host.invalid` is unknown"), "{error}");
        assert!(error.contains("loop, redis") && error.contains("/etc/hosts, DNS"), "{error}");
    }
}
