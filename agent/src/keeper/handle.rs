//! How everybody else talks to the keeper.

use partition_agent_proto::{Event, FaultId, FaultStatus, Feature, History, Meets, Span};
use tokio::sync::{broadcast, mpsc, oneshot};

use super::command::{Command, Reply};
use super::{Error, Injected, Question, Request, Sources};
use crate::audit::Audit;
use crate::clock::BootTime;
use crate::metrics::{Metrics, Tally};

/// Cheap to clone. When the last one is dropped, the keeper restores everything and ends.
#[derive(Clone)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    events: broadcast::Sender<Event>,
    audit: Audit,
    metrics: Metrics,
}

impl Handle {
    pub(super) fn new(
        commands: mpsc::Sender<Command>,
        events: broadcast::Sender<Event>,
        audit: Audit,
        metrics: Metrics,
    ) -> Self {
        Self { commands, events, audit, metrics }
    }

    /// Where is written down what is asked of the keeper.
    #[must_use]
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Where is counted what happens.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// # Errors
    /// Whatever keeps the fault from being in force; then nothing of it is.
    pub async fn inject(&self, request: Request) -> Result<Injected, Error> {
        self.ask(|reply| Command::Inject(Box::new(request), reply)).await
    }

    /// Moves the deadline to this long from now.
    ///
    /// # Errors
    /// [`Error::Unknown`], a limit, or the kernel.
    pub async fn change(&self, id: FaultId, duration: Span, by: String) -> Result<FaultStatus, Error> {
        self.ask(|reply| Command::Change { id, duration, by, reply }).await
    }

    /// Its lease begins anew.
    ///
    /// # Errors
    /// [`Error::Unknown`] or [`Error::Over`] when that comes too late, [`Error::NoLease`], or the kernel; then the lease ends when it
    /// did before.
    pub async fn renew(&self, id: FaultId) -> Result<FaultStatus, Error> {
        self.ask(|reply| Command::Renew { id, reply }).await
    }

    /// What the fault was planned from is otherwise now.
    ///
    /// # Errors
    /// [`Error::Unknown`] or [`Error::Over`]: there is nothing to follow any more.
    pub async fn follow(&self, id: FaultId, sources: Sources) -> Result<(), Error> {
        self.ask(|reply| Command::Follow { id, sources: Box::new(sources), reply }).await
    }

    /// What the fault acts on is gone for good: it ends.
    ///
    /// # Errors
    /// The kernel.
    pub async fn vanished(&self, id: FaultId, what: String) -> Result<(), Error> {
        self.ask(|reply| Command::Vanished { id, what, reply }).await
    }

    /// A prepared fault starts at this instant.
    ///
    /// # Errors
    /// [`Error::Unknown`], also where it has expired, or an instant that is past or too far away.
    pub async fn commit(
        &self,
        id: FaultId,
        at: BootTime,
        attempt: Option<u64>,
        by: String,
    ) -> Result<FaultStatus, Error> {
        self.ask(|reply| Command::Commit { id, at, attempt, by, reply }).await
    }

    /// At this instant, or now; where a try is named, only what came by it.
    ///
    /// # Errors
    /// [`Error::Unknown`], or the kernel.
    pub async fn restore(
        &self,
        id: FaultId,
        at: Option<BootTime>,
        attempt: Option<u64>,
        by: String,
    ) -> Result<FaultStatus, Error> {
        self.ask(|reply| Command::Restore { id, at, attempt, by, reply }).await
    }

    /// # Errors
    /// Only when the keeper is gone; a fault that cannot be restored says so in its state.
    pub async fn restore_all(&self, at: Option<BootTime>, by: String) -> Result<Vec<FaultStatus>, Error> {
        self.ask(|reply| Command::RestoreAll { at, by, reply }).await
    }

    /// # Errors
    /// [`Error::Unknown`].
    pub async fn get(&self, id: FaultId) -> Result<FaultStatus, Error> {
        self.ask(|reply| Command::Get { id, reply }).await
    }

    /// # Errors
    /// Only when the keeper is gone.
    pub async fn list(&self) -> Result<Vec<FaultStatus>, Error> {
        self.ask(|reply| Command::List { reply }).await
    }

    /// # Errors
    /// When the journal cannot be read.
    pub async fn history(&self, most: usize) -> Result<Vec<History>, Error> {
        self.ask(|reply| Command::History { most, reply }).await
    }

    /// Tried once, then remembered.
    ///
    /// # Errors
    /// Only when the keeper is gone.
    pub async fn features(&self) -> Result<Vec<Feature>, Error> {
        self.ask(|reply| Command::Features { reply }).await
    }

    /// What the faults that are in force now do to packets between this host and another end; those that do nothing to them are
    /// left out.
    ///
    /// # Errors
    /// Only when the keeper is gone.
    pub async fn meets(&self, question: Question) -> Result<Vec<Meets>, Error> {
        self.ask(|reply| Command::Meets { question, reply }).await
    }

    /// How faults stand, counted. What they have hit may be a second old.
    ///
    /// # Errors
    /// Only when the keeper is gone.
    pub async fn tally(&self) -> Result<Tally, Error> {
        self.ask(|reply| Command::Tally { reply }).await
    }

    /// Restores everything and ends the keeper; returns when all that was delayed has arrived.
    pub async fn shutdown(&self) {
        // The only error is that it has ended already.
        let _ = self.ask(|reply| Command::Shutdown { reply }).await;
    }

    /// From now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| Error::Stopping)?;
        answer.await.map_err(|_| Error::Stopping)?
    }
}
