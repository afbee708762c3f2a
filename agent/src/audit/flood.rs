//! How many lines a stranger can cause: a few at once, then so many a second, and of the rest the number. Pure.

use std::time::Duration;

use crate::clock::BootTime;

/// At once, and each second after that.
const RATE: u32 = 20;

/// How often the number of the others is told, while they go on.
const TELL: Duration = Duration::from_secs(10);

/// A bucket of lines that may be written.
#[derive(Debug)]
pub struct Flood {
    /// When it was full, or will be.
    full: BootTime,
    passed_over: u64,
    told: BootTime,
}

impl Flood {
    pub fn new() -> Self {
        Self { full: BootTime::default(), passed_over: 0, told: BootTime::default() }
    }

    /// Whether there is room for one more line.
    pub fn admits(&mut self, now: BootTime) -> bool {
        let each = Duration::from_secs(1) / RATE;
        let full = self.full.max(now) + each;
        if now.until(full) > Duration::from_secs(1) {
            if self.passed_over == 0 {
                self.told = now;
            }
            self.passed_over += 1;
            return false;
        }
        self.full = full;
        true
    }

    /// How many were passed over, where it is time to say so; from then on they are counted anew.
    pub fn take(&mut self, now: BootTime, anyway: bool) -> Option<u64> {
        if self.passed_over == 0 || !anyway && self.told + TELL > now {
            return None;
        }
        self.told = now;
        Some(std::mem::take(&mut self.passed_over))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> BootTime {
        BootTime::after_boot(Duration::from_millis(millis))
    }

    #[test]
    fn twenty_at_once_and_twenty_each_second() {
        let mut flood = Flood::new();
        let admitted = (0..1_000).filter(|_| flood.admits(at(5_000))).count();
        assert_eq!((admitted, flood.take(at(5_000), false)), (20, None));
        // Ten seconds of a hundred a second.
        let admitted = (0..1_000).filter(|nth| flood.admits(at(5_010 + nth * 10))).count();
        assert!((199..=201).contains(&admitted), "{admitted}");
        assert_eq!(flood.take(at(15_000), false), Some(1_980 - u64::try_from(admitted).unwrap()));
        assert_eq!(flood.take(at(15_001), true), None);
    }
}
