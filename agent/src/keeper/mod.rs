//! The one task that owns every fault. Commands come in over a channel and are answered one after the other; between
//! them the task waits for the next deadline, or for an interface to change. It runs on a thread of its own, because
//! the kernel and the disk make it wait and nobody else should.

mod apply;
mod command;
mod fault;
mod follow;
mod force;
#[cfg(feature = "fuzz")]
pub mod fuzzing {
    pub use super::journal::fuzzing::journal;
}
mod handle;
mod instant;
mod journal;
mod lease;
pub mod ledger;
mod meets;
mod request;
mod restore;
mod status;
mod tally;
mod timing;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use partition_agent_proto::{End, Event, EventKind, FaultId, Feature, Hits};
use tokio::sync::{broadcast, mpsc};

pub use handle::Handle;
pub use journal::{JournalError, history};
pub use meets::Question;
pub use request::{Error, Injected, Request, Site, Sources};

use crate::audit::Audit;
use crate::clock::{Alarm, BootTime, wall};
use crate::crash::{self, Point};
use crate::kernel::{Kernel, Refusal};
use crate::metrics::Metrics;
use crate::plan::{Guard, Plan};
use crate::policy::Policy;
use command::{Command, Reply};
use fault::Phase;
use journal::Journal;
use ledger::{Due, Ledger};

/// How the keeper is set up.
pub struct Settings {
    /// That of the policy, and the ports of agents.
    pub guard: Guard,
    pub policy: Policy,
    pub state_dir: PathBuf,
}

/// Events that a slow listener may fall behind before it misses some.
const EVENTS: usize = 256;

/// How long the kernel's news are waited for before faults are looked at again.
const SETTLE: Duration = Duration::from_millis(50);

/// Commands that may wait.
const COMMANDS: usize = 64;

struct Keeper<K> {
    kernel: K,
    ledger: Ledger,
    journal: Journal,
    audit: Audit,
    metrics: Metrics,
    settings: Settings,
    events: broadcast::Sender<Event>,
    /// What the faults that are over have hit.
    past: Hits,
    /// When the kernel's counters were last read.
    counted: Option<BootTime>,
    features: Option<Vec<Feature>>,
    /// When to look at what the kernel has announced.
    look_at: Option<BootTime>,
    stopping: Option<Reply<()>>,
}

/// Why a keeper could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{0}")]
    Journal(#[from] JournalError),
    #[error("cannot keep the audit log in {}: {source}", dir.display())]
    Audit { dir: PathBuf, source: io::Error },
    #[error("{}", .0.with_hint())]
    Kernel(#[from] Refusal),
    #[error("cannot open the kernel's sockets: {0}")]
    Open(io::Error),
    #[error("cannot start the keeper's thread: {0}")]
    Thread(io::Error),
}

/// Starts the keeper on its thread. It takes the journal, ends in it what an earlier agent began (the kernel itself
/// ended that when the agent died) and sweeps the links that were left; when this returns, that is done.
///
/// # Errors
/// When the state directory or the kernel cannot be had.
pub fn spawn<K, F>(settings: Settings, open: F) -> Result<Handle, StartError>
where
    K: Kernel + 'static,
    F: FnOnce() -> io::Result<K> + Send + 'static,
{
    let (commands, inbox) = mpsc::channel(COMMANDS);
    let (events, _) = broadcast::channel(EVENTS);
    let (started, start) = std::sync::mpsc::sync_channel(1);
    let sender = events.clone();
    let run = move || {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(started.send(Err(StartError::Thread(error)))),
        };
        runtime.block_on(async {
            let begin = async { Keeper::start(settings, open().map_err(StartError::Open)?, sender).await };
            match begin.await {
                Ok((keeper, alarm)) => {
                    let _ = started.send(Ok((keeper.audit.clone(), keeper.metrics.clone())));
                    keeper.run(inbox, alarm).await;
                }
                Err(error) => drop(started.send(Err(error))),
            }
        });
    };
    std::thread::Builder::new().name("keeper".to_owned()).spawn(run).map_err(StartError::Thread)?;
    let died = || StartError::Thread(io::Error::other("it ended before it began"));
    let (audit, metrics) = start.recv().map_err(|_| died())??;
    Ok(Handle::new(commands, events, audit, metrics))
}

