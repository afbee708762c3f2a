//! A game day of anybody, for `tests/fuzz`.

use std::num::NonZeroU32;
use std::path::Path;

use super::{Action, GameDay, Ground, Step, read};

/// A file: a game day that makes sense, or mistakes with their lines.
pub fn gameday(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let environment = |name: &str| (!name.contains('_')).then(|| "http://host".to_owned());
    match read(Path::new("gameday.yaml"), &text, None, &environment) {
        Ok(mut day) => {
            makes_sense(&day);
            are_told(&day.check_against(Ground::Agent));
            day.hurry(NonZeroU32::MIN.saturating_add(6));
            makes_sense(&day);
        }
        Err(mistakes) => {
            assert!(!mistakes.is_empty());
            are_told(&mistakes);
        }
    }
}

fn are_told(mistakes: &[String]) {
    assert!(mistakes.iter().all(|mistake| mistake.starts_with("gameday.yaml:")), "{mistakes:?}");
}

fn makes_sense(day: &GameDay) {
    assert!(!day.rounds.is_empty());
    for round in &day.rounds {
        assert!(round.steps.is_sorted_by_key(|step| step.at_ms), "{:?}", round.steps);
        let is_fault =
            |step: &&Step| matches!(step.action, Some(Action::Inject { .. } | Action::Partition { .. }));
        let first = round.steps.iter().find(is_fault);
        assert!(first.is_some_and(|step| step.at_ms == 0), "{:?}", round.steps);
        let said =
            round.steady.iter().chain(&round.detected).chain(&round.alerted).chain(&round.recovery.holds);
        let said = said.chain(round.guards.iter().map(|guard| &guard.when));
        let mut said = said.chain(round.steps.iter().flat_map(|step| &step.expect));
        assert!(said.all(|condition| day.probes.contains_key(&condition.probe)), "{round:?}");
    }
}
