//! When the steps are: those that name others are found from them, in whatever order they are written.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use partition_agent_proto::Span;
use partition_agent_proto::fleet::hint;

use super::raw::When;
use crate::mistakes::Mistakes;

/// A step, as far as its time goes.
pub struct Timed {
    pub name: Option<String>,
    /// The line of its `at`, and what that says; none, where it cannot be read.
    pub at: Option<(u64, When)>,
}

/// What is known of the time of a step.
#[derive(Clone, Copy, PartialEq)]
enum Found {
    NotYet,
    /// On the way to it.
    Asked,
    At(i64),
    /// It has a mistake, which is told.
    Never,
}

/// Milliseconds from T for each; none, where that is a mistake.
pub fn resolve(steps: &[&Timed], mistakes: &mut Mistakes) -> Vec<Option<i64>> {
    let names = steps.iter().enumerate().filter_map(|(nth, step)| Some((step.name.as_deref()?, nth)));
    // Of a name that is there twice the first one counts: the second is a mistake by itself.
    let names = names.rev().collect::<BTreeMap<_, _>>();
    let mut found = vec![Found::NotYet; steps.len()];
    for first in 0..steps.len() {
        // From step to step until one is known, then back.
        let (mut way, mut at) = (Vec::new(), first);
        let end = loop {
            if found[at] == Found::Asked {
                circle(steps, &way, at, mistakes);
                break Found::Never;
            }
            if found[at] != Found::NotYet {
                break found[at];
            }
            found[at] = Found::Asked;
            way.push(at);
            let Some((line, when)) = &steps[at].at else { break Found::Never };
            let Some(of) = &when.of else { break Found::At(0) };
            match names.get(of.as_str()) {
                Some(other) => at = *other,
                None => {
                    let known = || names.keys().map(|name| (*name).to_owned());
                    mistakes
                        .add(*line, format!("at: there is no step `{of}`; {}", hint(of, known(), known())));
                    break Found::Never;
                }
            }
        };
        let mut known = end;
        for nth in way.into_iter().rev() {
            let later = steps[nth].at.as_ref().map_or(0, |(_, when)| when.ms);
            known = match known {
                Found::At(ms) => Found::At(ms.saturating_add(later)),
                Found::NotYet | Found::Asked | Found::Never => Found::Never,
            };
            found[nth] = known;
        }
    }
    let ms = |found| match found {
        Found::At(ms) => Some(ms),
        Found::NotYet | Found::Asked | Found::Never => None,
    };
    found.into_iter().map(ms).collect()
}

fn circle(steps: &[&Timed], way: &[usize], back_at: usize, mistakes: &mut Mistakes) {
    let circle = way.iter().skip_while(|nth| **nth != back_at).chain([&back_at]);
    let names = circle.filter_map(|nth| steps[*nth].name.as_deref()).collect::<Vec<_>>().join(" -> ");
    let line = steps[back_at].at.as_ref().map_or(1, |(line, _)| *line);
    mistakes.add(line, format!("at: circular times: {names}: give one of them a time from T, as T+5m"));
}

/// Milliseconds from T, for people.
pub struct At(pub i64);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = Length(Duration::from_millis(self.0.unsigned_abs()));
        match self.0 {
            0 => f.write_str("T"),
            1.. => write!(f, "T+{length}"),
            _ => write!(f, "T-{length}"),
        }
    }
}

/// A length of time, for people: zero, too.
pub struct Length(pub Duration);

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Span::new(self.0) {
            Ok(span) => write!(f, "{span}"),
            Err(_) if self.0.is_zero() => f.write_str("0s"),
            Err(_) => f.write_str("more than 30 days"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::gameday::file::raw::Moment;

    fn resolved(steps: &[(&str, &str)]) -> (Vec<Option<i64>>, Vec<String>) {
        let mut mistakes = Mistakes::new(Path::new("f"));
        let lines = 1_u64..;
        let step = |((name, at), line): (&(&str, &str), u64)| Timed {
            name: Some((*name).to_owned()).filter(|name| !name.is_empty()),
            at: at.parse::<Moment>().ok().map(|moment| (line, moment.when().clone())),
        };
        let steps = steps.iter().zip(lines).map(step).collect::<Vec<_>>();
        let times = resolve(&steps.iter().collect::<Vec<_>>(), &mut mistakes);
        (times, mistakes.told())
    }

    #[test]
    fn times_are_from_t_or_from_each_other_in_any_order() {
        let steps = [
            ("heal", "cut+10m"),
            ("cut", "T+30s"),
            ("", "heal"),
            ("x-1", "heal - 1m30s"),
            ("", "x-1-1s"),
            ("", "T-15m"),
            ("", "5m"),
            ("", "0"),
            ("", "T"),
            ("", "-1h"),
            ("", "+250ms"),
        ];
        let ms = [630_000, 30_000, 630_000, 540_000, 539_000, -900_000, 300_000, 0, 0, -3_600_000, 250];
        assert_eq!(resolved(&steps), (ms.map(Some).to_vec(), vec![]));
    }

    #[test]
    fn circles_and_strangers_are_told_once() {
        let steps = [
            ("cut", "heal"),
            ("heal", "cut+1s"),
            ("", "heal+1s"),
            ("ok", "1s"),
            ("me", "me+1s"),
            ("", "ook"),
        ];
        let (times, told) = resolved(&steps);
        assert_eq!(times, [None, None, None, Some(1_000), None, None]);
        assert_eq!(
            told,
            [
                "f:1: at: circular times: cut -> heal -> cut: give one of them a time from T, as T+5m",
                "f:5: at: circular times: me -> me: give one of them a time from T, as T+5m",
                "f:6: at: there is no step `ook`; did you mean `ok`?",
            ]
        );
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "", "T+", "T+5x", "Cut", "cut+", "cut+5x", "5x", "noon", "T 5m", "1:30", "cut heal", "T+40d", "-",
        ] {
            let read = text.parse::<Moment>();
            // `noon` may be a step.
            assert!(read.is_err() || text == "noon", "{text}: {read:?}");
        }
    }
}
