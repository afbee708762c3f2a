//! Writes held against what was found.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::Write;
use crate::gameday::report::model::{MarkerCounts, MarkerReport, Span};

/// The report of one marker, and how much time is lost: from when the first lost one was written until the last was acknowledged, in
/// whole milliseconds, rounded up. So it is zero only where none is lost. Unknown where nothing could be read back.
///
/// Numbers that were never written are not counted: they are somebody else's.
pub fn account(
    name: &str,
    written: &[Write],
    found: Result<&[u64], &str>,
) -> (MarkerReport, Option<Duration>) {
    let mut times = BTreeMap::<u64, u64>::new();
    for number in found.unwrap_or_default() {
        *times.entry(*number).or_default() += 1;
    }
    let is_found = |write: &&Write| times.contains_key(&write.number);
    let is_acknowledged = |write: &&Write| write.acknowledged.is_ok();
    // What was not read is not lost.
    let is_lost = |write: &&Write| found.is_ok() && is_acknowledged(write) && !is_found(write);
    let numbers = |of: &dyn Fn(&&Write) -> bool| {
        written.iter().filter(of).map(|write| write.number).collect::<BTreeSet<_>>().into_iter().collect()
    };
    let mut phases = BTreeMap::<String, MarkerCounts>::new();
    for write in written {
        let counts = phases.entry(write.phase.clone()).or_default();
        counts.written += 1;
        counts.acknowledged += u64::from(is_acknowledged(&write));
        counts.lost += u64::from(is_lost(&write));
    }
    let report = MarkerReport {
        name: name.to_owned(),
        written: count(written.iter()),
        acknowledged: count(written.iter().filter(is_acknowledged)),
        found: count(written.iter().filter(is_found)),
        lost: numbers(&is_lost),
        duplicated: numbers(&|write| times.get(&write.number).is_some_and(|times| *times > 1)),
        uncertain: numbers(&|write| !is_acknowledged(write) && is_found(write)),
        phases,
        spans: Vec::new(),
        rpo_ms: None,
        expendable: false,
        unread: found.err().map(str::to_owned),
    };
    let rpo = found.is_ok().then(|| span(written.iter().filter(is_lost)));
    (report, rpo)
}

/// When markers were acknowledged, refused, or acknowledged and lost: those of a kind that follow each other, with their numbers.
pub fn spans(written: &[Write], lost: &[u64], at: &dyn Fn(Instant) -> u64) -> Vec<Span> {
    let mut spans = Vec::<(Span, [u64; 2])>::new();
    for write in written {
        let what = match &write.acknowledged {
            Ok(_) if lost.binary_search(&write.number).is_ok() => "lost",
            Ok(_) => "acknowledged",
            Err(_) => "refused",
        };
        let from_ms = at(write.at);
        let to_ms = write.acknowledged.as_ref().map_or(from_ms, |acknowledged| at(*acknowledged));
        match spans.last_mut() {
            Some((last, numbers)) if last.what == what => {
                (last.to_ms, numbers[1]) = (to_ms.max(last.to_ms), write.number);
            }
            Some(_) | None => {
                let span = Span { what: what.to_owned(), from_ms, to_ms, detail: String::new() };
                spans.push((span, [write.number; 2]));
            }
        }
    }
    let told = |(span, [first, last]): (Span, [u64; 2])| {
        let detail = if first == last { first.to_string() } else { format!("{first}-{last}") };
        Span { detail, ..span }
    };
    spans.into_iter().map(told).collect()
}

fn count<'a>(writes: impl Iterator<Item = &'a Write>) -> u64 {
    writes.fold(0, |count, _| count + 1)
}

