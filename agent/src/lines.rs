//! A file of JSON lines that is only appended to, and read from its end.
//!
//! A line that is written survives every death of the agent. Only a crash of the host can lose one that is not yet synced;
//! the sync is left to a thread of its own, where nobody waits for it.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::crash::{self, Point};
use crate::trust;

/// How much is read at once, from the end.
const CHUNK: u64 = 64 << 10;

/// What is longer is no line of ours.
const LONGEST: usize = 1 << 20;

/// The end of such a file.
pub struct Lines {
    file: File,
    length: u64,
    /// The last line has no end.
    torn: bool,
    unsynced: bool,
    syncer: SyncSender<File>,
}

impl Lines {
    /// See [`trust::append_to`].
    pub fn open(path: &Path) -> io::Result<Self> {
        let (file, length, torn) = append_to(path)?;
        Ok(Self { file, length, torn, unsynced: false, syncer: syncer()? })
    }

    /// A file that is not there yet, with these lines, to take the place of this one. It is open, so that whoever goes on in it
    /// once it has its name needs nothing more that could fail.
    pub fn next(&self, path: &Path, bytes: &[u8]) -> io::Result<Self> {
        let mut file = trust::create(path)?;
        file.write_all(bytes)?;
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Ok(Self { file, length, torn: false, unsynced: true, syncer: self.syncer.clone() })
    }

    /// In one call, so that a line is there or not. What of one is there that was cut short, is ended first, so that the next
    /// one stands on its own.
    pub fn append<T: Serialize>(&mut self, line: &T) -> io::Result<()> {
        let mut bytes = if self.torn { vec![b'\n'] } else { Vec::new() };
        serde_json::to_writer(&mut bytes, line)?;
        bytes.push(b'\n');
        let mut written = 0;
        let mut refused = None;
        for part in crash::parts(&bytes) {
            match self.write(part) {
                Ok(count) => written += count,
                Err(error) => {
                    refused = Some(error);
                    break;
                }
            }
            crash::at(Point::LineBegun);
        }
        if written < bytes.len() {
            self.take_back(written);
            return Err(refused.unwrap_or_else(|| io::Error::from(io::ErrorKind::StorageFull)));
        }
        self.unsynced = true;
        self.length += u64::try_from(written).unwrap_or(u64::MAX);
        self.torn = false;
        crash::at(Point::LineWritten);
        Ok(())
    }

    /// What was refused must not be there: of a line that lacks nothing but its end, the end of the next one would make a whole
    /// line.
    fn take_back(&mut self, written: usize) {
        if written > 0 && self.file.set_len(self.length).is_err() {
            self.length += u64::try_from(written).unwrap_or(u64::MAX);
            self.torn = true;
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.file.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                written => return written,
            }
        }
    }

    /// Has what was written brought to the disk, soon.
    pub fn sync(&mut self) {
        if std::mem::take(&mut self.unsynced) {
            // Full: the one that waits there brings this to the disk as well.
            let _ = self.file.try_clone().map(|file| self.syncer.try_send(file));
        }
    }

    /// In bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// From now on its disk is full, until it is given back what this answers with.
    #[cfg(test)]
    pub fn fill(&mut self) -> File {
        std::mem::replace(&mut self.file, File::options().append(true).open("/dev/full").unwrap())
    }

    /// It has room again.
    #[cfg(test)]
    pub fn make_room(&mut self, file: File) {
        self.file = file;
    }
}

/// A file that can be appended to, its length, and whether its last line has no end.
fn append_to(path: &Path) -> io::Result<(File, u64, bool)> {
    let file = trust::append_to(path)?;
    let length = file.metadata()?.len();
    let mut last = [b'\n'];
    if length > 0 {
        file.read_exact_at(&mut last, length - 1)?;
    }
    Ok((file, length, last != [b'\n']))
}

/// A thread that waits for the disk, for as long as somebody has something for it.
fn syncer() -> io::Result<SyncSender<File>> {
    let (sender, files) = sync_channel::<File>(1);
    let sync = move || {
        for file in files {
            if let Err(error) = file.sync_data() {
                tracing::warn!(%error, "a record is written, but it may not survive a crash of the host");
            }
        }
    };
    std::thread::Builder::new().name("sync".to_owned()).spawn(sync)?;
    Ok(sender)
}

/// The lines of a file, from the last to the first, without those that cannot be read. None, where there is no file.
pub struct Backwards {
    file: Option<File>,
    /// How much of it is still to be read.
    left: u64,
    /// Read, in their order.
    lines: Vec<Vec<u8>>,
    /// The end of the line before them.
    tail: Vec<u8>,
}

impl Backwards {
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = match trust::read(path) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let left = file.as_ref().map_or(Ok(0), |file| file.metadata().map(|there| there.len()))?;
        Ok(Self { file, left, lines: Vec::new(), tail: Vec::new() })
    }

    /// Whether both are one file, under the same name or not.
    pub fn is_same(&self, other: &Self) -> io::Result<bool> {
        let (Some(one), Some(other)) = (&self.file, &other.file) else { return Ok(false) };
        let (one, other) = (one.metadata()?, other.metadata()?);
        Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
    }

    /// The one before.
    pub fn line<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        loop {
            while let Some(line) = self.lines.pop() {
                if let Ok(line) = serde_json::from_slice(&line) {
                    return Ok(Some(line));
                }
            }
            if !self.read()? {
                return Ok(None);
            }
        }
    }

    /// Whether there was more.
    fn read(&mut self) -> io::Result<bool> {
        let Some(file) = self.file.as_ref().filter(|_| self.left > 0) else { return Ok(false) };
        let size = self.left.min(CHUNK);
        self.left -= size;
        let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
        file.read_exact_at(&mut bytes, self.left)?;
        bytes.append(&mut self.tail);
        let begins = match bytes.iter().position(|byte| *byte == b'\n') {
            _ if self.left == 0 => 0,
            Some(end) => end + 1,
            None => bytes.len(),
        };
        self.lines = bytes.split_off(begins).split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        if bytes.len() <= LONGEST {
            self.tail = bytes;
        }
        Ok(true)
    }
}

