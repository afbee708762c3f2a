//! Where the agent can be made to die, for tests: at each boundary between two things that the kernel, the disk or a caller
//! can see. Without the feature `crash-points` nothing of this is in the program.
//!
//! The points that a process passes are numbered as it passes them. `PA_CRASH_AT=17` kills it at the 17th, with SIGKILL, as
//! nothing else is as sudden. `PA_CRASH_TRACE=FILE` writes down the name of each. `PA_CRASH_ROTATE=1000` makes room in the journal
//! after so many bytes.

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
    /// The journal that is to become the current one is there.
    NextWritten,
    /// There is no current journal.
    CurrentMoved,
    /// Both have their names, and the agent still writes into the former one.
    NextMoved,
    Rotated,
    StepApplied,
    AllApplied,
    ReadBack,
    /// It is in the ledger, and the caller does not know yet.
    Active,
    Prepared,
    Committed,
    Armed,
    /// The kernel has another deadline, and the ledger does not.
    Rearmed,
    Changed,
    Renewed,
    /// It is to be restored at an instant.
    Settled,

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
pub use armed::{at, most, parts};

#[cfg(feature = "crash-points")]
mod armed {
    use std::fs::File;
    use std::io::Write;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use nix::sys::signal::{Signal, raise};

    use super::Point;

    struct Orders {
        at: Option<u64>,
        trace: Option<File>,
    }

    static ORDERS: OnceLock<Orders> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);

    impl Point {
        /// In the order in which a fault meets them, roughly.
        pub const ALL: [Self; 51] = [
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
            Self::NextWritten,
            Self::CurrentMoved,
            Self::NextMoved,
            Self::Rotated,
            Self::StepApplied,
            Self::AllApplied,
            Self::ReadBack,
            Self::Active,
            Self::Prepared,
            Self::Committed,
            Self::Armed,
            Self::Rearmed,
            Self::Changed,
            Self::Renewed,
            Self::Settled,
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
        // At the first point, and the file stays open: later the sandbox lets none be opened outside of the state directory.
        // A trace that cannot be written shows as one that is too short.
        let orders = ORDERS.get_or_init(|| Orders {
            at: std::env::var("PA_CRASH_AT").ok().and_then(|text| text.parse().ok()),
            trace: std::env::var_os("PA_CRASH_TRACE")
                .and_then(|trace| File::options().create(true).append(true).open(trace).ok()),
        });
        let nth = PASSED.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some(mut trace) = orders.trace.as_ref() {
            // In one call: two threads may pass points at the same time.
            let _ = trace.write_all(format!("{point:?}\n").as_bytes());
        }
        if orders.at == Some(nth) {
            // The whole process dies of it. By `tgkill`, as the sandbox has no `kill`.
            let _ = raise(Signal::SIGKILL);
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

    /// How many bytes a journal may have.
    pub fn most(usual: u64) -> u64 {
        std::env::var("PA_CRASH_ROTATE").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
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

#[cfg(not(feature = "crash-points"))]
#[inline(always)]
pub fn most(usual: u64) -> u64 {
    usual
}
