//! What happens to the frames of one TAP: a netem of our own, without a clock and without a device.

use std::collections::VecDeque;
use std::time::Duration;

use super::counters::Counters;
use super::dice::{Correlated, Dice, Draw, deviated};
use super::frame::Frame;
use super::loss::Loss;
use super::schedule::Schedule;
use super::slot::Gate;
use crate::plan::{Impairment, Reorder};

/// What the frames that are held may have of the host's memory, whatever the impairment's limit of packets is.
pub const BYTES: usize = 64 << 20;

/// Instants are durations since any fixed instant; none may be before the one handed in before it.
pub struct Queue {
    dice: Dice,
    rules: Rules,
    schedule: Schedule,
    /// Frames that overtake all others: they wait for nothing, not even for a slot.
    at_once: VecDeque<Frame>,
    last_due: Duration,
    bytes: usize,
    counters: Counters,
}

/// The impairment, and where each of its dice stands.
struct Rules {
    impairment: Impairment,
    loss: Option<Loss>,
    duplicate: Option<Draw>,
    corrupt: Option<Draw>,
    reorder: Option<Overtaking>,
    jitter: Correlated,
    gate: Option<Gate>,
}

struct Overtaking {
    draw: Draw,
    gap: u32,
    delayed: u32,
}

impl Queue {
    pub fn new(impairment: Impairment, seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        Self {
            rules: Rules::new(impairment, &mut dice),
            dice,
            schedule: Schedule::default(),
            at_once: VecDeque::new(),
            last_due: Duration::ZERO,
            bytes: 0,
            counters: Counters::default(),
        }
    }

    /// The frames that are held keep their time; all dice begin anew, as netem's do.
    pub fn retune(&mut self, impairment: Impairment) {
        self.rules = Rules::new(impairment, &mut self.dice);
    }

    pub fn counters(&self) -> Counters {
        let held = self.schedule.len() + self.at_once.len();
        Counters { held: u64::try_from(held).unwrap_or(u64::MAX), ..self.counters }
    }

    /// A frame comes in. What becomes of it, the counters tell and [`Self::take_due`] hands out.
    pub fn offer(&mut self, now: Duration, frame: Frame) {
        self.counters.entered += 1;
        let duplicated = self.rules.duplicate.as_mut().is_some_and(|draw| draw.hit(&mut self.dice));
        self.counters.duplicated += u64::from(duplicated);
        match (duplicated, self.is_lost()) {
            (false, true) => {}
            // Of the two, one is lost.
            (false, false) | (true, true) => self.admit(now, frame),
            (true, false) => {
                // netem puts the copy in front, and it has to pass all dice but the duplicating one.
                if !self.is_lost() {
                    self.admit(now, frame.clone());
                }
                self.admit(now, frame);
            }
        }
    }

    /// When [`Self::take_due`] has to be called next, which may be in the past.
    pub fn next_due(&self) -> Option<Duration> {
        if !self.at_once.is_empty() {
            return Some(Duration::ZERO);
        }
        let due = self.schedule.next_due()?;
        Some(self.rules.gate.as_ref().map_or(due, |gate| gate.not_before(due)))
    }

    /// The next frame whose time has come. After `None`, [`Self::next_due`] is later than `now`.
    pub fn take_due(&mut self, now: Duration) -> Option<Frame> {
        let frame = match self.at_once.pop_front() {
            Some(frame) => frame,
            None => {
                let due = self.schedule.next_due().filter(|due| *due <= now)?;
                match &mut self.rules.gate {
                    None => self.schedule.pop()?,
                    Some(gate) => {
                        if !gate.is_open(due, now, &mut self.dice) {
                            return None;
                        }
                        let frame = self.schedule.pop()?;
                        gate.pass(frame.length(), &mut self.dice);
                        frame
                    }
                }
            }
        };
        self.bytes = self.bytes.saturating_sub(frame.length());
        self.counters.left += 1;
        Some(frame)
    }

    fn is_lost(&mut self) -> bool {
        let lost = self.rules.loss.as_mut().is_some_and(|loss| loss.strikes(&mut self.dice));
        self.counters.lost += u64::from(lost);
        lost
    }

