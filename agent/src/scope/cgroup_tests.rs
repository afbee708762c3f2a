//! Control groups on the real kernel. Root is needed.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use partition_agent_proto::Scope;

use super::cgroup::Tree;
use super::netns_tests::{Sleeper, soon};
use super::*;

static NO_ENGINES: Engines = Engines { sockets: Vec::new() };

/// A control group right below the root of the tree, removed in the end with those below it and all processes in them.
struct Group {
    path: String,
    directory: PathBuf,
    sleepers: Vec<Sleeper>,
}

impl Group {
    fn new(name: &str) -> Self {
        let path = format!("/pa-scope-{name}-{}", std::process::id());
        let directory = Tree::find("test").unwrap().mount.join(&path[1..]);
        fs::create_dir(&directory).unwrap();
        Self { path, directory, sleepers: Vec::new() }
    }

    fn add(&self, below: &str) {
        fs::create_dir_all(self.directory.join(below)).unwrap();
    }

    /// Starts a process in the group, or one below it; with a network namespace of its own where that is asked for.
    fn spawn(&mut self, below: &str, own_network: bool) {
        let mut command = Command::new(if own_network { "unshare" } else { "sleep" });
        command.args(if own_network { ["--net", "sleep", "300"].as_slice() } else { ["300"].as_slice() });
        let child = Sleeper(command.spawn().unwrap());
        fs::write(self.directory.join(below).join("cgroup.procs"), child.0.id().to_string()).unwrap();
        let own = NetnsId::of_self().unwrap();
        let path = format!("/proc/{}/ns/net", child.0.id());
        while own_network && NetnsId::at(&path).unwrap() == own {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.sleepers.push(child);
    }

    fn remove(&mut self, below: &str) {
        self.sleepers.clear();
        fs::remove_dir(self.directory.join(below)).unwrap();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.sleepers.clear();
        let mut directories = vec![self.directory.clone()];
        let mut next = 0;
        while let Some(directory) = directories.get(next).cloned() {
            let below = cgroup::children(&directory).unwrap_or_default();
            directories.extend(below.into_iter().map(|name| directory.join(name)));
            next += 1;
        }
        for directory in directories.into_iter().rev() {
            let _already_removed = fs::remove_dir(directory);
        }
    }
}

async fn resolved(scope: &Scope) -> Places {
    resolve(scope, &NO_ENGINES).await.unwrap()
}

fn sender(places: &Places) -> (&str, u32, u64) {
    let [place] = places.places.as_slice() else { panic!("{places:?}") };
    of_host(place)
}

fn of_host(place: &Place) -> (&str, u32, u64) {
    match (&place.netns, &place.sender) {
        (None, Some(Sender::Cgroup { path, level, id })) => (path, *level, *id),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn processes_of_the_agents_namespace_are_told_by_their_group() {
    let mut group = Group::new("sender");
    group.add("a/b");
    let empty = resolved(&Scope::Cgroup(group.path.clone())).await;
    assert_eq!((sender(&empty).0, sender(&empty).1), (group.path.as_str(), 1));
    group.spawn("a/b", false);
    let path = format!("{}/a/b", group.path);
    let places = resolved(&Scope::Cgroup(format!("{path}/"))).await;
    assert_eq!((sender(&places).0, sender(&places).1), (path.as_str(), 3));
    // What stat(1) says is what nftables compares.
    let inode = Command::new("stat").args(["-c", "%i"]).arg(group.directory.join("a/b")).output().unwrap();
    assert_eq!(sender(&places).2.to_string(), String::from_utf8(inode.stdout).unwrap().trim());
}

#[tokio::test]
async fn processes_with_a_namespace_of_their_own_are_that_namespace() {
    let mut group = Group::new("netns");
    group.add("a/b");
    group.spawn("a/b", true);
    let scope = Scope::Cgroup(group.path.clone());
    let one = resolved(&scope).await;
    let [place] = one.places.as_slice() else { panic!("{one:?}") };
    assert!(place.sender.is_none());
    assert_eq!(place.name, format!("cgroup {}", group.path));
    assert_ne!(place.netns.as_ref().unwrap().id(), NetnsId::of_self().unwrap());
    assert!(!name_servers(place).unwrap().is_empty());
    group.spawn("a", true);
    let two = soon(&scope, &NO_ENGINES, &one).await;
    assert_eq!(two.places.len(), 2);
    assert_ne!(two.places[0].name, two.places[1].name);
}

#[tokio::test]
async fn one_process_with_a_namespace_of_its_own_leaves_the_others_where_they_are() {
    let mut group = Group::new("mixed");
    group.add("sandbox");
    group.spawn("", false);
    let scope = Scope::Cgroup(group.path.clone());
    let alone = resolved(&scope).await;
    let told_by = sender(&alone);
    group.spawn("sandbox", true);
    let both = soon(&scope, &NO_ENGINES, &alone).await;
    let [host, sandbox] = both.places.as_slice() else { panic!("{both:?}") };
    assert_eq!(of_host(host), told_by);
    assert!(sandbox.netns.is_some() && sandbox.sender.is_none(), "{sandbox:?}");
    // The one in the agent's namespace ends.
    drop(group.sleepers.remove(0));
    let left = soon(&scope, &NO_ENGINES, &both).await;
    let [place] = left.places.as_slice() else { panic!("{left:?}") };
    assert_eq!(place.netns, sandbox.netns);
}

#[tokio::test]
async fn a_group_that_is_not_there_is_said_with_its_neighbours() {
    let group = Group::new("absent");
    group.add("here");
    let error =
        resolve(&Scope::Cgroup(format!("{}/there/below", group.path)), &NO_ENGINES).await.unwrap_err();
    assert!(error.is_absence() && error.to_string().contains("here"), "{error}");
    let mounted = group.directory.join("there").display().to_string();
    let error = resolve(&Scope::Cgroup(mounted), &NO_ENGINES).await.unwrap_err().to_string();
    assert!(error.contains(&format!("below the mount: {}/there", group.path)), "{error}");
    let error = resolve(&Scope::Cgroup("/".into()), &NO_ENGINES).await.unwrap_err().to_string();
    assert!(error.contains("every process"), "{error}");
}

#[tokio::test]
async fn a_unit_is_found_in_its_slice_and_followed_over_a_restart() {
    let mut group = Group::new("unit");
    let unit = format!("pa-scope-{}@1.service", std::process::id());
    let below = format!("system-x.slice/{unit}");
    group.add(&below);
    group.spawn(&below, false);
    let scope = Scope::Unit(unit.trim_end_matches(".service").to_owned());
    let known = resolved(&scope).await;
    assert_eq!((sender(&known).0, sender(&known).1), (format!("{}/{below}", group.path).as_str(), 3));
    // While it is waited for, as systemd does it: the group goes with the last process, and comes with the next.
    let restart = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(700));
        group.remove(&below);
        let stopped = Instant::now();
        std::thread::sleep(Duration::from_millis(1200));
        group.add(&below);
        group.spawn(&below, false);
        (group, stopped, Instant::now())
    });
    let away = soon(&scope, &NO_ENGINES, &known).await;
    let let_go = Instant::now();
    assert!(away.places.is_empty() && matches!(away.presence, Presence::Away { .. }), "{away:?}");
    let back = soon(&scope, &NO_ENGINES, &away).await;
    let followed = Instant::now();
    let (_group, stopped, started) = restart.join().unwrap();
    println!("unit: stopped to no places: {:?}", let_go.saturating_duration_since(stopped));
    println!("unit: started to new places: {:?}", followed.saturating_duration_since(started));
    assert_ne!(sender(&back).2, sender(&known).2);
}

