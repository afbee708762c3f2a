//! The tree of control groups of version 2: where it is mounted, what is in it, and in which network namespaces its
//! processes are.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::ScopeError;
use super::process::{Process, ended, netns_path};
use crate::netns::{Netns, NetnsId};

/// Control groups looked at in one go. Busy nodes have thousands; more than this is a mistake or a loop.
const MOST_GROUPS: usize = 20_000;
/// Processes looked at in one go.
const MOST_PROCESSES: usize = 100_000;
/// CRI-O may keep the monitor of a container in the pod's group. It is none of the pod's processes, and in the network of the host.
const MONITOR: &str = "crio-conmon-";

/// The whole tree, as mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tree {
    pub(super) mount: PathBuf,
}

/// One control group: its path below the mount, which begins with `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) path: String,
    pub(super) directory: PathBuf,
    /// The inode, which for control groups is the id that the kernel compares; never used again.
    pub(super) id: u64,
}

impl Tree {
    pub(super) fn find(asked: &str) -> Result<Self, ScopeError> {
        let text = fs::read_to_string("/proc/self/mountinfo")
            .map_err(|error| ScopeError::kernel(asked, "reading /proc/self/mountinfo", error))?;
        let mount = mount_point(&text).ok_or_else(|| ScopeError::Refused {
            asked: asked.to_owned(),
            reason: "no control groups of version 2 are mounted on this host".to_owned(),
            advice: "mount them (mount -t cgroup2 none /sys/fs/cgroup/unified) or boot with \
                     systemd.unified_cgroup_hierarchy=1"
                .to_owned(),
        })?;
        Ok(Self { mount })
    }

    /// The group of this path, which is below the mount.
    ///
    /// # Errors
    /// `NotFound`, and what else the kernel says.
    pub(super) fn group(&self, path: &str) -> io::Result<Group> {
        let parts = parts(path);
        let directory = parts.iter().fold(self.mount.clone(), |directory, part| directory.join(part));
        let status = fs::symlink_metadata(&directory)?;
        if !status.is_dir() {
            return Err(io::Error::from(ErrorKind::NotFound));
        }
        Ok(Group { path: format!("/{}", parts.join("/")), directory, id: status.ino() })
    }

    /// Every group below one, parents first, for which `wanted` says yes to the name. Does not look into those.
    pub(super) fn search(&self, wanted: impl Fn(&str) -> bool) -> io::Result<Vec<Group>> {
        let mut found = Vec::new();
        let mut open = vec![self.group("/")?];
        let mut seen = 0_usize;
        while let Some(group) = open.pop() {
            // A group that is removed meanwhile is not there, and nothing is in it.
            for name in children(&group.directory).unwrap_or_default() {
                seen = bounded(seen, MOST_GROUPS, "control groups")?;
                let Ok(child) = self.group(&format!("{}/{name}", group.path)) else { continue };
                if wanted(&name) {
                    found.push(child);
                } else {
                    open.push(child);
                }
            }
        }
        Ok(found)
    }
}

impl Group {
    /// Its depth below the mount, as nftables counts: `/a/b` is 2.
    pub(super) fn level(&self) -> u32 {
        u32::try_from(parts(&self.path).len()).unwrap_or(u32::MAX)
    }

