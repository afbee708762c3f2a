//! Who may do what, and how the agent knows who asks.
//!
//! On the unix socket the kernel says who is at the other end ([`Locals`]). Over TCP a token or a certificate does
//! ([`Remotes`]), behind a look at what a browser says of itself (`site.rs`). Either makes a [`Caller`], and a caller has a
//! [`Role`]; which role a route takes is in the table of routes, in `api/mod.rs`.

mod certificate;
mod groups;
mod local;
mod remote;
mod site;
mod tls;
mod tokens;

use std::fmt;
use std::net::SocketAddr;

use partition_agent_proto::{Connection, Problem, ProblemCode, Role};

pub use certificate::Holder;
pub use local::{Locals, Peer};
pub use remote::{AccessError, Known, Remotes, Visitor};
pub(crate) use site::is_host_name;
pub use site::{Hosts, own_site, own_site_or_link};
pub use tls::{Handshakes, TlsError, TlsFiles};
pub use tokens::{TokenEntry, Tokens, TokensError};

/// Where those come from who come over the unix socket.
pub const UNIX: &str = "unix";

/// Whoever asks, and what they may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub who: Who,
    pub role: Role,
}

/// Who asks, and how that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// Over the unix socket: user and process, from the kernel.
    Local { uid: u32, pid: Option<i32> },
    /// Over TCP, with a token of this name.
    Token { name: String, from: SocketAddr },
    /// Over TCP, with a certificate of this name.
    Certificate { name: String, from: SocketAddr },
    /// Over TCP on loopback, with nothing.
    Anybody(SocketAddr),
}

impl Caller {
    /// Over the unix socket whoever is let in may do everything.
    #[must_use]
    pub fn local(uid: u32, pid: Option<i32>) -> Self {
        Self { who: Who::Local { uid, pid }, role: Role::Admin }
    }

    /// Whose share it counts for: the same from whatever process, port or address. Root has none: it can write what it likes into
    /// the log.
    #[must_use]
    pub fn account(&self) -> Option<String> {
        match &self.who {
            Who::Local { uid: 0, .. } => None,
            Who::Local { uid, .. } => Some(format!("uid {uid}")),
            Who::Token { name, .. } => Some(format!("token {name}")),
            Who::Certificate { name, .. } => Some(format!("certificate {name}")),
            Who::Anybody(_) => Some("whoever asks over loopback".to_owned()),
        }
    }

    /// Where the question came from: an address, or `unix`.
    #[must_use]
    pub fn from(&self) -> String {
        match &self.who {
            Who::Local { .. } => UNIX.to_owned(),
            Who::Token { from, .. } | Who::Certificate { from, .. } | Who::Anybody(from) => from.to_string(),
        }
    }

    /// The connection that the question came over, where it is one that a fault could cut.
    #[must_use]
    pub fn connection(&self, port: Option<u16>) -> Option<Connection> {
        match (&self.who, port) {
            (
                Who::Token { from, .. } | Who::Certificate { from, .. } | Who::Anybody(from),
                Some(local_port),
            ) => {
                let peer = SocketAddr::new(from.ip().to_canonical(), from.port());
                Some(Connection { peer, local_port })
            }
            (Who::Token { .. } | Who::Certificate { .. } | Who::Anybody(_), None)
            | (Who::Local { .. }, _) => None,
        }
    }

    /// # Errors
    /// The caller's role is less than this.
    pub fn may(&self, needed: Role, what: &str) -> Result<(), Problem> {
        if self.role >= needed {
            return Ok(());
        }
        let (source, hint) = match &self.who {
            Who::Token { .. } => (
                "by its entry under [[tokens]] of the agent's configuration",
                format!("ask with a token whose `role` is {needed}"),
            ),
            Who::Certificate { .. } => (
                "by the OU in its certificate's subject",
                format!("ask with a certificate whose OU is {needed}"),
            ),
            // Both have every role.
            Who::Local { .. } | Who::Anybody(_) => {
                ("by where it asks from", "use the unix socket".to_owned())
            }
        };
        let detail = format!("{what} takes the role {needed}; {self} has {}, {source}", self.role);
        Err(Problem::new(ProblemCode::Forbidden, detail).hint(hint))
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.who.fmt(f)
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local { uid, pid: Some(pid) } => write!(f, "uid {uid} (pid {pid})"),
            Self::Local { uid, pid: None } => write!(f, "uid {uid}"),
            Self::Token { name, from } => write!(f, "token {name} from {from}"),
            Self::Certificate { name, from } => write!(f, "certificate {name} from {from}"),
            Self::Anybody(from) => from.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from() -> SocketAddr {
        "[::ffff:10.0.0.9]:4711".parse().unwrap()
    }

    fn all(role: Role) -> [Caller; 4] {
        let name = || "ops".to_owned();
        let who = [
            Who::Local { uid: 1000, pid: Some(7) },
            Who::Token { name: name(), from: from() },
            Who::Certificate { name: name(), from: from() },
            Who::Anybody(from()),
        ];
        who.map(|who| Caller { who, role })
    }

    #[test]
    fn a_role_is_enough_for_itself_and_for_less() {
        for role in Role::ALL {
            for needed in Role::ALL {
                for caller in all(role) {
                    assert_eq!(
                        caller.may(needed, "this").is_ok(),
                        needed <= role,
                        "{caller}: {role}, {needed}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_refusal_says_what_is_needed_what_there_is_and_where_from() {
        let [_, token, certificate, _] = all(Role::Observe);
        let refused = token.may(Role::Inject, "PUT /v1/faults/cut").unwrap_err();
        assert_eq!(refused.code, ProblemCode::Forbidden);
        for part in [
            "PUT /v1/faults/cut takes the role inject",
            "token ops from",
            "10.0.0.9",
            "has observe",
            "[[tokens]]",
        ] {
            assert!(refused.detail.contains(part), "{refused}");
        }
        let refused = certificate.may(Role::Admin, "this").unwrap_err();
        assert!(refused.detail.contains("by the OU") && refused.hint.unwrap().contains("OU is admin"));
    }

    #[test]
    fn a_connection_that_a_fault_could_cut_is_one_over_tcp() {
        let connections = all(Role::Admin).map(|caller| caller.connection(Some(7433)));
        assert_eq!(connections[0], None);
        for connection in connections.into_iter().skip(1) {
            let connection = connection.unwrap();
            assert_eq!(
                (connection.peer.to_string().as_str(), connection.local_port),
                ("10.0.0.9:4711", 7433)
            );
        }
    }
}
