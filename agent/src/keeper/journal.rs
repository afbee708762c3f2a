//! What was begun and what became of it: JSON lines, written before the kernel is touched. A later agent finds in it what
//! an earlier one left, and `history` reads it back.
//!
//! A line that is written survives every death of the agent. Only a crash of the host can lose one that is not yet synced,
//! and that takes the faults with it; so the sync is left to a thread of its own, where nobody waits for it.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;

use nix::fcntl::{Flock, FlockArg};
use partition_agent_proto::{End, FaultId, FaultSpec, History, Hits, Verdict};
use serde::{Deserialize, Serialize};

use crate::crash::{self, Point};

const CURRENT: &str = "journal.jsonl";
const PREVIOUS: &str = "journal.1.jsonl";
const LOCK: &str = "lock";

/// Beyond this many bytes a journal becomes the previous one, and the one before that is gone.
const ROTATE: u64 = 8 << 20;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "op")]
enum Line {
    /// About to be applied.
    Inject { at: String, id: FaultId, spec: Box<FaultSpec>, by: String },
    /// Its deadline moved.
    Change { at: String, id: FaultId, ends_at: String, by: String },
    /// Over.
    End {
        at: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        boot_ns: Option<u64>,
        id: FaultId,
        end: End,
        hits: Hits,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        as_before: Option<Verdict>,
    },
}

/// A fault that was begun and has no end yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Begun {
    pub id: FaultId,
    pub spec: FaultSpec,
    pub by: String,
    pub at: String,
}

/// The directory of the journal, held by one agent at a time.
pub struct Journal {
    dir: PathBuf,
    file: File,
    length: u64,
    unsynced: bool,
    /// The last line has no end.
    torn: bool,
    syncer: SyncSender<File>,
    _lock: Flock<File>,
}

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("another agent uses the state directory {}: stop it, or give this one another --state-dir", .0.display())]
    Held(PathBuf),
    #[error("cannot use the state directory {}: {source}", dir.display())]
    Io { dir: PathBuf, source: io::Error },
}

impl Journal {
    /// Takes the directory, and names the faults that an earlier agent has not ended. Lines that cannot be read are
    /// counted, not feared: the kernel's own state is swept whatever they say.
    pub fn open(dir: &Path) -> Result<(Self, Vec<Begun>, usize), JournalError> {
        let io = |source| JournalError::Io { dir: dir.to_owned(), source };
        std::fs::create_dir_all(dir).map_err(io)?;
        let lock = append_to(&dir.join(LOCK)).map_err(io)?;
        let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
            nix::errno::Errno::EWOULDBLOCK => JournalError::Held(dir.to_owned()),
            errno => io(errno.into()),
        })?;
        crash::at(Point::LockTaken);
        let (lines, unreadable) = read(&dir.join(CURRENT)).map_err(io)?;
        let file = append_to(&dir.join(CURRENT)).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let torn = std::fs::read(dir.join(CURRENT)).map_err(io)?.last().is_some_and(|last| *last != b'\n');
        let journal = Self {
            dir: dir.to_owned(),
            file,
            length,
            unsynced: false,
            torn,
            syncer: syncer().map_err(io)?,
            _lock: lock,
        };
        crash::at(Point::JournalRead);
        Ok((journal, open_faults(lines), unreadable))
    }

    /// Written when this returns: the agent may die now.
    pub fn inject(&mut self, begun: Begun) -> io::Result<()> {
        let Begun { id, spec, by, at } = begun;
        self.append(&Line::Inject { at, id, spec: Box::new(spec), by })
    }

    /// Has what was written brought to the disk, soon. A disk that hangs must not keep a restore waiting.
    pub fn sync(&mut self) {
        if std::mem::take(&mut self.unsynced) {
            // Full: the one that waits there brings this to the disk as well.
            let _ = self.file.try_clone().map(|file| self.syncer.try_send(file));
        }
    }

    pub fn change(&mut self, at: String, id: FaultId, ends_at: String, by: String) -> io::Result<()> {
        self.append(&Line::Change { at, id, ends_at, by })
    }

    pub fn end(
        &mut self,
        at: String,
        boot_ns: Option<u64>,
        id: FaultId,
        end: End,
        hits: Hits,
        as_before: Option<Verdict>,
    ) -> io::Result<()> {
        self.append(&Line::End { at, boot_ns, id, end, hits, as_before })
    }

    /// Makes room, when no fault is open: a fault's lines stay in one file.
    pub fn rotate(&mut self) -> io::Result<()> {
        if self.length < ROTATE {
            return Ok(());
        }
        std::fs::rename(self.dir.join(CURRENT), self.dir.join(PREVIOUS))?;
        self.file = append_to(&self.dir.join(CURRENT))?;
        self.length = 0;
        Ok(())
    }

    /// From now on its disk is full.
    #[cfg(test)]
    pub fn fill(&mut self) {
        self.file = append_to(Path::new("/dev/full")).unwrap();
    }

    /// Faults that are over, newest first.
    pub fn history(&self, most: usize) -> io::Result<Vec<History>> {
        history(&self.dir, most)
    }

    fn append(&mut self, line: &Line) -> io::Result<()> {
        // A line that was written in part is ended first, so that this one stands on its own.
        let mut bytes = if self.torn { vec![b'\n'] } else { Vec::new() };
        serde_json::to_writer(&mut bytes, line)?;
        bytes.push(b'\n');
        self.unsynced = true;
        self.torn = true;
        for part in crash::parts(&bytes) {
            self.file.write_all(part)?;
            crash::at(Point::LineBegun);
        }
        self.torn = false;
        self.length += bytes.len() as u64;
        crash::at(Point::LineWritten);
        Ok(())
    }
}

