//! Names of DNS, for faults on their lookup.

use std::fmt;
use std::str::FromStr;

use utoipa::ToSchema;

use crate::text::serde_as_text;

/// `api.example.com`, itself only; `*.example.com`, every name below it, at any depth; `*`, every name. Lower case,
/// without a dot at the end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, ToSchema)]
#[schema(
    value_type = String,
    pattern = "^\\s*(\\*|(\\*\\.)?[A-Za-z0-9_-]+(\\.[A-Za-z0-9_-]+)*)\\.?\\s*$",
    examples("api.example.com", "*.example.com")
)]
pub struct DnsName(String);

/// Why a text is not a [`DnsName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no name of DNS: write api.example.com, *.example.com or *")]
pub struct DnsNameError(String);

impl DnsName {
    /// As it was written, in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a question for this name is meant. Names of DNS have no case; a dot at the end changes nothing.
    #[must_use]
    pub fn matches(&self, asked: &str) -> bool {
        let asked = asked.strip_suffix('.').unwrap_or(asked).to_ascii_lowercase();
        match self.0.strip_prefix('*') {
            // The dot stays with the suffix, so `*.example.com` is not `notexample.com`.
            Some(suffix) => suffix.is_empty() || (asked.len() > suffix.len() && asked.ends_with(suffix)),
            None => asked == self.0,
        }
    }
}

impl FromStr for DnsName {
    type Err = DnsNameError;

    fn from_str(text: &str) -> Result<Self, DnsNameError> {
        let name = text.trim().to_ascii_lowercase();
        let name = name.strip_suffix('.').unwrap_or(&name);
        let below = name.strip_prefix("*.").unwrap_or(name);
        // RFC 1035 lengths; the underscore of service names.
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if name == "*" || (name.len() <= 253 && below.split('.').all(label)) {
            Ok(Self(name.to_owned()))
        } else {
            Err(DnsNameError(text.to_owned()))
        }
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(DnsName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_itself_and_a_wildcard_is_what_is_below() {
        let matches = |name: &str, asked: &str| name.parse::<DnsName>().unwrap().matches(asked);
        assert!(matches("api.Example.com.", "API.example.COM"));
        assert!(matches("api.example.com", "api.example.com."));
        assert!(!matches("api.example.com", "www.api.example.com"));
        assert!(matches("*.example.com", "a.b.example.com"));
        assert!(!matches("*.example.com", "example.com"));
        assert!(!matches("*.example.com", "notexample.com"));
        assert!(matches("*", "anything."));
        for text in ["", ".", "a..b", "a.*.b", "**", "*a.b", "a b", &"a.".repeat(130)] {
            assert!(text.parse::<DnsName>().is_err(), "{text}");
        }
    }
}
