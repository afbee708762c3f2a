//! Scopes that are control groups: by path, by systemd unit, by Kubernetes pod.

use std::io::{self, ErrorKind};
use std::path::Path;

use super::cgroup::{Group, Namespaces, Tree, children};
use super::error::{ScopeError, listed};
use super::{Found, Holder, Place, Sender};
use crate::netns::NetnsId;

/// What systemd.unit(5) lists, but for those that never hold processes.
const SUFFIXES: [&str; 7] = [".service", ".scope", ".slice", ".socket", ".mount", ".swap", ".automount"];

pub(super) fn cgroup(asked: &str, path: &str, own: NetnsId) -> Result<Found, ScopeError> {
    let tree = Tree::find(asked)?;
    inside(asked, by_path(asked, &tree, path)?, own)
}

pub(super) fn unit(asked: &str, name: &str, own: NetnsId) -> Result<Found, ScopeError> {
    let tree = Tree::find(asked)?;
    inside(asked, by_unit(asked, &tree, &unit_name(name))?, own)
}

fn inside(asked: &str, group: Group, own: NetnsId) -> Result<Found, ScopeError> {
    let namespaces = look(asked, &group, own)?;
    Ok(places(asked, group, namespaces))
}

/// The processes of a group: in the agent's namespace, where the fault is theirs only, and in others, where it is everybody's.
/// Without any process those that come are expected in the agent's.
fn places(asked: &str, group: Group, namespaces: Namespaces) -> Found {
    let Namespaces { in_own, others } = namespaces;
    let several = others.len() > 1;
    let mut places = Vec::new();
    if in_own > 0 || others.is_empty() {
        let level = group.level();
        places.push(Place::host(Some(Sender::Cgroup { path: group.path, level, id: group.id })));
    }
    places.extend(others.into_iter().map(|(process, netns)| {
        let name = if several { format!("{asked} ({})", netns.id()) } else { asked.to_owned() };
        Place::other(name, netns, Holder::Process(process))
    }));
    Found::of(places)
}

/// Whether the group is still the same one.
pub(super) fn is_there(path: &str, id: u64) -> bool {
    Tree::find(path).is_ok_and(|tree| tree.group(path).is_ok_and(|group| group.id == id))
}

fn look(asked: &str, group: &Group, own: NetnsId) -> Result<Namespaces, ScopeError> {
    group.namespaces(own).map_err(|error| match error.kind() {
        ErrorKind::NotFound => ScopeError::Absent {
            asked: asked.to_owned(),
            found: format!("{} has just been removed", group.directory.display()),
            advice: "try again".to_owned(),
        },
        _ => ScopeError::kernel(asked, "looking at the network namespaces of its processes", error),
    })
}

fn by_path(asked: &str, tree: &Tree, path: &str) -> Result<Group, ScopeError> {
    let group = tree.group(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => ScopeError::Absent {
            asked: asked.to_owned(),
            found: nearest(tree, path),
            advice: match Path::new(path).strip_prefix(&tree.mount) {
                Ok(below) => format!("write the path below the mount: /{}", below.display()),
                Err(_) => "start what runs in it first (systemd-cgls shows the tree)".to_owned(),
            },
        },
        _ => ScopeError::kernel(asked, format!("looking at it in {}", tree.mount.display()), error),
    })?;
    if group.level() == 0 {
        return Err(ScopeError::Refused {
            asked: asked.to_owned(),
            reason: "it is the root of the tree and holds every process".to_owned(),
            advice: "name a control group below it, or the host if all of it is meant".to_owned(),
        });
    }
    Ok(group)
}

/// The deepest part of a path that exists, and what is in there.
fn nearest(tree: &Tree, path: &str) -> String {
    let mut part = path;
    loop {
        part = part.rsplit_once('/').map_or("", |(parent, _)| parent);
        if let Ok(group) = tree.group(part) {
            let names = children(&group.directory).unwrap_or_default();
            return format!("in {} are: {}", group.directory.display(), listed(names));
        }
        if part.is_empty() {
            return format!("{} cannot be read", tree.mount.display());
        }
    }
}

fn by_unit(asked: &str, tree: &Tree, name: &str) -> Result<Group, ScopeError> {
    // Where system services without a slice or template of their own are: no walk for most.
    if let Ok(group) = tree.group(&format!("/system.slice/{name}")) {
        return Ok(group);
    }
    let mut found = tree.search(|candidate| candidate == name).map_err(|error| walk(asked, tree, error))?;
    match (found.pop(), found.is_empty()) {
        (Some(group), true) => Ok(group),
        (Some(group), false) => {
            found.push(group);
            Err(several(asked, found))
        }
        (None, _) => {
            let units = tree.search(|candidate| candidate.ends_with(".service")).unwrap_or_default();
            Err(ScopeError::Absent {
                asked: asked.to_owned(),
                found: format!(
                    "no control group in {} is called {name}; services there: {}",
                    tree.mount.display(),
                    listed(
                        units.into_iter().filter_map(|unit| Some(unit.path.rsplit_once('/')?.1.to_owned()))
                    ),
                ),
                advice: format!("start it first (systemctl status){}", hybrid(tree)),
            })
        }
    }
}

