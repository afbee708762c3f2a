//! What a fault is planned from, found out on the host that applies it: addresses of names, network namespaces of containers,
//! name servers. And found out again while it lasts.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;

use futures_util::{StreamExt, stream};
use partition_agent_proto::{Connection, Event, EventKind, FaultId, FaultSpec, Kind};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::keeper::{Error, Handle, Site, Sources};
use crate::plan::Place as PlanPlace;
use crate::resolve::{Peers, Resolver, UnknownName};
use crate::scope::{self, Engines, Places, Presence, ScopeError};
use crate::targets::{self, Targets};

/// Finds what faults name.
#[derive(Debug, Clone, Default)]
pub struct Finder {
    resolver: Resolver,
}

/// A fault that cannot be planned, because something that it names is not there.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    #[error(transparent)]
    Name(#[from] UnknownName),
    #[error(transparent)]
    Scope(#[from] ScopeError),
    #[error("the target stands for {count} addresses with their ports: at most {}", targets::MOST)]
    TooMany { count: usize },
}

/// What was found, with what it takes to find it again.
#[derive(Debug)]
pub struct Found {
    pub sources: Sources,
    places: Places,
    targets: Targets,
}

impl Finder {
    #[must_use]
    pub fn new(peers: Peers, engines: Engines) -> Self {
        Self { resolver: Resolver::new(peers, engines) }
    }

    /// What finds the addresses of a name.
    #[must_use]
    pub fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    /// # Errors
    /// The first thing that is not there.
    pub async fn find(&self, spec: &FaultSpec, keep: Vec<Connection>) -> Result<Found, FindError> {
        let places = scope::resolve(&spec.scope, self.resolver.engines()).await?;
        let targets = Targets::find(&spec.target, &self.resolver).await?;
        let sources = sources(spec, &places, &targets, keep);
        Ok(Found { sources, places, targets })
    }

    /// Follows what a fault was planned from, in a task of its own that ends with the fault. Nothing to follow, no task.
    /// The events are those since before the fault was asked for: it may have ended already.
    pub fn follow(
        &self,
        keeper: Handle,
        events: Receiver<Event>,
        id: FaultId,
        spec: FaultSpec,
        found: Found,
    ) {
        if found.targets.are_fixed() && !scope::can_change(&spec.scope) {
            return;
        }
        let finder = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = ended(&keeper, events, &id) => {}
                () = finder.keep_looking(&keeper, &id, &spec, found) => {}
            }
        });
    }

    /// Names and places are asked for side by side: an answer that is waited for holds up no other.
    async fn keep_looking(&self, keeper: &Handle, id: &FaultId, spec: &FaultSpec, found: Found) {
        let Found { sources: mut planned, mut places, mut targets } = found;
        let moves = stream::unfold(places.clone(), async |known| {
            let now = scope::changed(&spec.scope, self.resolver.engines(), &known).await;
            Some((now.clone(), now))
        });
        let mut moves = pin!(moves);
        loop {
            tokio::select! {
                Some(now) = moves.next() => {
                    if now.presence == Presence::Gone {
                        let _ = keeper.vanished(id.clone(), spec.scope.to_string()).await;
                        return;
                    }
                    places = now;
                }
                asked = targets.changed() => {
                    if let Err(error) = asked {
                        tracing::warn!(%id, %error, "the fault keeps the addresses that it has");
                    }
                }
            }
            if targets.count() > targets::MOST {
                tracing::warn!(%id, count = targets.count(), "too many addresses; the fault keeps those that it has");
                continue;
            }
            let sources = sources(spec, &places, &targets, planned.keep.clone());
            if sources == planned {
                continue;
            }
            planned = sources.clone();
            match keeper.follow(id.clone(), sources).await {
                Err(Error::Unknown(_) | Error::Over(_) | Error::Stopping) => return,
                Ok(()) => {}
                Err(error) => tracing::warn!(%id, %error, "a change could not be followed"),
            }
        }
    }
}

/// Returns when the fault is over.
async fn ended(keeper: &Handle, mut events: Receiver<Event>, id: &FaultId) {
    loop {
        match events.recv().await {
            Ok(event) if event.id == *id => match event.kind {
                EventKind::Ended | EventKind::Restored => return,
                EventKind::Prepared
                | EventKind::Committed
                | EventKind::Injected
                | EventKind::Started
                | EventKind::Changed
                | EventKind::Followed
                | EventKind::Reattached
                | EventKind::Failed => {}
            },
            Ok(_) => {}
            // Its end may be among what was missed.
            Err(RecvError::Lagged(_)) if keeper.get(id.clone()).await.is_ok() => {}
            Err(RecvError::Lagged(_) | RecvError::Closed) => return,
        }
    }
}

/// Link-local ones of IPv6 are left out: a question to one is bound to its interface, and cannot be turned to loopback. Those of
/// IPv4 have no zone.
fn name_servers(place: &scope::Place) -> Vec<SocketAddr> {
    let servers = match scope::name_servers(place) {
        Ok(servers) => servers,
        Err(error) => {
            tracing::warn!(place = place.name, %error, "the name servers that are asked there are not known");
            Vec::new()
        }
    };
    let bound = |address: &IpAddr| match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    let servers = servers.into_iter().map(|server| server.address.to_canonical());
    servers.filter(|address| !bound(address)).map(|address| SocketAddr::new(address, 53)).collect()
}

fn sources(spec: &FaultSpec, places: &Places, targets: &Targets, keep: Vec<Connection>) -> Sources {
    let dns = spec.kinds.iter().any(|kind| matches!(kind, Kind::Dns { .. }));
    let addresses = targets.targets();
    let asked = addresses.iter().map(|address| SocketAddr::new(address.net.ip(), 53)).collect::<Vec<_>>();
    let site = |place: &scope::Place| Site {
        place: PlanPlace { name: place.name.clone(), id: place.netns.as_ref().map(crate::netns::Netns::id) },
        netns: place.netns.clone(),
        sender: place.sender.clone(),
        servers: match (dns, spec.target.peers.is_empty()) {
            (false, _) => Vec::new(),
            (true, true) => name_servers(place),
            (true, false) => asked.clone(),
        },
    };
    Sources {
        targets: if dns { Vec::new() } else { addresses },
        except: targets.except(),
        keep,
        sites: places.places.iter().map(site).collect(),
    }
}
