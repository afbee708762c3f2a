//! What the probes of a round have said so far, and what follows from it. Pure: times are milliseconds from the start of the run.

use std::collections::BTreeMap;

use super::file::{Condition, Guard, Probe};
use super::probe::describe;
use super::report::model::{ProbeReport, Span};

/// What a span of a probe is called.
const HOLDS: &str = "holds";

pub struct Watch {
    tracks: BTreeMap<String, Track>,
}

/// One probe.
struct Track {
    what: String,
    /// How it is when all is well.
    normally_holds: bool,
    asked: u64,
    failed: u64,
    /// The last one goes on.
    spans: Vec<Span>,
    /// What it came to, and since when without a break.
    now: Option<(bool, u64)>,
    /// When it was asked what it answered last.
    asked_ms: u64,
}

/// A guard that has seen what it waits for.
#[derive(Debug, PartialEq, Eq)]
pub enum Tripped<'a> {
    Now(&'a Guard),
    /// At this time, if nothing changes.
    At(u64),
    Never,
}

impl Watch {
    /// `normal` are the conditions of quiet times.
    pub fn new(probes: &BTreeMap<String, Probe>, normal: &[Condition]) -> Self {
        let track = |name: &String, probe: &Probe| Track {
            what: describe(probe),
            normally_holds: !normal.iter().any(|normal| normal.probe == *name && !normal.holds),
            asked: 0,
            failed: 0,
            spans: Vec::new(),
            now: None,
            asked_ms: 0,
        };
        Self { tracks: probes.iter().map(|(name, probe)| (name.clone(), track(name, probe))).collect() }
    }

    /// From now on a probe that no condition names is as it should be when it is as it is now.
    pub fn is_steady(&mut self, normal: &[Condition]) {
        for (name, track) in &mut self.tracks {
            let is_named = normal.iter().any(|normal| normal.probe == *name);
            if let Some((holds, _)) = track.now.filter(|_| !is_named) {
                track.normally_holds = holds;
            }
        }
    }

    /// An answer that was there at this time, to a question of that time. Whether the probe turned, and to what.
    pub fn note(
        &mut self,
        probe: &str,
        asked_ms: u64,
        at_ms: u64,
        answer: &Result<String, String>,
    ) -> Option<bool> {
        let track = self.tracks.get_mut(probe)?;
        track.asked_ms = asked_ms;
        let holds = answer.is_ok();
        track.asked += 1;
        track.failed += u64::from(!holds);
        let (Ok(detail) | Err(detail)) = answer;
        let before = track.now.map(|(before, _)| before);
        if let Some(last) = track.spans.last_mut() {
            last.to_ms = last.to_ms.max(at_ms);
        }
        if before == Some(holds) {
            if let Some(last) = track.spans.last_mut() {
                last.detail.clone_from(detail);
            }
            return None;
        }
        let what = if holds { HOLDS } else { "fails" }.to_owned();
        track.spans.push(Span { what, from_ms: at_ms, to_ms: at_ms, detail: detail.clone() });
        track.now = Some((holds, at_ms));
        // The first answer is no news, if it is as everybody hopes.
        (before.is_some() || holds != track.normally_holds).then_some(holds)
    }

    /// Since when it is so without a break; nothing, where it is not, or nobody knows yet.
    pub fn since(&self, condition: &Condition) -> Option<u64> {
        let (holds, since) = self.tracks.get(&condition.probe)?.now?;
        (holds == condition.holds).then_some(since)
    }

    /// Since when all of them have been so together.
    pub fn all_since(&self, conditions: &[Condition]) -> Option<u64> {
        conditions
            .iter()
            .map(|condition| self.since(condition))
            .try_fold(0, |latest, since| Some(latest.max(since?)))
    }

    /// Whether all of them were asked, with an answer, at this time or later.
    pub fn all_asked_since(&self, conditions: &[Condition], from_ms: u64) -> bool {
        let asked = |condition: &Condition| self.tracks.get(&condition.probe).map(|track| track.asked_ms);
        conditions.iter().all(|condition| asked(condition).is_some_and(|asked| asked >= from_ms))
    }

    /// Those that are not so, each with what its probe says.
    pub fn wrong(&self, conditions: &[Condition]) -> Vec<String> {
        let wrong = conditions.iter().filter(|condition| self.since(condition).is_none());
        wrong.map(|condition| format!("`{condition}` is not so: {}", self.says(&condition.probe))).collect()
    }

    /// How often, and for how many milliseconds in all, it was not so from this time on; what nobody knew yet does not count.
    pub fn breaks(&self, condition: &Condition, from_ms: u64) -> (usize, u64) {
        let spans = self.tracks.get(&condition.probe).map(|track| track.spans.as_slice()).unwrap_or_default();
        let wrong = |span: &&Span| (span.what == HOLDS) != condition.holds && span.to_ms >= from_ms;
        let wrong = spans.iter().filter(wrong);
        wrong.fold((0, 0), |(count, sum), span| (count + 1, sum + span.to_ms - span.from_ms.max(from_ms)))
    }

    /// In a few words.
    pub fn says(&self, probe: &str) -> String {
        match self.tracks.get(probe).and_then(|track| track.spans.last()) {
            Some(Span { what, detail, .. }) if detail.is_empty() => format!("{probe} {what}"),
            Some(Span { what, detail, .. }) => format!("{probe} {what} ({detail})"),
            None => format!("{probe} has not answered yet"),
        }
    }

