//! The network namespaces of a lab, by which whoever is in it is found.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::Signal;

use super::TOKEN;
use super::process::{self, Process};

/// Network namespaces. They are held open, so that nobody else's gets the number of one of them.
pub struct Namespaces {
    numbers: Vec<u64>,
    _held: Vec<File>,
}

impl Namespaces {
    /// That of a holder, and those of its hosts.
    pub fn of(holder: u32) -> Self {
        let is_its =
            |pid: &u32| process::stat(*pid).and_then(|stat| process::parent_in(&stat)) == Some(holder);
        Self::open(process::all().filter(is_its).chain([holder]))
    }

    /// Those that these processes are in, if they are in a lab, but for the one that this process is in. Everybody in them is going
    /// to be killed: a process that is not in a lab yet, or never was, is where the whole machine is.
    pub fn open(processes: impl Iterator<Item = u32>) -> Self {
        let held = processes.filter_map(|pid| File::open(namespace(pid)).ok().filter(|_| is_in_lab(pid)));
        let held = held.collect::<Vec<_>>();
        let numbers = number(&namespace(std::process::id())).map_or_else(Vec::new, |ours| {
            let numbers = held.iter().filter_map(|file| Some(file.metadata().ok()?.ino()));
            numbers.filter(|number| *number != ours).collect()
        });
        Self { numbers, _held: held }
    }

    /// Kills every process in one of them; how many there were.
    pub fn kill_all(&self) -> usize {
        let inside = |pid: u32| number(&namespace(pid)).is_some_and(|number| self.numbers.contains(&number));
        let found = process::all().filter(|pid| inside(*pid)).filter_map(|pid| {
            let process = Process::open(pid)?;
            // What has the number now is what was opened.
            inside(pid).then_some(process)
        });
        found.map(|process| process.signal(Signal::KILL)).count()
    }
}

/// Whether it sees the files of one, which nobody outside does.
fn is_in_lab(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}/root{TOKEN}")).exists()
}

fn namespace(pid: u32) -> String {
    format!("/proc/{pid}/ns/net")
}

fn number(namespace: &str) -> Option<u64> {
    fs::metadata(namespace).ok().map(|found| found.ino())
}
