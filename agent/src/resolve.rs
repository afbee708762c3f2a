//! From names to addresses, on the host that applies the fault. Names of the configuration come first, then whatever
//! the resolvers know (`/etc/hosts`, DNS). A name that stands for nothing is an error, never an empty target.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ipnetwork::IpNetwork;
use partition_agent_proto::{Host, Peer, Ports};
use tokio::sync::Semaphore;

use crate::names::{self, LookUpError};
use crate::scope::{self, Engines, ScopeError};

/// Names of the agent's configuration. None leads back to itself: see [`circle`].
pub type Peers = BTreeMap<String, Vec<Peer>>;

/// A name that stands for no address.
#[derive(Debug, thiserror::Error)]
pub enum UnknownName {
    #[error("`{name}` is unknown: it is no name of the configuration ({configured}), and {resolver}")]
    Host { name: String, configured: String, resolver: LookUpError },
    #[error(transparent)]
    Service(#[from] ScopeError),
}

/// Names that are asked for at once: the C library takes a thread for each.
const QUESTIONS: usize = 32;

/// Knows the names of the configuration and where the container engines are.
#[derive(Debug, Clone)]
pub struct Resolver {
    peers: Arc<Peers>,
    engines: Arc<Engines>,
    questions: Arc<Semaphore>,
}

impl Default for Resolver {
    fn default() -> Self {
        Self::new(Peers::default(), Engines::default())
    }
}

/// What a host stands for.
#[derive(Debug)]
pub struct Answer {
    pub nets: BTreeSet<IpNetwork>,
    /// When to ask again. None: addresses that were given stay what they are.
    pub valid_for: Option<Duration>,
}

/// How long the containers of a service are believed to keep their addresses.
const SERVICE: Duration = Duration::from_secs(1);

impl Resolver {
    #[must_use]
    pub fn new(peers: Peers, engines: Engines) -> Self {
        Self {
            peers: Arc::new(peers),
            engines: Arc::new(engines),
            questions: Arc::new(Semaphore::new(QUESTIONS)),
        }
    }

    /// Where the container engines are.
    #[must_use]
    pub fn engines(&self) -> &Engines {
        &self.engines
    }

    /// The peer itself, or all that a name of the configuration stands for, each with the ports that were asked for, or else
    /// those it is configured with.
    #[must_use]
    pub fn expand(&self, peer: &Peer) -> Vec<Peer> {
        match entries(&self.peers, peer) {
            None => vec![peer.clone()],
            Some(entries) => {
                let asked = |entry: &Peer| Peer { host: entry.host.clone(), port: peer.port.or(entry.port) };
                entries.iter().flat_map(|entry| self.expand(&asked(entry))).collect()
            }
        }
    }

    /// # Errors
    /// The name is unknown.
    pub async fn look_up(&self, host: &Host) -> Result<Answer, UnknownName> {
        let (addresses, valid_for) = match host {
            Host::Net(net) => return Ok(Answer { nets: BTreeSet::from([*net]), valid_for: None }),
            Host::Compose(service) => {
                let addresses = scope::compose_addresses(service, &self.engines).await?;
                (addresses.into_iter().collect(), SERVICE)
            }
            Host::Name(name) => {
                // Never closed, so there is always a turn to come.
                let _turn = self.questions.acquire().await;
                let answer = names::look_up(name).await.map_err(|error| self.unknown(name, error))?;
                let valid_for = names::next_look(&answer);
                (answer.addresses, valid_for)
            }
        };
        let nets = addresses.into_iter().map(|address| IpNetwork::from(address.to_canonical())).collect();
        Ok(Answer { nets, valid_for: Some(valid_for) })
    }

    /// The networks behind a peer, with their ports.
    ///
    /// # Errors
    /// A name that is unknown.
    pub async fn addresses(&self, peer: &Peer) -> Result<Vec<(IpNetwork, Option<Ports>)>, UnknownName> {
        let mut found = Vec::new();
        for peer in self.expand(peer) {
            let answer = self.look_up(&peer.host).await?;
            found.extend(answer.nets.into_iter().map(|net| (net, peer.port)));
        }
        Ok(found)
    }

    fn unknown(&self, name: &str, resolver: LookUpError) -> UnknownName {
        let names = self.peers.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let configured =
            if names.is_empty() { "which has none".to_owned() } else { format!("which has {names}") };
        UnknownName::Host { name: name.to_owned(), configured, resolver }
    }
}

fn entries<'a>(peers: &'a Peers, peer: &Peer) -> Option<&'a Vec<Peer>> {
    match &peer.host {
        Host::Name(name) => peers.get(name),
        Host::Net(_) | Host::Compose(_) => None,
    }
}

/// The names on a way from one back to itself, if there is such a way.
#[must_use]
pub fn circle(peers: &Peers) -> Option<Vec<&str>> {
    peers.keys().find_map(|name| back_to(peers, name, &mut Vec::new()))
}

fn back_to<'a>(peers: &'a Peers, name: &'a str, way: &mut Vec<&'a str>) -> Option<Vec<&'a str>> {
    if let Some(begin) = way.iter().position(|passed| *passed == name) {
        return Some(way.iter().skip(begin).copied().chain([name]).collect());
    }
    way.push(name);
    let next = peers.get(name).into_iter().flatten().filter_map(|entry| match &entry.host {
        Host::Name(name) => Some(name),
        Host::Net(_) | Host::Compose(_) => None,
    });
    let found = next.into_iter().find_map(|next| back_to(peers, next, way));
    way.pop();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(entries: &[(&str, &[&str])]) -> Peers {
        let entry = |(name, texts): &(&str, &[&str])| {
            ((*name).to_owned(), texts.iter().map(|text| text.parse().unwrap()).collect())
        };
        entries.iter().map(entry).collect()
    }

    fn expanded(resolver: &Resolver, peer: &str) -> Vec<String> {
        resolver.expand(&peer.parse().unwrap()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_group_of_names_of_the_configuration_is_all_that_those_stand_for() {
        let known = peers(&[
            ("data", &["databases", "redis:6380", "else.example"]),
            ("databases", &["10.0.1.0/24:5432", "db"]),
            ("db", &["fd00::5"]),
            ("redis", &["10.0.0.5:6379"]),
        ]);
        let resolver = Resolver::new(known, Engines { sockets: Vec::new() });
        assert_eq!(
            expanded(&resolver, "data"),
            ["10.0.1.0/24:5432", "fd00::5", "10.0.0.5:6380", "else.example"]
        );
        assert_eq!(
            expanded(&resolver, "data:1"),
            ["10.0.1.0/24:1", "[fd00::5]:1", "10.0.0.5:1", "else.example:1"]
        );
    }

    #[test]
    fn a_name_that_leads_back_to_itself_is_found() {
        assert_eq!(circle(&peers(&[("a", &["b", "10.0.0.1"]), ("b", &["c"])])), None);
        assert_eq!(circle(&peers(&[("a", &["c"]), ("b", &["c"]), ("c", &["10.0.0.1"])])), None);
        assert_eq!(circle(&peers(&[("a", &["a:80"])])), Some(vec!["a", "a"]));
        let three = peers(&[("a", &["b"]), ("b", &["10.0.0.1", "c"]), ("c", &["d", "b"])]);
        assert_eq!(circle(&three), Some(vec!["b", "c", "b"]));
    }
}
