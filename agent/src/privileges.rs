//! CAP_NET_ADMIN and nothing else, but for what other network namespaces take: not less, and not more that could not be given up.

use std::fmt;

use caps::{CapSet, Capability, CapsHashSet};
use nix::unistd::{ResGid, ResUid, getresgid, getresuid};

/// Why the agent does not run with the privileges that it has.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    #[error(
        "CAP_NET_ADMIN is missing: run as root, from the systemd unit, or in a user namespace of your own"
    )]
    NoNetAdmin,
    #[error(
        "`namespaces = true` takes {0}, which this process does not have: install namespaces.conf as a drop-in of the unit \
         (/etc/systemd/system/partition-agent.service.d/namespaces.conf), run as root, or leave `namespaces` away"
    )]
    NoNamespaces(Names),
    #[error(
        "refusing to run with more than one user or group ({0}): the file must not be setuid or setgid, since whoever runs it would \
         choose its configuration; remove that with `chmod ug-s`, and start it from the systemd unit or as root"
    )]
    Setuid(String),
    #[error(
        "refusing to run with {0} in the bounding set, since CAP_SETPCAP to give that up is missing: start it from the systemd unit \
         (CapabilityBoundingSet=), with `setpriv --bounding-set=-all,+net_admin`, or as root, which gives up what it does not need"
    )]
    Bounding(Names),
    #[error("{0} could not be given up")]
    Kept(Names),
    #[error("cannot read or drop capabilities: {0}")]
    Caps(#[from] caps::errors::CapsError),
    #[error(
        "cannot give up new privileges for good (PR_SET_NO_NEW_PRIVS), or ask for the users of this process: {0}"
    )]
    Kernel(#[from] nix::Error),
}

/// Capabilities, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names(Vec<Capability>);

impl Names {
    fn of(set: impl IntoIterator<Item = Capability>) -> Self {
        let mut names = set.into_iter().collect::<Vec<_>>();
        names.sort_unstable_by_key(Capability::index);
        Self(names)
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.iter().map(ToString::to_string).collect::<Vec<_>>();
        f.write_str(&names.join(", "))
    }
}

/// # Errors
/// When a fault could not be injected anyway.
pub fn require_net_admin() -> Result<(), PrivilegeError> {
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_NET_ADMIN)? {
        Ok(())
    } else {
        Err(PrivilegeError::NoNetAdmin)
    }
}

/// What it takes to find the network namespace of another process and to enter it, to read the files of its mount namespace,
/// and to talk to an engine whose socket is root's.
const NAMESPACES: [Capability; 4] = [
    Capability::CAP_SYS_ADMIN,
    Capability::CAP_SYS_PTRACE,
    Capability::CAP_DAC_READ_SEARCH,
    Capability::CAP_DAC_OVERRIDE,
];

/// What a process has when it starts.
#[derive(Debug)]
struct Has {
    effective: CapsHashSet,
    permitted: CapsHashSet,
    bounding: CapsHashSet,
    user: ResUid,
    group: ResGid,
}

fn needed(namespaces: bool) -> CapsHashSet {
    let others = NAMESPACES.into_iter().filter(|_| namespaces);
    std::iter::once(Capability::CAP_NET_ADMIN).chain(others).collect()
}

/// Less than is needed, or more than could be given up.
fn judge(has: &Has, namespaces: bool) -> Result<(), PrivilegeError> {
    let (user, group) = (has.user, has.group);
    let one_user = user.real == user.effective && user.real == user.saved;
    if !one_user || group.real != group.effective || group.real != group.saved {
        return Err(PrivilegeError::Setuid(format!(
            "user {}, {}, {}; group {}, {}, {}: real, effective, saved",
            user.real, user.effective, user.saved, group.real, group.effective, group.saved
        )));
    }
    if !has.effective.contains(&Capability::CAP_NET_ADMIN) {
        return Err(PrivilegeError::NoNetAdmin);
    }
    let needed = needed(namespaces);
    let missing = Names::of(needed.difference(&has.permitted).copied());
    if !missing.0.is_empty() {
        return Err(PrivilegeError::NoNamespaces(missing));
    }
    let beyond = Names::of(has.bounding.difference(&needed).copied());
    if !beyond.0.is_empty() && !has.effective.contains(&Capability::CAP_SETPCAP) {
        return Err(PrivilegeError::Bounding(beyond));
    }
    Ok(())
}

/// Before anything else is done.
///
/// # Errors
/// The agent has less than it needs, or more than it could give up.
pub fn require(namespaces: bool) -> Result<(), PrivilegeError> {
    let read = |set| caps::read(None, set);
    let has = Has {
        effective: read(CapSet::Effective)?,
        permitted: read(CapSet::Permitted)?,
        bounding: read(CapSet::Bounding)?,
        user: getresuid()?,
        group: getresgid()?,
    };
    judge(&has, namespaces)
}

