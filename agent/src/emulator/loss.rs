//! Which packets are lost: netem's three loss models.

use super::dice::{Dice, Draw, share};
use crate::plan::LossModel;

/// A loss model and where it stands. Shares are of 2^32.
pub enum Loss {
    Random(Draw),
    /// Gilbert and Elliott's two states.
    Gemodel {
        state: Channel,
        to_bad: u64,
        to_good: u64,
        in_bad: u64,
        in_good: u64,
    },
    State {
        state: Period,
        p13: u64,
        p31: u64,
        p32: u64,
        p23: u64,
        p14: u64,
    },
}

pub enum Channel {
    Good,
    Bad,
}

/// The states 1 to 4 of netem's "general and intuitive" model, by the fate of the packet in it.
pub enum Period {
    GapReceived,
    BurstReceived,
    BurstLost,
    GapLost,
}

impl Loss {
    pub fn new(model: &LossModel, dice: &mut Dice) -> Self {
        match *model {
            LossModel::Random(chance) => Self::Random(Draw::new(chance, dice)),
            LossModel::Gemodel { p, r, bad, good } => Self::Gemodel {
                state: Channel::Good,
                to_bad: share(Some(p)),
                to_good: share(r),
                in_bad: share(bad),
                in_good: share(good),
            },
            LossModel::State { p13, p31, p32, p23, p14 } => Self::State {
                state: Period::GapReceived,
                p13: share(Some(p13)),
                p31: share(p31),
                p32: share(p32),
                p23: share(p23),
                p14: share(p14),
            },
        }
    }

