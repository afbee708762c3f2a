//! Processes, as procfs tells of them, and held by a descriptor: a number may be used again.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// What is after the name in `/proc/PID/stat`; the name may have anything in it. The first is the state, field 3.
fn fields(stat: &str) -> impl Iterator<Item = &str> {
    stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace()
}

/// The parent of a process, by its `/proc/PID/stat`.
pub fn parent_in(stat: &str) -> Option<u32> {
    fields(stat).nth(1)?.parse().ok()
}

/// When it was started, in ticks since the boot, by its `/proc/PID/stat`.
pub fn start_in(stat: &str) -> Option<u64> {
    fields(stat).nth(19)?.parse().ok()
}

/// `/proc/PID/stat` of a process that is there.
pub fn stat(pid: u32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/stat")).ok()
}

/// Every process that can be seen.
pub fn all() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// A process that was there, and no other.
pub struct Process(OwnedFd);

impl Process {
    /// The process with this number; nothing, if there is none.
    pub fn open(pid: u32) -> Option<Self> {
        let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
        pidfd_open(pid, PidfdFlags::empty()).ok().map(Self)
    }

    /// The process with this number that was started then; nothing, if it has ended.
    pub fn open_started(pid: u32, started: u64) -> Option<Self> {
        // What has the number now, after it is held, had it before.
        let process = Self::open(pid)?;
        let is_it = start_in(&stat(pid)?)? == started;
        // One that has ended keeps its number until its parent has looked.
        (is_it && !process.ends_within(Duration::ZERO)).then_some(process)
    }

    /// An error means that it has ended.
    pub fn signal(&self, signal: Signal) {
        let _ = pidfd_send_signal(&self.0, signal);
    }

    /// Whether it ends within the time.
    pub fn ends_within(&self, patience: Duration) -> bool {
        let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
        let mut ends = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        poll(&mut ends, timeout).is_ok_and(|ended| ended > 0)
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_anything_in_it_confuses_nobody() {
        let stat = "4711 (a) S 1 (b) S 17 4711 4711 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 200";
        assert_eq!((parent_in(stat), start_in(stat)), (Some(17), Some(987_654)));
        assert_eq!((parent_in(""), start_in("1 (a) S")), (None, None));
    }

    #[test]
    fn our_own_parent_is_who_it_is() {
        let stat = stat(std::process::id()).unwrap();
        assert_eq!(parent_in(&stat), Some(std::os::unix::process::parent_id()));
        assert!(all().any(|pid| pid == std::process::id()));
    }
}
