//! Who is let in on the unix socket: by what the kernel says of the peer, not only by the mode of the file.

use std::fmt;
use std::io;
use std::os::fd::AsFd;

use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::{Gid, Group, Uid};
use partition_agent_proto::{Problem, ProblemCode};

use super::{Caller, Who, groups};
use crate::nobody;

/// What the kernel says of a peer, as it was when it connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    pub uid: Uid,
    pub pid: Option<i32>,
    /// Its own group first, then the supplementary ones.
    pub groups: Vec<Gid>,
}

impl Peer {
    /// # Errors
    /// What the kernel says.
    pub fn of(socket: &impl AsFd) -> io::Result<Self> {
        let credentials = getsockopt(socket, sockopt::PeerCredentials)?;
        let mut groups = vec![Gid::from_raw(credentials.gid())];
        groups.extend(groups::of_peer(socket)?);
        // 0 is a process that this pid namespace has no number for.
        let pid = Some(credentials.pid()).filter(|pid| *pid > 0);
        Ok(Self { uid: Uid::from_raw(credentials.uid()), pid, groups })
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Who::Local { uid: self.uid.as_raw(), pid: self.pid }.fmt(f)
    }
}

/// Those who may use the unix socket: root, the agent's own user, and a group.
#[derive(Debug, Clone)]
pub struct Locals {
    own: Uid,
    /// The name that the configuration has, and its number where there is such a group.
    group: (String, Option<Gid>),
    /// Ids that may stand for users whom this user namespace has no number for, and so for anybody.
    ambiguous: (Option<Uid>, Option<Gid>),
}

impl Locals {
    /// As it is now: in the user namespace that the agent runs in, with the groups that there are.
    #[must_use]
    pub fn of(group: &str) -> Self {
        let gid = Group::from_name(group).ok().flatten().map(|group| group.gid);
        // Where there is no map to read, take the worse case.
        let worse = Some(nobody::USUAL);
        Self {
            own: nix::unistd::geteuid(),
            group: (group.to_owned(), gid),
            ambiguous: (
                nobody::user().unwrap_or(worse).map(Uid::from_raw),
                nobody::group().unwrap_or(worse).map(Gid::from_raw),
            ),
        }
    }

    /// # Errors
    /// The peer is none of them, or the kernel does not say who it is.
    pub fn admit(&self, peer: io::Result<Peer>) -> Result<Caller, Problem> {
        let refused = |detail: String| Problem::new(ProblemCode::Forbidden, detail);
        let peer = peer
            .map_err(|error| refused(format!("the kernel does not say who is at the other end: {error}")))?;
        let (group, gid) = &self.group;
        let is_user = peer.uid.is_root() || peer.uid == self.own;
        let is_member = gid.is_some_and(|gid| Some(gid) != self.ambiguous.1 && peer.groups.contains(&gid));
        if Some(peer.uid) == self.ambiguous.0 {
            let detail = "the user namespace that this agent runs in has no number for the user that asks, so it is nobody \
                          that it knows";
            return Err(refused(detail.to_owned()).hint("ask from inside of the agent's user namespace"));
        }
        if is_user || is_member {
            return Ok(Caller::local(peer.uid.as_raw(), peer.pid));
        }
        let detail =
            format!("uid {} is neither root, nor the agent's own user, nor in the group `{group}`", peer.uid);
        let hint = match gid {
            Some(_) => format!("join the group and log in again: `usermod -a -G {group} USER`"),
            None => format!(
                "there was no group `{group}` when the agent was started: make it, restart the agent, and join it with \
                 `usermod -a -G {group} USER`"
            ),
        };
        Err(refused(detail).hint(hint))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn locals(own: u32, gid: Option<u32>, ambiguous: Option<u32>) -> Locals {
        Locals {
            own: Uid::from_raw(own),
            group: ("operators".to_owned(), gid.map(Gid::from_raw)),
            ambiguous: (ambiguous.map(Uid::from_raw), ambiguous.map(Gid::from_raw)),
        }
    }

    fn peer(uid: u32, groups: &[u32]) -> io::Result<Peer> {
        let groups = groups.iter().copied().map(Gid::from_raw).collect();
        Ok(Peer { uid: Uid::from_raw(uid), pid: Some(1), groups })
    }

    #[test]
    fn root_the_agents_user_and_the_group_are_let_in_and_nobody_else() {
        let locals = locals(990, Some(50), None);
        for (uid, groups) in [(0, &[0][..]), (990, &[1]), (1000, &[50]), (1000, &[1000, 4, 50])] {
            assert_eq!(locals.admit(peer(uid, groups)), Ok(Caller::local(uid, Some(1))));
        }
        for (uid, groups) in [(1000, &[1000][..]), (991, &[0]), (nobody::USUAL, &[nobody::USUAL]), (1, &[])] {
            let refused = locals.admit(peer(uid, groups)).unwrap_err();
            assert_eq!(refused.code, ProblemCode::Forbidden);
            assert!(refused.detail.contains(&format!("uid {uid}")) && refused.detail.contains("`operators`"));
            assert!(refused.hint.unwrap().contains("usermod -a -G operators USER"));
        }
    }

    #[test]
    fn without_the_group_a_refusal_says_that_there_is_none() {
        let refused = locals(990, None, None).admit(peer(1000, &[50])).unwrap_err();
        assert!(refused.hint.unwrap().contains("there was no group `operators`"));
    }

    #[test]
    fn a_user_without_a_number_is_nobody_even_where_the_agent_itself_is_shown_that_number() {
        let inside = locals(nobody::USUAL, Some(nobody::USUAL), Some(nobody::USUAL));
        assert!(
            inside
                .admit(peer(nobody::USUAL, &[nobody::USUAL]))
                .unwrap_err()
                .detail
                .contains("user namespace")
        );
        assert!(inside.admit(peer(1000, &[nobody::USUAL])).is_err());
        assert!(inside.admit(peer(0, &[0])).is_ok(), "its own root");
        // Where every id has a number, nobody's is nobody's.
        assert!(locals(nobody::USUAL, None, None).admit(peer(nobody::USUAL, &[nobody::USUAL])).is_ok());
    }

    #[test]
    fn a_kernel_that_does_not_answer_lets_nobody_in() {
        let refused =
            locals(0, None, None).admit(Err(io::Error::from_raw_os_error(libc::EINVAL))).unwrap_err();
        assert!(refused.detail.contains("Invalid argument"));
    }

    #[test]
    fn the_kernel_says_that_the_peer_is_this_process() {
        let (one, _other) = UnixStream::pair().unwrap();
        let peer = Peer::of(&one).unwrap();
        assert_eq!((peer.uid, peer.groups[0]), (nix::unistd::geteuid(), nix::unistd::getegid()));
        assert_eq!(peer.pid, i32::try_from(std::process::id()).ok());
        assert!(Locals::of("no-such-group").admit(Ok(peer)).is_ok());
    }
}
