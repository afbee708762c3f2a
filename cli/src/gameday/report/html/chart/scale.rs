//! From times to places, and which times are written at an axis.

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// What people count in.
const STEPS: [u64; 23] = [
    100,
    200,
    500,
    SECOND,
    2 * SECOND,
    5 * SECOND,
    10 * SECOND,
    15 * SECOND,
    30 * SECOND,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    7 * DAY,
];

/// Milliseconds to pixels.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    from_ms: u64,
    to_ms: u64,
    left: f64,
    width: f64,
}

impl Scale {
    /// From these times to the pixels from `left` on; what begins and ends at once lasts a second.
    pub fn new(from_ms: u64, to_ms: u64, left: f64, width: f64) -> Self {
        Self { from_ms, to_ms: to_ms.max(from_ms.saturating_add(SECOND)), left, width }
    }

    pub fn left(&self) -> f64 {
        self.left
    }

    pub fn right(&self) -> f64 {
        self.left + self.width
    }

    /// What is before or after is at the edge.
    pub fn x(&self, ms: u64) -> f64 {
        let within = ms.clamp(self.from_ms, self.to_ms) - self.from_ms;
        self.left + self.width * (within as f64) / ((self.to_ms - self.from_ms) as f64)
    }

    pub fn shows(&self, ms: u64) -> bool {
        (self.from_ms..=self.to_ms).contains(&ms)
    }

    /// Round times before and after `t`, and itself, with so many pixels between them at least.
    pub fn ticks(&self, t: u64, apart: f64) -> Vec<u64> {
        let lasts = self.to_ms - self.from_ms;
        let fits = |step: u64| (step as f64) / (lasts as f64) * self.width >= apart;
        // Beyond them lies more than anybody ever ran.
        let more = std::iter::successors(STEPS.last().copied(), |step| step.checked_mul(2));
        let step = STEPS.into_iter().chain(more).find(|step| fits(*step)).unwrap_or(u64::MAX);
        let t = t.clamp(self.from_ms, self.to_ms);
        let before = (t - self.from_ms) / step;
        let after = (self.to_ms - t) / step;
        (1..=before).rev().map(|nth| t - nth * step).chain((0..=after).map(|nth| t + nth * step)).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ticks_are_round_from_t() {
        let scale = Scale::new(0, 1_000_000, 100.0, 800.0);
        assert_eq!(
            scale.ticks(62_400, 80.0),
            [62_400, 182_400, 302_400, 422_400, 542_400, 662_400, 782_400, 902_400]
        );
        assert_eq!([scale.x(0), scale.x(500_000), scale.x(2_000_000)], [100.0, 500.0, 900.0]);
    }

    proptest! {
        #[test]
        fn ticks_are_few_and_apart(from: u64, lasts in 0..=u64::MAX, t: u64) {
            let scale = Scale::new(from, from.saturating_add(lasts), 0.0, 800.0);
            let ticks = scale.ticks(t, 80.0);
            prop_assert!((1..=12).contains(&ticks.len()), "{}", ticks.len());
            for pair in ticks.windows(2) {
                prop_assert!(scale.x(pair[1]) - scale.x(pair[0]) >= 79.0);
            }
        }
    }
}
