//! What of a round is judged, and by which figures.

use super::model::{Check, MarkerReport, Outcome, RoundReport};
use super::words::duration;

impl RoundReport {
    /// What was promised. Nothing of it is judged where nothing was cut.
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

    /// The worst of the markers that nobody may lose, in milliseconds. None: there are none, or one could not be read back.
    pub fn rpo_ms(&self) -> Option<u64> {
        if self.markers.iter().all(|marker| !marker.expendable) {
            return self.measures.rpo_ms;
        }
        let all = self.kept().map(|marker| marker.rpo_ms).collect::<Option<Vec<_>>>();
        all.and_then(|all| all.into_iter().max())
    }

    /// What became of a check, with times as everywhere in the report.
    pub fn measured(&self, check: &Check) -> String {
        let measures = &self.measures;
        let time = match check.what.as_str() {
            Check::DETECT => measures.detect_ms,
            Check::ALERT => measures.alert_ms,
            Check::RTO => measures.rto_ms,
            Check::RECOVERY => measures.recovery_ms,
            Check::RPO => self.rpo_ms(),
            _ => None,
        };
        time.map_or_else(|| check.measured.clone(), duration)
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
    fn what_may_be_lost_has_no_rpo() {
        let mut round = sample::failed().rounds.remove(0);
        assert_eq!(round.rpo_ms(), Some(1_500));
        let spare = MarkerReport { expendable: true, rpo_ms: Some(90_000), ..round.markers[0].clone() };
        round.markers[0].rpo_ms = Some(1_500);
        round.markers.push(spare);
        assert_eq!((round.rpo_ms(), round.kept().count()), (Some(1_500), 1));
        round.markers.remove(0);
        assert_eq!(round.rpo_ms(), None);
    }

    #[test]
    fn a_time_is_told_in_one_way() {
        let mut round = sample::failed().rounds.remove(0);
        let mut alert = round.checks.iter().find(|check| check.what == Check::ALERT).unwrap().clone();
        alert.measured = "42s".to_owned();
        assert_eq!(round.measured(&alert), "41.6s");
        round.measures.alert_ms = None;
        alert.measured = "never".to_owned();
        assert_eq!(round.measured(&alert), "never");
    }
}