/// A thread that waits for the disk, until the journal is dropped.
fn syncer() -> io::Result<SyncSender<File>> {
    let (sender, files) = std::sync::mpsc::sync_channel::<File>(1);
    let sync = move || {
        for file in files {
            if let Err(error) = file.sync_data() {
                tracing::warn!(%error, "the journal is written, but it may not survive a crash of the host");
            }
        }
    };
    std::thread::Builder::new().name("journal".to_owned()).spawn(sync)?;
    Ok(sender)
}

/// Faults that are over, newest first, out of the journal of a directory that another process may hold.
pub fn history(dir: &Path, most: usize) -> io::Result<Vec<History>> {
    let mut begun = BTreeMap::new();
    let mut over = Vec::new();
    for file in [PREVIOUS, CURRENT] {
        for line in read(&dir.join(file))?.0 {
            match line {
                Line::Inject { at, id, spec, by } => {
                    begun.insert(id, (at, spec, by));
                }
                Line::Change { .. } => {}
                Line::End { at: ended_at, boot_ns: ended_boot_ns, id, end, hits, as_before } => {
                    if let Some((injected_at, spec, by)) = begun.remove(&id) {
                        over.push(History {
                            id,
                            spec: *spec,
                            by,
                            injected_at,
                            ended_at,
                            ended_boot_ns,
                            end,
                            hits,
                            as_before,
                        });
                    }
                }
            }
        }
    }
    over.reverse();
    over.truncate(most);
    Ok(over)
}

fn open_faults(lines: Vec<Line>) -> Vec<Begun> {
    let mut begun = BTreeMap::new();
    for line in lines {
        match line {
            Line::Inject { at, id, spec, by } => {
                begun.insert(id.clone(), Begun { id, spec: *spec, by, at });
            }
            Line::Change { .. } => {}
            Line::End { id, .. } => {
                begun.remove(&id);
            }
        }
    }
    begun.into_values().collect()
}

fn append_to(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).append(true).mode(0o640).open(path)?;
    // Root, in the foreground, may be the first to write in the directory of the service's own user.
    if let Some(Ok(dir)) = path.parent().map(std::fs::metadata)
        && dir.uid() != file.metadata()?.uid()
    {
        std::os::unix::fs::fchown(&file, Some(dir.uid()), Some(dir.gid()))?;
    }
    Ok(file)
}

