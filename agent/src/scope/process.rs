//! Processes, told apart from later ones with the same number.

use std::fs;
use std::io;
use std::path::PathBuf;

use crate::netns::{Netns, NetnsId};

/// A process: its number and when it started, since numbers come round again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    pid: u32,
    /// Clock ticks after boot.
    started: u64,
}

impl Process {
    /// # Errors
    /// There is no such process.
    pub fn of(pid: u32) -> io::Result<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let started = start_time(&text).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat: {text:?}"))
        })?;
        Ok(Self { pid, started })
    }

    #[must_use]
    pub fn pid(self) -> u32 {
        self.pid
    }

    /// Its network namespace, surely of this process and not of one that got its number later.
    ///
    /// # Errors
    /// It has ended (`NotFound`), or the agent may not look.
    pub fn netns(self) -> io::Result<Netns> {
        let netns = Netns::open(netns_path(self.pid)).map_err(ended)?;
        if Self::of(self.pid).map_err(ended)? != self {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        Ok(netns)
    }

    /// Whether it still runs, in that namespace.
    #[must_use]
    pub fn is_in(self, id: NetnsId) -> bool {
        NetnsId::at(netns_path(self.pid)).is_ok_and(|now| now == id)
            && Self::of(self.pid).is_ok_and(|now| now == self)
    }
}

/// A process that ends while it is looked at is not there: `ESRCH` is the same as `ENOENT`.
pub(super) fn ended(error: io::Error) -> io::Error {
    if error.raw_os_error() == Some(libc::ESRCH) { io::Error::from(io::ErrorKind::NotFound) } else { error }
}

pub(super) fn netns_path(pid: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/ns/net"))
}

/// Field 22 of `/proc/PID/stat`. The name, field 2, is in parentheses and may hold any of them and spaces itself.
fn start_time(stat: &str) -> Option<u64> {
    stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(feature = "fuzz")]
pub fn fuzz(stat: &str) {
    let _ = start_time(stat);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_forge_the_start_time() {
        let stat = "42 (a) S 1 (b) S 1 42 42 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 10 0";
        assert_eq!(start_time(stat), Some(987_654));
        assert_eq!(start_time("42 (short) S 1"), None);
        assert_eq!(start_time("no name"), None);
    }

    #[test]
    fn a_later_process_of_the_same_number_is_another() {
        let own = Process::of(std::process::id()).unwrap();
        let earlier = Process { started: own.started - 1, ..own };
        let id = own.netns().unwrap().id();
        assert!(own.is_in(id));
        assert!(!earlier.is_in(id));
        assert_eq!(earlier.netns().unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
