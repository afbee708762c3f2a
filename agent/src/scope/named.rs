//! Network namespaces that are named one by one: by name, by path, by process.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::error::{ScopeError, listed};
use super::process::{Process, ended};
use super::{Found, Holder, Place};
use crate::netns::{Netns, NetnsId};

/// Where `ip netns` keeps its names; the second on systems whose `/var/run` is no link to `/run`.
const DIRECTORIES: [&str; 2] = ["/run/netns", "/var/run/netns"];

/// What the text of a netns scope says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Named<'a> {
    Process(u32),
    Name(&'a str),
    Path(&'a str),
}

impl<'a> Named<'a> {
    pub(super) fn parse(text: &'a str) -> Self {
        let in_proc = text.strip_prefix("/proc/").and_then(|rest| rest.strip_suffix("/ns/net"));
        if let Some(pid) = text.strip_prefix("pid:").or(in_proc).and_then(|pid| pid.parse().ok()) {
            return Self::Process(pid);
        }
        let below = |directory| text.strip_prefix(directory).and_then(|rest: &str| rest.strip_prefix('/'));
        match DIRECTORIES.into_iter().find_map(below) {
            Some(name) if !name.is_empty() && !name.contains('/') => Self::Name(name),
            Some(_) => Self::Path(text),
            None if text.contains('/') => Self::Path(text),
            None => Self::Name(text),
        }
    }
}

pub(super) fn find(asked: &str, text: &str, own: NetnsId) -> Result<Found, ScopeError> {
    let (opened, holder) = match Named::parse(text) {
        Named::Process(pid) => match Process::of(pid).map_err(ended) {
            Ok(process) => (process.netns(), Holder::Process(process)),
            Err(error) => (Err(error), Holder::Agent),
        },
        Named::Name(name) => (open_name(name), Holder::Name(name.to_owned())),
        Named::Path(path) => (Netns::open(path), Holder::Path(path.into())),
    };
    match opened {
        Ok(netns) if netns.id() == own => Ok(Found::of(vec![Place::host(None)])),
        Ok(netns) => Ok(Found::of(vec![Place::other(asked.to_owned(), netns, holder)])),
        // The file of a name is left behind, empty, when only the mount on it is undone. And what cannot be a name is that of nothing.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound
                    | ErrorKind::InvalidInput
                    | ErrorKind::NotADirectory
                    | ErrorKind::InvalidFilename
            ) =>
        {
            Err(ScopeError::Absent {
                asked: asked.to_owned(),
                found: format!("{error}; the names in /run/netns are: {}", listed(names())),
                advice: "write one of those names, an absolute path, or pid:N of a process in it".to_owned(),
            })
        }
        Err(error) => Err(ScopeError::kernel(asked, "opening it", error)),
    }
}

fn open_name(name: &str) -> io::Result<Netns> {
    let mut result = Err(io::Error::from(ErrorKind::NotFound));
    for directory in DIRECTORIES {
        result = Netns::open(Path::new(directory).join(name));
        match &result {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Ok(_) | Err(_) => break,
        }
    }
    result
}

fn names() -> impl Iterator<Item = String> {
    DIRECTORIES
        .into_iter()
        .filter_map(|directory| fs::read_dir(directory).ok())
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_say_what_they_name() {
        assert_eq!(Named::parse("pid:12"), Named::Process(12));
        assert_eq!(Named::parse("/proc/12/ns/net"), Named::Process(12));
        assert_eq!(Named::parse("/proc/self/ns/net"), Named::Path("/proc/self/ns/net"));
        assert_eq!(Named::parse("blue"), Named::Name("blue"));
        assert_eq!(Named::parse("/run/netns/blue"), Named::Name("blue"));
        assert_eq!(Named::parse("/var/run/netns/blue"), Named::Name("blue"));
        assert_eq!(Named::parse("/run/netns/"), Named::Path("/run/netns/"));
        assert_eq!(Named::parse("/run/netns/a/b"), Named::Path("/run/netns/a/b"));
        assert_eq!(Named::parse("/run/netnsx"), Named::Path("/run/netnsx"));
        assert_eq!(Named::parse("/run/docker/netns/1"), Named::Path("/run/docker/netns/1"));
    }
}
