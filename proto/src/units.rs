//! Quantities that carry their unit.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::ToSchema;

use crate::text::serde_as_text;

/// A share of packets: more than 0, at most 100 percent, in steps of 0.0001 percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ToSchema)]
#[schema(value_type = f64, minimum = 0.0001, maximum = 100)]
pub struct Percent(u32);

/// Why a number is not a [`Percent`].
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PercentError {
    /// The text is not a number at all.
    #[error("`{0}` is not a percentage: write a number such as 30, 30% or 0.5%")]
    NotANumber(String),
    /// NaN, an infinity, zero, negative, above 100, or too small to express.
    #[error("{0}% is not a share of packets: it must be at least 0.0001% and at most 100%")]
    OutOfRange(String),
}

impl Percent {
    /// Every packet.
    pub const ALL: Self = Self(1_000_000);

    /// # Errors
    /// [`PercentError::OutOfRange`] for anything but 0.0001 to 100.
    pub fn new(percent: f64) -> Result<Self, PercentError> {
        if !(0.0001..=100.0).contains(&percent) {
            return Err(PercentError::OutOfRange(percent.to_string()));
        }
        // In range, so the product is between 1 and 1,000,000.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let millionths = (percent * 10_000.0).round() as u32;
        Ok(Self(millionths))
    }

    /// How many of a million packets, 1 to 1,000,000.
    #[must_use]
    pub fn millionths(self) -> u32 {
        self.0
    }

    /// What is left of a whole; the smallest share, where that is nothing.
    #[must_use]
    pub fn rest(self) -> Self {
        Self((Self::ALL.0 - self.0).max(1))
    }

    /// This share, 0 to 1, of the way here from another, or from nothing.
    #[must_use]
    pub fn grown(self, from: Option<Self>, share: f64) -> Self {
        let from = from.map_or(0.0, |from| f64::from(from.0));
        let millionths = from + (f64::from(self.0) - from) * share;
        Self::new((millionths / 10_000.0).max(0.0001)).unwrap_or(self)
    }

    fn as_f64(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.as_f64())
    }
}

impl FromStr for Percent {
    type Err = PercentError;

    fn from_str(text: &str) -> Result<Self, PercentError> {
        let number = text.trim().trim_end_matches('%').trim_end();
        let percent = number.parse::<f64>().map_err(|_| PercentError::NotANumber(text.to_owned()))?;
        Self::new(percent)
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_multiple_of(10_000) {
            serializer.serialize_u32(self.0 / 10_000)
        } else {
            serializer.serialize_f64(self.as_f64())
        }
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(f64::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// A length of time, written as `250us`, `90s`, `5m` or `1h30m`: more than nothing, at most 30 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ToSchema)]
#[schema(
    value_type = String,
    pattern = "^\\s*([0-9][0-9\\s]*(\\.[0-9\\s]+)?(nanos|nsec|ns|usec|us|µs|millis|msec|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d|weeks?|wks?|w|months?|M|years?|yrs?|y)\\s*)+$",
    examples("60s", "1h30m", "200ms")
)]
pub struct Span(Duration);

/// Why a text is not a [`Span`].
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SpanError {
    /// Not in the notation; negative and overflowing values end here too.
    #[error("`{text}` is not a length of time ({why}): write it as 90s, 5m, 1h30m or 200ms")]
    Malformed {
        /// What was written.
        text: String,
        /// What the parser said.
        why: String,
    },
    /// Zero, or more than 30 days.
    #[error("{0} is out of range: a length of time is more than 0 and at most 30 days")]
    OutOfRange(String),
}

impl Span {
    /// The longest span.
    pub const MAX: Self = Self(Duration::from_secs(30 * 24 * 3600));

    /// # Errors
    /// [`SpanError::OutOfRange`] for zero and for more than 30 days.
    pub fn new(duration: Duration) -> Result<Self, SpanError> {
        if duration.is_zero() || duration > Self::MAX.0 {
            return Err(SpanError::OutOfRange(humantime::format_duration(duration).to_string()));
        }
        Ok(Self(duration))
    }

