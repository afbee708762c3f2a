//! Named network namespaces on the real kernel. Root is needed.

use std::process::{Child, Command};
use std::time::Duration;

use partition_agent_proto::Scope;

use super::*;

static NO_ENGINES: Engines = Engines { sockets: Vec::new() };

/// A namespace of `ip netns`, deleted in the end.
struct Named(String);

impl Named {
    fn new(name: &str) -> Self {
        let named = Self(format!("pa-scope-{name}-{}", std::process::id()));
        named.ip("add");
        named
    }

    fn ip(&self, verb: &str) {
        assert!(Command::new("ip").args(["netns", verb, &self.0]).status().unwrap().success());
    }

    fn spawn(&self) -> Sleeper {
        Sleeper(Command::new("ip").args(["netns", "exec", &self.0, "sleep", "300"]).spawn().unwrap())
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let _already_deleted = Command::new("ip").args(["netns", "del", &self.0]).output();
    }
}

/// A process, killed in the end.
pub(super) struct Sleeper(pub(super) Child);

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _already_ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// What `changed` returns, which must not take long.
pub(super) async fn soon(scope: &Scope, engines: &Engines, known: &Places) -> Places {
    let change = changed(scope, engines, known);
    tokio::time::timeout(Duration::from_secs(30), change).await.expect("nothing changed within 30 s")
}

fn id(places: &Places) -> NetnsId {
    let [place] = places.places.as_slice() else { panic!("not one place: {places:?}") };
    place.netns.as_ref().expect("a namespace").id()
}

#[tokio::test]
async fn a_namespace_is_found_by_name_path_and_process() {
    let named = Named::new("find");
    let process = named.spawn();
    let id_of_path = NetnsId::at(format!("/run/netns/{}", named.0)).unwrap();
    // `ip` enters the namespace before it becomes `sleep`.
    let begun = Instant::now();
    while NetnsId::at(format!("/proc/{}/ns/net", process.0.id())).unwrap() != id_of_path {
        assert!(begun.elapsed() < Duration::from_secs(30), "the process did not enter the namespace");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for text in [named.0.clone(), format!("/run/netns/{}", named.0), format!("pid:{}", process.0.id())] {
        let places = resolve(&Scope::Netns(text.clone()), &NO_ENGINES).await.unwrap();
        assert_eq!(id(&places), id_of_path, "{text}");
        assert_eq!(places.places[0].name, format!("netns {text}"));
        assert!(!name_servers(&places.places[0]).unwrap().is_empty());
    }
}

#[tokio::test]
async fn the_agents_own_namespace_is_the_host() {
    for text in [format!("pid:{}", std::process::id()), "/proc/self/ns/net".to_owned()] {
        let places = resolve(&Scope::Netns(text), &NO_ENGINES).await.unwrap();
        assert!(places.places.len() == 1 && places.places[0].netns.is_none(), "{places:?}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_said_with_what_is() {
    let named = Named::new("list");
    for text in ["pa-no-such-name", "/run/netns/pa-no-such-name", "/nowhere", "/etc/passwd", "pid:4194305"] {
        let error = resolve(&Scope::Netns(text.into()), &NO_ENGINES).await.unwrap_err();
        assert!(error.is_absence(), "{error}");
        let error = error.to_string();
        assert!(error.contains(text) && error.contains(&named.0), "{error}");
    }
}

#[tokio::test]
async fn a_deleted_namespace_is_away_then_followed_when_it_is_made_again() {
    let named = Named::new("again");
    let scope = Scope::Netns(named.0.clone());
    let known = resolve(&scope, &NO_ENGINES).await.unwrap();
    let quiet = tokio::time::timeout(Duration::from_millis(1200), changed(&scope, &NO_ENGINES, &known)).await;
    assert!(quiet.is_err(), "{quiet:?}");
    named.ip("del");
    let away = soon(&scope, &NO_ENGINES, &known).await;
    assert!(away.places.is_empty() && matches!(away.presence, Presence::Away { .. }), "{away:?}");
    named.ip("add");
    let back = soon(&scope, &NO_ENGINES, &away).await;
    // The old one is still open in `known`, so the new one has another number.
    assert_ne!(id(&back), id(&known));
}

/// How many descriptors of this process keep a namespace open.
fn descriptors(id: NetnsId) -> usize {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap();
    entries.filter(|entry| NetnsId::at(entry.as_ref().unwrap().path()).is_ok_and(|found| found == id)).count()
}

#[tokio::test]
async fn while_it_waits_only_the_caller_holds_the_namespace() {
    let named = Named::new("held");
    let scope = Scope::Netns(named.0.clone());
    let known = resolve(&scope, &NO_ENGINES).await.unwrap();
    let mut fewest = usize::MAX;
    let watch = async {
        // A look takes well below a millisecond of each 500; 100 of them do not all hit one.
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(12)).await;
            fewest = fewest.min(descriptors(id(&known)));
        }
    };
    tokio::select! {
        other = changed(&scope, &NO_ENGINES, &known) => panic!("{other:?}"),
        () = watch => {}
    }
    assert_eq!(fewest, 1);
}

#[tokio::test]
async fn a_deleted_namespace_is_gone_after_the_grace() {
    let named = Named::new("gone");
    let scope = Scope::Netns(named.0.clone());
    let known = resolve(&scope, &NO_ENGINES).await.unwrap();
    named.ip("del");
    let away = soon(&scope, &NO_ENGINES, &known).await;
    let Presence::Away { since } = away.presence else { panic!("{away:?}") };
    let gone = soon(&scope, &NO_ENGINES, &away).await;
    assert!(gone.places.is_empty() && gone.presence == Presence::Gone, "{gone:?}");
    assert!(since.elapsed() >= GRACE);
}

#[tokio::test]
async fn a_process_that_ends_is_gone_at_once() {
    let named = Named::new("pid");
    let mut process = named.spawn();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let scope = Scope::Netns(format!("pid:{}", process.0.id()));
    let known = resolve(&scope, &NO_ENGINES).await.unwrap();
    process.0.kill().unwrap();
    process.0.wait().unwrap();
    let gone = soon(&scope, &NO_ENGINES, &known).await;
    assert!(gone.places.is_empty() && gone.presence == Presence::Gone, "{gone:?}");
    let quiet = tokio::time::timeout(Duration::from_secs(1), changed(&scope, &NO_ENGINES, &gone)).await;
    assert!(quiet.is_err(), "{quiet:?}");
}
