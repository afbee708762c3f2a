//! The emulator's dice: seeded, and correlated where netem's are.

use std::time::Duration;

use fastrand::Rng;
use partition_agent_proto::Percent;

use crate::plan::Chance;

/// 100% among the 32-bit numbers that are drawn: one more than the highest.
const ALL: u64 = 1 << 32;

pub struct Dice(Rng);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(Rng::with_seed(seed))
    }

    pub fn number(&mut self) -> u32 {
        self.0.u32(..)
    }

    /// One of the first `count` numbers; 0 if there are none.
    pub fn below(&mut self, count: usize) -> usize {
        self.0.usize(..count.max(1))
    }

    /// True for this share of all calls, [`share`] of a percentage.
    pub fn hit(&mut self, share: u64) -> bool {
        u64::from(self.number()) < share
    }
}

/// How many of the 2^32 numbers that can be drawn are hits.
pub fn share(percent: Option<Percent>) -> u64 {
    u64::from(percent.map_or(0, Percent::millionths)) * ALL / 1_000_000
}

/// One deviation in a distribution's table (`NETEM_DIST_SCALE`).
const SCALE: i128 = 8192;

/// So many of these deviations from the mean, as a table has them, and never before now.
pub fn deviated(mean: Duration, deviation: Duration, drawn: i16) -> Duration {
    let [mean, deviation] =
        [mean, deviation].map(|span| i128::try_from(span.as_nanos()).unwrap_or(i128::MAX));
    let nanos = (mean + deviation * i128::from(drawn) / SCALE).max(0);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// netem's `get_crandom`: a mean of a fresh number and the last answer, weighted by the correlation. The mean leans
/// towards the middle, so a small chance hits less often than it says and a large one more often: netem's users
/// know it.
pub struct Correlated {
    weight: u64,
    last: u32,
}

impl Correlated {
    pub fn new(correlation: Option<Percent>, dice: &mut Dice) -> Self {
        Self { weight: share(correlation), last: dice.number() }
    }

    pub fn number(&mut self, dice: &mut Dice) -> u32 {
        let fresh = dice.number();
        // Both weights add up to 2^32, so the sum is below 2^64 and its upper half below 2^32.
        let mean = (u64::from(fresh) * (ALL - self.weight) + u64::from(self.last) * self.weight) >> 32;
        self.last = u32::try_from(mean).unwrap_or(u32::MAX);
        self.last
    }
}

/// A chance with a memory.
pub struct Draw {
    share: u64,
    numbers: Correlated,
}

impl Draw {
    pub fn new(chance: Chance, dice: &mut Dice) -> Self {
        Self { share: share(Some(chance.percent)), numbers: Correlated::new(chance.correlation, dice) }
    }

    pub fn hit(&mut self, dice: &mut Dice) -> bool {
        u64::from(self.numbers.number(dice)) < self.share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWS: u32 = 100_000;

    fn hits(percent: f64, correlation: Option<f64>) -> Vec<bool> {
        let mut dice = Dice::new(7);
        let correlation = correlation.map(|correlation| Percent::new(correlation).unwrap());
        let mut draw = Draw::new(Chance { percent: Percent::new(percent).unwrap(), correlation }, &mut dice);
        (0..DRAWS).map(|_| draw.hit(&mut dice)).collect()
    }

    fn share_of(hits: &[bool]) -> f64 {
        f64::from(u32::try_from(hits.iter().filter(|hit| **hit).count()).unwrap()) / f64::from(DRAWS)
    }

    /// How likely a hit follows a hit.
    fn after_a_hit(hits: &[bool]) -> f64 {
        let followers: Vec<bool> = hits.windows(2).filter(|pair| pair[0]).map(|pair| pair[1]).collect();
        let again = followers.iter().filter(|hit| **hit).count();
        f64::from(u32::try_from(again).unwrap()) / f64::from(u32::try_from(followers.len()).unwrap())
    }

    #[test]
    fn all_is_always_and_the_least_is_rare() {
        assert!(hits(100.0, None).iter().all(|hit| *hit));
        // Expected 0.1 of 100,000; more than 5 have a chance of 1 in 10^9.
        assert!(hits(0.0001, None).iter().filter(|hit| **hit).count() <= 5);
    }

    #[test]
    fn a_chance_hits_its_share() {
        // sqrt(0.3 * 0.7 / 100,000) = 0.00145, five of them.
        let share = share_of(&hits(30.0, None));
        assert!((share - 0.3).abs() < 0.0073, "{share}");
    }

    #[test]
    fn correlation_makes_a_hit_follow_a_hit() {
        let (without, with) = (hits(30.0, None), hits(30.0, Some(50.0)));
        // 30,000 followers: sqrt(0.21 / 30,000) = 0.0026, five of them.
        assert!((after_a_hit(&without) - 0.3).abs() < 0.0133);
        assert!(after_a_hit(&with) > share_of(&with) + 0.2, "{} {}", after_a_hit(&with), share_of(&with));
    }

    #[test]
    fn full_correlation_repeats_the_last_answer() {
        let mut dice = Dice::new(7);
        let mut numbers = Correlated::new(Some(Percent::ALL), &mut dice);
        let first = numbers.number(&mut dice);
        assert!((0..100).all(|_| numbers.number(&mut dice) == first));
    }
}
