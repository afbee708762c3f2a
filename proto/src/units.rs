//! Quantities that carry their unit.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::ToSchema;

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
#[schema(value_type = String, examples("60s", "1h30m", "200ms"))]
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

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

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

    proptest! {
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
        }
    }
}
