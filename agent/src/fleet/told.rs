//! What another agent has answered. It is what somebody else says: it may be anything, and goes on to whoever looks, so it is taken in
//! bounds, in text that is only text, and never with the word that it was asked with.

use std::collections::BTreeSet;
use std::fmt;

use partition_agent_proto::{FaultId, FaultView, Verdict, legible};
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, SeqAccess, Visitor};

use crate::token::Token;

/// Of a fault in words, or of a verdict, in characters.
const LONGEST: usize = 200;
/// Of a name, in characters.
const LONGEST_NAME: usize = 64;
/// The longest wait for a start and the longest fault after it are 30 days each.
const LONGEST_TIME_MS: u64 = 61 * 24 * 3600 * 1000;
/// What no counter gets to in the life of a host: beyond it a browser counts in rounded numbers.
const HIGHEST: u64 = 1 << 53;
/// The most of one host's faults that are kept, which is the most that an agent has.
const MOST: usize = 1_000;

/// The faults of a host.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    pub faults: Vec<FaultView>,
    /// How many more there are.
    pub more: usize,
}

/// Who it is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Met {
    pub host: String,
    pub version: String,
}

/// The answer to `/v1/faults`, and the first of them.
///
/// # Errors
/// What an agent would not say, in words for people.
pub fn faults(answer: &[u8], first: usize, secret: Option<&Token>) -> Result<Told, String> {
    let Listed { mut faults, count } =
        serde_json::from_slice(answer).map_err(|error| strange(&error, secret))?;
    let ids = faults.iter().map(|fault| fault.id.clone()).collect::<BTreeSet<FaultId>>();
    if ids.len() != faults.len() {
        return Err(strange(&"two faults have one id", secret));
    }
    faults.truncate(first);
    for fault in &mut faults {
        secrecy(&[fault.id.as_str(), &fault.fault, &fault.by], secret)?;
        fault.fault = shortened(&fault.fault, LONGEST);
        fault.by = shortened(&fault.by, LONGEST);
        match &mut fault.verdict {
            Verdict::Confirmed => {}
            Verdict::Mismatch { found: words } | Verdict::Inconclusive { why: words } => {
                secrecy(&[words], secret)?;
                *words = shortened(words, LONGEST);
            }
        }
        fault.remaining_ms = fault.remaining_ms.min(LONGEST_TIME_MS);
        fault.lease_remaining_ms = fault.lease_remaining_ms.map(|left| left.min(LONGEST_TIME_MS));
        let hits = &mut fault.hits;
        for count in [
            &mut hits.lost_packets,
            &mut hits.lost_bytes,
            &mut hits.shaped_packets,
            &mut hits.shaped_bytes,
            &mut hits.rejected_packets,
            &mut hits.rejected_bytes,
            &mut hits.reset_connections,
            &mut hits.failed_questions,
            &mut hits.queue_drops,
            &mut hits.overflow_drops,
        ] {
            *count = (*count).min(HIGHEST);
        }
    }
    Ok(Told { more: count.saturating_sub(faults.len()), faults })
}

/// The answer to `/v1/info`.
///
/// # Errors
/// As above.
pub fn info(answer: &[u8], secret: Option<&Token>) -> Result<Met, String> {
    let Met { host, version } = serde_json::from_slice(answer).map_err(|error| strange(&error, secret))?;
    secrecy(&[&host, &version], secret)?;
    Ok(Met { host: shortened(&host, LONGEST_NAME), version: shortened(&version, LONGEST_NAME) })
}

/// Why there is no answer: also in words that may be of the other end.
pub fn why(words: &str, secret: Option<&Token>) -> String {
    secrecy(&[words], secret).map_or_else(|refused| refused, |()| shortened(words, LONGEST))
}

/// The error may quote the answer.
fn strange(error: &dyn fmt::Display, secret: Option<&Token>) -> String {
    why(&format!("it answers, but not like a partition-agent: {error}"), secret)
}