/// The lines that can be read, and how many cannot.
fn read(path: &Path) -> io::Result<(Vec<Line>, usize)> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
        Err(error) => return Err(error),
    };
    lines_of(BufReader::new(file))
}

fn lines_of(text: impl BufRead) -> io::Result<(Vec<Line>, usize)> {
    let mut lines = Vec::new();
    let mut unreadable = 0;
    for line in text.split(b'\n') {
        let line = line?;
        match serde_json::from_slice(&line) {
            Ok(line) => lines.push(line),
            Err(_) if line.is_empty() => {}
            Err(_) => unreadable += 1,
        }
    }
    Ok((lines, unreadable))
}

#[cfg(feature = "fuzz")]
pub mod fuzzing {
    use super::*;

    /// A journal of whatever bytes: each line is read or counted, and what is read would be written the same.
    pub fn journal(bytes: &[u8]) {
        let (lines, unreadable) = lines_of(bytes).expect("nothing can fail but the disk");
        let written = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
        assert_eq!(lines.len() + unreadable, written);
        for line in &lines {
            let again = serde_json::to_vec(line).expect("it was JSON");
            assert_eq!(lines_of(again.as_slice()).expect("as above"), (vec![line.clone()], 0));
        }
        let injects = lines.iter().filter(|line| matches!(line, Line::Inject { .. })).count();
        assert!(open_faults(lines).len() <= injects);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(id: &str) -> Begun {
        let spec =
            serde_json::from_str(r#"{"kinds":[{"loss":{"percent":1}}],"target":{"ports":[1]}}"#).unwrap();
        Begun { id: id.parse().unwrap(), spec, by: "root".to_owned(), at: "then".to_owned() }
    }

    fn end(journal: &mut Journal, id: &str) {
        journal
            .end("now".to_owned(), None, id.parse().unwrap(), End::Deadline, Hits::default(), None)
            .unwrap();
    }

    #[test]
    fn what_has_no_end_is_found_by_the_next_agent() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, open, unreadable) = Journal::open(dir.path()).unwrap();
        assert_eq!((open.len(), unreadable), (0, 0));
        journal.inject(begun("a")).unwrap();
        journal.inject(begun("b")).unwrap();
        end(&mut journal, "a");
        drop(journal);
        let (journal, open, _) = Journal::open(dir.path()).unwrap();
        assert_eq!(open, [begun("b")]);
        let over = journal.history(10).unwrap();
        assert_eq!(over.iter().map(|h| h.id.as_str()).collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn one_agent_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let _held = Journal::open(dir.path()).unwrap();
        assert!(matches!(Journal::open(dir.path()), Err(JournalError::Held(_))));
    }

    #[test]
    fn a_torn_or_corrupt_line_costs_that_line_only() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, ..) = Journal::open(dir.path()).unwrap();
        journal.inject(begun("a")).unwrap();
        drop(journal);
        let path = dir.path().join(CURRENT);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend(b"\xff\xfe garbage\n{\"op\":\"inject\",\"id\":");
        std::fs::write(&path, bytes).unwrap();
        let (mut journal, open, unreadable) = Journal::open(dir.path()).unwrap();
        assert_eq!((open, unreadable), (vec![begun("a")], 2));
        journal.inject(begun("b")).unwrap();
        drop(journal);
        let (_, open, _) = Journal::open(dir.path()).unwrap();
        assert_eq!(open, [begun("a"), begun("b")]);
    }

    #[test]
    fn a_long_journal_makes_room_and_keeps_its_history() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, ..) = Journal::open(dir.path()).unwrap();
        journal.inject(begun("a")).unwrap();
        end(&mut journal, "a");
        journal.length = ROTATE;
        journal.rotate().unwrap();
        journal.inject(begun("b")).unwrap();
        end(&mut journal, "b");
        let ids = journal.history(10).unwrap().iter().map(|h| h.id.to_string()).collect::<Vec<_>>();
        assert_eq!(ids, ["b", "a"]);
        assert_eq!(journal.history(1).unwrap().len(), 1);
    }
}