/// The processes of a pod. Its namespace lasts as long as its sandbox, whatever its containers do; where it uses the network of
/// the host, they are told apart by its group.
pub(super) fn pod(asked: &str, uid: &str, own: NetnsId) -> Result<Found, ScopeError> {
    let tree = Tree::find(asked)?;
    let groups = tree.search(|name| is_pod(name, uid)).map_err(|error| walk(asked, &tree, error))?;
    let absent = match groups.first() {
        Some(group) => format!("{} has no processes", group.directory.display()),
        None => format!("no control group in {} is called pod{uid}", tree.mount.display()),
    };
    let mut alive = Vec::new();
    for group in groups {
        let namespaces = look(asked, &group, own)?;
        if !namespaces.is_empty() {
            alive.push((group, namespaces));
        }
    }
    match (alive.pop(), alive.is_empty()) {
        (Some((group, namespaces)), true) => Ok(places(asked, group, namespaces)),
        (Some((group, _)), false) => {
            let all = alive.into_iter().map(|(group, _)| group).chain([group]);
            Err(several(asked, all.collect()))
        }
        (None, _) => {
            let advice = "is it on this node? `kubectl get pod -o jsonpath={.metadata.uid}` prints the uid";
            let advice = format!("{advice}{}", hybrid(&tree));
            Err(ScopeError::Absent { asked: asked.to_owned(), found: absent, advice })
        }
    }
}

fn several(asked: &str, groups: Vec<Group>) -> ScopeError {
    ScopeError::Refused {
        asked: asked.to_owned(),
        reason: format!("there are several: {}", listed(groups.into_iter().map(|group| group.path))),
        advice: "name the control group of the one that is meant (--cgroup)".to_owned(),
    }
}

fn walk(asked: &str, tree: &Tree, error: io::Error) -> ScopeError {
    ScopeError::kernel(asked, format!("searching {}", tree.mount.display()), error)
}

/// On hybrid hosts the managers may keep their groups out of version 2.
fn hybrid(tree: &Tree) -> &'static str {
    if tree.mount == Path::new("/sys/fs/cgroup") {
        ""
    } else {
        "; this host mounts both versions of control groups, and what is kept in version 1 alone cannot be found: \
         boot with systemd.unified_cgroup_hierarchy=1, or name a process in it (netns pid:N)"
    }
}

/// `redis` means `redis.service`, as for systemctl.
fn unit_name(name: &str) -> String {
    if SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) {
        name.to_owned()
    } else {
        format!("{name}.service")
    }
}

/// `pod<uid>` of the cgroupfs driver, `kubepods-burstable-pod<uid with underscores>.slice` of the systemd driver.
fn is_pod(name: &str, uid: &str) -> bool {
    let name = name.strip_suffix(".slice").unwrap_or(name);
    [uid.to_owned(), uid.replace('-', "_")].iter().any(|uid| {
        let before = name.strip_suffix(uid.as_str()).and_then(|name| name.strip_suffix("pod"));
        before.is_some_and(|before| before.is_empty() || before.ends_with('-'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_are_known_by_the_names_of_both_drivers() {
        let uid = "0f1c2d3e-4a5b-4c6d-8e7f-a0b1c2d3e4f5";
        for name in [
            "pod0f1c2d3e-4a5b-4c6d-8e7f-a0b1c2d3e4f5",
            "kubepods-pod0f1c2d3e_4a5b_4c6d_8e7f_a0b1c2d3e4f5.slice",
            "kubepods-burstable-pod0f1c2d3e_4a5b_4c6d_8e7f_a0b1c2d3e4f5.slice",
            "kubelet-kubepods-besteffort-pod0f1c2d3e_4a5b_4c6d_8e7f_a0b1c2d3e4f5.slice",
        ] {
            assert!(is_pod(name, uid), "{name}");
        }
        for name in [
            "pod0f1c2d3e-4a5b-4c6d-8e7f-a0b1c2d3e4f56",
            "tripod0f1c2d3e-4a5b-4c6d-8e7f-a0b1c2d3e4f5",
            "kubepods-burstable.slice",
            "pod",
        ] {
            assert!(!is_pod(name, uid), "{name}");
        }
        // The beginning of a uid is another uid.
        assert!(!is_pod("pod0f1c2d3e-4a5b-4c6d-8e7f-a0b1c2d3e4f5", "0f1c2d3e"));
        // Static pods have a hash without dashes.
        assert!(is_pod("kubepods-podabcdef0123456789.slice", "abcdef0123456789"));
    }

    #[test]
    fn a_unit_without_a_suffix_is_a_service() {
        assert_eq!(unit_name("redis"), "redis.service");
        assert_eq!(unit_name("redis@6379"), "redis@6379.service");
        assert_eq!(unit_name("my.app"), "my.app.service");
        assert_eq!(unit_name("redis.service"), "redis.service");
        assert_eq!(unit_name("user-1000.slice"), "user-1000.slice");
    }
}
