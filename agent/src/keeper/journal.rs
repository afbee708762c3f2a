//! What was begun and what became of it: JSON lines, written before the kernel is touched. A later agent finds in it what
//! an earlier one left, and `history` reads it back.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use partition_agent_proto::{End, FaultId, FaultSpec, History, Hits, Verdict};
use serde::{Deserialize, Serialize};

use crate::crash::{self, Point};
use crate::lines::{Backwards, Lines};
use crate::trust::{self, append_to};

const CURRENT: &str = "journal.jsonl";
const PREVIOUS: &str = "journal.1.jsonl";
/// What becomes the current one, while that is under way.
const NEXT: &str = "journal.next.jsonl";
const LOCK: &str = "lock";

/// Beyond this many bytes a journal becomes the previous one, and the one before that is gone. What it has of faults that are
/// not over is carried over into the new one, and does not count.
const ROTATE: u64 = 8 << 20;

/// How many bytes more are written before a rotation that failed is tried again.
const AGAIN: u64 = 1 << 20;

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
    lines: Lines,
    /// The faults that have no end yet, as they were written.
    open: BTreeMap<FaultId, Line>,
    /// Ends that the disk had no room for, in their order. No fault begins before they are written, so they are no more than
    /// there were faults.
    unwritten: VecDeque<(FaultId, Line)>,
    /// How long it may become.
    most: u64,
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
        finish_rotation(dir).map_err(io)?;
        let (lines, unreadable) = read(&dir.join(CURRENT)).map_err(io)?;
        let open = open_faults(lines);
        let begun = open.values().filter_map(Line::begun).collect();
        let lines = Lines::open(&dir.join(CURRENT)).map_err(io)?;
        // What the earlier agent has left open is ended now, so there is nothing to carry over.
        let most = crash::most(ROTATE);
        let journal =
            Self { dir: dir.to_owned(), lines, open, unwritten: VecDeque::new(), most, _lock: lock };
        crash::at(Point::JournalRead);
        Ok((journal, begun, unreadable))
    }

    /// Written when this returns: the agent may die now.
    pub fn inject(&mut self, begun: Begun) -> io::Result<()> {
        let Begun { id, spec, by, at } = begun;
        self.write_ends()?;
        let line = Line::Inject { at, id: id.clone(), spec: Box::new(spec), by };
        self.lines.append(&line)?;
        self.open.insert(id, line);
        Ok(())
    }

    /// Has what was written brought to the disk, soon. A disk that hangs must not keep a restore waiting.
    pub fn sync(&mut self) {
        // That there is no room for them has been said.
        let _ = self.write_ends();
        self.lines.sync();
    }

    pub fn change(&mut self, at: String, id: FaultId, ends_at: String, by: String) -> io::Result<()> {
        self.write_ends()?;
        self.lines.append(&Line::Change { at, id, ends_at, by })
    }

    /// Where it cannot be written, it is later: without it the next agent would take the fault for one that this agent left.
    pub fn end(
        &mut self,
        at: String,
        boot_ns: Option<u64>,
        id: FaultId,
        end: End,
        hits: Hits,
        as_before: Option<Verdict>,
    ) -> io::Result<()> {
        let line = Line::End { at, boot_ns, id: id.clone(), end, hits, as_before };
        self.unwritten.push_back((id, line));
        self.write_ends()
    }

    fn write_ends(&mut self) -> io::Result<()> {
        while let Some((id, line)) = self.unwritten.front() {
            self.lines.append(line)?;
            self.open.remove(id);
            self.unwritten.pop_front();
        }
        Ok(())
    }

    /// Makes room. The lines of faults that are not over come first in the new file, so a later agent finds them.
    pub fn rotate(&mut self) -> io::Result<()> {
        if self.lines.length() < self.most {
            return Ok(());
        }
        self.most = self.lines.length() + AGAIN;
        let mut bytes = Vec::new();
        for line in self.open.values() {
            serde_json::to_writer(&mut bytes, line)?;
            bytes.push(b'\n');
        }
        let next = self.dir.join(NEXT);
        remove(&next)?;
        // Not synced: a crash of the host that could lose it takes the faults with it.
        let lines = self.lines.next(&next, &bytes)?;
        crash::at(Point::NextWritten);
        let [current, previous] = [CURRENT, PREVIOUS].map(|name| self.dir.join(name));
        match std::fs::rename(&current, &previous) {
            // Somebody has taken it away; what is open goes on in the new one.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        crash::at(Point::CurrentMoved);
        if let Err(error) = std::fs::rename(&next, &current) {
            // What is written from now on still goes into the old one, so that one is to be found.
            std::fs::rename(&previous, &current)?;
            return Err(error);
        }
        crash::at(Point::NextMoved);
        self.lines.sync();
        self.lines = lines;
        self.most = self.lines.length() + crash::most(ROTATE);
        crash::at(Point::Rotated);
        Ok(())
    }

    /// From now on its disk is full.
    #[cfg(test)]
    pub fn fill(&mut self) {
        self.lines.fill();
    }

    /// Faults that are over, newest first.
    pub fn history(&self, most: usize) -> io::Result<Vec<History>> {
        history(&self.dir, most)
    }
}

