//! Whom a fault hits and whom it spares, as addresses: each name is asked by itself, again and again while the fault lasts.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{BoxFuture, join_all};
use futures_util::stream::FuturesUnordered;
use ipnetwork::IpNetwork;
use partition_agent_proto::{Host, Peer, Ports, Target};

use crate::finder::FindError;
use crate::plan::Address;
use crate::resolve::{Answer, Resolver, UnknownName};

/// The most addresses, each with its ports, that one fault hits or spares: elements of sets in the kernel.
pub const MOST: usize = 100_000;

/// Until a name that had no answer is asked again.
const SILENCE: Duration = Duration::from_secs(1);

/// The peers of a target with what they stand for at the moment.
#[derive(Debug)]
pub struct Targets {
    resolver: Resolver,
    peers: Vec<Peer>,
    except: Vec<Peer>,
    /// Of peers that have none of their own.
    ports: Vec<Ports>,
    /// Nobody is named, and so everybody is meant.
    everybody: bool,
    known: BTreeMap<Host, BTreeSet<IpNetwork>>,
    /// Those whose last question had no answer.
    silent: BTreeSet<Host>,
    /// A question for each host that can change, which first waits until it is due.
    asking: FuturesUnordered<BoxFuture<'static, (Host, Result<Answer, UnknownName>)>>,
}

impl Targets {
    /// Asks for all names at once.
    ///
    /// # Errors
    /// The first name that is unknown, or more addresses than [`MOST`].
    pub async fn find(target: &Target, resolver: &Resolver) -> Result<Self, FindError> {
        let expand = |peers: &[Peer]| {
            let all = peers.iter().flat_map(|peer| resolver.expand(peer));
            all.take(MOST + 1).collect::<Vec<_>>()
        };
        let ports = if target.local_ports.is_empty() { &target.ports } else { &target.local_ports };
        let mut found = Self {
            resolver: resolver.clone(),
            peers: expand(&target.peers),
            except: expand(&target.except),
            ports: ports.clone(),
            everybody: (target.all_traffic || target.peers.is_empty()) && !target.is_empty(),
            known: BTreeMap::new(),
            silent: BTreeSet::new(),
            asking: FuturesUnordered::new(),
        };
        let hosts = found.peers.iter().chain(&found.except).map(|peer| peer.host.clone());
        let hosts = hosts.collect::<BTreeSet<_>>();
        let answers = join_all(hosts.iter().map(|host| resolver.look_up(host))).await;
        for (host, answer) in hosts.into_iter().zip(answers) {
            found.learn(host, answer?);
        }
        match found.count() {
            count if count > MOST => Err(FindError::TooMany { count }),
            _ => Ok(found),
        }
    }

    /// How many addresses there are, at most: before they are written down, which many ports of many peers could make long.
    pub fn count(&self) -> usize {
        let nets = |peer: &Peer| self.known.get(&peer.host).map_or(0, BTreeSet::len);
        let ports = |peer: &Peer| if peer.port.is_some() { 1 } else { self.ports.len().max(1) };
        let hit = self.peers.iter().map(|peer| nets(peer).saturating_mul(ports(peer)));
        let everybody = if self.everybody { 2 * self.ports.len().max(1) } else { 0 };
        let spared = self.except.iter().map(nets);
        hit.chain(spared).fold(everybody, usize::saturating_add)
    }

    /// Whether the addresses stay what they are.
    pub fn are_fixed(&self) -> bool {
        self.asking.is_empty()
    }