fn secrecy(texts: &[&str], secret: Option<&Token>) -> Result<(), String> {
    match secret {
        Some(secret) if texts.iter().any(|text| secret.is_within(text)) => {
            Err("it has sent back the token that it was asked with, which is shown to nobody: give this fleet another one, and look \
                 what answers there"
                .to_owned())
        }
        Some(_) | None => Ok(()),
    }
}

/// So many characters of a text, with what would steer a terminal or turn it around written out.
fn shortened(text: &str, most: usize) -> String {
    let mut short = legible(text).take(most + 1).collect::<String>();
    if let Some((end, _)) = short.char_indices().nth(most) {
        short.truncate(end);
        short.push('…');
    }
    short
}

/// A list of faults, of which no more than [`MOST`] are kept.
struct Listed {
    faults: Vec<FaultView>,
    count: usize,
}

impl<'de> Deserialize<'de> for Listed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Listed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of faults")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Listed, A::Error> {
        let mut faults = Vec::new();
        while faults.len() < MOST {
            let Some(fault) = list.next_element::<FaultView>()? else {
                return Ok(Listed { count: faults.len(), faults });
            };
            faults.push(fault);
        }
        let mut count = faults.len();
        while list.next_element::<IgnoredAny>()?.is_some() {
            count = count.checked_add(1).ok_or_else(|| A::Error::custom("endless"))?;
        }
        Ok(Listed { faults, count })
    }
}

#[cfg(feature = "fuzz")]
pub mod fuzzing {
    use super::*;

