//! Times and numbers as people read them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::model::{Outcome, RoundReport};

/// So many ranges of numbers are listed; the rest is counted.
const RANGES: usize = 20;

/// `840ms`, `2.1s`, `5m12s`, `2h5m`: three figures are enough.
pub fn duration(ms: u64) -> String {
    let seconds = ms.saturating_add(500) / 1_000;
    match ms {
        0 => "0s".to_owned(),
        1..1_000 => format!("{ms}ms"),
        1_000..59_950 => match (ms + 50) / 100 {
            tenths if tenths.is_multiple_of(10) => format!("{}s", tenths / 10),
            tenths => format!("{}.{}s", tenths / 10, tenths % 10),
        },
        59_950..3_599_500 => two(seconds / 60, "m", seconds % 60, "s"),
        _ => {
            let minutes = (seconds + 30) / 60;
            two(minutes / 60, "h", minutes % 60, "m")
        }
    }
}

fn two(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    if small == 0 {
        format!("{large}{large_unit}")
    } else {
        format!("{large}{large_unit}{small}{small_unit}")
    }
}

/// Or `never`.
pub fn maybe(ms: Option<u64>) -> String {
    ms.map_or_else(|| "never".to_owned(), duration)
}

/// `T`, `T+5m`, `T-30s`: T is the first fault of the round, or else its beginning.
pub fn from_t(round: &RoundReport, at_ms: u64) -> String {
    let t = t(round);
    match at_ms.abs_diff(t) {
        0 => "T".to_owned(),
        apart if at_ms > t => format!("T+{}", duration(apart)),
        apart => format!("T-{}", duration(apart)),
    }
}

/// The first fault of the round, or else its beginning, in the run's time.
pub fn t(round: &RoundReport) -> u64 {
    round.measures.first_fault_ms.or_else(|| Some(round.phases.first()?.from_ms)).unwrap_or_default()
}

/// Tells the time of day, in UTC as logs do.
pub struct Clock(Option<Timestamp>);

impl Clock {
    /// Of a run that began then, in RFC 3339.
    pub fn new(started_at: &str) -> Self {
        Self(started_at.parse().ok())
    }

    /// `14:03:05`; nothing where it is not known when the run began.
    pub fn at(&self, ms: u64) -> String {
        self.tell(ms, "%H:%M:%S")
    }

    /// `2026-11-22 14:03:05 UTC`; nothing where it is not known when the run began.
    pub fn date(&self) -> String {
        self.tell(0, "%Y-%m-%d %H:%M:%S UTC")
    }

    fn tell(&self, ms: u64, how: &str) -> String {
        let after = jiff::SignedDuration::from_millis(i64::try_from(ms).unwrap_or(i64::MAX));
        let at = self.0.and_then(|started| started.checked_add(after).ok());
        at.map(|at| at.to_zoned(TimeZone::UTC).strftime(how).to_string()).unwrap_or_default()
    }
}

/// `3-7, 9`; of very many only the first.
pub fn ranges(numbers: &[u64]) -> String {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for number in sorted {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            Some(_) | None => ranges.push((number, number)),
        }
    }
    let told = ranges.iter().take(RANGES).map(|(first, last)| match last - first {
        0 => first.to_string(),
        _ => format!("{first}-{last}"),
    });
    let mut told = told.collect::<Vec<_>>().join(", ");
    let more = ranges.iter().skip(RANGES).map(|(first, last)| last - first + 1).sum::<u64>();
    if more > 0 {
        told.push_str(&format!(" and {more} more"));
    }
    told
}

/// Three figures of decimals that go on and on: `27.65234375` is `27.7`. Times of day, versions and addresses stay.
pub fn rounded(text: &str) -> String {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '.' | ':' | '_' | '+' | '-' | '/');
    let mut told = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let word = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let (part, after) = rest.split_at(word);
        let number = part.trim_start_matches([':', '-', '+']).trim_end_matches(['.', ':']);
        match shorter(number) {
            Some(short) => told.push_str(&part.replacen(number, &short, 1)),
            None => told.push_str(part),
        }
        let next = after.find(is_part).unwrap_or(after.len());
        told.push_str(&after[..next]);
        rest = &after[next..];
    }
    told
}

