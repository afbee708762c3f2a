//! `CLOCK_BOOTTIME`, which deadlines are kept in, and instants that are known to lie between two readings of it.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

pub fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).expect("every Linux has it")
}

/// Something that happened not before the one and not after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub earliest: Duration,
    pub latest: Duration,
}

impl Window {
    /// Around what is done.
    pub fn around<T>(act: impl FnOnce() -> T) -> (T, Self) {
        let earliest = now();
        let done = act();
        (done, Self { earliest, latest: now() })
    }

    pub fn at(instant: Duration) -> Self {
        Self { earliest: instant, latest: instant }
    }

    pub fn plus(self, span: Duration) -> Self {
        Self { earliest: self.earliest + span, latest: self.latest + span }
    }

    /// Whichever comes later.
    pub fn or_later(self, other: Self) -> Self {
        Self { earliest: self.earliest.max(other.earliest), latest: self.latest.max(other.latest) }
    }

    /// Whichever comes sooner.
    pub fn or_sooner(self, other: Self) -> Self {
        Self { earliest: self.earliest.min(other.earliest), latest: self.latest.min(other.latest) }
    }

    pub fn is_before(self, other: Self) -> bool {
        self.latest < other.earliest
    }
}