#[tokio::test]
async fn a_unit_that_restarts_between_two_looks_has_a_new_group() {
    let mut group = Group::new("quick");
    let unit = format!("pa-scope-quick-{}.service", std::process::id());
    group.add(&unit);
    let scope = Scope::Unit(unit.clone());
    let known = resolved(&scope).await;
    group.remove(&unit);
    group.add(&unit);
    let back = soon(&scope, &NO_ENGINES, &known).await;
    assert_ne!(sender(&back).2, sender(&known).2);
}

#[tokio::test]
async fn an_ambiguous_or_unknown_unit_says_what_there_is() {
    let group = Group::new("ambiguous");
    let unit = format!("pa-scope-twice-{}.service", std::process::id());
    group.add(&format!("a/{unit}"));
    group.add(&format!("b/{unit}"));
    let error = resolve(&Scope::Unit(unit.clone()), &NO_ENGINES).await.unwrap_err().to_string();
    assert!(error.contains(&format!("{}/a/{unit}", group.path)) && error.contains("/b/"), "{error}");
    let error = resolve(&Scope::Unit("pa-scope-no-such".into()), &NO_ENGINES).await.unwrap_err();
    assert!(error.is_absence() && error.to_string().contains("pa-scope-no-such.service"), "{error}");
}

#[tokio::test]
async fn a_pod_is_the_namespace_of_its_processes_and_its_group_in_that_of_the_host() {
    let mut group = Group::new("pod");
    let uid = format!("{:08}-4a5b-4c6d-8e7f-a0b1c2d3e4f5", std::process::id());
    let pod = format!("kubepods-burstable-pod{}.slice", uid.replace('-', "_"));
    let (container, monitor) =
        (format!("{pod}/cri-containerd-1.scope"), format!("{pod}/crio-conmon-1.scope"));
    group.add(&container);
    group.add(&monitor);
    let scope = Scope::Pod(uid.clone());
    let absent = async || {
        let error = resolve(&scope, &NO_ENGINES).await.unwrap_err();
        assert!(error.is_absence() && error.to_string().contains("no processes"), "{error}");
    };
    absent().await;
    group.spawn(&monitor, false);
    absent().await;
    group.spawn(&container, true);
    let places = resolved(&scope).await;
    let [place] = places.places.as_slice() else { panic!("{places:?}") };
    assert!(place.name == format!("pod {uid}") && place.sender.is_none(), "{place:?}");
    group.spawn(&container, false);
    let both = resolved(&scope).await;
    assert_eq!(both.places.len(), 2, "{both:?}");
    assert_eq!(of_host(&both.places[0]).0, format!("{}/{pod}", group.path));
}

#[tokio::test]
async fn a_pod_that_two_groups_may_be_is_refused() {
    let mut group = Group::new("pods");
    let pod = format!("pod{:08}-4a5b-4c6d-8e7f-a0b1c2d3e4f6", std::process::id());
    for below in [format!("a/{pod}"), format!("b/{pod}")] {
        group.add(&below);
        group.spawn(&below, false);
    }
    let error = resolve(&Scope::Pod(pod["pod".len()..].to_owned()), &NO_ENGINES).await.unwrap_err();
    assert!(error.to_string().contains(&format!("{}/a/{pod}", group.path)), "{error}");
}
