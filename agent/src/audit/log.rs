//! The files: one that is written, and those before it.

use std::io;
use std::path::{Path, PathBuf};

use partition_agent_proto::AuditEntry;

use crate::lines::{Backwards, Lines};

const CURRENT: &str = "audit.jsonl";

/// From the newest to the oldest.
const PREVIOUS: [&str; 3] = ["audit.1.jsonl", "audit.2.jsonl", "audit.3.jsonl"];

/// What becomes the current one, while that is under way.
const NEXT: &str = "audit.next.jsonl";

/// A file that is longer than so many bytes becomes the previous one, and the oldest is gone: all are 32 MiB or so together.
pub const ROTATE: u64 = 8 << 20;

/// How many bytes more are written before a rotation that failed is tried again.
const AGAIN: u64 = 1 << 20;

pub struct Log {
    dir: PathBuf,
    lines: Lines,
    /// How long the current one may become.
    most: u64,
}

impl Log {
    pub fn open(dir: &Path) -> io::Result<Self> {
        Ok(Self { dir: dir.to_owned(), lines: Lines::open(&dir.join(CURRENT))?, most: ROTATE })
    }

    pub fn append(&mut self, entry: &AuditEntry) -> io::Result<()> {
        if self.lines.length() >= self.most
            && let Err(error) = self.rotate()
        {
            tracing::warn!(%error, "the audit log cannot make room; it goes on in the same file");
            self.most = self.lines.length() + AGAIN;
        }
        self.lines.append(entry)?;
        self.lines.sync();
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        let [next, current, newest] = [NEXT, CURRENT, PREVIOUS[0]].map(|name| self.dir.join(name));
        absent_is_fine(std::fs::remove_file(&next))?;
        let lines = self.lines.next(&next, &[])?;
        let names = [CURRENT].into_iter().chain(PREVIOUS).collect::<Vec<_>>();
        // Up to the first name that is free: where one was tried and failed, the next one moves nothing twice.
        let free = names.iter().skip(1).position(|name| !self.dir.join(name).exists());
        let moved = free.map_or(names.len(), |free| free + 2);
        for pair in names.windows(2).take(moved - 1).rev() {
            let [newer, older] = pair else { continue };
            absent_is_fine(std::fs::rename(self.dir.join(newer), self.dir.join(older)))?;
        }
        if let Err(error) = std::fs::rename(&next, &current) {
            // What is written from now on still goes into the old one, so that one is to be found.
            std::fs::rename(&newest, &current)?;
            return Err(error);
        }
        self.lines.sync();
        (self.lines, self.most) = (lines, ROTATE);
        Ok(())
    }

    /// To be read, from the newest on.
    pub fn files(&self) -> io::Result<Vec<Backwards>> {
        [CURRENT].into_iter().chain(PREVIOUS).map(|name| Backwards::open(&self.dir.join(name))).collect()
    }

    /// From now on its disk is full.
    #[cfg(test)]
    pub fn fill(&mut self) {
        self.lines.fill();
    }
}

fn absent_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
