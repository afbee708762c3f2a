//! Values that are written in a way of their own.

use std::str::FromStr;
use std::time::Duration;

use partition_agent_proto::{Span, SpanError};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::gameday::file::model::Condition;

/// A length of time: `250ms`, `90s`, `5m`, `1h30m` or `0s`, at most 30 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(as = Length, value_type = String, pattern = "^\\s*([0-9]+\\s*[a-zA-Z]*\\s*)+$", examples("90s", "5m", "1h30m", "0s"))]
pub struct Lasting(pub Duration);

impl FromStr for Lasting {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let is_zero = matches!(text.trim(), "0" | "0ms" | "0s" | "0m" | "0h");
        if is_zero { Ok(Self(Duration::ZERO)) } else { text.parse().map(|span: Span| Self(span.duration())) }
    }
}

/// A status of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub u16);

impl FromStr for Status {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let status = text.trim().parse().ok().filter(|status| (100..=599).contains(status));
        status
            .map(Self)
            .ok_or_else(|| format!("`{text}` is no status: a status is 100 to 599, or a list of them"))
    }
}

/// When a step is: from T, the moment of the first cut, or from another step.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
#[schema(
    as = Moment,
    value_type = String,
    pattern = "^\\s*(T|[a-z][a-z0-9._-]*|(T|[a-z][a-z0-9._-]*)?\\s*[+-]\\s*[0-9][0-9a-zA-Z ]*|[0-9][0-9a-zA-Z ]*)\\s*$",
    examples("T+5m", "5m", "T-15m", "cut", "cut+30s")
)]
pub struct Moment(When);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct When {
    /// The other step; none: T.
    pub of: Option<String>,
    /// Later by so many milliseconds, or earlier.
    pub ms: i64,
}

impl Moment {
    pub fn when(&self) -> &When {
        &self.0
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let whole = text.trim();
        let milliseconds = |text: &str| {
            let Lasting(length) = text.parse().ok()?;
            i64::try_from(length.as_millis()).ok()
        };
        // The last sign: names have some in them, too.
        let from = whole.rfind(['+', '-']).and_then(|sign| {
            let ms = milliseconds(whole.get(sign + 1..)?)?;
            Some((whole.get(..sign)?, if whole[sign..].starts_with('-') { -ms } else { ms }))
        });
        let (of, ms) = match (milliseconds(whole), from) {
            (Some(ms), _) => ("T", ms),
            (None, Some((of, ms))) => (of.trim(), ms),
            (None, None) => (whole, 0),
        };
        match of {
            "T" => Ok(Self(When { of: None, ms })),
            "" if ms != 0 || from.is_some() => Ok(Self(When { of: None, ms })),
            step if is_step_name(step) => Ok(Self(When { of: Some(step.to_owned()), ms })),
            _ => Err(format!(
                "`{text}` is no time: write T+5m, 5m or T-15m, or the name of a step and how much later, as cut+30s"
            )),
        }
    }
}

/// What can be told from a time, and be the name of a fault with something added to it.
pub fn is_step_name(name: &str) -> bool {
    name.len() <= 32
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-'))
}

/// What must be so: the name of a probe, or `not` and the name.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
#[schema(as = Condition, value_type = String, pattern = "^\\s*(not\\s+)?\\S+\\s*$", examples("api", "not alert"))]
pub struct Said(pub Condition);

impl FromStr for Said {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words = text.split_whitespace().collect::<Vec<_>>();
        let (probe, holds) = match words.as_slice() {
            [probe] if *probe != "not" => (*probe, true),
            ["not", probe] => (*probe, false),
            _ => return Err(format!("`{text}` is no condition: write the name of a probe, or `not NAME`")),
        };
        Ok(Self(Condition { probe: probe.to_owned(), holds }))
    }
}

/// Text, a number, true or false, as the schema knows it: it is all the same here.
pub enum Scalar {}

impl PartialSchema for Scalar {
    fn schema() -> RefOr<Schema> {
        let any = SchemaType::from_iter([Type::String, Type::Number, Type::Boolean]);
        ObjectBuilder::new().schema_type(any).description(Some("Text, a number, true or false.")).into()
    }
}

impl ToSchema for Scalar {}
