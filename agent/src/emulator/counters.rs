//! What the emulator has done so far, and how one thread tells the others.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Packets; one that was sent as a super-frame counts as one. Always: entered + duplicated = left + lost +
/// overlimit + held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Came in from the TAP, without its own chatter.
    pub entered: u64,
    /// Went back to the TAP, those of `write_errors` among them.
    pub left: u64,
    /// Dropped by the loss model.
    pub lost: u64,
    /// Copies made.
    pub duplicated: u64,
    /// Of those that were not dropped.
    pub corrupted: u64,
    /// Not delayed, so that they overtook others.
    pub reordered: u64,
    /// Dropped because too many packets or bytes were held: a loss that nobody asked for.
    pub overlimit: u64,
    /// In the queue now.
    pub held: u64,
    /// Refused by the device, for instance because it is down.
    pub write_errors: u64,
}

/// Counters that are written by one thread and read by others at any time. A reader may see one counter older than
/// another, by the packets of one round of the thread.
#[derive(Default)]
pub struct Published {
    entered: AtomicU64,
    left: AtomicU64,
    lost: AtomicU64,
    duplicated: AtomicU64,
    corrupted: AtomicU64,
    reordered: AtomicU64,
    overlimit: AtomicU64,
    held: AtomicU64,
    write_errors: AtomicU64,
}

impl Published {
    pub fn store(&self, counters: Counters) {
        let Counters { entered, left, lost, duplicated, corrupted, reordered, overlimit, held, write_errors } =
            counters;
        self.entered.store(entered, Relaxed);
        self.left.store(left, Relaxed);
        self.lost.store(lost, Relaxed);
        self.duplicated.store(duplicated, Relaxed);
        self.corrupted.store(corrupted, Relaxed);
        self.reordered.store(reordered, Relaxed);
        self.overlimit.store(overlimit, Relaxed);
        self.held.store(held, Relaxed);
        self.write_errors.store(write_errors, Relaxed);
    }

    pub fn load(&self) -> Counters {
        Counters {
            entered: self.entered.load(Relaxed),
            left: self.left.load(Relaxed),
            lost: self.lost.load(Relaxed),
            duplicated: self.duplicated.load(Relaxed),
            corrupted: self.corrupted.load(Relaxed),
            reordered: self.reordered.load(Relaxed),
            overlimit: self.overlimit.load(Relaxed),
            held: self.held.load(Relaxed),
            write_errors: self.write_errors.load(Relaxed),
        }
    }
}
