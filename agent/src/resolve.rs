//! From names to addresses, on the host that applies the fault. Names of the configuration come first, then whatever
//! the resolvers know (`/etc/hosts`, DNS). A name that stands for nothing is an error, never an empty target.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ipnetwork::IpNetwork;
use partition_agent_proto::{Host, Peer, Ports, Target};

use crate::names::{self, LookUpError};
use crate::plan::Address;
use crate::scope::{self, Engines, ScopeError};

/// Names of the agent's configuration.
pub type Peers = BTreeMap<String, Vec<Peer>>;

/// A name that stands for no address.
#[derive(Debug, thiserror::Error)]
pub enum UnknownName {
    #[error("`{name}` is unknown: it is no name of the configuration ({configured}), and {resolver}")]
    Host { name: String, configured: String, resolver: LookUpError },
    #[error(transparent)]
    Service(#[from] ScopeError),
}

/// Whom a fault hits, whom it spares, and for how long that is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Targets {
    pub targets: Vec<Address>,
    pub except: Vec<Address>,
    /// When to ask again. None: addresses that were given stay what they are.
    pub valid_for: Option<Duration>,
}

/// How long the containers of a service are believed to keep their addresses.
const SERVICE: Duration = Duration::from_secs(1);

/// # Errors
/// The first name that is unknown.
pub async fn target(target: &Target, known: &Peers, engines: &Engines) -> Result<Targets, UnknownName> {
    let everybody = || ["0.0.0.0/0", "::/0"].into_iter().filter_map(|net| net.parse::<IpNetwork>().ok());
    let nobody_named = target.all_traffic || target.peers.is_empty();
    let ports = if target.local_ports.is_empty() { &target.ports } else { &target.local_ports };
    let mut resolver = Resolver { known, engines, valid_for: None };
    let mut targets = BTreeSet::new();
    for net in everybody().filter(|_| nobody_named && !target.is_empty()) {
        targets.extend(on_ports(net, None, ports));
    }
    for peer in &target.peers {
        for (net, port) in resolver.addresses(peer).await? {
            targets.extend(on_ports(net, port, ports));
        }
    }
    let mut except = BTreeSet::new();
    for peer in &target.except {
        except.extend(resolver.addresses(peer).await?.into_iter().map(|(net, ports)| Address { net, ports }));
    }
    let (targets, except) = (targets.into_iter().collect(), except.into_iter().collect());
    Ok(Targets { targets, except, valid_for: resolver.valid_for })
}

/// The networks behind a peer, each with the ports that were asked for, or else those it is configured with.
///
/// # Errors
/// A name that is unknown.
pub async fn addresses(
    peer: &Peer,
    known: &Peers,
    engines: &Engines,
) -> Result<Vec<(IpNetwork, Option<Ports>)>, UnknownName> {
    Resolver { known, engines, valid_for: None }.addresses(peer).await
}

/// A peer's own ports win over those of the whole target.
fn on_ports(net: IpNetwork, own: Option<Ports>, ports: &[Ports]) -> Vec<Address> {
    match own {
        None if !ports.is_empty() => ports.iter().map(|ports| Address { net, ports: Some(*ports) }).collect(),
        ports => vec![Address { net, ports }],
    }
}

struct Resolver<'a> {
    known: &'a Peers,
    engines: &'a Engines,
    valid_for: Option<Duration>,
}

impl Resolver<'_> {
    async fn addresses(&mut self, peer: &Peer) -> Result<Vec<(IpNetwork, Option<Ports>)>, UnknownName> {
        let configured = match &peer.host {
            Host::Name(name) => self.known.get(name),
            Host::Net(_) | Host::Compose(_) => None,
        };
        let Some(configured) = configured else {
            return Ok(self.nets(&peer.host).await?.into_iter().map(|net| (net, peer.port)).collect());
        };
        let mut found = Vec::new();
        for entry in configured {
            let port = peer.port.or(entry.port);
            found.extend(self.nets(&entry.host).await?.into_iter().map(|net| (net, port)));
        }
        Ok(found)
    }

    async fn nets(&mut self, host: &Host) -> Result<Vec<IpNetwork>, UnknownName> {
        let (addresses, valid_for) = match host {
            Host::Net(net) => return Ok(vec![*net]),
            Host::Compose(service) => (scope::compose_addresses(service, self.engines).await?, SERVICE),
            Host::Name(name) => {
                let answer = names::look_up(name).await.map_err(|error| self.unknown(name, error))?;
                let next = names::next_look(&answer);
                (answer.addresses.into_iter().collect(), next)
            }
        };
        self.valid_for = Some(self.valid_for.map_or(valid_for, |earlier| earlier.min(valid_for)));
        Ok(addresses.into_iter().map(|address| IpNetwork::from(address.to_canonical())).collect())
    }

    fn unknown(&self, name: &str, resolver: LookUpError) -> UnknownName {
        let names = self.known.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let configured =
            if names.is_empty() { "which has none".to_owned() } else { format!("which has {names}") };
        UnknownName::Host { name: name.to_owned(), configured, resolver }
    }
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
        let found = target(&spec, &known(), &Engines::default()).await.map_err(|error| error.to_string())?;
        let list =
            |addresses: Vec<Address>| addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        Ok(format!("{} except {}", list(found.targets), list(found.except)))
    }

    #[tokio::test]
    async fn ports_come_from_the_peer_then_the_configuration_then_the_target() {
        assert_eq!(text(r#"{"peers":["redis"]}"#).await.unwrap(), "10.0.0.5:6379 fd00::5 except ");
        assert_eq!(
            text(r#"{"peers":["redis:80-90"]}"#).await.unwrap(),
            "10.0.0.5:80-90 [fd00::5]:80-90 except "
        );
        assert_eq!(
            text(r#"{"peers":["redis"],"ports":[1]}"#).await.unwrap(),
            "10.0.0.5:6379 [fd00::5]:1 except "
        );
        assert_eq!(
            text(r#"{"ports":[1],"except":["10.0.0.0/8"]}"#).await.unwrap(),
            "0.0.0.0/0:1 [::/0]:1 except 10.0.0.0/8"
        );
        assert_eq!(text(r#"{"local_ports":["1-2"]}"#).await.unwrap(), "0.0.0.0/0:1-2 [::/0]:1-2 except ");
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
        assert!(error.contains("loop, redis"), "{error}");
    }
}
