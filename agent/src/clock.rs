//! Time since boot, suspended or not. Deadlines are kept on this clock: a step of the wall clock does not move them,
//! and a host that slept through one finds it past.

use std::fmt;
use std::io;
use std::ops::Add;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Duration;

use jiff::Timestamp;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId as TimerClock, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::time::{ClockId, clock_gettime};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// An instant of `CLOCK_BOOTTIME`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct BootTime(Duration);

impl BootTime {
    /// Reads the clock.
    pub fn now() -> Self {
        // The clock exists since Linux 2.6.39; a read of it cannot fail.
        Self(clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default())
    }

    /// Later than every instant that comes.
    pub const NEVER: Self = Self(Duration::MAX);

    /// An instant this long after boot.
    pub const fn after_boot(duration: Duration) -> Self {
        Self(duration)
    }

    pub fn since_boot(self) -> Duration {
        self.0
    }

    /// As the API has it. It holds 584 years.
    pub fn nanos(self) -> u64 {
        u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX)
    }

    /// How long until then; nothing, if it is past.
    pub fn until(self, later: Self) -> Duration {
        later.0.saturating_sub(self.0)
    }
}

impl Add<Duration> for BootTime {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

impl fmt::Display for BootTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}s after boot", self.0.as_secs_f64())
    }
}

/// The wall clock in RFC 3339, to the millisecond, this far from now.
pub fn wall(from_now: Duration) -> String {
    let then = Timestamp::now().checked_add(from_now).unwrap_or(Timestamp::MAX);
    // All digits always, so that times sort as text.
    then.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// The wall clock, since 1970.
pub fn unix() -> Duration {
    // Before 1970 it is 1970.
    Duration::try_from(Timestamp::now().duration_since(Timestamp::UNIX_EPOCH)).unwrap_or_default()
}

/// Wakes a task at a [`BootTime`]: tokio's own timers stand still while the host sleeps.
pub struct Alarm {
    timer: AsyncFd<Timer>,
}

/// tokio wants the number of what it watches, which nix keeps to itself.
struct Timer(TimerFd);

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Alarm {
    pub fn new() -> io::Result<Self> {
        let timer =
            TimerFd::new(TimerClock::CLOCK_BOOTTIME, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        // SAFETY: the timer owns its descriptor, always answers with the same one, and lives in the `AsyncFd`.
        #[allow(unsafe_code, reason = "tokio has no safe way to watch a timerfd")]
        let timer = unsafe { AsyncFd::register_with_interest(Timer(timer), Interest::READABLE) };
        Ok(Self { timer: timer.map_err(|error| error.into_parts().1)? })
    }

    /// Returns at the instant, at once if it is past, never without one. Cancel-safe: each call sets the timer anew.
    pub async fn ring(&mut self, at: Option<BootTime>) {
        let Some(at) = at else { return std::future::pending().await };
        // A timer for the instant 0 would be no timer.
        let at = TimeSpec::from_duration(at.0.max(Duration::from_nanos(1)));
        if self.timer.get_ref().0.set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME).is_err()
        {
            return;
        }
        while let Ok(mut ready) = self.timer.readable().await {
            let mut count = [0; 8];
            match ready
                .try_io(|timer| nix::unistd::read(&timer.get_ref().0, &mut count).map_err(io::Error::from))
            {
                Ok(_) => return,
                Err(_would_block) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_forward_and_wall_is_rfc_3339() {
        let before = BootTime::now();
        assert!(before.until(BootTime::now() + Duration::from_secs(1)) >= Duration::from_secs(1));
        assert_eq!((before + Duration::from_secs(1)).until(before), Duration::ZERO);
        assert!(wall(Duration::from_secs(60)).ends_with('Z'));
    }

    #[tokio::test]
    async fn an_alarm_rings_once_for_the_past_and_once_for_the_future() {
        let mut alarm = Alarm::new().unwrap();
        alarm.ring(Some(BootTime::default())).await;
        let then = BootTime::now() + Duration::from_millis(30);
        alarm.ring(Some(then)).await;
        assert!(BootTime::now() >= then);
    }
}
