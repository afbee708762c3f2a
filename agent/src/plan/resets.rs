//! Which TCP connections are reset. They are told by what their program sees, so addresses before NAT.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use partition_agent_proto::Connection;

use super::Address;
use super::guard::Guard;

/// The target of a reset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resets {
    pub targets: Vec<Address>,
    /// The ports are those of this end.
    pub near: bool,
    pub except: Vec<Address>,
    pub keep: Vec<Connection>,
    /// Only connections of this user.
    pub user: Option<u32>,
}

impl Resets {
    /// Whether a connection between the two is to be reset.
    pub fn hits(&self, local: SocketAddr, peer: SocketAddr, user: u32, guard: &Guard) -> bool {
        let port = if self.near { local.port() } else { peer.port() };
        let is = |address: &Address, port: u16| {
            address.net.contains(peer.ip())
                && address.ports.is_none_or(|ports| (ports.first()..=ports.last()).contains(&port))
        };
        let loopback = |ip: IpAddr| ip.is_loopback();
        let kept = |keep: &Connection| keep.peer == peer && keep.local_port == local.port();
        // On loopback both ends are here, so either port may be the protected one.
        let guarded = guard.protects_tcp(local.port())
            || (loopback(peer.ip()) && guard.protects_tcp(peer.port()))
            || guard.protects_far_tcp(peer.port())
            || guard.protects_address(peer.ip());
        self.targets.iter().any(|target| is(target, port))
            && !self.except.iter().any(|except| is(except, peer.port()))
            && !self.keep.iter().any(kept)
            && !guarded
            && self.user.is_none_or(|only| only == user)
    }
}

impl fmt::Display for Resets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for target in &self.targets {
            let port = if self.near { "sport" } else { "dport" };
            write!(f, "ss --kill --tcp dst {}", target.net)?;
            if let Some(ports) = target.ports {
                write!(f, " {port} >= {} {port} <= {}", ports.first(), ports.last())?;
            }
            writeln!(f)?;
        }
        write!(f, "# except {} addresses and what the guard protects", self.except.len() + self.keep.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_guard_protects_is_not_reset() {
        let everybody = Address { net: "0.0.0.0/0".parse().unwrap(), ports: None };
        let resets =
            Resets { targets: vec![everybody], near: false, except: vec![], keep: vec![], user: None };
        let guard = Guard::new(&[], Some(7433)).and_far(Some(7433));
        for (local, peer, reset) in [
            ("10.0.0.1:50000", "10.0.0.2:80", true),
            ("10.0.0.1:7433", "10.0.0.2:50000", false),
            ("10.0.0.1:50000", "10.0.0.2:7433", false),
            ("127.0.0.1:50000", "127.0.0.1:7433", false),
        ] {
            let [near, far] = [local, peer].map(|end| end.parse().unwrap());
            assert_eq!(resets.hits(near, far, 0, &guard), reset, "{local} {peer}");
        }
        let network = guard.and_networks(&["10.0.9.0/24".parse().unwrap()]);
        let [near, far] = ["10.0.0.1:50000", "10.0.9.2:80"].map(|end| end.parse().unwrap());
        assert!(!resets.hits(near, far, 0, &network));
        let alone = Guard::new(&[], Some(7433));
        let [near, far] = ["10.0.0.1:50000", "10.0.0.2:7433"].map(|end| end.parse().unwrap());
        assert!(resets.hits(near, far, 0, &alone));
    }
}
