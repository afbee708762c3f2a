//! The forwarder: a thread of its own, in the network namespace of the programs whose lookups fail.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use tokio::net::{TcpListener, TcpSocket, UdpSocket};
use tokio::runtime;
use tokio::sync::oneshot;

use super::rules::Rules;
use super::service::{Counters, Service};
use super::{tcp, udp};

/// How often to look for a port that is free for UDP and for TCP. The kernel picks it at random for UDP; even with half
/// of all ports taken for TCP, 64 misses in a row do not happen.
const TRIES: u32 = 64;

/// What is sent to `upstream` is to go to `at` instead, over UDP and TCP, and what comes from `at` is to look as if it
/// came from `upstream`. Packets with the forwarder's mark are to be left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Redirect {
    /// The name server.
    pub upstream: SocketAddr,
    /// The forwarder's port for it, on the loopback address of the same family.
    pub at: SocketAddr,
}

/// A running forwarder; dropping it ends the thread, every socket and every question in flight.
#[derive(Debug)]
pub struct Forwarder {
    counters: Arc<Counters>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Starts a thread that calls `enter`, which may take it into another network namespace, and then forwards to
/// `upstreams` what `rules` lets through, from sockets with `mark` (`SO_MARK`).
///
/// # Errors
/// What `enter` returned; no free port; a family without a loopback address; no right to mark sockets (`CAP_NET_ADMIN`).
pub fn start(
    enter: impl FnOnce() -> io::Result<()> + Send + 'static,
    rules: Rules,
    upstreams: &[SocketAddr],
    mark: u32,
) -> io::Result<(Forwarder, Vec<Redirect>)> {
    let counters = Arc::new(Counters::default());
    let service = Arc::new(Service::new(rules, mark, Arc::clone(&counters)));
    let (stop, stopped) = oneshot::channel();
    let (report, reported) = mpsc::sync_channel(1);
    let upstreams = upstreams.to_vec();
    let thread = thread::Builder::new().name("dns-forwarder".to_owned()).spawn(move || {
        match prepare(enter) {
            Ok(runtime) => runtime.block_on(serve(service, &upstreams, &report, stopped)),
            // The caller waits for this report and nothing else, so it is there.
            Err(error) => drop(report.send(Err(error))),
        }
    })?;
    let forwarder = Forwarder { counters, stop: Some(stop), thread: Some(thread) };
    let redirects =
        reported.recv().map_err(|_| io::Error::other("the DNS forwarder ended before it began"))??;
    Ok((forwarder, redirects))
}

impl Forwarder {
    /// False after the end of its thread, which nothing but a fault of its own brings about.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Questions that met a rule, whatever became of them.
    #[must_use]
    pub fn failed_questions(&self) -> u64 {
        self.counters.failed.load(Ordering::Relaxed)
    }

    /// Questions that nobody answered because too many were in flight, or because there was no socket for them.
    #[must_use]
    pub fn dropped_questions(&self) -> u64 {
        self.counters.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the DNS forwarder's thread panicked; its sockets are closed all the same");
        }
    }
}

fn prepare(enter: impl FnOnce() -> io::Result<()>) -> io::Result<runtime::Runtime> {
    enter()?;
    runtime::Builder::new_current_thread().enable_io().enable_time().build()
}

/// Returns when the sender of `stopped` is gone; the tasks end with the runtime.
async fn serve(
    service: Arc<Service>,
    upstreams: &[SocketAddr],
    report: &mpsc::SyncSender<io::Result<Vec<Redirect>>>,
    stopped: oneshot::Receiver<()>,
) {
    let bound = match bind_all(&service, upstreams).await {
        Ok(bound) => bound,
        Err(error) => return drop(report.send(Err(error))),
    };
    let redirects = bound.iter().map(|(redirect, ..)| *redirect).collect();
    for (Redirect { upstream, .. }, datagrams, connections) in bound {
        tokio::spawn(udp::serve(Arc::clone(&service), datagrams, upstream));
        tokio::spawn(tcp::serve(Arc::clone(&service), connections, upstream));
    }
    if report.send(Ok(redirects)).is_ok() {
        // An error is the sender's end, which is the signal.
        let _ = stopped.await;
    }
}

async fn bind_all(
    service: &Service,
    upstreams: &[SocketAddr],
) -> io::Result<Vec<(Redirect, UdpSocket, TcpListener)>> {
    // Every question would be lost without the right to mark: better to know now.
    service.mark(&TcpSocket::new_v4()?).map_err(|error| {
        let text = format!("the DNS forwarder may not mark its sockets: {error}; it needs CAP_NET_ADMIN");
        io::Error::new(error.kind(), text)
    })?;
    let mut bound = Vec::with_capacity(upstreams.len());
    for &upstream in upstreams {
        let (datagrams, connections) = bind(upstream).await.map_err(|error| {
            let text = format!(
                "the DNS forwarder found no port for name server {upstream}: {error}; \
                 it needs one on the loopback address of this network namespace"
            );
            io::Error::new(error.kind(), text)
        })?;
        let at = datagrams.local_addr()?;
        bound.push((Redirect { upstream, at }, datagrams, connections));
    }
    Ok(bound)
}

/// Listens on one port, for both protocols, because one rewriting rule names one port.
async fn bind(upstream: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let any: SocketAddr = match upstream {
        SocketAddr::V4(_) => (Ipv4Addr::LOCALHOST, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::LOCALHOST, 0).into(),
    };
    let mut tries = 1;
    loop {
        let datagrams = UdpSocket::bind(any).await?;
        match TcpListener::bind(datagrams.local_addr()?).await {
            Ok(connections) => return Ok((datagrams, connections)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries < TRIES => tries += 1,
            Err(error) => return Err(error),
        }
    }
}
