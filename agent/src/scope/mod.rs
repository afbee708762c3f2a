//! Where a fault acts: from the words of a scope to open network namespaces and control groups, and how those change while
//! the fault lasts.

mod cgroup;
mod cgroup_find;
mod containers;
mod engines;
mod error;
mod events;
#[cfg(feature = "fuzz")]
pub mod fuzzing;
mod named;
mod process;
mod resolv_conf;
mod select;
mod watch;

#[cfg(test)]
mod cgroup_tests;
#[cfg(test)]
mod container_tests;
#[cfg(test)]
mod netns_tests;
#[cfg(test)]
mod podman_tests;

use std::io;
use std::path::PathBuf;

use nix::unistd::User;
use partition_agent_proto::Scope;
use tokio::time::Instant;

use crate::netns::{Netns, NetnsId};
use crate::plan::Sender;

pub use containers::compose_addresses;
pub use engines::Engines;
pub use error::ScopeError;
pub use process::Process;
pub use resolv_conf::{NameServer, name_servers};
pub use watch::{GRACE, changed};

/// Where a fault acts.
#[derive(Debug, Clone)]
pub struct Places {
    /// Each namespace once. None: there is nothing at the moment, and what was open has to be let go of.
    pub places: Vec<Place>,
    pub presence: Presence,
}

/// Whether that which a scope names is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// There are places.
    Here,
    /// There are none since then; what is being restarted comes back within [`GRACE`].
    Away { since: Instant },
    /// Nothing came back in that time. It is still followed: `changed` finds it if it does come back.
    Gone,
}

/// One network namespace.
#[derive(Debug, Clone)]
pub struct Place {
    /// For operators: "host", "netns blue", "container `shop_redis_1` (3f2a5bd0c1e7)".
    pub name: String,
    /// None: the agent's own.
    pub netns: Option<Netns>,
    /// Whose packets among those of the agent's own namespace; all, if none is named, and everywhere else.
    pub sender: Option<Sender>,
    pub holder: Holder,
}

impl Place {
    fn host(sender: Option<Sender>) -> Self {
        Self { name: "host".to_owned(), netns: None, sender, holder: Holder::Agent }
    }

    /// All of another namespace.
    fn other(name: String, netns: Netns, holder: Holder) -> Self {
        Self { name, netns: Some(netns), sender: None, holder }
    }
}

/// By what a namespace was found, and whose files its programs read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// The agent itself.
    Agent,
    /// A name of `ip netns`.
    Name(String),
    /// A file that is neither below `/run/netns` nor `/proc`.
    Path(PathBuf),
    /// A process inside, one of maybe several.
    Process(Process),
}

/// What a look found; no places if nothing is there.
#[derive(Debug, Default)]
struct Found {
    places: Vec<Place>,
    /// Someone who may know of more did not answer.
    partial: bool,
}

impl Found {
    fn of(places: Vec<Place>) -> Self {
        Self { places, partial: false }
    }
}

impl From<Found> for Places {
    fn from(found: Found) -> Self {
        let presence =
            if found.places.is_empty() { Presence::Away { since: Instant::now() } } else { Presence::Here };
        Self { places: found.places, presence }
    }
}

/// Whether the places of such a scope can change at all.
pub fn can_change(scope: &Scope) -> bool {
    match scope {
        Scope::Host | Scope::User(_) => false,
        Scope::Netns(_)
        | Scope::Container(_)
        | Scope::Label(_)
        | Scope::Compose(_)
        | Scope::Pod(_)
        | Scope::Cgroup(_)
        | Scope::Unit(_) => true,
    }
}

/// Finds out where a fault acts; there is at least one place then.
///
/// # Errors
/// Nothing of that name is there, it is ambiguous or would hit the whole host, or the agent may not look.
pub async fn resolve(scope: &Scope, engines: &Engines) -> Result<Places, ScopeError> {
    find(scope, engines).await.map(Places::from)
}

async fn find(scope: &Scope, engines: &Engines) -> Result<Found, ScopeError> {
    let asked = scope.to_string();
    // Before any await: the blocking work runs on another thread, which need not be in the same namespace.
    let own = NetnsId::of_self()
        .map_err(|error| ScopeError::kernel(&asked, "looking at the agent's own network namespace", error))?;
    match scope {
        Scope::Host => Ok(Found::of(vec![Place::host(None)])),
        Scope::User(name) => blocking(asked, name, user).await,
        Scope::Netns(text) => blocking(asked, text, move |asked, text| named::find(asked, text, own)).await,
        Scope::Cgroup(path) => {
            blocking(asked, path, move |asked, path| cgroup_find::cgroup(asked, path, own)).await
        }
        Scope::Unit(name) => {
            blocking(asked, name, move |asked, name| cgroup_find::unit(asked, name, own)).await
        }
        Scope::Pod(uid) => blocking(asked, uid, move |asked, uid| cgroup_find::pod(asked, uid, own)).await,
        Scope::Container(text) => containers::find(&asked, &select::Selector::Name(text), engines, own).await,
        Scope::Label(text) => containers::find(&asked, &select::Selector::label(text), engines, own).await,
        Scope::Compose(text) => {
            containers::find(&asked, &select::Selector::compose(text), engines, own).await
        }
    }
}

/// Files of `/proc` and `/sys` can be many, a directory of users slow.
async fn blocking(
    asked: String,
    argument: &str,
    work: impl FnOnce(&str, &str) -> Result<Found, ScopeError> + Send + 'static,
) -> Result<Found, ScopeError> {
    let (about, argument) = (asked.clone(), argument.to_owned());
    match tokio::task::spawn_blocking(move || work(&about, &argument)).await {
        Ok(result) => result,
        Err(error) => Err(ScopeError::kernel(&asked, "looking for it", io::Error::other(error))),
    }
}

fn user(asked: &str, name: &str) -> Result<Found, ScopeError> {
    let uid = match name.parse::<u32>() {
        Ok(uid) => uid,
        Err(_) => User::from_name(name)
            .map_err(|error| ScopeError::kernel(asked, "looking it up", error.into()))?
            .ok_or_else(|| ScopeError::NoUser(name.to_owned()))?
            .uid
            .as_raw(),
    };
    Ok(Found::of(vec![Place::host(Some(Sender::User(uid)))]))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sender(scope: Scope) -> Result<Option<Sender>, ScopeError> {
        let places = resolve(&scope, &Engines { sockets: Vec::new() }).await?;
        assert_eq!(places.presence, Presence::Here);
        let [place] = places.places.as_slice() else { panic!("{places:?}") };
        assert!(place.netns.is_none() && place.name == "host");
        Ok(place.sender.clone())
    }

    #[tokio::test]
    async fn users_are_found_by_name_and_by_number() {
        assert_eq!(sender(Scope::User("nobody".into())).await.unwrap(), Some(Sender::User(65534)));
        assert_eq!(sender(Scope::User("4321".into())).await.unwrap(), Some(Sender::User(4321)));
        assert_eq!(sender(Scope::Host).await.unwrap(), None);
        let error = sender(Scope::User("no-such-user".into())).await.unwrap_err().to_string();
        assert!(error.contains("no-such-user") && error.contains("number"), "{error}");
    }
}