impl Line {
    fn begun(&self) -> Option<Begun> {
        match self {
            Self::Inject { at, id, spec, by } => {
                Some(Begun { id: id.clone(), spec: (**spec).clone(), by: by.clone(), at: at.clone() })
            }
            Self::Change { .. } | Self::End { .. } => None,
        }
    }
}

/// Between the two renames of a rotation there is no current journal; one that was not begun is not needed.
fn finish_rotation(dir: &Path) -> io::Result<()> {
    if dir.join(CURRENT).try_exists()? {
        return remove(&dir.join(NEXT));
    }
    match std::fs::rename(dir.join(NEXT), dir.join(CURRENT)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Faults that are over, newest first, out of the journal of a directory that another process may hold. It is read from its end,
/// as far as it takes to find where these began.
pub fn history(dir: &Path, most: usize) -> io::Result<Vec<History>> {
    // In this order: what becomes the previous one in between is missed by the other.
    let current = Backwards::open(&dir.join(CURRENT))?;
    over_in(current, Backwards::open(&dir.join(PREVIOUS))?, most)
}

fn over_in(current: Backwards, previous: Backwards, most: usize) -> io::Result<Vec<History>> {
    // It may have become the previous one in between.
    let previous = (!current.is_same(&previous)?).then_some(previous);
    let mut over = Vec::<Option<History>>::new();
    let mut wanted = BTreeMap::new();
    for mut lines in [Some(current), previous].into_iter().flatten() {
        while over.len() < most || !wanted.is_empty() {
            match lines.line()? {
                // One whose beginning is lost must not be given that of an older one.
                Some(Line::End { id, .. }) if over.len() >= most => drop(wanted.remove(&id)),
                Some(Line::End { at, boot_ns, id, end, hits, as_before }) => {
                    wanted.insert(id, (over.len(), at, boot_ns, end, hits, as_before));
                    over.push(None);
                }
                Some(Line::Inject { at, id, spec, by }) => {
                    if let Some((slot, ended_at, ended_boot_ns, end, hits, as_before)) = wanted.remove(&id)
                        && let Some(slot) = over.get_mut(slot)
                    {
                        let spec = *spec;
                        *slot = Some(History {
                            id,
                            fault: spec.to_string(),
                            spec,
                            by,
                            injected_at: at,
                            ended_at,
                            ended_boot_ns,
                            end,
                            hits,
                            as_before,
                        });
                    }
                }
                Some(Line::Change { .. }) => {}
                None => break,
            }
        }
    }
    Ok(over.into_iter().flatten().collect())
}

fn open_faults(lines: Vec<Line>) -> BTreeMap<FaultId, Line> {
    let mut begun = BTreeMap::new();
    for line in lines {
        match &line {
            Line::Inject { id, .. } => drop(begun.insert(id.clone(), line)),
            Line::Change { .. } => {}
            Line::End { id, .. } => drop(begun.remove(id)),
        }
    }
    begun
}

/// The lines that can be read, and how many cannot.
fn read(path: &Path) -> io::Result<(Vec<Line>, usize)> {
    let file = match trust::read(path) {
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
mod tests;