    /// Name, state and last words of each.
    pub fn now(&self) -> impl Iterator<Item = (&str, Option<bool>, &str)> {
        self.tracks.iter().map(|(name, track)| {
            let detail = track.spans.last().map_or("", |span| span.detail.as_str());
            (name.as_str(), track.now.map(|(holds, _)| holds), detail)
        })
    }

    /// The first guard that aborts the run, or when one would.
    pub fn tripped<'a>(&self, guards: &'a [Guard], now_ms: u64) -> Tripped<'a> {
        let mut next = Tripped::Never;
        for guard in guards {
            let Some(since) = self.since(&guard.when) else { continue };
            let at = since + millis(guard.lasts);
            if at <= now_ms {
                return Tripped::Now(guard);
            }
            next = match next {
                Tripped::At(other) if other <= at => next,
                Tripped::At(_) | Tripped::Now(_) | Tripped::Never => Tripped::At(at),
            };
        }
        next
    }

    pub fn reports(self) -> Vec<ProbeReport> {
        let report = |(name, track): (String, Track)| {
            let Track { what, normally_holds, asked, failed, spans, now: _, asked_ms: _ } = track;
            ProbeReport { name, what, normally_holds, asked, failed, spans }
        };
        self.tracks.into_iter().map(report).collect()
    }
}

pub fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::file::Ask;
    use super::*;

    fn watch() -> Watch {
        let probe = Probe {
            ask: Ask::Tcp("a:1".to_owned()),
            from: None,
            every: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
        };
        Watch::new(&["a", "b"].map(|name| (name.to_owned(), probe.clone())).into(), &[is("c", false)])
    }

    fn is(probe: &str, holds: bool) -> Condition {
        Condition { probe: probe.to_owned(), holds }
    }

    fn say(watch: &mut Watch, probe: &str, at: u64, holds: bool) -> Option<bool> {
        watch.note(
            probe,
            at.saturating_sub(50),
            at,
            &if holds { Ok("fine".to_owned()) } else { Err("refused".to_owned()) },
        )
    }

    #[test]
    fn a_probe_turns_and_its_spans_have_no_gaps() {
        let mut watch = watch();
        let turns = [(100, true), (200, true), (300, false), (400, false), (500, true)];
        let turned = turns.map(|(at, holds)| say(&mut watch, "a", at, holds));
        assert_eq!(turned, [None, None, Some(false), None, Some(true)]);
        assert_eq!(watch.since(&is("a", true)), Some(500));
        assert_eq!(watch.since(&is("a", false)), None);
        assert_eq!(watch.breaks(&is("a", true), 0), (1, 200));
        assert_eq!(watch.breaks(&is("a", true), 450), (1, 50));
        assert_eq!(watch.breaks(&is("a", true), 501), (0, 0));
        assert_eq!(watch.breaks(&is("a", false), 0), (2, 200));
        let reports = watch.reports();
        let spans = reports[0].spans.iter().map(|span| (span.what.as_str(), span.from_ms, span.to_ms));
        assert_eq!(
            spans.collect::<Vec<_>>(),
            [("holds", 100, 300), ("fails", 300, 500), ("holds", 500, 500)]
        );
        assert_eq!((reports[0].asked, reports[0].failed), (5, 2));
    }

    #[test]
    fn an_answer_is_as_old_as_its_question_and_what_nobody_named_is_right_as_it_was() {
        let mut watch = watch();
        say(&mut watch, "a", 100, true);
        say(&mut watch, "b", 100, false);
        assert!(watch.all_asked_since(&[is("a", true)], 50));
        assert!(!watch.all_asked_since(&[is("a", true)], 51));
        assert!(!watch.all_asked_since(&[is("a", true), is("c", true)], 0));
        watch.is_steady(&[is("a", true)]);
        let normal = watch.reports().into_iter().map(|report| report.normally_holds);
        assert_eq!(normal.collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn what_nobody_knows_is_neither_so_nor_not_so() {
        let mut watch = watch();
        assert_eq!(watch.since(&is("a", false)), None);
        assert_eq!(watch.wrong(&[is("a", false)]), ["`not a` is not so: a has not answered yet"]);
        assert_eq!(say(&mut watch, "b", 50, false), Some(false), "a first answer that is bad is news");
        assert_eq!(watch.all_since(&[is("a", true), is("b", false)]), None);
        say(&mut watch, "a", 70, true);
        assert_eq!(watch.all_since(&[is("a", true), is("b", false)]), Some(70));
        assert_eq!(watch.all_since(&[]), Some(0));
        assert_eq!(watch.wrong(&[is("b", true)]), ["`b` is not so: b fails (refused)"]);
    }

    #[test]
    fn a_guard_trips_when_it_has_been_so_for_long_enough_without_a_break() {
        let guard = |probe, secs| Guard {
            when: is(probe, false),
            lasts: Duration::from_secs(secs),
            because: String::new(),
        };
        let guards = [guard("a", 5), guard("b", 2)];
        let mut watch = watch();
        assert_eq!(watch.tripped(&guards, 0), Tripped::Never);
        say(&mut watch, "a", 1_000, false);
        assert_eq!(watch.tripped(&guards, 2_000), Tripped::At(6_000));
        say(&mut watch, "b", 3_000, false);
        assert_eq!(watch.tripped(&guards, 3_000), Tripped::At(5_000));
        say(&mut watch, "b", 4_000, true);
        assert_eq!(watch.tripped(&guards, 5_999), Tripped::At(6_000));
        assert_eq!(watch.tripped(&guards, 6_000), Tripped::Now(&guards[0]));
    }
}
