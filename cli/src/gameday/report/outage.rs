//! When a probe was not as it is when all is well.

use super::model::{ProbeReport, RoundReport, Span};

/// Of one probe, over a round.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outages {
    pub count: usize,
    /// All of them together, in milliseconds.
    pub total_ms: u64,
    /// The longest, in milliseconds.
    pub longest_ms: u64,
    /// When the first began, in the run's time.
    pub first_red_ms: Option<u64>,
    /// When the last was over, in the run's time. None: there was none, or it was not over with the last answer.
    pub back_green_ms: Option<u64>,
}

/// How a probe was for a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Condition {
    /// As it is when all is well.
    Well,
    Unwell,
    Unknown,
}

impl Condition {
    pub fn of(probe: &ProbeReport, span: &Span) -> Self {
        match span.what.as_str() {
            "holds" if probe.normally_holds => Self::Well,
            "fails" if !probe.normally_holds => Self::Well,
            "holds" | "fails" => Self::Unwell,
            _ => Self::Unknown,
        }
    }
}

/// Those that began after the steady state: until then nobody says how a probe should be.
pub fn of(round: &RoundReport, probe: &ProbeReport) -> Outages {
    let steady = round.phases.iter().filter(|phase| phase.what == "steady");
    since(probe, steady.map(|phase| phase.to_ms).max().unwrap_or_default())
}

/// Those that began with the first fault or after it.
pub fn of_faults(round: &RoundReport, probe: &ProbeReport) -> Outages {
    round.measures.first_fault_ms.map_or_else(Outages::default, |first| since(probe, first))
}

/// Those that began then or later, in the run's time.
fn since(probe: &ProbeReport, from_ms: u64) -> Outages {
    let mut outages: Vec<(u64, u64)> = Vec::new();
    for span in &probe.spans {
        if Condition::of(probe, span) != Condition::Unwell {
            continue;
        }
        match outages.last_mut() {
            Some((_, until)) if *until == span.from_ms => *until = span.to_ms,
            Some(_) | None => outages.push((span.from_ms, span.to_ms)),
        }
    }
    outages.retain(|(from, _)| *from >= from_ms);
    let lengths = || outages.iter().map(|(from, to)| to.saturating_sub(*from));
    let ended_well = probe.spans.last().is_some_and(|last| Condition::of(probe, last) == Condition::Well);
    Outages {
        count: outages.len(),
        total_ms: lengths().fold(0, u64::saturating_add),
        longest_ms: lengths().max().unwrap_or_default(),
        first_red_ms: outages.first().map(|(from, _)| *from),
        back_green_ms: outages.last().filter(|_| ended_well).map(|(_, to)| *to),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(normally_holds: bool, spans: &[(&str, u64, u64)]) -> ProbeReport {
        let span = |(what, from_ms, to_ms): &(&str, u64, u64)| Span {
            what: (*what).to_owned(),
            from_ms: *from_ms,
            to_ms: *to_ms,
            detail: String::new(),
        };
        let spans = spans.iter().map(span).collect();
        let (name, what) = (String::new(), String::new());
        ProbeReport { name, what, normally_holds, asked: 0, failed: 0, spans }
    }

    #[test]
    fn what_touches_is_one_outage() {
        let probe = probe(
            true,
            &[
                ("holds", 0, 10),
                ("fails", 10, 20),
                ("fails", 20, 50),
                ("holds", 50, 60),
                ("fails", 60, 65),
                ("holds", 65, 70),
            ],
        );
        let found = since(&probe, 0);
        let (first_red_ms, back_green_ms) = (Some(10), Some(65));
        assert_eq!(found, Outages { count: 2, total_ms: 45, longest_ms: 40, first_red_ms, back_green_ms });
    }

    #[test]
    fn an_alert_that_fires_is_an_outage_and_one_that_does_not_is_none() {
        let found = since(&probe(false, &[("fails", 0, 10), ("holds", 10, 30), ("fails", 30, 40)]), 0);
        assert_eq!((found.count, found.longest_ms, found.back_green_ms), (1, 20, Some(30)));
    }

    #[test]
    fn what_nobody_knows_is_no_outage_and_no_end_of_one() {
        let found = since(&probe(true, &[("holds", 0, 10), ("fails", 10, 30), ("unknown", 30, 40)]), 0);
        assert_eq!((found.count, found.first_red_ms, found.back_green_ms), (1, Some(10), None));
        assert_eq!(since(&probe(true, &[]), 0), Outages::default());
    }

    #[test]
    fn what_began_before_the_steady_state_or_the_first_fault_does_not_count() {
        let mut round = super::super::sample::failed().rounds.remove(0);
        round.phases[0].to_ms = 100;
        round.measures.first_fault_ms = Some(120);
        // One while it settles, one that goes on from there, one before the fault, and one of the fault.
        let spans = [
            ("fails", 0, 40),
            ("holds", 40, 90),
            ("fails", 90, 105),
            ("holds", 105, 110),
            ("fails", 110, 115),
            ("holds", 115, 120),
            ("fails", 120, 150),
        ];
        let probe = probe(true, &spans);
        let (all, faults) = (of(&round, &probe), of_faults(&round, &probe));
        assert_eq!((all.count, all.first_red_ms, all.total_ms), (2, Some(110), 35));
        assert_eq!((faults.count, faults.first_red_ms, faults.back_green_ms), (1, Some(120), None));
        round.measures.first_fault_ms = None;
        assert_eq!(of_faults(&round, &probe), Outages::default());
    }
}
