//! The stand-in for netem on kernels without it: frames are forwarded to a TAP device, wait here in user space, and
//! go back to it. One thread for each TAP.

mod counters;
mod dice;
mod frame;
#[cfg(feature = "fuzz")]
pub mod fuzzing;
mod loss;
mod offload;
mod queue;
mod run;
mod schedule;
mod slot;
mod tap;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use nix::sys::eventfd::{EfdFlags, EventFd};

pub use counters::Counters;
pub use tap::Tap;

use self::counters::Published;
use self::queue::Queue;
use self::run::Worker;
use crate::plan::Impairment;

/// Which frames are not for the emulator, and how the kernel's side knows those that return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Returns {
    /// The address of the TAP itself. What it sends, such as reports of multicast groups, nobody forwarded to it:
    /// dropped.
    pub own: [u8; 6],
    /// The source address of every frame that is written back; their own, if none.
    pub source: Option<[u8; 6]>,
}

/// A running emulator and its TAP. Dropped, both end at once, and with them the frames that are held.
pub struct Emulator {
    shared: Arc<Shared>,
    /// Gone only while it is dropped.
    thread: Option<JoinHandle<()>>,
}

/// What the handle and the thread have in common.
struct Shared {
    counters: Published,
    impairment: Mutex<Impairment>,
    stopping: AtomicBool,
    /// Ends the thread's sleep.
    call: EventFd,
    /// Tells a thread that does not sleep.
    called: AtomicBool,
}

impl Emulator {
    /// Starts the thread. `seed` makes its dice repeat themselves.
    ///
    /// # Errors
    /// When the kernel has no thread or no file descriptor left.
    pub fn start(tap: Tap, impairment: Impairment, returns: Returns, seed: u64) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            counters: Published::default(),
            impairment: Mutex::new(impairment.clone()),
            stopping: AtomicBool::new(false),
            call: EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?,
            called: AtomicBool::new(false),
        });
        // A device's name has 15 bytes at most, as has a thread's.
        let name = tap.name().to_owned();
        let worker = Worker::new(tap, Queue::new(impairment, seed), returns, Arc::clone(&shared));
        let thread = thread::Builder::new().name(name.clone()).spawn(move || {
            if let Err(error) = worker.run() {
                tracing::warn!(%error, tap = name, "the emulator has ended: its device is gone");
            }
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Changes the impairment for the packets that come from now on. Those held keep their time.
    pub fn retune(&self, impairment: Impairment) {
        *self.shared.lock() = impairment;
        self.shared.call_thread();
    }

    /// What has happened up to now.
    pub fn counters(&self) -> Counters {
        self.shared.counters.load()
    }

    pub fn impairment(&self) -> Impairment {
        self.shared.impairment()
    }

    /// False after an error of the device that does not pass, such as its deletion.
    pub fn is_alive(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        self.shared.call_thread();
        // A panic of the thread has been reported by the thread.
        self.thread.take().map(JoinHandle::join);
    }
}

impl Shared {
    fn call_thread(&self) {
        self.called.store(true, Ordering::Release);
        // Fails only when the counter is full, and then the thread is awake.
        let _ = self.call.write(1);
    }

    fn take_call(&self) -> bool {
        self.called.swap(false, Ordering::AcqRel)
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    fn impairment(&self) -> Impairment {
        self.lock().clone()
    }

    /// A value is replaced as a whole, so one who panicked with the lock in hand left a good one.
    fn lock(&self) -> MutexGuard<'_, Impairment> {
        self.impairment.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