    /// Answers of another agent: what is taken of them is short, plain, and has no secret in it.
    pub fn told(bytes: &[u8]) {
        let Ok(secret) = Token::parse("the-token-of-the-fleet", std::path::Path::new("token")) else {
            return;
        };
        let plain = |text: &str, most: usize| {
            assert!(text.chars().count() <= most + 1, "{text}");
            assert!(!text.chars().any(partition_agent_proto::steers) && !secret.is_within(text), "{text}");
        };
        match faults(bytes, 10, Some(&secret)) {
            Ok(told) => {
                assert!(told.faults.len() <= 10);
                for fault in told.faults {
                    plain(fault.id.as_str(), LONGEST_NAME);
                    plain(&fault.fault, LONGEST);
                    plain(&fault.by, LONGEST);
                    plain(&fault.verdict.to_string(), LONGEST + 20);
                    assert!(fault.remaining_ms <= LONGEST_TIME_MS && fault.hits.lost_packets <= HIGHEST);
                }
            }
            Err(why) => plain(&why, LONGEST),
        }
        match info(bytes, Some(&secret)) {
            Ok(met) => [met.host, met.version].iter().for_each(|text| plain(text, LONGEST_NAME)),
            Err(why) => plain(&why, LONGEST),
        }
        plain(&why(&String::from_utf8_lossy(bytes), Some(&secret)), LONGEST);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use partition_agent_proto::State;
    use serde_json::{Value, json};

    use super::*;

    const WORD: &str = "the-token-of-the-fleet";

    fn token() -> Token {
        Token::parse(WORD, Path::new("token")).unwrap()
    }

    /// With something else about it.
    fn fault(id: &str, other: Value) -> Value {
        let mut fault = json!({
            "id": id, "state": "active", "fault": "loss 100%, redis, egress and ingress", "by": "uid 0 (pid 7)", "remaining_ms": 5000,
            "verdict": { "is": "confirmed" }, "hits": { "lost_packets": 3 }, "spec": { "of a newer version": true },
        });
        let other = other.as_object().unwrap().clone();
        fault.as_object_mut().unwrap().extend(other);
        fault
    }

    fn read(answer: &Value, first: usize) -> Result<Told, String> {
        faults(answer.to_string().as_bytes(), first, Some(&token()))
    }

    #[test]
    fn the_first_are_taken_and_the_others_counted() {
        let many = (0..2_500).map(|nth| fault(&format!("f{nth}"), json!({}))).collect::<Vec<_>>();
        let told = read(&many.clone().into(), 3).unwrap();
        assert_eq!((told.faults.len(), told.more), (3, 2_497));
        assert_eq!((told.faults[2].id.to_string(), told.faults[2].state), ("f2".to_owned(), State::Active));
        assert_eq!(told.faults[0].hits.lost_packets, 3);
        assert_eq!(read(&many[..2].into(), 3).unwrap().more, 0);
        assert_eq!(read(&json!([]), 3), Ok(Told { faults: Vec::new(), more: 0 }));
    }

    #[test]
    fn what_no_agent_says_is_no_answer() {
        let twice = json!([fault("a", json!({})), fault("a", json!({}))]);
        for answer in [
            json!({}),
            json!("<script>alert(1)</script>"),
            json!([fault("<b>", json!({}))]),
            json!([fault("a", json!({ "state": "<b>" }))]),
            json!([fault("a", json!({ "remaining_ms": -1 }))]),
            json!([fault("a", json!({ "verdict": { "is": "<b>" } }))]),
            twice,
        ] {
            let why = read(&answer, 3).unwrap_err();
            assert!(why.starts_with("it answers, but not like a partition-agent: "), "{why}");
            assert!(why.chars().count() <= LONGEST + 1, "{why}");
        }
        for bytes in [&b""[..], b"<html>", b"[", b"\xff", "[".repeat(10_000).as_bytes()] {
            assert!(faults(bytes, 3, None).is_err() && info(bytes, None).is_err());
        }
    }

    #[test]
    fn texts_are_cut_and_steer_nothing_and_numbers_stay_numbers() {
        let long = "a\u{202e}b\n".repeat(1_000);
        let hostile = json!([fault(
            "a",
            json!({
                "fault": long, "by": long, "verdict": { "is": "mismatch", "found": long },
                "remaining_ms": u64::MAX, "lease_remaining_ms": u64::MAX, "hits": { "lost_packets": u64::MAX },
            })
        )]);
        let told = read(&hostile, 3).unwrap();
        let fault = &told.faults[0];
        for text in [&fault.fault, &fault.by, &fault.verdict.to_string()] {
            assert!(text.chars().count() <= LONGEST + 20 && text.ends_with('…'), "{text}");
            assert!(text.contains(r"a\u{202e}b\n"), "{text}");
        }
        assert_eq!(
            (fault.remaining_ms, fault.hits.lost_packets, fault.lease_remaining_ms),
            (LONGEST_TIME_MS, HIGHEST, Some(LONGEST_TIME_MS))
        );
        let met = info(json!({ "host": long, "version": "1" }).to_string().as_bytes(), None).unwrap();
        assert_eq!((met.host.chars().count(), met.version.as_str()), (LONGEST_NAME + 1, "1"));
    }

    #[test]
    fn whoever_sends_the_token_back_is_not_shown() {
        let with = format!("x{WORD}y");
        // However JSON has it written.
        let escaped = WORD.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect::<String>();
        for other in [
            json!({ "fault": with }),
            json!({ "by": with }),
            json!({ "id": WORD }),
            json!({ "verdict": { "is": "inconclusive", "why": with } }),
            // In the error about it.
            json!({ "state": with }),
        ] {
            let why = read(&json!([fault("a", other)]), 3).unwrap_err();
            assert!(why.contains("has sent back the token") && !why.contains(WORD), "{why}");
        }
        let answer = json!([fault("a", json!({ "by": "WORD" }))]).to_string().replace("WORD", &escaped);
        assert!(faults(answer.as_bytes(), 3, Some(&token())).is_err());
        for answer in [json!({ "host": with, "version": "" }), json!({ "host": "", "version": with })] {
            assert!(info(answer.to_string().as_bytes(), Some(&token())).unwrap_err().contains("sent back"));
        }
        assert!(!why(&with, Some(&token())).contains(WORD));
        assert_eq!(why("the request has no token", Some(&token())), "the request has no token");
    }
}
