//! Where the agent can be made to die, for tests: at each boundary between two things that the kernel, the disk or a caller
//! can see. Without the feature `crash-points` nothing of this is in the program.
//!
//! The points that a process passes are numbered as it passes them. `PA_CRASH_AT=17` kills it at the 17th, with SIGKILL, as
//! nothing else is as sudden. `PA_CRASH_TRACE=FILE` writes down the name of each.

/// One boundary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    StateDirMade,
    SocketBound,
    PrivilegesDropped,
    NamespaceClaimed,
    LinkSwept,
    LockTaken,
    JournalRead,
    /// Of each fault that an earlier agent did not end.
    DeathWritten,
    Ready,

    NamespaceEntered,
    Planned,
    /// Half of it is in the file.
    LineBegun,
    LineWritten,
    StepApplied,
    AllApplied,
    ReadBack,
    /// It is in the ledger, and the caller does not know yet.
    Active,
    Prepared,
    Committed,
    Armed,
    Rearmed,
    Changed,

    TransactionBegun,
    TransactionDone,
    IfbMade,
    LinkQuieted,
    NetemSet,
    LinkUp,
    AddressSet,
    IngressMade,
    RedirectMade,
    TapMade,
    EmulatorStarted,
    EmulatorEnded,
    PortsOpened,
    LinkDeleted,

    StepExchanged,
    Followed,

    StepUndone,
    Unsteered,
    Drained,
    Removed,

    Stopping,
    AllRestored,
    SocketRemoved,
}

#[cfg(feature = "crash-points")]
pub use armed::{at, parts};

#[cfg(feature = "crash-points")]
mod armed {
    use std::fs::OpenOptions;
    use std::io::Write;
    use std::path::PathBuf;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    use super::Point;

    struct Orders {
        at: Option<u64>,
        trace: Option<PathBuf>,
    }

    static ORDERS: OnceLock<Orders> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);

    impl Point {
        /// In the order in which a fault meets them, roughly.
        pub const ALL: [Self; 45] = [
            Self::StateDirMade,
            Self::SocketBound,
            Self::PrivilegesDropped,
            Self::NamespaceClaimed,
            Self::LinkSwept,
            Self::LockTaken,
            Self::JournalRead,
            Self::DeathWritten,
            Self::Ready,
            Self::NamespaceEntered,
            Self::Planned,
            Self::LineBegun,
            Self::LineWritten,
            Self::StepApplied,
            Self::AllApplied,
            Self::ReadBack,
            Self::Active,
            Self::Prepared,
            Self::Committed,
            Self::Armed,
            Self::Rearmed,
            Self::Changed,
            Self::TransactionBegun,
            Self::TransactionDone,
            Self::IfbMade,
            Self::LinkQuieted,
            Self::NetemSet,
            Self::LinkUp,
            Self::AddressSet,
            Self::IngressMade,
            Self::RedirectMade,
            Self::TapMade,
            Self::EmulatorStarted,
            Self::EmulatorEnded,
            Self::PortsOpened,
            Self::LinkDeleted,
            Self::StepExchanged,
            Self::Followed,
            Self::StepUndone,
            Self::Unsteered,
            Self::Drained,
            Self::Removed,
            Self::Stopping,
            Self::AllRestored,
            Self::SocketRemoved,
        ];
    }

    /// Passed; or the end of this process.
    pub fn at(point: Point) {
        let orders = ORDERS.get_or_init(|| Orders {
            at: std::env::var("PA_CRASH_AT").ok().and_then(|text| text.parse().ok()),
            trace: std::env::var_os("PA_CRASH_TRACE").map(PathBuf::from),
        });
        let nth = PASSED.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some(trace) = &orders.trace {
            let file = OpenOptions::new().create(true).append(true).open(trace);
            // A trace that cannot be written shows as one that is too short.
            let _ = file.and_then(|mut file| writeln!(file, "{point:?}"));
        }
        if orders.at == Some(nth) {
            let _ = kill(Pid::this(), Signal::SIGKILL);
            // Nothing more is done here until the kernel has done it.
            loop {
                std::thread::park();
            }
        }
    }

    /// A line in two halves, since a process can die between them.
    pub fn parts(line: &[u8]) -> [&[u8]; 2] {
        let (first, second) = line.split_at(line.len() / 2);
        [first, second]
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn every_point_is_listed_once() {
            // The last one of the enum has the number of those before it.
            assert_eq!(Point::SocketRemoved as usize + 1, Point::ALL.len());
            let mut sorted = Point::ALL.to_vec();
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!(sorted.len(), Point::ALL.len());
        }
    }
}

#[cfg(not(feature = "crash-points"))]
#[inline(always)]
pub fn at(_: Point) {}

#[cfg(not(feature = "crash-points"))]
#[inline(always)]
pub fn parts(line: &[u8]) -> [&[u8]; 1] {
    [line]
}
