//! What the agent's process holds: memory, file descriptors, threads.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use harness::agent::Agent;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub resident_kib: u64,
    pub threads: usize,
    /// How many of each kind.
    pub files: BTreeMap<String, usize>,
}

/// How much more memory an agent may have after so many operations than it had early on: its allocator keeps some of what is
/// free, and the list of what it has told is bounded but not full at that time. A leak of one fault's plan per operation, some
/// 10 KiB, is seen from 1,700 operations on; the 300 of an ordinary run show none of less than 32 KiB.
pub fn more_kib(operations: usize) -> u64 {
    (8_192 + 5 * u64::try_from(operations).expect("64 bits")).min(20 << 10)
}

impl Process {
    pub fn of(agent: &Agent) -> Self {
        let proc = format!("/proc/{}", agent.pid());
        let status = std::fs::read_to_string(format!("{proc}/status")).expect("it runs");
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok()).unwrap_or_default()
        };
        let mut files = BTreeMap::new();
        for file in std::fs::read_dir(format!("{proc}/fd")).expect("it runs").flatten() {
            // One that was closed meanwhile.
            let Ok(leads_to) = std::fs::read_link(file.path()) else { continue };
            let leads_to = leads_to.display().to_string();
            let kind = leads_to.split([':', '[']).next().unwrap_or_default().to_owned();
            *files.entry(kind).or_default() += 1;
        }
        let threads = usize::try_from(field("Threads:")).expect("not so many");
        Self { resident_kib: field("VmRSS:"), threads, files }
    }
}

/// No more files and threads than at its start, and less memory than this.
pub fn assert_nothing_is_kept(agent: &Agent, at_start: &Process, most_kib: u64, patience: Duration) {
    let begun = Instant::now();
    loop {
        let now = Process::of(agent);
        // The journal may have been on its way to the disk at the start.
        let more =
            |(kind, count): (&String, &usize)| at_start.files.get(kind).is_none_or(|before| count > before);
        // Threads that wait for blocking work end after ten seconds without any.
        if !now.files.iter().any(more) && now.threads <= at_start.threads {
            println!("at the start {at_start:?}, at the end {now:?}, and at most {most_kib} KiB");
            assert!(now.resident_kib < most_kib, "{} KiB, and at most {most_kib}", now.resident_kib);
            break;
        }
        assert!(begun.elapsed() < patience, "at the start {at_start:?}, at the end {now:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
