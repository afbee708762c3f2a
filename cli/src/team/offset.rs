//! How far an agent's clock is from ours, as Cristian found it: ask what time it is there, several times, and believe the quickest
//! answer; it is off by half of its round trip at most. The clocks are `CLOCK_BOOTTIME` on both sides, so neither NTP nor a
//! step of the wall clock has a say.

use std::time::Duration;

use partition_agent_core::clock::BootTime;

use crate::client::Client;
use crate::exit::Failure;

/// Questions to each agent. The first one may have opened the connection.
const QUESTIONS: usize = 4;

/// What was found of one agent's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offset {
    /// Nanoseconds that its clock is ahead of ours.
    ahead: i128,
    /// It is no more off than this.
    pub bound: Duration,
}

impl Offset {
    pub async fn measure(client: &Client) -> Result<Self, Failure> {
        let mut best = None::<Self>;
        for _ in 0..QUESTIONS {
            let asked = BootTime::now();
            let theirs = client.clock().await?.boot_ns;
            let found = Self::of(asked, theirs, BootTime::now());
            best = Some(best.filter(|best| best.bound <= found.bound).unwrap_or(found));
        }
        best.ok_or_else(|| Failure::Failed("no question was asked".to_owned()))
    }

    /// From one question: when it was asked, what was answered, and when the answer was here.
    fn of(asked: BootTime, theirs: u64, answered: BootTime) -> Self {
        let half = asked.until(answered) / 2;
        Self { ahead: i128::from(theirs) - i128::from((asked + half).nanos()), bound: half }
    }

    /// Our instant on their clock, in nanoseconds.
    pub fn theirs(self, ours: BootTime) -> u64 {
        u64::try_from(i128::from(ours.nanos()) + self.ahead).unwrap_or_default()
    }

    /// Their instant, in nanoseconds, on our clock.
    pub fn ours(self, theirs: u64) -> BootTime {
        let nanos = u64::try_from(i128::from(theirs) - self.ahead).unwrap_or_default();
        BootTime::after_boot(Duration::from_nanos(nanos))
    }
}

/// Instants on our clock that should be one, and how far they are from that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Spread {
    /// From the first to the last, in microseconds.
    pub micros: u64,
    /// The clocks are known this well, to either side.
    pub bound_micros: u64,
}

impl Spread {
    pub fn of(instants: impl IntoIterator<Item = (BootTime, Duration)>) -> Option<Self> {
        let (instants, bounds): (Vec<_>, Vec<_>) = instants.into_iter().unzip();
        let (first, last) = (instants.iter().min()?, instants.iter().max()?);
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bound = bounds.into_iter().max().unwrap_or_default();
        Some(Self { micros: micros(first.until(*last)), bound_micros: micros(bound) })
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let millis = |micros: u64| Duration::from_micros(micros).as_secs_f64() * 1e3;
        write!(
            f,
            "{:.1} ms (the clocks are known to {:.1} ms)",
            millis(self.micros),
            millis(self.bound_micros)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> BootTime {
        BootTime::after_boot(Duration::from_millis(millis))
    }

    #[test]
    fn an_offset_goes_there_and_back() {
        // Asked at 1000, answered at 1010; their clock, read in between, was at 61,005: a minute ahead.
        let offset = Offset::of(at(1_000), 61_005_000_000, at(1_010));
        assert_eq!((offset.ahead, offset.bound), (60_000_000_000, Duration::from_millis(5)));
        assert_eq!(offset.theirs(at(2_000)), 62_000_000_000);
        assert_eq!(offset.ours(62_000_000_000), at(2_000));
        // One that was booted later than ours is behind.
        let behind = Offset::of(at(90_000), 5_000_000_000, at(90_000));
        assert_eq!((behind.theirs(at(91_000)), behind.ours(6_000_000_000)), (6_000_000_000, at(91_000)));
    }

    #[test]
    fn a_spread_is_from_the_first_to_the_last() {
        let bound = Duration::from_micros(200);
        let spread = Spread::of([(at(7), bound), (at(5), bound / 2), (at(6), bound)]).unwrap();
        assert_eq!((spread.micros, spread.bound_micros), (2_000, 200));
        assert_eq!(spread.to_string(), "2.0 ms (the clocks are known to 0.2 ms)");
        assert_eq!(Spread::of([]), None);
    }
}
