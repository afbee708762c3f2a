//! Refusals, as RFC 9457 `application/problem+json`.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What was refused, why, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:partition-agent:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The code in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// For programs: one of a closed list.
    pub code: ProblemCode,
    /// For people: what was refused and why, with the kernel's own words.
    pub detail: String,
    /// For people: what to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub hint: Option<String>,
}

/// Every reason to refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemCode {
    /// The request could not be read.
    Malformed,
    /// It could be read and makes no sense.
    Invalid,
    /// More than 64 KiB without need, or more than an agent takes.
    TooLarge,
    /// A name that stands for no address.
    UnknownName,
    /// No such fault.
    NotFound,
    /// No such path.
    NoSuchRoute,
    /// Not with this method.
    NoSuchMethod,
    /// The agent's configuration names no fleet.
    NoFleet,
    /// That id is another fault.
    Conflict,
    /// An instant that is past already.
    TooLate,
    /// It did not arrive in time.
    TooSlow,
    /// Over TCP, a body that does not say that it is JSON.
    NotJson,
    /// No token and no certificate, or a token that is not the agent's.
    Unauthorized,
    /// Whoever asks, or the site that made them ask, may not do this.
    Forbidden,
    /// As many at once as the agent takes.
    Busy,
    /// A limit of the agent's configuration.
    Limit,
    /// The kernel said no.
    KernelRefused,
    /// The journal cannot be written.
    Journal,
    /// The agent is stopping.
    Stopping,
}

impl ProblemCode {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 19] = [
        Self::Malformed,
        Self::Invalid,
        Self::TooLarge,
        Self::UnknownName,
        Self::NotFound,
        Self::NoSuchRoute,
        Self::NoSuchMethod,
        Self::NoFleet,
        Self::Conflict,
        Self::TooLate,
        Self::TooSlow,
        Self::NotJson,
        Self::Unauthorized,
        Self::Forbidden,
        Self::Busy,
        Self::Limit,
        Self::KernelRefused,
        Self::Journal,
        Self::Stopping,
    ];

    /// The status that goes with it.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::Invalid | Self::UnknownName => 422,
            Self::TooLarge => 413,
            Self::NotFound | Self::NoSuchRoute | Self::NoFleet => 404,
            Self::NoSuchMethod => 405,
            Self::Conflict | Self::TooLate => 409,
            Self::TooSlow => 408,
            Self::NotJson => 415,
            Self::Unauthorized => 401,
            Self::Limit | Self::Forbidden => 403,
            Self::KernelRefused | Self::Journal => 500,
            Self::Stopping | Self::Busy => 503,
        }
    }

    /// In words.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Malformed => "The request could not be read",
            Self::Invalid => "The request makes no sense",
            Self::TooLarge => "The request is too large",
            Self::UnknownName => "A name is unknown",
            Self::NotFound => "There is no such fault",
            Self::NoSuchRoute => "There is nothing here",
            Self::NoSuchMethod => "That cannot be done here",
            Self::NoFleet => "This agent shows no fleet",
            Self::Conflict => "The id is taken by another fault",
            Self::TooLate => "The instant is past",
            Self::TooSlow => "The request took too long to arrive",
            Self::NotJson => "The body does not say that it is JSON",
            Self::Unauthorized => "The agent does not know who asks",
            Self::Forbidden => "The caller may not do this",
            Self::Busy => "The agent is busy",
            Self::Limit => "The agent's configuration forbids it",
            Self::KernelRefused => "The kernel refused",
            Self::Journal => "The journal cannot be written",
            Self::Stopping => "The agent is stopping",
        }
    }
}

/// As on the wire.
impl fmt::Display for ProblemCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "malformed",
            Self::Invalid => "invalid",
            Self::TooLarge => "too-large",
            Self::UnknownName => "unknown-name",
            Self::NotFound => "not-found",
            Self::NoSuchRoute => "no-such-route",
            Self::NoSuchMethod => "no-such-method",
            Self::NoFleet => "no-fleet",
            Self::Conflict => "conflict",
            Self::TooLate => "too-late",
            Self::TooSlow => "too-slow",
            Self::NotJson => "not-json",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::Busy => "busy",
            Self::Limit => "limit",
            Self::KernelRefused => "kernel-refused",
            Self::Journal => "journal",
            Self::Stopping => "stopping",
        })
    }
}

impl Problem {
    /// A problem with its code's title and status.
    #[must_use]
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:partition-agent:{code}"),
            title: code.title().to_owned(),
            status: code.status(),
            code,
            detail: detail.into(),
            hint: None,
        }
    }

    /// The same, with what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_form_is_rfc_9457() {
        let problem = Problem::new(ProblemCode::KernelRefused, "no").hint("try");
        let json = serde_json::to_value(&problem).unwrap();
        assert_eq!(json["type"], "urn:partition-agent:kernel-refused");
        assert_eq!(json["status"], 500);
        assert_eq!(serde_json::from_value::<Problem>(json).unwrap(), problem);
    }

    #[test]
    fn a_code_is_told_as_on_the_wire() {
        for code in ProblemCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.to_string());
        }
    }
}
