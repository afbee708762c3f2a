//! Which hosts: `web-*,@eu,!web-3`.

use std::fmt;
use std::str::FromStr;

use crate::text::serde_as_text;

/// Which hosts: those that one of its terms names, without those that a negated one does. In text the terms are separated
/// by commas, and each is one of
///
/// - `web-1`, a host,
/// - `web-*`, hosts by a pattern: `*` is any text, `?` any character,
/// - `@app`, the named group `app`, or where there is none, the hosts with any label of this value,
/// - `@region=eu`, the hosts with this label,
///
/// after a `!` for those to leave out. With negated terms alone, everybody but those.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector(Vec<Term>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) negated: bool,
    pub(super) what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    Host(String),
    Glob(String),
    Group(String),
    Label { key: String, value: String },
}

/// Why a text is no [`Selector`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` selects no hosts: write names (web-1), patterns (web-*), groups (@eu) or labels (@region=eu), with commas in \
     between and a ! before what to leave out"
)]
pub struct SelectorError(pub String);

impl Selector {
    /// Never empty.
    pub(super) fn terms(&self) -> &[Term] {
        &self.0
    }

    /// The name, where the selector is that of one host.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Term { negated: false, what: What::Host(name) }] => Some(name),
            _ => None,
        }
    }
}

impl What {
    /// Whether a pattern means this name; `*` may be nothing. Both are in lower case.
    pub(super) fn matches(pattern: &str, name: &str) -> bool {
        let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
        let (mut at, mut of) = (0, 0);
        // Where the last `*` was, and how much of the name it stands for: when what follows does not fit, one more.
        let mut star = None;
        while of < name.len() {
            match pattern.get(at) {
                Some(b'*') => {
                    star = Some((at, of));
                    at += 1;
                }
                Some(expected) if *expected == b'?' || *expected == name[of] => {
                    at += 1;
                    of += 1;
                }
                Some(_) | None => match star {
                    Some((star_at, star_of)) => {
                        star = Some((star_at, star_of + 1));
                        (at, of) = (star_at + 1, star_of + 1);
                    }
                    None => return false,
                },
            }
        }
        pattern[at..].iter().all(|rest| *rest == b'*')
    }
}

/// Whether a host, a service, a group or a link may be called this. What a name server, an inventory or an engine calls
/// hosts is among it, addresses included.
#[must_use]
pub fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= 253 && text.bytes().all(is_in_names)
}

/// Whether a group may be called this: what can be written after an `@` and is no label.
#[must_use]
pub fn is_group_name(text: &str) -> bool {
    let written = format!("@{text}");
    let is_it = |term: Term| term.what == What::Group(text.to_owned());
    written.trim() == written && !text.contains(',') && written.parse().is_ok_and(is_it)
}

fn is_in_names(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':')
}

impl FromStr for Term {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let wrong = || Err(SelectorError(text.to_owned()));
        let (negated, rest) = match text.strip_prefix('!') {
            Some(rest) => (true, rest.trim_start()),
            None => (false, text),
        };
        if rest.chars().any(char::is_control) {
            return wrong();
        }
        let what = match rest.strip_prefix('@') {
            Some(group) => match group.split_once('=') {
                Some((key, value)) if !key.is_empty() && !value.is_empty() => {
                    What::Label { key: key.to_owned(), value: value.to_owned() }
                }
                None if !group.is_empty() => What::Group(group.to_owned()),
                Some(_) | None => return wrong(),
            },
            None if is_name(rest) => What::Host(rest.to_ascii_lowercase()),
            None if !rest.is_empty() && rest.bytes().all(|b| is_in_names(b) || matches!(b, b'*' | b'?')) => {
                What::Glob(rest.to_ascii_lowercase())
            }
            None => return wrong(),
        };
        Ok(Self { negated, what })
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let term = |term: &str| term.trim().parse::<Term>().map_err(|_| SelectorError(text.to_owned()));
        text.split(',').map(term).collect::<Result<Vec<_>, _>>().map(Self)
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = if self.negated { "!" } else { "" };
        match &self.what {
            What::Host(text) | What::Glob(text) => write!(f, "{not}{text}"),
            What::Group(name) => write!(f, "{not}@{name}"),
            What::Label { key, value } => write!(f, "{not}@{key}={value}"),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, term) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{term}")?;
        }
        Ok(())
    }
}