impl<K: Kernel> Keeper<K> {
    async fn start(
        settings: Settings,
        mut kernel: K,
        events: broadcast::Sender<Event>,
    ) -> Result<(Self, Alarm), StartError> {
        let (mut journal, unfinished, unreadable) = Journal::open(&settings.state_dir)?;
        let dir = settings.state_dir.clone();
        let audit = Audit::open(&dir).map_err(|source| StartError::Audit { dir, source })?;
        let metrics = Metrics::new(BootTime::now());
        if unreadable > 0 {
            tracing::warn!(
                unreadable,
                "the journal has lines that cannot be read; they are left as they are"
            );
        }
        for link in kernel.sweep().await? {
            tracing::info!(link, "removed a link that an earlier agent left");
        }
        for begun in unfinished {
            let text = "the kernel ended this fault when the earlier agent died";
            tracing::info!(id = %begun.id, "{text}");
            audit.event(&begun.id, EventKind::Ended, text);
            metrics.ended(&End::AgentDied);
            if let Err(error) =
                journal.end(wall(Duration::ZERO), None, begun.id, End::AgentDied, Default::default(), None)
            {
                tracing::warn!(%error, "the journal cannot be written");
            }
            crash::at(Point::DeathWritten);
        }
        let alarm = Alarm::new().map_err(StartError::Open)?;
        let ledger = Ledger::new(settings.policy.most_faults);
        let keeper = Self {
            kernel,
            ledger,
            journal,
            audit,
            metrics,
            settings,
            events,
            past: Hits::default(),
            counted: None,
            features: None,
            look_at: None,
            stopping: None,
        };
        Ok((keeper, alarm))
    }

    async fn run(mut self, mut inbox: mpsc::Receiver<Command>, mut alarm: Alarm) {
        loop {
            self.journal.sync();
            if let Err(error) = self.journal.rotate() {
                tracing::warn!(%error, "the journal cannot make room");
            }
            // What is stuck does not keep the agent from stopping: the table goes with its socket, and what is left of
            // the queues leads nowhere and is swept by the next agent.
            if self.ledger.faults().all(|fault| matches!(fault.phase, Phase::Stuck { .. }))
                && let Some(reply) = self.stopping.take()
            {
                let _ = reply.send(Ok(()));
                return;
            }
            tokio::select! {
                command = inbox.recv() => match command {
                    Some(command) => self.answer(command).await,
                    // Every handle is gone: nobody can restore what is in force, so it is restored now.
                    None if self.ledger.is_empty() => return,
                    None => self.drain_alone(&mut alarm).await,
                },
                () = alarm.ring(self.next_due()) => self.do_due().await,
                // A change seldom comes alone, so the rest of it is waited for.
                () = self.kernel.changed() => {
                    self.look_at.get_or_insert(BootTime::now() + SETTLE);
                }
            }
        }
    }

    async fn answer(&mut self, command: Command) {
        // A start that has come and is not made yet looks like an end that is not tidied up.
        self.do_due().await;
        match command {
            Command::Inject(request, reply) => send(reply, self.inject(*request).await),
            Command::Follow { id, sources, reply } => send(reply, self.follow(&id, *sources).await),
            Command::Vanished { id, what, reply } => send(reply, self.vanished(&id, what).await),
            Command::Change { id, duration, by, reply } => send(reply, self.change(&id, duration, by).await),
            Command::Renew { id, reply } => send(reply, self.renew(&id).await),
            Command::Commit { id, at, attempt, by, reply } => {
                send(reply, self.commit(&id, at, attempt, by));
            }
            Command::Restore { id, attempt: Some(attempt), reply, .. }
                if !self.ledger.is_of(&id, attempt) =>
            {
                send(reply, Err(Error::Unknown(id)));
            }
            Command::Restore { id, at: Some(at), by, reply, .. } => {
                send(reply, self.restore_at(&id, at, by).await);
            }
            Command::Restore { id, at: None, by, reply, .. } => {
                send(reply, self.restore(&id, End::Restored { who: by }).await)
            }
            Command::RestoreAll { at: Some(at), by, reply } => {
                send(reply, Ok(self.restore_all_at(at, &by).await));
            }
            Command::RestoreAll { at: None, by, reply } => {
                send(reply, Ok(self.restore_all(&End::Restored { who: by }).await));
            }
            Command::Get { id, reply } => send(reply, self.get(&id).await),
            Command::List { reply } => send(reply, Ok(self.list().await)),
            Command::History { most, reply } => {
                send(reply, self.journal.history(most).map_err(Error::Journal))
            }
            Command::Features { reply } => {
                if self.features.is_none() {
                    self.features = Some(self.kernel.features().await);
                }
                send(reply, Ok(self.features.clone().unwrap_or_default()));
            }
            Command::Meets { question, reply } => {
                let (guard, now) = (&self.settings.guard, BootTime::now());
                let meets =
                    self.ledger.faults().filter_map(|fault| meets::meets(fault, guard, &question, now));
                send(reply, Ok(meets.collect()));
            }
            Command::Tally { reply } => send(reply, Ok(self.tally().await)),
            Command::Shutdown { reply } => {
                self.restore_all(&End::Shutdown).await;
                self.stopping = Some(reply);
            }
        }
    }