/// None: it is no number with more than three decimals.
fn shorter(number: &str) -> Option<String> {
    let (whole, decimals) = number.split_once('.')?;
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(decimals) || decimals.len() <= 3 {
        return None;
    }
    let value = number.parse::<f64>().ok()?;
    let figures =
        |told: &str| told.bytes().filter(u8::is_ascii_digit).skip_while(|digit| *digit == b'0').count();
    (0..decimals.len()).map(|places| format!("{value:.places$}")).find(|told| figures(told) >= 3)
}

/// `1 host`, `3 hosts`.
pub fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

impl Outcome {
    /// Never told by a colour alone.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Passed => "✓",
            Self::Failed => "✗",
            Self::Aborted => "■",
            Self::NotStarted => "○",
        }
    }

    /// As people read it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Passed => "Passed",
            Self::Failed => "Failed",
            Self::Aborted => "Aborted",
            Self::NotStarted => "Not started",
        }
    }

    /// What it means.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Passed => "Everything was as it should be.",
            Self::Failed => "It ran to its end, and something was not as it should be.",
            Self::Aborted => "It was broken off, and everything was healed before its time.",
            Self::NotStarted => "The steady state did not hold, so nothing was cut.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn durations_have_three_figures() {
        let told = [
            0, 1, 999, 1_000, 2_140, 9_960, 59_949, 59_950, 60_000, 312_400, 3_599_499, 3_599_500, 7_530_000,
        ];
        let words =
            ["0s", "1ms", "999ms", "1s", "2.1s", "10s", "59.9s", "1m", "1m", "5m12s", "59m59s", "1h", "2h6m"];
        assert_eq!(told.map(duration), words);
        // Nothing to be afraid of, whatever a file says.
        assert!(duration(u64::MAX).ends_with('m'));
    }

    #[test]
    fn long_decimals_are_three_figures_and_nothing_else_changes() {
        let told = [
            ("lag is 27.65234375, not below 10.", "lag is 27.7, not below 10."),
            ("1234.56789 0.00123456 -0.98765 {\"x\":0.123456}", "1235 0.00123 -0.988 {\"x\":0.123}"),
            ("it took 9.99999.", "it took 10.0."),
        ];
        for (text, short) in told {
            assert_eq!(rounded(text), short);
            assert_eq!(rounded(short), short);
        }
        for same in [
            "",
            "3.141",
            "2026-11-27 06:29:52.787224+00",
            "10.90.1.12345",
            "v1.23456",
            "1.23456e5",
            "0.0000",
            "é 漢.12345",
        ] {
            assert_eq!(rounded(same), same);
        }
    }

    #[test]
    fn times_are_from_the_first_fault() {
        let round = &sample::passed().rounds[0];
        let t = round.measures.first_fault_ms.unwrap();
        assert_eq!([t, t + 300_000, t - 1_500].map(|at| from_t(round, at)), ["T", "T+5m", "T-1.5s"]);
    }

    #[test]
    fn the_clock_is_utc() {
        let clock = Clock::new("2026-11-22T23:59:58+01:00");
        assert_eq!([clock.at(0), clock.at(3_000)], ["22:59:58", "23:00:01"]);
        assert_eq!(clock.date(), "2026-11-22 22:59:58 UTC");
        assert_eq!([Clock::new("yesterday").at(5), clock.at(u64::MAX)], ["", ""]);
    }

    #[test]
    fn numbers_in_a_row_are_a_range() {
        assert_eq!(ranges(&[]), "");
        assert_eq!(ranges(&[9, 3, 4, 5, 4, 6, 7, u64::MAX]), format!("3-7, 9, {}", u64::MAX));
        let odd = (0..30).map(|nth| nth * 2).collect::<Vec<_>>();
        assert!(ranges(&odd).ends_with(", 36, 38 and 10 more"), "{}", ranges(&odd));
    }
}