    /// Whether the next packet is lost.
    pub fn strikes(&mut self, dice: &mut Dice) -> bool {
        match self {
            Self::Random(draw) => draw.hit(dice),
            // As in netem, the fate is that of the state before the step.
            Self::Gemodel { state, to_bad, to_good, in_bad, in_good } => {
                let (leaves, lost, next) = match state {
                    Channel::Good => (dice.hit(*to_bad), dice.hit(*in_good), Channel::Bad),
                    Channel::Bad => (dice.hit(*to_good), dice.hit(*in_bad), Channel::Good),
                };
                if leaves {
                    *state = next;
                }
                lost
            }
            // As in netem, the fate is that of the state after the step.
            Self::State { state, p13, p31, p32, p23, p14 } => {
                let number = u64::from(dice.number());
                *state = match state {
                    Period::GapReceived if number < *p14 => Period::GapLost,
                    Period::GapReceived if number < *p14 + *p13 => Period::BurstLost,
                    Period::GapReceived | Period::GapLost => Period::GapReceived,
                    Period::BurstReceived if number < *p23 => Period::BurstLost,
                    Period::BurstReceived => Period::BurstReceived,
                    Period::BurstLost if number < *p32 => Period::BurstReceived,
                    Period::BurstLost if number < *p32 + *p31 => Period::GapReceived,
                    Period::BurstLost => Period::BurstLost,
                };
                match state {
                    Period::GapReceived | Period::BurstReceived => false,
                    Period::BurstLost | Period::GapLost => true,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use partition_agent_proto::Percent;

    use super::*;

    const PACKETS: u32 = 100_000;

    fn percent(percent: f64) -> Percent {
        Percent::new(percent).unwrap()
    }

    fn fates(model: &LossModel) -> Vec<bool> {
        let mut dice = Dice::new(11);
        let mut loss = Loss::new(model, &mut dice);
        (0..PACKETS).map(|_| loss.strikes(&mut dice)).collect()
    }

    fn share_lost(fates: &[bool]) -> f64 {
        f64::from(u32::try_from(fates.iter().filter(|lost| **lost).count()).unwrap()) / f64::from(PACKETS)
    }

    fn bursts(fates: &[bool]) -> Vec<usize> {
        fates.chunk_by(|a, b| a == b).filter(|run| run[0]).map(<[bool]>::len).collect()
    }

    fn mean(lengths: &[usize]) -> f64 {
        f64::from(u32::try_from(lengths.iter().sum::<usize>()).unwrap())
            / f64::from(u32::try_from(lengths.len()).unwrap())
    }

    #[test]
    fn gilbert_elliott_loses_what_its_states_lose_in_the_long_run() {
        let (p, r, bad, good) = (0.02, 0.20, 0.70, 0.01);
        let fates = fates(&LossModel::Gemodel {
            p: percent(p * 100.0),
            r: Some(percent(r * 100.0)),
            bad: Some(percent(bad * 100.0)),
            good: Some(percent(good * 100.0)),
        });
        let expected = p / (p + r) * bad + r / (p + r) * good;
        // Of 0.0727: the variance of independent draws, 0.067, is made (2 - p - r) / (p + r) = 8.1 times larger at
        // most by the memory, so the deviation of the mean is below sqrt(0.067 * 8.1 / 100,000) = 0.0023, five of
        // them.
        assert!((share_lost(&fates) - expected).abs() < 0.0117, "{} {expected}", share_lost(&fates));
    }

    #[test]
    fn a_simple_gilbert_burst_is_as_long_as_the_bad_state_lasts() {
        let fates = fates(&LossModel::Gemodel {
            p: percent(2.0),
            r: Some(percent(25.0)),
            bad: Some(Percent::ALL),
            good: None,
        });
        let bursts = bursts(&fates);
        // Geometric, a mean of 1/r = 4 and a deviation of sqrt(1 - r)/r = 3.5; about 1,850 bursts: 0.081, five of
        // them.
        assert!((1_500..2_200).contains(&bursts.len()), "{}", bursts.len());
        assert!((mean(&bursts) - 4.0).abs() < 0.41, "{}", mean(&bursts));
    }

    #[test]
    fn a_bernoulli_loss_is_a_gemodel_that_forgets() {
        // What `loss gemodel 30%` means: r = 1 - p.
        let fates = fates(&LossModel::Gemodel {
            p: percent(30.0),
            r: Some(percent(70.0)),
            bad: Some(Percent::ALL),
            good: None,
        });
        assert!((share_lost(&fates) - 0.3).abs() < 0.0073, "{}", share_lost(&fates));
    }

    #[test]
    fn the_four_states_are_visited_as_often_as_their_chain_says() {
        let (p13, p31, p32, p23, p14) = (0.02, 0.20, 0.10, 0.50, 0.01);
        let fates = fates(&LossModel::State {
            p13: percent(p13 * 100.0),
            p31: Some(percent(p31 * 100.0)),
            p32: Some(percent(p32 * 100.0)),
            p23: Some(percent(p23 * 100.0)),
            p14: Some(percent(p14 * 100.0)),
        });
        // Balance: 3 = 1 * p13 / p31, 2 = 3 * p32 / p23, 4 = 1 * p14; lost are 3 and 4.
        let (gap, burst) = (1.0, p13 / p31);
        let (received, isolated) = (burst * p32 / p23, p14);
        let expected = (burst + isolated) / (gap + burst + received + isolated);
        // Of 0.0973: a burst's memory dies as 1 - p31 - p13 = 0.78 or faster, so the variance of independent draws
        // grows 8.1 times at most: sqrt(0.088 * 8.1 / 100,000) = 0.0027, five of them.
        assert!((share_lost(&fates) - expected).abs() < 0.0134, "{} {expected}", share_lost(&fates));
    }

    #[test]
    fn isolated_losses_are_isolated() {
        let fates = fates(&LossModel::State {
            p13: percent(0.0001),
            p31: Some(Percent::ALL),
            p32: None,
            p23: None,
            p14: Some(percent(20.0)),
        });
        assert!(bursts(&fates).iter().all(|length| *length == 1));
        // 4 = 1 * p14, so 0.2 / 1.2 of the packets; the memory is negative, so independent draws are the worst case.
        assert!((share_lost(&fates) - 0.1667).abs() < 0.006, "{}", share_lost(&fates));
    }
}
