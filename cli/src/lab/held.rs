//! Labs that stay up: which there are, and the processes that hold them.

use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::namespaces::Namespaces;
use super::process::Process;
use super::{CONTENTS, Contents};
use crate::exit::Failure;

/// How long a lab may take to end by itself.
const POLITE: Duration = Duration::from_secs(5);
/// How long what was killed may take to be gone.
const GONE: Duration = Duration::from_secs(10);

/// A lab, and who holds it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Held {
    pub name: String,
    /// Where its fleet is from, for people.
    pub fleet: String,
    pub pid: u32,
    /// In ticks since the boot.
    pub started: u64,
}

/// The directory that all of a user's labs are written down in, and nobody else at it meanwhile.
pub struct Labs {
    directory: PathBuf,
    _lock: File,
}

impl Labs {
    /// # Errors
    /// There is no place for them, or it is not this user's.
    pub fn open() -> Result<Self, Failure> {
        let runtime =
            std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
        let above = runtime.unwrap_or_else(|| PathBuf::from("/run")).join("partition-agent");
        let directory = above.join("labs");
        let failed = |error: std::io::Error| {
            let what = format!("cannot keep labs in {}: {error}", directory.display());
            match error.kind() {
                ErrorKind::PermissionDenied => Failure::Failed(format!(
                    "{what}\n  set XDG_RUNTIME_DIR to a directory of yours, which logins have as /run/user/UID"
                )),
                _ => Failure::Failed(what),
            }
        };
        loop {
            // The socket of an agent may be beside it, for its group to get through.
            DirBuilder::new().recursive(true).mode(0o755).create(&above).map_err(failed)?;
            DirBuilder::new().recursive(true).mode(0o700).create(&directory).map_err(failed)?;
            let lock = File::open(&directory).map_err(failed)?;
            lock.lock().map_err(failed)?;
            let locked = lock.metadata().map_err(failed)?;
            if locked.uid() != nix::unistd::geteuid().as_raw() || locked.mode() & 0o077 != 0 {
                let what = format!("{} is open to others: remove it", directory.display());
                return Err(Failure::Failed(what));
            }
            // Whoever had the lock before may have removed the directory.
            if fs::metadata(&directory).is_ok_and(|there| there.ino() == locked.ino()) {
                return Ok(Self { directory, _lock: lock });
            }
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.json"))
    }

    /// What was written down of a lab, whether it is up or not.
    pub fn find(&self, name: &str) -> Option<Held> {
        serde_json::from_slice(&fs::read(self.file(name)).ok()?).ok()
    }

    pub fn all(&self) -> Vec<Held> {
        let entries = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let read = |path: &Path| serde_json::from_slice::<Held>(&fs::read(path).ok()?).ok();
        let mut labs = entries.filter_map(|entry| read(&entry.path())).collect::<Vec<_>>();
        labs.sort_by(|one, other| one.name.cmp(&other.name));
        labs
    }

    pub fn keep(&self, lab: &Held) -> Result<(), Failure> {
        let text = serde_json::to_vec(lab).map_err(std::io::Error::from)?;
        Ok(fs::write(self.file(&lab.name), text)?)
    }

    pub fn forget(&self, name: &str) {
        let _ = fs::remove_file(self.file(name));
    }
}

impl Drop for Labs {
    fn drop(&mut self) {
        // The last one leaves nothing; where something is left, this fails.
        let _ = fs::remove_dir(&self.directory);
        if let Some(above) = self.directory.parent() {
            let _ = fs::remove_dir(above);
        }
    }
}

impl Held {
    /// Who holds it, if that is still there.
    pub fn holder(&self) -> Option<Process> {
        Process::open_started(self.pid, self.started)
    }

    /// What there is in it; nothing while it is being raised.
    pub fn contents(&self) -> Option<Contents> {
        let read = fs::read(format!("/proc/{}/root{CONTENTS}", self.pid)).ok()?;
        serde_json::from_slice(&read).ok()
    }

    /// Takes it down, with all that is in its namespaces, whoever started it.
    ///
    /// # Errors
    /// Something does not end.
    pub fn end(&self, holder: &Process) -> Result<(), Failure> {
        let namespaces = Namespaces::of(self.pid);
        holder.signal(Signal::TERM);
        if !holder.ends_within(POLITE) {
            holder.signal(Signal::KILL);
        }
        let begun = Instant::now();
        while !(holder.ends_within(Duration::ZERO) && namespaces.kill_all() == 0) {
            if begun.elapsed() > GONE {
                let what = format!("something in the lab {} does not end, although it was killed", self.name);
                return Err(Failure::Failed(what));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}
