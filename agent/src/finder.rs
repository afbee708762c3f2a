//! What a fault is planned from, found out on the host that applies it: addresses of names, network namespaces of containers,
//! name servers. And found out again while it lasts.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use partition_agent_proto::{Connection, Event, EventKind, FaultId, FaultSpec, Kind};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::keeper::{Error, Handle, Site, Sources};
use crate::plan::Place as PlanPlace;
use crate::resolve::{self, Peers, Targets, UnknownName};
use crate::scope::{self, Engines, Places, Presence, ScopeError};

/// Knows the names of the configuration and where the container engines are.
#[derive(Debug, Clone, Default)]
pub struct Finder {
    peers: Arc<Peers>,
    engines: Arc<Engines>,
}

/// A fault that cannot be planned, because something that it names is not there.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    #[error(transparent)]
    Name(#[from] UnknownName),
    #[error(transparent)]
    Scope(#[from] ScopeError),
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
        Self { peers: Arc::new(peers), engines: Arc::new(engines) }
    }

    /// The names of the configuration.
    #[must_use]
    pub fn peers(&self) -> &Peers {
        &self.peers
    }

    /// Where the container engines are.
    #[must_use]
    pub fn engines(&self) -> &Engines {
        &self.engines
    }

    /// # Errors
    /// The first thing that is not there.
    pub async fn find(&self, spec: &FaultSpec, keep: Vec<Connection>) -> Result<Found, FindError> {
        let places = scope::resolve(&spec.scope, &self.engines).await?;
        let targets = resolve::target(&spec.target, &self.peers, &self.engines).await?;
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
        if found.targets.valid_for.is_none() && !scope::can_change(&spec.scope) {
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

    async fn keep_looking(&self, keeper: &Handle, id: &FaultId, spec: &FaultSpec, mut found: Found) {
        let mut failing = false;
        loop {
            tokio::select! {
                places = scope::changed(&spec.scope, &self.engines, &found.places) => {
                    if places.presence == Presence::Gone {
                        let _ = keeper.vanished(id.clone(), spec.scope.to_string()).await;
                        return;
                    }
                    found.places = places;
                }
                () = due(found.targets.valid_for) => {
                    match resolve::target(&spec.target, &self.peers, &self.engines).await {
                        Ok(targets) => {
                            failing = false;
                            found.targets = targets;
                        }
                        // A name that has no answer now keeps the addresses that it had.
                        Err(error) => {
                            if !std::mem::replace(&mut failing, true) {
                                tracing::warn!(%id, %error, "the fault keeps the addresses that it has");
                            }
                        }
                    }
                }
            }
            let sources = sources(spec, &found.places, &found.targets, found.sources.keep.clone());
            if sources == found.sources {
                continue;
            }
            found.sources = sources.clone();
            match keeper.follow(id.clone(), sources).await {
                Err(Error::Unknown(_) | Error::Over(_) | Error::Stopping) => return,
                Ok(()) => {}
                Err(error) => tracing::warn!(%id, %error, "a change could not be followed"),
            }
        }
    }
}

async fn due(valid_for: Option<Duration>) {
    match valid_for {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

/// Returns when the fault is over.
async fn ended(keeper: &Handle, mut events: Receiver<Event>, id: &FaultId) {
    loop {
        match events.recv().await {
            Ok(event) if event.id == *id => match event.kind {
                EventKind::Ended | EventKind::Restored => return,
                EventKind::Injected
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

/// Link-local ones are left out: a question to one is bound to its interface, and cannot be turned to loopback.
fn name_servers(place: &scope::Place) -> Vec<SocketAddr> {
    let servers = match scope::name_servers(place) {
        Ok(servers) => servers,
        Err(error) => {
            tracing::warn!(place = place.name, %error, "the name servers that are asked there are not known");
            Vec::new()
        }
    };
    let link_local = |address: &IpAddr| match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    let servers = servers.into_iter().map(|server| server.address.to_canonical());
    servers.filter(|address| !link_local(address)).map(|address| SocketAddr::new(address, 53)).collect()
}

fn sources(spec: &FaultSpec, places: &Places, targets: &Targets, keep: Vec<Connection>) -> Sources {
    let dns = spec.kinds.iter().any(|kind| matches!(kind, Kind::Dns { .. }));
    let asked = targets.targets.iter().map(|address| SocketAddr::new(address.net.ip(), 53));
    let asked = asked.collect::<Vec<_>>();
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
        targets: if dns { Vec::new() } else { targets.targets.clone() },
        except: targets.except.clone(),
        keep,
        sites: places.places.iter().map(site).collect(),
    }
}