fn span<'a>(lost: impl Iterator<Item = &'a Write> + Clone) -> Duration {
    let first = lost.clone().map(|write| write.at).min();
    let last = lost.filter_map(|write| write.acknowledged.as_ref().ok()).max();
    let exact =
        first.zip(last).map(|(first, last): (Instant, &Instant)| last.saturating_duration_since(first));
    let Some(exact) = exact else { return Duration::ZERO };
    let whole = exact.as_nanos().div_ceil(1_000_000).max(1);
    Duration::from_millis(u64::try_from(whole).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `number`, `at` and `acknowledged` in milliseconds.
    fn write(begun: Instant, number: u64, at: u64, phase: &str, acknowledged: Option<u64>) -> Write {
        let after = |ms| begun + Duration::from_millis(ms);
        let acknowledged = acknowledged.map(after).ok_or_else(|| "exit status 1".to_owned());
        Write { number, at: after(at), phase: phase.to_owned(), acknowledged }
    }

    #[test]
    fn lost_duplicated_and_uncertain_are_told_apart() {
        let begun = Instant::now();
        let writes = [
            write(begun, 1, 0, "steady", Some(5)),
            write(begun, 2, 500, "steady", Some(505)),
            write(begun, 3, 1000, "faults", Some(1007)),
            write(begun, 4, 1500, "faults", None),
            write(begun, 5, 2000, "faults", None),
            write(begun, 6, 2500, "faults", Some(2507)),
            write(begun, 7, 3000, "recovery", Some(3005)),
        ];
        // 3 and 6 are lost, 5 is there without a word, 2 and 7 twice; 99 is another run's.
        let (report, rpo) = account("orders", &writes, Ok(&[1, 2, 2, 5, 7, 7, 7, 99, 99]));
        let counts = |written, acknowledged, lost| MarkerCounts { written, acknowledged, lost };
        assert_eq!((report.written, report.acknowledged, report.found), (7, 5, 4));
        assert_eq!(
            (report.lost.as_slice(), report.duplicated.as_slice(), report.uncertain.as_slice()),
            ([3, 6].as_slice(), [2, 7].as_slice(), [5].as_slice())
        );
        assert_eq!(report.phases["steady"], counts(2, 2, 0));
        assert_eq!(report.phases["faults"], counts(4, 2, 2));
        assert_eq!(report.phases["recovery"], counts(1, 1, 0));
        assert_eq!(rpo, Some(Duration::from_millis(2507 - 1000)));
    }

    #[test]
    fn one_that_is_lost_is_some_time_and_none_is_no_time() {
        let begun = Instant::now();
        let writes = [write(begun, 1, 0, "steady", Some(0)), write(begun, 2, 10, "steady", Some(13))];
        assert_eq!(account("a", &writes, Ok(&[1, 2])).1, Some(Duration::ZERO));
        assert_eq!(account("a", &writes, Ok(&[2])).1, Some(Duration::from_millis(1)));
        assert_eq!(account("a", &writes, Ok(&[1])).1, Some(Duration::from_millis(3)));
        assert_eq!(account("a", &[], Ok(&[1])).1, Some(Duration::ZERO));
    }

    #[test]
    fn what_could_not_be_read_is_not_lost() {
        let writes = [write(Instant::now(), 1, 0, "steady", Some(1))];
        let (report, rpo) = account("orders", &writes, Err("exit status 1"));
        assert_eq!((report.unread.as_deref(), rpo), (Some("exit status 1"), None));
        assert_eq!((report.written, report.acknowledged, report.found), (1, 1, 0));
        assert!(report.lost.is_empty() && report.phases["steady"].lost == 0);
    }

    /// Against a count that goes through everything for each number.
    #[test]
    fn at_random_it_is_what_a_naive_count_says() {
        let mut random = fastrand::Rng::with_seed(7);
        let begun = Instant::now();
        for _ in 0..2_000 {
            let many = random.u64(0..30);
            let phases = ["steady", "faults", "recovery"];
            let writes = (1..=many)
                .map(|number| {
                    let acknowledged = random.bool().then(|| number * 10 + random.u64(0..15));
                    write(begun, number, number * 10, phases[random.usize(0..3)], acknowledged)
                })
                .collect::<Vec<_>>();
            let found = (0..random.usize(0..40)).map(|_| random.u64(0..35)).collect::<Vec<_>>();
            let (report, rpo) = account("a", &writes, Ok(&found));
            let times = |number: u64| found.iter().filter(|other| **other == number).count();
            let (mut lost, mut duplicated, mut uncertain, mut there) = (vec![], vec![], vec![], 0);
            for write in &writes {
                match (times(write.number), &write.acknowledged) {
                    (0, Ok(_)) => lost.push(write),
                    (0, Err(_)) => {}
                    (_, Ok(_)) => there += 1,
                    (_, Err(_)) => {
                        there += 1;
                        uncertain.push(write.number);
                    }
                }
                if times(write.number) > 1 {
                    duplicated.push(write.number);
                }
            }
            assert_eq!(report.lost, lost.iter().map(|write| write.number).collect::<Vec<_>>());
            assert_eq!((report.duplicated, report.uncertain, report.found), (duplicated, uncertain, there));
            assert_eq!(
                (report.written, report.phases.values().map(|phase| phase.written).sum::<u64>()),
                (many, many)
            );
            for (name, counts) in &report.phases {
                let of_it = |write: &&&Write| write.phase == *name;
                assert_eq!(counts.lost, u64::try_from(lost.iter().filter(of_it).count()).unwrap());
            }
            let naive = lost
                .iter()
                .flat_map(|first| lost.iter().map(|last| last.acknowledged.clone().unwrap() - first.at))
                .max()
                .unwrap_or_default();
            let naive = Duration::from_millis(u64::try_from(naive.as_millis()).unwrap());
            let least = if lost.is_empty() { Duration::ZERO } else { Duration::from_millis(1) };
            assert_eq!(rpo, Some(naive.max(least)));
        }
    }
}
