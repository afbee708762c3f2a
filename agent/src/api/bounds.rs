//! How much at once, how long, and how large. `docs/safety.md` has them in a table.

use std::sync::Arc;
use std::time::Duration;

use partition_agent_proto::{Problem, ProblemCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The largest body of a request, in bytes, where a route does not say otherwise.
pub const BODY: usize = 64 << 10;
/// The largest head of a request, in bytes; hyper answers 431.
pub const HEAD: usize = 16 << 10;
/// The most headers of a request; hyper answers 431.
pub const HEADERS: usize = 64;
/// From the beginning of a connection, or the end of an answer, until the head of the next request is here.
pub const HEAD_TIME: Duration = Duration::from_secs(10);
/// From its head until the whole body of a request is here.
pub const BODY_TIME: Duration = Duration::from_secs(10);
/// How long whoever asked may take nothing of an answer.
pub const WRITE_TIME: Duration = Duration::from_secs(30);
/// For TLS, from the beginning of a connection.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// Connections over the unix socket, apart from those over TCP: who floods the one keeps nobody from the other.
pub const LOCAL_CONNECTIONS: usize = 64;
/// The most of the history in one answer.
pub const HISTORY: usize = 10_000;

/// Listeners to events.
const LISTENERS: usize = 64;
/// Questions for the history that the keeper, who reads up to 16 MiB for each, has to do at once.
const HISTORIES: usize = 1;
/// Questions for the audit log, each of which reads up to 32 MiB.
const AUDITS: usize = 1;
/// Pages of metrics that are made at once: a thousand faults make 160 KiB.
const SCRAPES: usize = 1;
/// Questions of who is reached, each of which opens up to thousands of connections.
const REACHES: usize = 4;
/// Connections that are tried on request.
const PROBES: usize = 32;

/// What is counted over all connections of a listener.
#[derive(Debug, Clone)]
pub struct Bounds {
    listeners: Arc<Semaphore>,
    pub histories: Arc<Semaphore>,
    pub audits: Arc<Semaphore>,
    pub scrapes: Arc<Semaphore>,
    pub reaches: Arc<Semaphore>,
    pub probes: Arc<Semaphore>,
}

impl Default for Bounds {
    fn default() -> Self {
        let room = |most| Arc::new(Semaphore::new(most));
        Self {
            listeners: room(LISTENERS),
            histories: room(HISTORIES),
            audits: room(AUDITS),
            scrapes: room(SCRAPES),
            reaches: room(REACHES),
            probes: room(PROBES),
        }
    }
}

impl Bounds {
    /// A place among the listeners to events, for as long as it is kept.
    ///
    /// # Errors
    /// All are taken.
    pub fn listen(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let place = Arc::clone(&self.listeners).try_acquire_owned();
        place.map_err(|_| {
            let detail = format!("{LISTENERS} others listen to events already, which is the most");
            Problem::new(ProblemCode::Busy, detail).hint("end one of them, or ask /v1/faults now and then")
        })
    }
}
