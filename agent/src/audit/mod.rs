//! Who asked for what, and what became of it: one line for each request that would change something or is refused, and one for
//! each step of a fault's life. Beside the journal, because strangers can cause lines here, and the journal is what a later agent
//! goes by.
//!
//! Cheap to clone. A line is written before this returns and synced soon after; nobody waits for the disk.

mod flood;
mod log;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use partition_agent_proto::{AuditEntry, AuditRequest, EventKind, FaultId};

use crate::clock::{BootTime, wall};
use flood::Flood;
use log::Log;

/// What is longer in a line is cut off, in characters.
const LONGEST: usize = 1_000;

/// The log of one agent.
#[derive(Clone)]
pub struct Audit(Arc<Mutex<Inner>>);

struct Inner {
    log: Log,
    /// Of those who have not said who they are, and of everybody else.
    strangers: Flood,
    refused: Flood,
    /// The last line could not be written.
    failing: bool,
}

/// How an answer is to be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// Something was changed.
    Changed,
    /// Refused, to somebody who may be here.
    Refused,
    /// Refused, to anybody.
    Stranger,
}

impl Audit {
    /// In the state directory.
    ///
    /// # Errors
    /// Something is there that is no file, or the directory cannot be written.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let inner =
            Inner { log: Log::open(dir)?, strangers: Flood::new(), refused: Flood::new(), failing: false };
        Ok(Self(Arc::new(Mutex::new(inner))))
    }

    /// Before a fault comes into force.
    ///
    /// # Errors
    /// It cannot be written: the fault must not come into force.
    pub fn asked(&self, request: AuditRequest) -> io::Result<()> {
        self.inner().write(&AuditEntry::Asked(bounded(request)))
    }

    /// Before the answer goes out. It is given, whatever becomes of the line.
    pub fn answered(&self, how: Answered, request: AuditRequest) {
        let mut inner = self.inner();
        let now = BootTime::now();
        let admitted = match how {
            Answered::Changed => true,
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
        let entry = AuditEntry::Event { at, id: id.clone(), kind, text: cut(text.to_owned()) };
        self.inner().try_write(&entry);
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
        for count in [self.strangers.take(now, anyway), self.refused.take(now, anyway)].into_iter().flatten()
        {
            self.try_write(&AuditEntry::More { at: wall(Duration::ZERO), count });
        }
    }
}

fn bounded(request: AuditRequest) -> AuditRequest {
    AuditRequest {
        at: request.at,
        by: cut(request.by),
        from: cut(request.from),
        method: cut(request.method),
        path: cut(request.path),
        id: request.id,
        fault: request.fault.map(cut),
        until: request.until,
        status: request.status,
        why: request.why.map(cut),
    }
}

/// JSON escapes what is no text; what is long is cut here.
fn cut(mut text: String) -> String {
    if let Some((at, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(at);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests;