#[cfg(feature = "fuzz")]
pub mod fuzzing {
    use nix::sys::memfd::{MFdFlags, memfd_create};
    use partition_agent_proto::AuditEntry;

    use super::*;

    /// An audit log of whatever bytes: read from its end it has the lines that can be read, and they would be written the same.
    pub fn audit(bytes: &[u8]) {
        let file = memfd_create("audit", MFdFlags::empty()).expect("memory");
        let mut file = File::from(file);
        file.write_all(bytes).expect("memory");
        let left = u64::try_from(bytes.len()).expect("64 bits");
        let mut lines = Backwards { file: Some(file), left, lines: Vec::new(), tail: Vec::new() };
        let read = std::iter::from_fn(|| lines.line::<AuditEntry>().expect("nothing can fail but the disk"));
        let read = read.collect::<Vec<_>>();
        let legible = |line: &[u8]| serde_json::from_slice::<AuditEntry>(line).ok();
        let there = bytes.split(|byte| *byte == b'\n').rev().filter_map(legible);
        assert_eq!(read, there.collect::<Vec<_>>());
        for entry in &read {
            let again = serde_json::to_vec(entry).expect("it was JSON");
            assert_eq!(legible(&again).as_ref(), Some(entry));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn read(path: &Path) -> Vec<String> {
        let mut lines = Backwards::open(path).unwrap();
        std::iter::from_fn(|| lines.line().unwrap()).collect()
    }

    #[test]
    fn what_is_appended_is_read_backwards() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lines");
        assert_eq!(read(&path), [""; 0]);
        let mut lines = Lines::open(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777 & !0o640, 0);
        // Across many chunks, lines longer than one among them.
        let wanted =
            (0..300).map(|nth| format!("{nth}{}", "x".repeat(nth * 977 % 200_000))).collect::<Vec<_>>();
        wanted.iter().for_each(|line| lines.append(line).unwrap());
        assert_eq!(lines.length(), path.metadata().unwrap().len());
        assert_eq!(read(&path), wanted.into_iter().rev().collect::<Vec<_>>());
    }

    #[test]
    fn a_torn_line_costs_itself_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lines");
        Lines::open(&path).unwrap().append(&"one").unwrap();
        std::fs::write(&path, b"\"one\"\n\xff\n\"to").unwrap();
        Lines::open(&path).unwrap().append(&"two").unwrap();
        assert_eq!(read(&path), ["two", "one"]);
        // One that is longer than any.
        std::fs::write(&path, format!("\"one\"\n\"{}\"\n\"two\"\n", "x".repeat(3 * LONGEST))).unwrap();
        assert_eq!(read(&path), ["two", "one"]);
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lines");
        let elsewhere = dir.path().join("elsewhere");
        std::fs::write(&elsewhere, "untouched").unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        assert!(Lines::open(&path).is_err() && Backwards::open(&path).is_err());
        assert_eq!(std::fs::read(&elsewhere).unwrap(), b"untouched");
        std::fs::remove_file(&path).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(Lines::open(&path).is_err());
    }

    /// The limit is far beyond what anything else here writes, since it is that of the whole process.
    #[test]
    fn a_line_that_lacks_its_end_only_is_not_there() {
        use nix::sys::resource::{Resource, getrlimit, setrlimit};

        const FAR: u64 = 1 << 40;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lines");
        let file = File::create(&path).unwrap();
        // A file with a hole.
        file.set_len(FAR - 1).unwrap();
        file.write_all_at(b"\n", FAR - 1).unwrap();
        let mut lines = Lines::open(&path).unwrap();
        lines.append(&"one").unwrap();
        let (soft, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
        setrlimit(Resource::RLIMIT_FSIZE, lines.length() + 5, hard).unwrap();
        let short = lines.append(&"two");
        setrlimit(Resource::RLIMIT_FSIZE, soft, hard).unwrap();
        assert!(short.is_err());
        assert_eq!(lines.length(), path.metadata().unwrap().len());
        lines.append(&"three").unwrap();
        let mut read = Backwards::open(&path).unwrap();
        let newest = std::iter::from_fn(|| read.line::<String>().unwrap()).take(2);
        assert_eq!(newest.collect::<Vec<_>>(), ["three", "one"]);
    }

    #[test]
    fn a_full_disk_is_an_error_and_no_loss() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lines");
        let mut lines = Lines::open(&path).unwrap();
        lines.append(&"one").unwrap();
        let file = lines.fill();
        assert!(lines.append(&"two").is_err());
        lines.make_room(file);
        lines.append(&"three").unwrap();
        assert_eq!(read(&path), ["three", "one"]);
    }
}
