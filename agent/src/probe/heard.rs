//! What was heard, and from whom: bounded, because anybody may send. It is handed `now`.

use std::collections::BTreeMap;
use std::time::Duration;

use partition_agent_proto::{Heard, ReachRequest};

use super::datagram::Datagram;
use crate::clock::BootTime;

/// Rounds that are remembered; the one that was quiet for longest makes room.
const MOST_ROUNDS: usize = 64;
/// Senders that are remembered, of all rounds together.
const MOST_PAIRS: usize = 4_096;
/// A round that was quiet for this long is over.
const KEPT: Duration = Duration::from_secs(60);

/// Datagrams of one sender in one round, a bit for each.
type Sequences = u128;

// Every sequence that may be asked for has a bit.
const _: () = assert!((ReachRequest::MOST_DATAGRAMS as u32) <= Sequences::BITS);

/// The rounds that datagrams came of.
#[derive(Debug, Default)]
pub struct Rounds(BTreeMap<u64, Round>);

#[derive(Debug)]
struct Round {
    last: BootTime,
    senders: BTreeMap<u32, Sequences>,
}

impl Rounds {
    /// A question came. One with a sequence that nobody may ask for is not remembered.
    pub fn note(&mut self, now: BootTime, datagram: &Datagram) {
        if datagram.sequence >= Sequences::BITS {
            return;
        }
        self.forget(now);
        let Datagram { round, from, sequence, .. } = *datagram;
        if !self.0.contains_key(&round) && self.0.len() >= MOST_ROUNDS {
            self.make_room(round);
        }
        let is_known = self.0.get(&round).is_some_and(|known| known.senders.contains_key(&from));
        // A round cannot make room for itself.
        if !is_known && self.pairs() >= MOST_PAIRS && !self.make_room(round) {
            return;
        }
        let known = self.0.entry(round).or_insert_with(|| Round { last: now, senders: BTreeMap::new() });
        known.last = now;
        *known.senders.entry(from).or_default() |= 1 << sequence;
    }

    /// Who was heard in a round.
    pub fn heard(&mut self, now: BootTime, round: u64) -> Vec<Heard> {
        self.forget(now);
        let senders = self.0.get(&round).into_iter().flat_map(|round| &round.senders);
        senders.map(|(from, seen)| Heard { from: *from, datagrams: seen.count_ones() }).collect()
    }

    fn forget(&mut self, now: BootTime) {
        self.0.retain(|_, round| now < round.last + KEPT);
    }

    /// Forgets the round, other than this one, that was quiet for longest.
    fn make_room(&mut self, wanted: u64) -> bool {
        let others = self.0.iter().filter(|(number, _)| **number != wanted);
        let quietest = others.min_by_key(|(_, round)| round.last).map(|(number, _)| *number);
        quietest.is_some_and(|number| self.0.remove(&number).is_some())
    }

    fn pairs(&self) -> usize {
        self.0.values().map(|round| round.senders.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::datagram::Kind;
    use super::*;
    use proptest::prelude::*;

    fn at(millis: u64) -> BootTime {
        BootTime::after_boot(Duration::from_millis(millis))
    }

    fn datagram(round: u64, from: u32, sequence: u32) -> Datagram {
        Datagram { kind: Kind::Request, round, from, to: 0, sequence }
    }

    fn heard(rounds: &mut Rounds, now: u64, round: u64) -> Vec<(u32, u32)> {
        rounds.heard(at(now), round).iter().map(|heard| (heard.from, heard.datagrams)).collect()
    }

    #[test]
    fn different_datagrams_are_counted_by_sender() {
        let mut rounds = Rounds::default();
        for (round, from, sequence) in [(1, 7, 0), (1, 7, 99), (1, 7, 0), (1, 8, 0), (2, 7, 0), (1, 8, 128)] {
            rounds.note(at(0), &datagram(round, from, sequence));
        }
        assert_eq!(heard(&mut rounds, 1, 1), [(7, 2), (8, 1)]);
        assert_eq!(heard(&mut rounds, 1, 2), [(7, 1)]);
        assert_eq!(heard(&mut rounds, 1, 3), []);
    }

    #[test]
    fn a_round_is_over_when_it_was_quiet_for_a_minute() {
        let mut rounds = Rounds::default();
        rounds.note(at(0), &datagram(1, 7, 0));
        rounds.note(at(50_000), &datagram(1, 7, 1));
        assert_eq!(heard(&mut rounds, 109_999, 1), [(7, 2)]);
        assert_eq!(heard(&mut rounds, 110_000, 1), []);
        rounds.note(at(110_000), &datagram(1, 7, 2));
        assert_eq!(heard(&mut rounds, 110_000, 1), [(7, 1)], "nothing of before is left");
    }

    #[test]
    fn the_quietest_round_makes_room_for_a_new_one() {
        let mut rounds = Rounds::default();
        for round in 0..64 {
            rounds.note(at(round), &datagram(round, 7, 0));
        }
        rounds.note(at(100), &datagram(0, 7, 1));
        rounds.note(at(101), &datagram(64, 7, 0));
        assert_eq!(heard(&mut rounds, 102, 0), [(7, 2)], "it was heard again");
        assert_eq!(heard(&mut rounds, 102, 1), []);
        assert_eq!(heard(&mut rounds, 102, 64), [(7, 1)]);
    }

    #[test]
    fn other_rounds_make_room_for_senders_and_a_round_not_for_itself() {
        let mut rounds = Rounds::default();
        for from in 0..4_000 {
            rounds.note(at(0), &datagram(1, from, 0));
        }
        for from in 0..4_097 {
            rounds.note(at(1), &datagram(2, from, 0));
        }
        assert_eq!(heard(&mut rounds, 2, 1), []);
        assert_eq!(heard(&mut rounds, 2, 2).len(), 4_096);
        rounds.note(at(2), &datagram(2, 0, 1));
        assert_eq!(heard(&mut rounds, 2, 2)[0], (0, 2), "known senders are heard as ever");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn it_never_grows_beyond_its_bounds(
            sent in prop::collection::vec((0_u64..200, 0_u32..2_000, 0_u32..200, 0_u64..2_000), 0..6_000),
        ) {
            let mut rounds = Rounds::default();
            let mut now = 0;
            for (round, from, sequence, later) in sent {
                now += later / 100;
                rounds.note(at(now), &datagram(round, from, sequence));
                prop_assert!(rounds.0.len() <= MOST_ROUNDS && rounds.pairs() <= MOST_PAIRS);
                // What came last is known, if it is anything: fewer send in one round than there is room for.
                let known = rounds.0.get(&round).is_some_and(|round| round.senders.contains_key(&from));
                prop_assert!(known || sequence >= 128);
            }
        }
    }
}