/// Drops everything but CAP_NET_ADMIN, and [`NAMESPACES`] where they are asked for, for good, from the calling thread and those
/// that it starts: so this comes before any of them. The sockets and directories that take more are opened before. A program
/// that it ran would get nothing of it: the inheritable and the ambient set are empty, and no file adds to them any more.
///
/// # Errors
/// When the kernel refuses.
pub fn drop_the_rest(namespaces: bool) -> Result<(), PrivilegeError> {
    let only = needed(namespaces);
    // First, since it takes CAP_SETPCAP.
    for capability in caps::read(None, CapSet::Bounding)?.difference(&only) {
        caps::drop(None, CapSet::Bounding, *capability)?;
    }
    caps::clear(None, CapSet::Ambient)?;
    caps::clear(None, CapSet::Inheritable)?;
    caps::set(None, CapSet::Effective, &only)?;
    caps::set(None, CapSet::Permitted, &only)?;
    nix::sys::prctl::set_no_new_privs()?;
    for set in [CapSet::Permitted, CapSet::Bounding] {
        let kept = Names::of(caps::read(None, set)?.difference(&only).copied());
        if !kept.0.is_empty() {
            return Err(PrivilegeError::Kept(kept));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use nix::unistd::{Gid, Uid};

    use super::*;

    fn one_user() -> (ResUid, ResGid) {
        let [uid, gid] = [1000, 1000];
        let user = Uid::from_raw(uid);
        let group = Gid::from_raw(gid);
        (
            ResUid { real: user, effective: user, saved: user },
            ResGid { real: group, effective: group, saved: group },
        )
    }

    fn has(permitted: &[Capability], bounding: &[Capability]) -> Has {
        let (user, group) = one_user();
        let [permitted, bounding] =
            [permitted, bounding].map(|set| set.iter().copied().collect::<CapsHashSet>());
        Has { effective: permitted.clone(), permitted, bounding, user, group }
    }

    const NET: Capability = Capability::CAP_NET_ADMIN;
    const PCAP: Capability = Capability::CAP_SETPCAP;
    const RAW: Capability = Capability::CAP_NET_RAW;
    const ADMIN: Capability = Capability::CAP_SYS_ADMIN;

    #[test]
    fn neither_less_than_it_needs_nor_more_than_it_can_give_up() {
        let all = caps::all().into_iter().collect::<Vec<_>>();
        for (permitted, bounding, namespaces, refusal) in [
            // The unit.
            (&[NET][..], &[NET][..], false, ""),
            // Root.
            (&all, &all, false, ""),
            (&all, &all, true, ""),
            // It can give up all of it, and then CAP_SETPCAP itself.
            (&[NET, PCAP], &[NET, PCAP, RAW], false, ""),
            // Permitted can always be given up.
            (&[NET, ADMIN, RAW], &[NET], false, ""),
            (&[], &[NET], false, "CAP_NET_ADMIN is missing"),
            (&[RAW, PCAP], &[RAW, PCAP], false, "CAP_NET_ADMIN is missing"),
            (
                &[NET],
                &[NET, RAW, ADMIN],
                false,
                "refusing to run with CAP_NET_RAW, CAP_SYS_ADMIN in the bounding set",
            ),
            (
                &[NET, ADMIN],
                &[NET, ADMIN],
                true,
                "takes CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE, which this process does not have: install namespaces.conf",
            ),
        ] {
            let judged = judge(&has(permitted, bounding), namespaces).map_err(|error| error.to_string());
            match refusal {
                "" => assert_eq!(judged, Ok(()), "{permitted:?} {bounding:?}"),
                words => assert!(judged.as_ref().is_err_and(|text| text.contains(words)), "{judged:?}"),
            }
        }
    }

    #[test]
    fn a_setuid_file_is_refused_whatever_it_may() {
        let all = caps::all().into_iter().collect::<Vec<_>>();
        let root = Uid::from_raw(0);
        for (effective, saved) in [(true, true), (true, false), (false, true)] {
            let mut has = has(&all, &all);
            if effective {
                has.user.effective = root;
            }
            if saved {
                has.user.saved = root;
            }
            let text = judge(&has, false).unwrap_err().to_string();
            assert!(text.contains("must not be setuid"), "{text}");
        }
        let mut has = has(&all, &all);
        has.group.effective = Gid::from_raw(0);
        assert!(matches!(judge(&has, false), Err(PrivilegeError::Setuid(_))));
    }
}
