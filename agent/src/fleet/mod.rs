//! The fleet view: the faults of other hosts, through this agent. It asks those that its configuration names, and no other; for their
//! faults and who they are, and nothing else; and only while somebody looks. Nothing of whoever looks goes along.

mod board;
mod members;
mod told;

use std::fmt;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until, timeout};

use crate::token::Token;
use board::Board;
use told::{Met, Told};

pub use members::{DEFAULT_PORT, FleetConfig, FleetError, MOST, Member, MemberError, Proof};
#[cfg(feature = "fuzz")]
pub use told::fuzzing;

/// The longest answer that is read, in bytes: that of a thousand plain faults.
pub const LONGEST_ANSWER: usize = 2 << 20;

/// Questions under way at once, but for those whose turn is over.
const AT_ONCE: usize = 32;
/// How often a host that has told its faults is asked who it is, if it does not say.
const MEETINGS: u32 = 3;

/// What other agents are asked; there is no other question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// `GET /v1/info`
    Info,
    /// `GET /v1/faults`
    Faults,
}

/// The body of an answer; or why there is none, for people.
pub type Answer = Pin<Box<dyn Future<Output = Result<Bytes, String>> + Send>>;

/// Whatever carries questions to other agents. This library has no client: the program has one, and hands it in.
pub trait Ask: Send + Sync {
    /// Asks the host with this place in the configuration. An answer that is longer than [`LONGEST_ANSWER`] is none, nor is one that
    /// sends elsewhere.
    fn ask(&self, nth: usize, question: Question) -> Answer;
}

/// Makes the client of the agents of a configuration.
pub type Client = fn(&FleetConfig, &Proof) -> Arc<dyn Ask>;

/// How fast it all goes.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// From the answer of a host to the next question.
    pub every: Duration,
    /// The same, at most, for one that does not answer: each time it is twice as long.
    pub at_most: Duration,
    /// How long an answer may take.
    pub patience: Duration,
    /// After so long a host is slow, far away or dead, and another one's turn comes.
    pub turn: Duration,
    /// How long after the last look the asking ends.
    pub linger: Duration,
    /// Whoever looks so soon after another one sees the same.
    pub same: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(2),
            at_most: Duration::from_secs(10),
            patience: Duration::from_secs(4),
            turn: Duration::from_millis(500),
            linger: Duration::from_secs(5),
            same: Duration::from_millis(500),
        }
    }
}

impl Pace {
    fn pause(&self, failures: u32) -> Duration {
        self.every.saturating_mul(1 << failures.min(16)).min(self.at_most.max(self.every))
    }
}

/// The view. Cheap to clone: there is one of it.
#[derive(Clone)]
pub struct Fleet(Arc<Inner>);

struct Inner {
    hosts: usize,
    client: Arc<dyn Ask>,
    secret: Option<Token>,
    pace: Pace,
    gate: Semaphore,
    seen: Mutex<Seen>,
}

struct Seen {
    board: Board,
    /// When somebody looked for the last time.
    looked: Instant,
    /// Whether hosts are being asked.
    is_asking: bool,
    /// What they saw, and when that was made.
    page: Option<(Instant, Bytes)>,
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fleet of {}", self.0.hosts)
    }
}

impl Fleet {
    /// Reads the files that the configuration names. Nobody is asked yet.
    ///
    /// # Errors
    /// A file that cannot be used, or what makes no sense.
    pub fn of(config: &FleetConfig, client: Client) -> Result<Self, FleetError> {
        let proof = config.proof()?;
        let client = client(config, &proof);
        Ok(Self::new(config.hosts.iter().map(ToString::to_string), client, proof.token, Pace::default()))
    }

    fn new(
        names: impl Iterator<Item = String>,
        client: Arc<dyn Ask>,
        secret: Option<Token>,
        pace: Pace,
    ) -> Self {
        let names = names.collect::<Vec<_>>();
        let hosts = names.len();
        let seen = Seen { board: Board::new(names), looked: Instant::now(), is_asking: false, page: None };
        let gate = Semaphore::new(AT_ONCE);
        Self(Arc::new(Inner { hosts, client, secret, pace, gate, seen: Mutex::new(seen) }))
    }

    /// How many hosts it has.
    #[must_use]
    pub fn hosts(&self) -> usize {
        self.0.hosts
    }

    /// What is known by now, as JSON of a [`FleetView`](partition_agent_proto::FleetView). Waits for nobody: who looks first sees that
    /// all hosts are being asked. Within a runtime.
    #[must_use]
    pub fn look(&self) -> Bytes {
        let now = Instant::now();
        let mut seen = self.0.seen();
        seen.looked = now;
        if !seen.is_asking {
            seen.is_asking = true;
            tokio::spawn(Arc::clone(&self.0).ask_while_looked_at());
        }
        if let Some((made, page)) = &seen.page
            && now.saturating_duration_since(*made) < self.0.pace.same
        {
            return page.clone();
        }
        // Strings and numbers: it cannot fail to serialize.
        let page = Bytes::from(serde_json::to_vec(&seen.board.view(now)).unwrap_or_default());
        seen.page = Some((now, page.clone()));
        page
    }
}

impl Inner {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Each host by itself, so that a slow one delays nobody else. What is under way when nobody looks any more is dropped.
    async fn ask_while_looked_at(self: Arc<Self>) {
        let mut asking = JoinSet::new();
        for nth in 0..self.hosts {
            asking.spawn(Arc::clone(&self).follow(nth));
        }
        loop {
            let end = self.seen().looked + self.pace.linger;
            sleep_until(end.into()).await;
            let mut seen = self.seen();
            if seen.looked + self.pace.linger <= Instant::now() {
                seen.board.forget();
                seen.page = None;
                seen.is_asking = false;
                return;
            }
        }
    }

    async fn follow(self: Arc<Self>, nth: usize) {
        let (mut failures, mut meetings) = (0_u32, 0);
        loop {
            match self.faults(nth).await {
                Ok(told) => {
                    self.seen().board.told(nth, told, Instant::now());
                    failures = 0;
                    if meetings < MEETINGS {
                        meetings += 1;
                        if let Ok(met) = self.info(nth).await {
                            self.seen().board.met(nth, met);
                            meetings = MEETINGS;
                        }
                    }
                }
                Err(why) => {
                    self.seen().board.silent(nth, why, Instant::now());
                    failures = failures.saturating_add(1);
                    // It may be another agent that answers next.
                    meetings = 0;
                }
            }
            sleep(self.pace.pause(failures)).await;
        }
    }

    async fn faults(&self, nth: usize) -> Result<Told, String> {
        let answer = self.ask(nth, Question::Faults).await?;
        let room = self.seen().board.room();
        told::faults(&answer, room, self.secret.as_ref())
    }

    async fn info(&self, nth: usize) -> Result<Met, String> {
        told::info(&self.ask(nth, Question::Info).await?, self.secret.as_ref())
    }

    async fn ask(&self, nth: usize, question: Question) -> Result<Bytes, String> {
        // Nobody closes the gate.
        let turn = self.gate.acquire().await.ok();
        let mut answer = pin!(timeout(self.pace.patience, self.client.ask(nth, question)));
        let answer = tokio::select! {
            answer = &mut answer => answer,
            () = sleep(self.pace.turn) => {
                drop(turn);
                answer.await
            }
        };
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {:?}", self.pace.patience)));
        answer.map_err(|why| told::why(&why, self.secret.as_ref()))
    }
}

#[cfg(test)]
mod tests;
