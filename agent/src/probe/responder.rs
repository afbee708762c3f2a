//! Answers other agents: a datagram for a datagram, and every TCP connection is taken and closed. Whoever sends anything else is
//! not answered. Both tasks wait for the socket and for nothing else.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::sleep;

use super::datagram::{Datagram, LENGTH};
use super::heard::Rounds;
use super::socket::{self, Received};
use crate::clock::BootTime;

/// After an error of a listener, so that one that stays does not spin.
const PAUSE: Duration = Duration::from_millis(100);

/// A port of UDP and the same one of TCP.
pub struct Responder {
    udp: std::net::UdpSocket,
    tcp: TcpListener,
}

impl Responder {
    /// # Errors
    /// Somebody else has one of the two ports.
    pub fn bind(at: SocketAddr) -> io::Result<Self> {
        let tcp = TcpListener::bind(at)?;
        tcp.set_nonblocking(true)?;
        // The same one, where the kernel has chosen it.
        let udp = socket::bind(tcp.local_addr()?)?;
        Ok(Self { udp, tcp })
    }

    /// Where it answers.
    ///
    /// # Errors
    /// The kernel's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Two tasks, for as long as the runtime lives.
    ///
    /// # Errors
    /// The kernel's.
    pub fn start(self, rounds: Arc<Mutex<Rounds>>) -> io::Result<()> {
        tokio::spawn(answer(UdpSocket::from_std(self.udp)?, rounds));
        tokio::spawn(take(tokio::net::TcpListener::from_std(self.tcp)?));
        Ok(())
    }
}

async fn answer(udp: UdpSocket, rounds: Arc<Mutex<Rounds>>) {
    loop {
        let Received { bytes, length, from, at } = match socket::receive(&udp).await {
            Ok(received) => received,
            Err(error) => {
                tracing::debug!(%error, "no datagram from the socket of the probes");
                sleep(PAUSE).await;
                continue;
            }
        };
        let datagram = bytes.get(..length).filter(|_| length == LENGTH).and_then(Datagram::decode);
        let Some((datagram, reply)) = datagram.and_then(|datagram| Some((datagram, datagram.reply()?)))
        else {
            continue;
        };
        rounds.lock().unwrap_or_else(PoisonError::into_inner).note(BootTime::now(), &datagram);
        if let Err(error) = socket::reply(&udp, &reply.encode(), from, at).await {
            // Whoever asks sees silence, as with every other loss.
            tracing::debug!(%from, %error, "a probe was not answered");
        }
    }
}

async fn take(tcp: tokio::net::TcpListener) {
    loop {
        match tcp.accept().await {
            // That it was opened is the answer.
            Ok((_connection, _from)) => {}
            // Of the connection, which is gone: accept(2).
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::debug!(%error, "no connection from the socket of the probes");
                sleep(PAUSE).await;
            }
        }
    }
}
