//! The thread of one TAP: reads, waits and writes.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use super::frame::Frame;
use super::queue::Queue;
use super::tap::Tap;
use super::{Returns, Shared};

/// A super-frame of 64 KiB, its Ethernet header with VLAN tags, and the header before it.
const LONGEST: usize = 68 * 1024;

/// How many frames are read or written before the other side gets its turn: neither may starve.
const BATCH: usize = 64;

/// How long a TAP that answers with an error that may pass is left alone, so that the thread does not spin.
const PAUSE: Duration = Duration::from_millis(10);

/// The kernel may be this late with a timer, to serve several at once. Its default is 50 microseconds.
const TIMER_SLACK_NANOS: u64 = 1_000;

pub struct Worker {
    tap: Tap,
    queue: Queue,
    returns: Returns,
    shared: Arc<Shared>,
    /// `CLOCK_MONOTONIC`, as netem: a packet does not travel while the host is suspended.
    started: Instant,
    buffer: Box<[u8]>,
    write_errors: u64,
    paused_until: Option<Duration>,
}

/// Whether there may be more to do of the same kind right now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    Done,
    More,
}

impl Worker {
    pub fn new(tap: Tap, queue: Queue, returns: Returns, shared: Arc<Shared>) -> Self {
        Self {
            tap,
            queue,
            returns,
            shared,
            started: Instant::now(),
            buffer: vec![0; LONGEST].into(),
            write_errors: 0,
            paused_until: None,
        }
    }

    /// Returns when it is told to stop.
    ///
    /// # Errors
    /// One of the device that does not pass: `EBADFD` when it was deleted.
    pub fn run(mut self) -> io::Result<()> {
        // Only precision is at stake: the default makes a packet 50 microseconds later.
        let _ = nix::sys::prctl::set_timerslack(TIMER_SLACK_NANOS);
        loop {
            if self.shared.take_call() {
                if self.shared.is_stopping() {
                    return Ok(());
                }
                self.queue.retune(self.shared.impairment());
            }
            let written = self.write_due()?;
            let read = self.read()?;
            self.publish();
            if written == Work::Done && read == Work::Done {
                self.wait()?;
            }
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn write_due(&mut self) -> io::Result<Work> {
        let now = self.now();
        for _ in 0..BATCH {
            let Some(frame) = self.queue.take_due(now) else { return Ok(Work::Done) };
            for part in frame.parts() {
                match self.tap.write(part) {
                    Ok(()) => {}
                    Err(error) if is_final(&error) => return Err(error),
                    // EIO: the device is down. EINVAL: a header that came from the kernel and that it does not take
                    // back. A later try would fare no better, and would hold up the frames behind.
                    Err(_) => {
                        self.write_errors += 1;
                        break;
                    }
                }
            }
        }
        Ok(Work::More)
    }

    fn read(&mut self) -> io::Result<Work> {
        if self.paused_until.is_some_and(|until| self.now() < until) {
            return Ok(Work::Done);
        }
        self.paused_until = None;
        for _ in 0..BATCH {
            match self.tap.read(&mut self.buffer) {
                Ok(length) => self.take_in(length),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Work::Done),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_final(&error) => return Err(error),
                Err(_) => {
                    self.paused_until = Some(self.now() + PAUSE);
                    return Ok(Work::Done);
                }
            }
        }
        Ok(Work::More)
    }

    fn take_in(&mut self, length: usize) {
        let Some(mut frame) = self.buffer.get(..length).and_then(Frame::new) else { return };
        if frame.is_from(self.returns.own) {
            return;
        }
        if let Some(source) = self.returns.source {
            frame.set_source(source);
        }
        self.queue.offer(self.now(), frame);
    }

    fn publish(&self) {
        let mut counters = self.queue.counters();
        counters.write_errors = self.write_errors;
        self.shared.counters.store(counters);
    }

    /// Sleeps until a frame is due, one comes in, or somebody calls. Without frames it sleeps for as long as it
    /// takes.
    fn wait(&mut self) -> io::Result<()> {
        let wake = [self.queue.next_due(), self.paused_until].into_iter().flatten().min();
        let now = self.now();
        let timeout = wake.map(|due| TimeSpec::from(due.saturating_sub(now)));
        let mut polled = [
            PollFd::new(self.shared.call.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.tap.as_fd(), PollFlags::POLLIN),
        ];
        // An error of the TAP would end the wait at once, asked for or not.
        let watched = if self.paused_until.is_some() { 1 } else { polled.len() };
        match ppoll(polled.get_mut(..watched).unwrap_or_default(), timeout, None) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let [call, tap] = polled.map(|polled| polled.revents().unwrap_or(PollFlags::empty()));
        if !call.is_empty() {
            // Only to make it wait again; what the call was about stands in `Shared`.
            let _ = self.shared.call.read();
        }
        if tap.intersects(PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL) {
            return self.after_error();
        }
        Ok(())
    }

    /// A deleted device says so when it is read; anything else may pass.
    fn after_error(&mut self) -> io::Result<()> {
        self.read()?;
        self.paused_until = Some(self.now() + PAUSE);
        Ok(())
    }
}

/// Whether the device is gone for good.
fn is_final(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EBADFD | Errno::EBADF | Errno::ENODEV | Errno::ENXIO))
}