    fn next_due(&self) -> Option<BootTime> {
        [self.ledger.next_due(), self.look_at].into_iter().flatten().min()
    }

    async fn do_due(&mut self) {
        if self.look_at.is_some_and(|at| at <= BootTime::now()) {
            self.look_at = None;
            self.look().await;
        }
        for due in self.ledger.due(BootTime::now()) {
            match due {
                Due::Arm(id) => self.arm(&id).await,
                Due::Grow(id) => self.grow(&id).await,
                Due::Follow(id) => self.follow_again(&id).await,
                Due::Unsteer(id, end) => drop(self.unsteer(&id, end).await),
                Due::Remove(id) => drop(self.remove(&id).await),
            }
        }
    }

    async fn drain_alone(&mut self, alarm: &mut Alarm) {
        self.restore_all(&End::Shutdown).await;
        while !self.ledger.is_empty() {
            alarm.ring(self.ledger.next_due()).await;
            self.do_due().await;
        }
    }

    /// Looks at what the kernel has announced: hooks, queues, routes.
    async fn look(&mut self) {
        match self.kernel.reattach().await {
            Ok(back) => {
                for (slot, interface) in back {
                    let mut faults = self.ledger.faults();
                    let whose = faults.find(|fault| fault.plans().any(|plan| plan.slot == slot));
                    if let Some(id) = whose.map(|fault| fault.id.clone()) {
                        self.tell(&id, EventKind::Reattached, format!("in force again on {interface}"));
                    }
                }
            }
            Err(refusal) => tracing::warn!(%refusal, "an interface that changed could not be hooked again"),
        }
        self.end_without_queue().await;
        self.look_around().await;
    }

    /// Packets that are steered into a queue that somebody has deleted would vanish: a delay must not become a cut.
    async fn end_without_queue(&mut self) {
        let shaping = self.ledger.faults().filter(|fault| !fault.phase.is_over() && fault.engine.is_some());
        let shaping = shaping.map(|fault| (fault.id.clone(), fault.plans().cloned().collect::<Vec<_>>()));
        for (id, plans) in shaping.collect::<Vec<_>>() {
            for plan in plans {
                // Seen twice: a list may miss a link when others come and go while it is written.
                if self.queue_is_wrong(&plan).await.is_some()
                    && let Some(found) = self.queue_is_wrong(&plan).await
                {
                    let why = format!("somebody changed its queue: {found}");
                    let _told = self.unsteer(&id, End::Failed { why }).await;
                    break;
                }
            }
        }
    }

    async fn queue_is_wrong(&mut self, plan: &Plan) -> Option<String> {
        self.kernel.read_back(plan).await.ok()?.queues_mismatch(plan)
    }

    /// Records a step of a fault's life, and tells everybody.
    fn tell(&self, id: &FaultId, kind: EventKind, text: String) {
        self.audit.event(id, kind, &text);
        self.announce(id, kind, text);
    }

    /// Logs a step of a fault's life and tells those who listen. What comes again and again is not recorded: a flap may be on
    /// five times a second.
    fn announce(&self, id: &FaultId, kind: EventKind, text: String) {
        match kind {
            EventKind::Failed => tracing::warn!(%id, %kind, "{text}"),
            EventKind::Prepared
            | EventKind::Committed
            | EventKind::Injected
            | EventKind::Started
            | EventKind::Followed
            | EventKind::Changed
            | EventKind::Reattached
            | EventKind::Ended
            | EventKind::Restored => tracing::info!(%id, %kind, "{text}"),
        }
        let event = Event { at: wall(Duration::ZERO), id: id.clone(), kind, text };
        // Nobody listening is no error.
        let _ = self.events.send(event);
    }
}

/// A caller that has gone away needs no answer.
fn send<T>(reply: Reply<T>, answer: Result<T, Error>) {
    let _ = reply.send(answer);
}

#[cfg(test)]
mod tests;