    fn admit(&mut self, now: Duration, mut frame: Frame) {
        let hit = self.rules.corrupt.as_mut().is_some_and(|draw| draw.hit(&mut self.dice));
        let corrupted = hit && frame.corrupt(&mut self.dice);
        let length = frame.length();
        let packets = self.schedule.len() + self.at_once.len();
        let has_room = u32::try_from(packets).is_ok_and(|packets| packets < self.rules.impairment.limit);
        if !has_room || self.bytes + length > BYTES {
            self.counters.overlimit += 1;
            return;
        }
        self.counters.corrupted += u64::from(corrupted);
        self.bytes += length;
        if self.rules.reorder.as_mut().is_some_and(|overtaking| overtaking.hits(&mut self.dice)) {
            self.counters.reordered += 1;
            self.at_once.push_back(frame);
        } else {
            let due = self.due(now, length);
            self.last_due = self.last_due.max(due);
            self.schedule.push(due, frame);
        }
    }

    fn due(&mut self, now: Duration, length: usize) -> Duration {
        let due = now.saturating_add(self.rules.delay(&mut self.dice));
        let Impairment { rate, keep_order, ref reorder, .. } = self.rules.impairment;
        match rate {
            // The link is busy until the last frame has left; the delay runs meanwhile, as it does in netem.
            Some(rate) => due.max(self.last_due).saturating_add(transmission(length, rate)),
            None if keep_order && reorder.is_none() => due.max(self.last_due),
            None => due,
        }
    }
}

impl Rules {
    fn new(impairment: Impairment, dice: &mut Dice) -> Self {
        Self {
            loss: impairment.loss.as_ref().map(|model| Loss::new(model, dice)),
            duplicate: impairment.duplicate.map(|chance| Draw::new(chance, dice)),
            corrupt: impairment.corrupt.map(|chance| Draw::new(chance, dice)),
            reorder: impairment.reorder.map(|Reorder { chance, gap }| Overtaking {
                draw: Draw::new(chance, dice),
                gap,
                delayed: 0,
            }),
            jitter: Correlated::new(impairment.jitter_correlation, dice),
            gate: impairment.slot.clone().map(Gate::new),
            impairment,
        }
    }

    /// netem's `tabledist`. The remainder, not a part of the range, picks the deviation, as there: the spread stays
    /// what was asked for however strong the correlation is, of which it leaves little.
    fn delay(&mut self, dice: &mut Dice) -> Duration {
        let Impairment { latency, jitter, ref distribution, .. } = self.impairment;
        if jitter.is_zero() {
            return latency;
        }
        let number = self.jitter.number(dice);
        let drawn = distribution.as_ref().and_then(|table| {
            let index = usize::try_from(number).ok()?.checked_rem(table.deviations.len())?;
            table.deviations.get(index)
        });
        if let Some(drawn) = drawn {
            return deviated(latency, jitter, *drawn);
        }
        let [mean, sigma] =
            [latency, jitter].map(|span| i128::try_from(span.as_nanos()).unwrap_or(i128::MAX));
        let deviation = within(i128::from(number), 2 * sigma) - sigma;
        Duration::from_nanos(u64::try_from((mean + deviation).max(0)).unwrap_or(u64::MAX))
    }
}

/// One of the `span` numbers from 0 on; a 32-bit number alone would end after 4.3 seconds of nanoseconds.
fn within(number: i128, span: i128) -> i128 {
    if span > i128::from(u32::MAX) { (number * span) >> 32 } else { number % span }
}

impl Overtaking {
    /// netem's rule: of every `gap` frames one may overtake, by chance; 0 is never.
    fn hits(&mut self, dice: &mut Dice) -> bool {
        let hit = self.gap != 0 && self.delayed >= self.gap - 1 && self.draw.hit(dice);
        self.delayed = if hit { 0 } else { self.delayed.saturating_add(1) };
        hit
    }
}

/// How long a frame is on a link of so many bits per second.
fn transmission(length: usize, rate: u64) -> Duration {
    let bits = u64::try_from(length).unwrap_or(u64::MAX).saturating_mul(8);
    Duration::from_nanos(bits.saturating_mul(1_000_000_000) / rate.max(1))
}

#[cfg(test)]
mod tests;
