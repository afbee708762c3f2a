//! What of a round is judged.

use super::model::{Check, MarkerReport, Outcome, RoundReport};

impl RoundReport {
    /// What was promised, or only measured. Nothing of it is judged where nothing was cut.
    pub fn targets(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| !check.expectation && self.outcome != Outcome::NotStarted)
    }

    pub fn expectations(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.expectation)
    }

    /// Those that nobody may lose.
    pub fn kept(&self) -> impl Iterator<Item = &MarkerReport> {
        self.markers.iter().filter(|marker| !marker.expendable)
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn nothing_is_judged_where_nothing_was_cut() {
        let mut round = sample::failed().rounds.remove(0);
        assert_eq!((round.targets().count(), round.expectations().count()), (7, 3));
        round.outcome = Outcome::NotStarted;
        assert_eq!(round.targets().count(), 0);
    }

    #[test]
    fn what_may_be_lost_is_not_kept() {
        let mut round = sample::failed().rounds.remove(0);
        let spare = MarkerReport { expendable: true, ..round.markers[0].clone() };
        round.markers.push(spare);
        assert_eq!((round.markers.len(), round.kept().count()), (2, 1));
    }
}
