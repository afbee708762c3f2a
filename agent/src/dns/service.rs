//! What all conversations of one forwarder share: rules, limits, counters, and the way to the name servers.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::rules::{Decision, Rules};

/// Questions that wait for a name server or for their delay, at one time. Each may hold a socket.
const IN_FLIGHT: usize = 1000;
/// Connections of askers, at one time; more wait in the backlog. Each may hold two sockets.
const CONNECTIONS: usize = 256;

/// Numbers that outlive the thread.
#[derive(Debug, Default)]
pub struct Counters {
    /// Questions that met a rule.
    pub failed: AtomicU64,
    /// Questions that were lost because too many were in flight, or there was no socket for them.
    pub dropped: AtomicU64,
}

/// Shared by all tasks of the forwarder.
#[derive(Debug)]
pub struct Service {
    rules: Rules,
    mark: u32,
    counters: Arc<Counters>,
    in_flight: Arc<Semaphore>,
    connections: Arc<Semaphore>,
}

impl Service {
    pub fn new(rules: Rules, mark: u32, counters: Arc<Counters>) -> Self {
        let in_flight = Arc::new(Semaphore::new(IN_FLIGHT));
        let connections = Arc::new(Semaphore::new(CONNECTIONS));
        Self { rules, mark, counters, in_flight, connections }
    }

    /// What becomes of `message`; counts it if it met a rule.
    pub fn decide(&self, message: &[u8]) -> Decision {
        let decision = self.rules.decide(message);
        match decision {
            Decision::Forward => {}
            Decision::Answer(_) | Decision::Silence | Decision::ForwardLater(_) => {
                self.counters.failed.fetch_add(1, Ordering::Relaxed);
            }
        }
        decision
    }

    /// A place for one more question; none if there are too many, and that counts as dropped.
    pub fn admit(&self) -> Option<OwnedSemaphorePermit> {
        let permit = Arc::clone(&self.in_flight).try_acquire_owned().ok();
        if permit.is_none() {
            self.dropped();
        }
        permit
    }

    pub fn dropped(&self) {
        self.counters.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// A place for one more connection, once there is one. Nobody closes the semaphore, so there always is in the end.
    pub async fn connection(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.connections).acquire_owned().await.ok()
    }

    /// A socket that exchanges datagrams with `upstream` only, from a random port.
    pub async fn udp(&self, upstream: SocketAddr) -> io::Result<UdpSocket> {
        let any: SocketAddr = match upstream {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).await?;
        self.mark(&socket)?;
        socket.connect(upstream).await?;
        Ok(socket)
    }

    /// A connection to `upstream`.
    pub async fn tcp(&self, upstream: SocketAddr) -> io::Result<TcpStream> {
        let socket = match upstream {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        self.mark(&socket)?;
        socket.connect(upstream).await
    }

    /// Without the mark our own questions would come back to us, round and round.
    pub fn mark(&self, socket: &impl AsFd) -> io::Result<()> {
        Ok(setsockopt(socket, sockopt::Mark, &self.mark)?)
    }
}
