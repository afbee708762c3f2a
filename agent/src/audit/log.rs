//! The files: one that is written, and those before it.

use std::io;
use std::path::{Path, PathBuf};

use partition_agent_proto::AuditEntry;

use crate::lines::{Backwards, Lines};

const CURRENT: &str = "audit.jsonl";

/// From the newest to the oldest.
const PREVIOUS: [&str; 3] = ["audit.1.jsonl", "audit.2.jsonl", "audit.3.jsonl"];

/// A file that is longer than so many bytes becomes the previous one, and the oldest is gone: all are 32 MiB or so together.
pub const ROTATE: u64 = 8 << 20;

pub struct Log {
    dir: PathBuf,
    lines: Lines,
}

impl Log {
    pub fn open(dir: &Path) -> io::Result<Self> {
        Ok(Self { dir: dir.to_owned(), lines: Lines::open(&dir.join(CURRENT))? })
    }

    pub fn append(&mut self, entry: &AuditEntry) -> io::Result<()> {
        if self.lines.length() >= ROTATE {
            self.rotate()?;
        }
        self.lines.append(entry)?;
        self.lines.sync();
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        let names = [CURRENT].into_iter().chain(PREVIOUS).collect::<Vec<_>>();
        for pair in names.windows(2).rev() {
            let [newer, older] = pair else { continue };
            match std::fs::rename(self.dir.join(newer), self.dir.join(older)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        self.lines.reopen()
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
