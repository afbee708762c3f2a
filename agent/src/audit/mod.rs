//! Who asked for what, and what became of it: one line for each request that would change something or is refused, and one for
//! each step of a fault's life. Beside the journal, because strangers can cause lines here, and the journal is what a later agent
//! goes by.
//!
//! Cheap to clone. A line is written before this returns, and synced soon after by a thread that nobody waits for.

mod flood;
mod log;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use partition_agent_proto::{AuditEntry, AuditRequest, EventKind, FaultId, legible};

use crate::clock::{BootTime, wall};
pub use flood::Flood;
use flood::Shares;
use log::Log;

/// What is longer in a line is cut off, in characters.
const LONGEST: usize = 1_000;

/// Lines of those who may not, of what was refused, and of what happens again and again: at once, and each second after that.
const RATE: u32 = 20;

/// What one caller may ask for: as many faults as an agent may hold, at once, and some each second after that. From its question to
/// its end a fault takes some two kilobytes, so that the files are full after half an hour, and not after seconds.
const ASKED_AT_ONCE: u32 = 1_000;
const ASKED_EACH_SECOND: u32 = 10;

/// The log of one agent.
#[derive(Clone)]
pub struct Audit(Arc<Mutex<Inner>>);

struct Inner {
    log: Log,
    /// Of those who have not said who they are, and of everybody else.
    strangers: Flood,
    refused: Flood,
    /// Of deadlines that move, and of what a fault follows.
    moves: Flood,
    /// Of those who ask for faults.
    asked: Shares,
    /// The last line could not be written.
    failing: bool,
}

/// How an answer is to be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// Something was changed.
    Changed,
    /// Something was changed that has changed too often: counted, and not written.
    Overmuch,
    /// Refused, to somebody who may be here; or there was nothing to do.
    Refused,
    /// Refused, to anybody.
    Stranger,
}

/// Why a fault must not come into force.
#[derive(Debug, thiserror::Error)]
pub enum Unrecorded {
    #[error("the audit log cannot be written: {0}")]
    Unwritten(#[from] io::Error),
    #[error(
        "{0} asks for more than the audit log has room for: {ASKED_AT_ONCE} at once, and {ASKED_EACH_SECOND} a second"
    )]
    Overmuch(String),
}

impl Audit {
    /// In the state directory.
    ///
    /// # Errors
    /// Something is there that is no file, or the directory cannot be written.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let each = || Flood::new(RATE, RATE);
        let inner = Inner {
            log: Log::open(dir)?,
            strangers: each(),
            refused: each(),
            moves: Flood::new(ASKED_AT_ONCE, RATE),
            asked: Shares::new(ASKED_AT_ONCE, ASKED_EACH_SECOND),
            failing: false,
        };
        Ok(Self(Arc::new(Mutex::new(inner))))
    }

    /// Before a fault comes into force. It counts for this caller, however the request calls them.
    ///
    /// # Errors
    /// It cannot be written, or the caller asks for too much: the fault must not come into force.
    pub fn asked(&self, caller: Option<&str>, request: AuditRequest) -> Result<(), Unrecorded> {
        self.room(caller)?;
        Ok(self.inner().write(&AuditEntry::Asked(bounded(request)))?)
    }

    /// Takes room for a line of this caller's.
    ///
    /// # Errors
    /// There is none.
    pub fn room(&self, caller: Option<&str>) -> Result<(), Unrecorded> {
        let Some(caller) = caller else { return Ok(()) };
        let has_room = self.inner().asked.takes(caller, BootTime::now());
        has_room.then_some(()).ok_or_else(|| Unrecorded::Overmuch(caller.to_owned()))
    }

    /// Before the answer goes out. It is given, whatever becomes of the line.
    pub fn answered(&self, how: Answered, request: AuditRequest) {
        let mut inner = self.inner();
        let now = BootTime::now();
        let admitted = match how {
            Answered::Changed => true,
            Answered::Overmuch => {
                inner.moves.pass_over(now);
                false
            }
            Answered::Refused => inner.refused.admits(now),
            Answered::Stranger => inner.strangers.admits(now),
        };
        inner.tell_passed_over(now, admitted);
        if admitted {
            inner.try_write(&AuditEntry::Answered(bounded(request)));
        }
    }

    /// A step of a fault's life.
    pub fn event(&self, id: &FaultId, kind: EventKind, text: &str) {
        let at = wall(Duration::ZERO);
        let mut inner = self.inner();
        let now = BootTime::now();
        let admitted = !is_repeated(kind) || inner.moves.admits(now);
        inner.tell_passed_over(now, admitted);
        if admitted {
            inner.try_write(&AuditEntry::Event { at, id: id.clone(), kind, text: cut(text) });
        }
    }

    /// The newest first.
    ///
    /// # Errors
    /// The files cannot be read.
    pub fn newest(&self, most: usize) -> io::Result<Vec<AuditEntry>> {
        let mut files = {
            let mut inner = self.inner();
            inner.tell_passed_over(BootTime::now(), true);
            inner.log.files()?
        };
        let mut entries = Vec::new();
        for file in &mut files {
            while entries.len() < most
                && let Some(entry) = file.line()?
            {
                entries.push(entry);
            }
        }
        Ok(entries)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// That it cannot is said once, until it goes well again.
    fn write(&mut self, entry: &AuditEntry) -> io::Result<()> {
        let written = self.log.append(entry);
        let failed = std::mem::replace(&mut self.failing, written.is_err());
        if let Err(error) = &written
            && !failed
        {
            tracing::warn!(%error, "the audit log cannot be written; faults end all the same, and new ones are refused");
        }
        written
    }

    /// Nothing fails for want of a line about it.
    fn try_write(&mut self, entry: &AuditEntry) {
        let _warned = self.write(entry);
    }

    fn tell_passed_over(&mut self, now: BootTime, anyway: bool) {
        let floods = [&mut self.strangers, &mut self.refused, &mut self.moves];
        for count in floods.map(|flood| flood.take(now, anyway)).into_iter().flatten() {
            self.try_write(&AuditEntry::More { at: wall(Duration::ZERO), count });
        }
    }
}

/// Whether a fault may have any number of these. Of the others it has few, and it takes a line to ask for a fault.
fn is_repeated(kind: EventKind) -> bool {
    match kind {
        EventKind::Changed | EventKind::Followed | EventKind::Reattached => true,
        EventKind::Prepared
        | EventKind::Committed
        | EventKind::Injected
        | EventKind::Started
        | EventKind::Ended
        | EventKind::Restored
        | EventKind::Failed => false,
    }
}

fn bounded(request: AuditRequest) -> AuditRequest {
    AuditRequest {
        at: request.at,
        by: cut(&request.by),
        from: cut(&request.from),
        method: cut(&request.method),
        path: cut(&request.path),
        id: request.id,
        fault: request.fault.as_deref().map(cut),
        until: request.until,
        status: request.status,
        why: request.why.as_deref().map(cut),
    }
}

/// What is long is cut. JSON leaves much as it is that a terminal takes for a command, and whoever reads the files may do it with `less`.
fn cut(text: &str) -> String {
    let mut rest = legible(text);
    let mut cut = rest.by_ref().take(LONGEST).collect::<String>();
    if rest.next().is_some() {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests;