serde_as_text!(Selector);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_form_round_trips() {
        for text in [
            "web-1",
            "web-*",
            "web-?",
            "*",
            "@eu",
            "@region=eu west",
            "@topology.kubernetes.io/zone=eu-1a",
            "!web-3",
            "!@eu",
            "web-*,@eu,!web-3,!@zone=a",
            "10.0.0.5",
            "fd00::5",
        ] {
            assert_eq!(text.parse::<Selector>().unwrap().to_string(), text);
        }
        assert_eq!(" Web-1 , ! @EU ".parse::<Selector>().unwrap().to_string(), "web-1,!@EU");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in
            ["", " ", ",", "a,", "!", "@", "!@", "@=", "@a=", "@=b", "a b", "a=b", "!!a", "a@b", "@a\nb"]
        {
            assert_eq!(text.parse::<Selector>(), Err(SelectorError(text.to_owned())));
        }
    }

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, name, is) in [
            ("*", "web-1", true),
            ("web-*", "web-1", true),
            ("web-*", "web-", true),
            ("web-*", "my-web-1", false),
            ("*-1", "web-1", true),
            ("*-1", "web-11", false),
            ("w?b-1", "web-1", true),
            ("web-?", "web-", false),
            ("*b*1", "web-db-21", true),
            ("a*b*c", "abab", false),
        ] {
            assert_eq!(What::matches(pattern, name), is, "{pattern} {name}");
        }
    }

    #[test]
    fn names_of_groups_can_be_written_in_selectors() {
        for text in ["app", "node exporter", "a/b", "@x", "!x"] {
            assert!(is_group_name(text), "{text}");
        }
        for text in ["", "a,b", "a=b", "a\nb", "a "] {
            assert!(!is_group_name(text), "{text}");
        }
    }

    #[test]
    fn one_host_is_told_from_more() {
        let host = |text: &str| text.parse::<Selector>().unwrap().host().map(str::to_owned);
        assert_eq!(host("web-1").as_deref(), Some("web-1"));
        for text in ["web-1,web-2", "!web-1", "web-*", "@web-1"] {
            assert_eq!(host(text), None);
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_read_reads_back(text in "\\PC*") {
            if let Ok(selector) = text.parse::<Selector>() {
                prop_assert_eq!(selector.to_string().parse::<Selector>().unwrap(), selector);
            }
        }

        #[test]
        fn a_pattern_matches_what_it_was_made_from(name in "[a-c]{0,6}", cut in 0_usize..6, length in 0_usize..6) {
            let cut = cut.min(name.len());
            let end = (cut + length).min(name.len());
            let pattern = format!("{}*{}", &name[..cut], &name[end..]);
            prop_assert!(What::matches(&pattern, &name));
        }

        /// Against the definition: a `*` is nothing, or one character and a `*`.
        #[test]
        fn patterns_are_as_defined(pattern in "[ab*?]{0,6}", name in "[ab]{0,6}") {
            fn defined(pattern: &[u8], name: &[u8]) -> bool {
                match (pattern, name) {
                    ([], []) => true,
                    ([b'*', rest @ ..], _) => {
                        defined(rest, name) || (!name.is_empty() && defined(pattern, &name[1..]))
                    }
                    ([b'?', rest @ ..], [_, name @ ..]) => defined(rest, name),
                    ([one, rest @ ..], [other, name @ ..]) => one == other && defined(rest, name),
                    ([_, ..], []) | ([], [_, ..]) => false,
                }
            }
            prop_assert_eq!(What::matches(&pattern, &name), defined(pattern.as_bytes(), name.as_bytes()));
        }
    }
}