    /// Returns when a name was asked again. One without an answer keeps what it stood for. Can be dropped at any time.
    ///
    /// # Errors
    /// A name that had an answer the last time has none now.
    pub async fn changed(&mut self) -> Result<(), UnknownName> {
        loop {
            let Some((host, answer)) = self.asking.next().await else { return pending().await };
            match answer {
                Ok(answer) => {
                    self.silent.remove(&host);
                    self.learn(host, answer);
                    return Ok(());
                }
                Err(error) => {
                    self.ask(host.clone(), SILENCE);
                    if self.silent.insert(host) {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Whom it hits.
    pub fn targets(&self) -> Vec<Address> {
        let everybody = ["0.0.0.0/0", "::/0"].into_iter().filter_map(|net| net.parse::<IpNetwork>().ok());
        let everybody = everybody.filter(|_| self.everybody).map(|net| (net, None));
        let named = self.peers.iter().flat_map(|peer| self.nets(peer));
        let all = everybody.chain(named).flat_map(|(net, own)| self.on_ports(net, own));
        all.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Whom it spares.
    pub fn except(&self) -> Vec<Address> {
        let all = self.except.iter().flat_map(|peer| self.nets(peer));
        let all = all.map(|(net, ports)| Address { net, ports });
        all.collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn nets(&self, peer: &Peer) -> impl Iterator<Item = (IpNetwork, Option<Ports>)> {
        let port = peer.port;
        self.known.get(&peer.host).into_iter().flatten().map(move |net| (*net, port))
    }

    /// A peer's own ports win over those of the whole target.
    fn on_ports(&self, net: IpNetwork, own: Option<Ports>) -> Vec<Address> {
        match own {
            None if !self.ports.is_empty() => {
                self.ports.iter().map(|ports| Address { net, ports: Some(*ports) }).collect()
            }
            ports => vec![Address { net, ports }],
        }
    }

    fn learn(&mut self, host: Host, answer: Answer) {
        if let Some(valid_for) = answer.valid_for {
            self.ask(host.clone(), valid_for);
        }
        self.known.insert(host, answer.nets);
    }

    fn ask(&mut self, host: Host, after: Duration) {
        let resolver = self.resolver.clone();
        self.asking.push(Box::pin(async move {
            tokio::time::sleep(after).await;
            let answer = resolver.look_up(&host).await;
            (host, answer)
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::Peers;
    use crate::scope::Engines;

    fn resolver() -> Resolver {
        let peers = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let known = Peers::from([
            ("redis".to_owned(), peers(&["10.0.0.5:6379", "fd00::5"])),
            ("loop".to_owned(), peers(&["localhost:1"])),
            ("all".to_owned(), peers(&["redis", "loop"])),
        ]);
        Resolver::new(known, Engines::default())
    }

    async fn text(json: &str) -> Result<String, String> {
        let spec = serde_json::from_str(json).unwrap();
        let found = Targets::find(&spec, &resolver()).await.map_err(|error| error.to_string())?;
        let list =
            |addresses: Vec<Address>| addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        Ok(format!("{} except {}", list(found.targets()), list(found.except())))
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
        for group in ["loop", "all"] {
            let found = text(&format!(r#"{{"peers":["{group}"]}}"#)).await.unwrap();
            assert!(found.contains("127.0.0.1:1"), "{found}");
        }
        assert!(text(r#"{"peers":["localhost"]}"#).await.unwrap().contains("127.0.0.1"));
    }

    #[tokio::test]
    async fn more_addresses_than_the_kernel_is_to_hold_are_refused_before_they_are_written_down() {
        let list =
            |count: usize, text: &dyn Fn(usize) -> String| (0..count).map(text).collect::<Vec<_>>().join(",");
        let peers = list(2_000, &|nth| format!(r#""10.1.{}.{}""#, nth / 250, nth % 250));
        let ports = |count| list(count, &|nth| (nth + 1).to_string());
        let error = text(&format!(r#"{{"peers":[{peers}],"ports":[{}]}}"#, ports(51))).await.unwrap_err();
        assert!(error.contains("102000 addresses with their ports: at most 100000"), "{error}");
        assert!(text(&format!(r#"{{"peers":[{peers}],"ports":[{}]}}"#, ports(50))).await.is_ok());
    }

    #[tokio::test]
    async fn an_unknown_name_lists_what_was_tried() {
        let error = text(r#"{"peers":["no-such-host.invalid"]}"#).await.unwrap_err();
        assert!(error.contains("`no-such-host.invalid` is unknown"), "{error}");
        assert!(error.contains("all, loop, redis"), "{error}");
    }
}