    /// The network namespaces of its processes and of those below it, each with a process in it, but for the agent's own,
    /// which is only counted. Opens those that it returns.
    ///
    /// # Errors
    /// The group is gone (`NotFound`), too large, or the agent may not look at its processes.
    pub(super) fn namespaces(&self, own: NetnsId) -> io::Result<Namespaces> {
        let mut processes = BTreeMap::new();
        let mut namespaces = Namespaces { in_own: 0, others: Vec::new() };
        for pid in self.processes()? {
            match NetnsId::at(netns_path(pid)).map_err(ended) {
                Ok(id) if id == own => namespaces.in_own += 1,
                Ok(id) => {
                    processes.entry(id).or_insert_with(Vec::new).push(pid);
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => {
                    let place = netns_path(pid);
                    return Err(io::Error::new(error.kind(), format!("{}: {error}", place.display())));
                }
            }
        }
        for (id, pids) in processes {
            // The first may have ended since; then another of them holds the namespace.
            let opened = pids.into_iter().find_map(|pid| {
                let process = Process::of(pid).ok()?;
                let netns = process.netns().ok().filter(|netns| netns.id() == id)?;
                Some((process, netns))
            });
            namespaces.others.extend(opened);
        }
        Ok(namespaces)
    }

    fn processes(&self) -> io::Result<Vec<u32>> {
        let mut pids = members(&self.directory)?;
        let mut open = vec![self.directory.clone()];
        let mut seen = 0_usize;
        while let Some(directory) = open.pop() {
            // What is removed meanwhile has no processes.
            for name in children(&directory).unwrap_or_default() {
                seen = bounded(seen, MOST_GROUPS, "control groups")?;
                if name.starts_with(MONITOR) {
                    continue;
                }
                let child = directory.join(name);
                pids.extend(members(&child).unwrap_or_default());
                bounded(pids.len(), MOST_PROCESSES, "processes")?;
                open.push(child);
            }
        }
        Ok(pids)
    }
}

/// In which network namespaces processes are.
#[derive(Debug)]
pub(super) struct Namespaces {
    /// Processes in the agent's own.
    pub(super) in_own: usize,
    /// The others, each once, with a process in it.
    pub(super) others: Vec<(Process, Netns)>,
}

impl Namespaces {
    /// Whether there is no process.
    pub(super) fn is_empty(&self) -> bool {
        self.in_own == 0 && self.others.is_empty()
    }
}

/// The names in a path; `.` and doubled slashes say nothing.
fn parts(path: &str) -> Vec<&str> {
    path.split('/').filter(|part| !matches!(*part, "" | "." | "..")).collect()
}

fn bounded(seen: usize, most: usize, what: &str) -> io::Result<usize> {
    if seen >= most {
        return Err(io::Error::other(format!("gave up after {most} {what}; name a smaller control group")));
    }
    Ok(seen + 1)
}

/// The names of the groups right below one.
pub(super) fn children(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let Ok(entry) = entry else { break };
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            names.extend(entry.file_name().into_string().ok());
        }
    }
    Ok(names)
}

/// The processes right in a group.
fn members(directory: &Path) -> io::Result<Vec<u32>> {
    let text = match fs::read_to_string(directory.join("cgroup.procs")) {
        // Threaded groups list only threads; the numbers of those work in /proc as well.
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
            fs::read_to_string(directory.join("cgroup.threads"))
        }
        // The group was removed between the open and the read.
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Err(io::Error::from(ErrorKind::NotFound)),
        result => result,
    }?;
    // 0 stands for a process of a PID namespace that is not below the agent's.
    Ok(text.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid != 0).collect())
}

/// Where the whole cgroup2 tree is mounted, from the text of `/proc/self/mountinfo`. A mount of only a part of it would give
/// wrong depths.
fn mount_point(mountinfo: &str) -> Option<PathBuf> {
    mountinfo.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut fields = before.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        (after.split(' ').next() == Some("cgroup2") && root == "/").then(|| unescaped(point).into())
    })
}

/// The kernel writes blanks and backslashes in paths as `\040`.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let octal = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()).filter(|_| first == b'\\') {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(feature = "fuzz")]
pub fn fuzz(text: &str) {
    assert!(unescaped(text).chars().count() <= text.len());
    let _ = mount_point(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
        32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 master:2 - cgroup2 cgroup2 rw\n";

    #[test]
    fn the_mount_is_found_on_hybrid_and_unified_hosts() {
        assert_eq!(mount_point(HYBRID), Some("/sys/fs/cgroup/unified".into()));
        let unified = "29 22 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(mount_point(unified), Some("/sys/fs/cgroup".into()));
        let blank = "29 22 0:26 / /mnt/my\\040groups\\134 rw - cgroup2 none rw\n";
        assert_eq!(mount_point(blank), Some("/mnt/my groups\\".into()));
    }

    #[test]
    fn a_mount_of_a_part_of_the_tree_is_passed_over() {
        let part = "50 22 0:26 /docker/1 /mnt/part rw - cgroup2 cgroup2 rw\n";
        assert_eq!(mount_point(part), None);
        assert_eq!(mount_point(&format!("{part}{HYBRID}")), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(
            mount_point("40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd"),
            None
        );
        assert_eq!(mount_point("not a line\n - \n"), None);
    }

    #[test]
    fn levels_are_depths_below_the_mount() {
        let level = |path: &str| {
            let group = Group { path: path.to_owned(), directory: PathBuf::new(), id: 1 };
            group.level()
        };
        assert_eq!(level("/"), 0);
        assert_eq!(level("/a"), 1);
        assert_eq!(level("/a/b"), 2);
        assert_eq!(level("//a/./b/"), 2);
        assert_eq!(level("/system.slice/system-x.slice/x@1.service"), 3);
    }

    #[test]
    fn a_walk_that_finds_too_much_gives_up() {
        assert_eq!(bounded(1, 3, "processes").unwrap(), 2);
        let error = bounded(3, 3, "processes").unwrap_err().to_string();
        assert!(error.contains("3 processes"), "{error}");
    }
}
