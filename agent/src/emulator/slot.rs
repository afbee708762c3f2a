//! The gate of a slotted medium, such as a wireless or a cable network: packets wait at it and leave in bunches.

use std::time::Duration;

use super::dice::{Dice, deviated};
use crate::plan::Slot;

/// Open from an instant on, until a budget is used up or a packet comes that was not there when it opened.
pub struct Gate {
    slot: Slot,
    opens: Duration,
    packets: u64,
    bytes: u64,
}

impl Gate {
    pub fn new(slot: Slot) -> Self {
        // No packet is due before 0, so the first one draws the first opening.
        Self { slot, opens: Duration::ZERO, packets: 0, bytes: 0 }
    }

    /// When a packet that is due then has to be looked at next.
    pub fn not_before(&self, due: Duration) -> Duration {
        due.max(self.opens)
    }

    /// Whether a packet that was due then may leave now. A packet that is due after the gate has opened begins the
    /// wait for the next opening: by its own time, not by that of the call, so that a late call delays nothing
    /// further.
    pub fn is_open(&mut self, due: Duration, now: Duration, dice: &mut Dice) -> bool {
        if self.opens < due || self.packets == 0 {
            self.close(due, dice);
        }
        self.opens <= now
    }

    /// Takes a packet off the budget. As in netem, the packet that exceeds the bytes still goes.
    pub fn pass(&mut self, length: usize, dice: &mut Dice) {
        self.packets = self.packets.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(u64::try_from(length).unwrap_or(u64::MAX));
        if self.packets == 0 || self.bytes == 0 {
            self.close(self.opens, dice);
        }
    }

    fn close(&mut self, from: Duration, dice: &mut Dice) {
        let wait = match &self.slot.distribution {
            Some(table) => {
                let drawn =
                    table.deviations.get(dice.below(table.deviations.len())).copied().unwrap_or_default();
                let (mean, deviation) = self.slot.middle();
                deviated(mean, deviation, drawn)
            }
            None => {
                let spread = self.slot.max.saturating_sub(self.slot.min).as_nanos();
                let share = (spread * u128::from(dice.number())) >> 32;
                self.slot.min.saturating_add(Duration::from_nanos(u64::try_from(share).unwrap_or(u64::MAX)))
            }
        };
        let no_limit = |budget: u32| if budget == 0 { u64::MAX } else { u64::from(budget) };
        self.opens = from.saturating_add(wait);
        self.packets = no_limit(self.slot.packets);
        self.bytes = no_limit(self.slot.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_first_packet_waits_for_an_opening() {
        let mut dice = Dice::new(1);
        let mut gate = Gate::new(Slot { min: ms(10), max: ms(10), packets: 0, bytes: 0, distribution: None });
        assert!(!gate.is_open(Duration::ZERO, Duration::ZERO, &mut dice));
        assert_eq!(gate.not_before(Duration::ZERO), ms(10));
        assert!(gate.is_open(Duration::ZERO, ms(10), &mut dice));
    }

    #[test]
    fn a_late_look_does_not_move_the_opening() {
        let mut dice = Dice::new(1);
        let mut gate = Gate::new(Slot { min: ms(10), max: ms(10), packets: 0, bytes: 0, distribution: None });
        assert!(gate.is_open(ms(5), ms(100), &mut dice));
        assert_eq!(gate.not_before(ms(5)), ms(15));
    }

    #[test]
    fn the_wait_is_between_the_two() {
        let mut dice = Dice::new(1);
        let mut gate = Gate::new(Slot { min: ms(10), max: ms(20), packets: 1, bytes: 0, distribution: None });
        let mut waits = Vec::new();
        for _ in 0..1_000 {
            let before = gate.opens;
            gate.close(before, &mut dice);
            waits.push(gate.opens - before);
        }
        assert!(waits.iter().all(|wait| (ms(10)..=ms(20)).contains(wait)));
        // The chance that 1,000 of them all miss a tenth of the range is 0.9^1000.
        assert!(waits.iter().any(|wait| *wait < ms(11)) && waits.iter().any(|wait| *wait > ms(19)));
    }

    #[test]
    fn a_distribution_spreads_the_wait_around_the_middle() {
        let mut dice = Dice::new(1);
        // A quarter far below what no time can be, the rest a deviation above the middle.
        let deviations = [[-32_768_i16, 8192, 8192, 8192]; 4].concat().into();
        let distribution = Some(crate::plan::Table { name: "table", deviations });
        let slot = Slot { min: ms(10), max: ms(20), packets: 1, bytes: 0, distribution };
        let mut gate = Gate::new(slot);
        let mut waits = Vec::new();
        for _ in 0..1_000 {
            let before = gate.opens;
            gate.close(before, &mut dice);
            waits.push(gate.opens - before);
        }
        assert!(waits.iter().all(|wait| [Duration::ZERO, ms(20)].contains(wait)), "{waits:?}");
        let long = waits.iter().filter(|wait| **wait == ms(20)).count();
        // Five standard deviations of √(1,000 · 0.75 · 0.25) = 14.
        assert!((680..=820).contains(&long), "{long}");
    }
}