    /// A span of whole seconds, for constants: zero becomes one second, more than 30 days becomes 30 days.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        let seconds = if seconds == 0 { 1 } else { seconds };
        let max = Self::MAX.0.as_secs();
        Self(Duration::from_secs(if seconds > max { max } else { seconds }))
    }

    /// The same in milliseconds; zero becomes one.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        let millis = if millis == 0 { 1 } else { millis };
        let max = Self::MAX.0.as_secs() * 1_000;
        Self(Duration::from_millis(if millis > max { max } else { millis }))
    }

    /// This share, 0 to 1, of the way here from another, or from nothing.
    #[must_use]
    pub fn grown(self, from: Option<Self>, share: f64) -> Self {
        let from = from.map_or(0.0, |from| from.0.as_secs_f64());
        let seconds = from + (self.0.as_secs_f64() - from) * share;
        let grown = Duration::try_from_secs_f64(seconds.max(1e-6)).ok();
        grown.and_then(|grown| Self::new(grown).ok()).unwrap_or(self)
    }

    /// As the standard library's type.
    #[must_use]
    pub fn duration(self) -> Duration {
        self.0
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&humantime::format_duration(self.0).to_string().replace(' ', ""))
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let duration = humantime::parse_duration(text.trim())
            .map_err(|error| SpanError::Malformed { text: text.to_owned(), why: error.to_string() })?;
        Self::new(duration)
    }
}

serde_as_text!(Span);

/// A data rate in bits per second, written as `768kbit`, `10mbit`, `2.5gbit` or a plain number of bits: 1 kbit/s to
/// 100 Gbit/s. Bytes are not understood on purpose: `10mbps` means bits to some and bytes to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ToSchema)]
#[schema(
    value_type = String,
    pattern = "^\\s*\\+?[0-9.]+([Ee][+-]?[0-9]+)?\\s*([KkMmGg]?[Bb][Ii][Tt])?\\s*$",
    examples("10mbit", "768kbit")
)]
pub struct Rate(u64);

/// Why a text is not a [`Rate`].
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RateError {
    /// Not a number with one of the units.
    #[error(
        "`{0}` is not a rate: write bits per second as 768kbit, 10mbit or 1gbit (bytes are not understood)"
    )]
    Malformed(String),
    /// Below 1 kbit/s or above 100 Gbit/s.
    #[error("{0} is out of range: a rate is 1kbit to 100gbit, in bits per second")]
    OutOfRange(String),
}

impl Rate {
    /// # Errors
    /// [`RateError::OutOfRange`] below 1 kbit/s and above 100 Gbit/s.
    pub fn new(bits_per_second: u64) -> Result<Self, RateError> {
        if !(1_000..=100_000_000_000).contains(&bits_per_second) {
            return Err(RateError::OutOfRange(format!("{bits_per_second} bit/s")));
        }
        Ok(Self(bits_per_second))
    }

    /// This share, 0 to 1, of the way here from another.
    #[must_use]
    pub fn grown(self, from: Self, share: f64) -> Self {
        // Rates end at 10^11, far below where a double counts in steps of more than one.
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let bits = {
            let (from, to) = (from.0 as f64, self.0 as f64);
            (from + (to - from) * share).round() as u64
        };
        Self::new(bits).unwrap_or(self)
    }

