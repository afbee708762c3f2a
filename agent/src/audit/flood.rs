//! How many lines somebody can cause: some at once, then so many a second, and of the rest the number. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::BootTime;

/// How often the number of the others is told, while they go on.
const TELL: Duration = Duration::from_secs(10);

/// Whose share is kept apart from that of the others. Beyond these all others have one together.
const CALLERS: usize = 256;

/// A bucket of lines that may be written.
#[derive(Debug)]
pub struct Flood {
    at_once: u32,
    each_second: u32,
    /// When it was full, or will be.
    full: BootTime,
    passed_over: u64,
    told: BootTime,
}

impl Flood {
    /// So many at once, and each second after that.
    pub fn new(at_once: u32, each_second: u32) -> Self {
        let never = BootTime::default();
        Self { at_once, each_second, full: never, passed_over: 0, told: never }
    }

    /// Whether there is room for one more line; it is taken.
    pub fn takes(&mut self, now: BootTime) -> bool {
        let each = Duration::from_secs(1) / self.each_second;
        let full = self.full.max(now) + each;
        if now.until(full) > each * self.at_once {
            return false;
        }
        self.full = full;
        true
    }

    /// The same; one that finds no room is counted.
    pub fn admits(&mut self, now: BootTime) -> bool {
        let admitted = self.takes(now);
        if !admitted {
            self.pass_over(now);
        }
        admitted
    }

    /// Counts one that is not written.
    pub fn pass_over(&mut self, now: BootTime) {
        if self.passed_over == 0 {
            self.told = now;
        }
        self.passed_over += 1;
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

/// A bucket for each caller.
#[derive(Debug)]
pub struct Shares {
    at_once: u32,
    each_second: u32,
    of: BTreeMap<String, Flood>,
    others: Flood,
}

impl Shares {
    /// Each has so many at once, and each second after that.
    pub fn new(at_once: u32, each_second: u32) -> Self {
        Self { at_once, each_second, of: BTreeMap::new(), others: Flood::new(at_once, each_second) }
    }

    /// Whether this caller has room for one more line; it is taken.
    pub fn takes(&mut self, caller: &str, now: BootTime) -> bool {
        if !self.of.contains_key(caller) && self.of.len() >= CALLERS {
            // A share that is whole again is like one that was never used.
            self.of.retain(|_, flood| flood.full > now);
        }
        let flood = if self.of.len() < CALLERS || self.of.contains_key(caller) {
            let new = || Flood::new(self.at_once, self.each_second);
            self.of.entry(caller.to_owned()).or_insert_with(new)
        } else {
            &mut self.others
        };
        flood.takes(now)
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
        let mut flood = Flood::new(20, 20);
        let admitted = (0..1_000).filter(|_| flood.admits(at(5_000))).count();
        assert_eq!((admitted, flood.take(at(5_000), false)), (20, None));
        // Ten seconds of a hundred a second.
        let admitted = (0..1_000).filter(|nth| flood.admits(at(5_010 + nth * 10))).count();
        assert!((199..=201).contains(&admitted), "{admitted}");
        assert_eq!(flood.take(at(15_000), false), Some(1_980 - u64::try_from(admitted).unwrap()));
        assert_eq!(flood.take(at(15_001), true), None);
    }

    #[test]
    fn each_caller_has_a_share_of_its_own_and_there_are_not_endlessly_many() {
        let mut shares = Shares::new(3, 1);
        let mut taken = |caller: &str, millis| (0..10).filter(|_| shares.takes(caller, at(millis))).count();
        assert_eq!((taken("a", 5_000), taken("a", 5_000), taken("b", 5_000)), (3, 0, 3));
        assert_eq!((taken("a", 7_000), taken("a", 60_000)), (2, 3));
        let many = (0..1_000).map(|nth| taken(&nth.to_string(), 100_000)).sum::<usize>();
        assert_eq!(many, 3 * CALLERS + 3);
        assert_eq!(taken("new", 200_000), 3);
        assert!(shares.of.len() <= CALLERS, "{}", shares.of.len());
    }
}
