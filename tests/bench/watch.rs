//! A stream of datagrams on one way, so dense that it shows when a fault begins and when it ends. What counts is when a datagram was
//! sent: the first of those that are lost, or late, was the first to meet the fault. So nobody has to be quick at the receiving
//! end, where it would take processor time from what is measured; only the sender is, and the same one for all tools. The kernel
//! notes when each one arrived.

use std::io::IoSliceMut;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use harness::lab::Host;
use nix::sys::prctl;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;

/// So many in a row have to meet the same fate before it is believed.
const IN_A_ROW: usize = 10;
/// How often the receiving end reads what has come.
const READ: Duration = Duration::from_millis(2);
/// How often what was read is looked through.
const LOOK: Duration = Duration::from_millis(5);

/// How dense, and what is late.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub apart: Duration,
    /// A datagram that takes longer is hit: a fault that delays has to delay by more, and a machine that is busy by less.
    pub late: Duration,
}

/// The stream, from its start until it is dropped.
pub struct Watch {
    log: Arc<Mutex<Log>>,
    pace: Pace,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// Of each datagram since the first, when it was sent and when it arrived.
#[derive(Debug)]
struct Log {
    first: u64,
    sent: Vec<Instant>,
    arrived: Vec<Option<Instant>>,
    /// When the receiving end last had read all that had come.
    read: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Passed,
    Hit,
    /// It may still arrive in time.
    Open,
}

impl Watch {
    /// Between two hosts.
    #[must_use]
    pub fn start(from: &Host, to: &Host, at: SocketAddr, source: SocketAddr, pace: Pace) -> Self {
        let inbox = to.run(|| UdpSocket::bind(at)).expect("a free port");
        setsockopt(&inbox, sockopt::RcvBufForce, &(64 << 20)).expect("root may");
        setsockopt(&inbox, sockopt::ReceiveTimestampns, &true).expect("a socket");
        inbox.set_nonblocking(true).expect("a socket");
        let outbox = from.run(|| UdpSocket::bind(source)).expect("a socket");
        let log = Log { first: 0, sent: Vec::new(), arrived: Vec::new(), read: Instant::now() };
        let log = Arc::new(Mutex::new(log));
        let stop = Arc::new(AtomicBool::new(false));
        let (sent, ended) = (Arc::clone(&log), Arc::clone(&stop));
        let sender = std::thread::spawn(move || {
            // Without it the kernel is up to 50 us late.
            prctl::set_timerslack(1).expect("a thread may");
            while !ended.load(Ordering::Relaxed) {
                let number = lock(&sent).sends();
                // Of some faults the sender gets an error. It is as lost as the others.
                let _ = outbox.send_to(&number.to_be_bytes(), at);
                std::thread::sleep(pace.apart);
            }
        });
        let (arrived, ended) = (Arc::clone(&log), Arc::clone(&stop));
        let reader = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                let mut log = lock(&arrived);
                let begun = Instant::now();
                while let Some((number, at)) = next(&inbox) {
                    log.arrives(number, at);
                }
                log.read = begun;
                drop(log);
                std::thread::sleep(READ);
            }
        });
        let watch = Self { log, pace, stop, threads: vec![sender, reader] };
        let passed = watch.healed(Instant::now(), Duration::from_secs(30));
        assert!(passed.is_some(), "without a fault datagrams do not pass");
        watch
    }

    /// When the first datagram was hit after this instant, and all that followed it. None: not within the time.
    #[must_use]
    pub fn felt(&self, since: Instant, patience: Duration) -> Option<Instant> {
        self.until(Fate::Hit, since, patience)
    }

    /// When the first datagram passed after this instant, and all that followed it.
    #[must_use]
    pub fn healed(&self, since: Instant, patience: Duration) -> Option<Instant> {
        self.until(Fate::Passed, since, patience)
    }

    /// Forgets what was, so that a long stream takes no more memory than a short one.
    pub fn forget(&self) {
        let mut log = lock(&self.log);
        log.first += log.sent.len() as u64;
        log.sent.clear();
        log.arrived.clear();
    }

    fn until(&self, fate: Fate, since: Instant, patience: Duration) -> Option<Instant> {
        let begun = Instant::now();
        loop {
            if let Some(found) = lock(&self.log).first(fate, since, self.pace.late) {
                return Some(found);
            }
            if begun.elapsed() > patience {
                return None;
            }
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // Only fails when it has panicked, which has been printed.
            let _ = thread.join();
        }
    }
}

impl Log {
    fn sends(&mut self) -> u64 {
        self.sent.push(Instant::now());
        self.arrived.push(None);
        self.first + self.sent.len() as u64 - 1
    }

    fn arrives(&mut self, number: u64, at: Instant) {
        let nth = number.checked_sub(self.first).and_then(|nth| usize::try_from(nth).ok());
        if let Some(arrived) = nth.and_then(|nth| self.arrived.get_mut(nth)) {
            *arrived = Some(at);
        }
    }

    fn fate(&self, nth: usize, late: Duration) -> Fate {
        let sent = self.sent[nth];
        match self.arrived[nth] {
            Some(arrived) if arrived.saturating_duration_since(sent) < late => Fate::Passed,
            Some(_) => Fate::Hit,
            None if self.read.saturating_duration_since(sent) < late => Fate::Open,
            None => Fate::Hit,
        }
    }

    /// When the first of enough in a row was sent that all met this fate.
    fn first(&self, fate: Fate, since: Instant, late: Duration) -> Option<Instant> {
        let from = self.sent.partition_point(|&sent| sent < since);
        let mut row = 0;
        for nth in from..self.sent.len() {
            row = if self.fate(nth, late) == fate { row + 1 } else { 0 };
            if row == IN_A_ROW {
                return Some(self.sent[nth + 1 - IN_A_ROW]);
            }
        }
        None
    }
}

/// The number of the next datagram that has come, and when it came.
fn next(inbox: &UdpSocket) -> Option<(u64, Instant)> {
    let (mut buffer, mut control) = ([0; 8], nix::cmsg_space!(TimeSpec));
    let mut parts = [IoSliceMut::new(&mut buffer)];
    let message = recvmsg::<()>(inbox.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty()).ok()?;
    let came = message.cmsgs().ok()?.find_map(|message| match message {
        ControlMessageOwned::ScmTimestampns(at) => Some(Duration::from(at)),
        _ => None,
    })?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some((u64::from_be_bytes(buffer), Instant::now() - now.saturating_sub(came)))
}

fn lock(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}