    /// Bits in a second.
    #[must_use]
    pub fn bits_per_second(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, name) in [(1_000_000_000, "gbit"), (1_000_000, "mbit"), (1_000, "kbit")] {
            if self.0.is_multiple_of(unit) {
                return write!(f, "{}{name}", self.0 / unit);
            }
        }
        write!(f, "{}bit", self.0)
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let wrong = || RateError::Malformed(text.to_owned());
        let lower = text.trim().to_ascii_lowercase();
        let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = match lower.get(digits.len()..).ok_or_else(wrong)? {
            "" | "bit" => 1.0,
            "kbit" => 1e3,
            "mbit" => 1e6,
            "gbit" => 1e9,
            _ => return Err(wrong()),
        };
        let bits = digits.trim_end().parse::<f64>().map_err(|_| wrong())? * unit;
        if !(1e3..=1e11).contains(&bits) {
            return Err(RateError::OutOfRange(text.to_owned()));
        }
        // In range, so the cast neither cuts off nor loses a sign.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let bits = bits.round() as u64;
        Self::new(bits)
    }
}

serde_as_text!(Rate);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn percent_reads_what_people_write() {
        assert_eq!("100%".parse(), Ok(Percent::ALL));
        assert_eq!("30".parse::<Percent>().unwrap().millionths(), 300_000);
        assert_eq!("0.5 %".parse::<Percent>().unwrap().millionths(), 5_000);
        assert_eq!("0.0001%".parse::<Percent>().unwrap().millionths(), 1);
    }

    #[test]
    fn percent_refuses_what_is_no_share() {
        for text in ["0", "-1%", "100.1%", "NaN", "inf", "-inf", "1e999", "0.00001%"] {
            assert!(matches!(text.parse::<Percent>(), Err(PercentError::OutOfRange(_))), "{text}");
        }
        for text in ["", "%", "thirty", "30%%x", "0x10"] {
            assert!(matches!(text.parse::<Percent>(), Err(PercentError::NotANumber(_))), "{text}");
        }
        for json in ["null", "\"30%\"", "1e999", "-1", "101", "0"] {
            assert!(serde_json::from_str::<Percent>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn span_refuses_negative_overflowing_and_endless() {
        for text in ["", "-5s", "0s", "31d", "99999999999999999999s", "18446744073709551615y", "5", "soon"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
        assert!("5".parse::<Span>().unwrap_err().to_string().contains("write it as"));
    }

    #[test]
    fn rate_is_in_bits_and_says_so() {
        for (text, bits) in [
            ("768kbit", 768_000),
            ("2.5mbit", 2_500_000),
            ("10 Mbit", 10_000_000),
            ("1gbit", 1_000_000_000),
            ("64000", 64_000),
        ] {
            assert_eq!(text.parse::<Rate>().unwrap().bits_per_second(), bits, "{text}");
        }
        for text in ["", "10mbps", "10MB", "fast", "-1mbit", "0", "999bit", "101gbit", "NaNmbit", "1e99gbit"]
        {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
        assert_eq!("2500kbit".parse::<Rate>().unwrap().to_string(), "2500kbit");
    }

    proptest! {
        #[test]
        fn rate_survives_json(bits in 1_000_u64..=100_000_000_000) {
            let rate = Rate::new(bits).unwrap();
            let json = serde_json::to_string(&rate).unwrap();
            prop_assert_eq!(serde_json::from_str::<Rate>(&json).unwrap(), rate);
        }

        #[test]
        fn percent_survives_json(millionths in 1_u32..=1_000_000) {
            let percent = Percent(millionths);
            let json = serde_json::to_string(&percent).unwrap();
            prop_assert_eq!(serde_json::from_str::<Percent>(&json).unwrap(), percent);
            prop_assert_eq!(percent.to_string().parse::<Percent>().unwrap(), percent);
        }

        #[test]
        fn span_survives_json(nanos in 1_u64..=30 * 24 * 3600 * 1_000_000_000) {
            let span = Span::new(Duration::from_nanos(nanos)).unwrap();
            let json = serde_json::to_string(&span).unwrap();
            prop_assert_eq!(serde_json::from_str::<Span>(&json).unwrap(), span);
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = text.parse::<Percent>();
            let _ = text.parse::<Span>();
            let _ = text.parse::<Rate>();
        }
    }
}
