//! Where in a document something is: `checks.redis`, `members[0].name`.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use crate::gameday::excerpt::excerpt;
use crate::gameday::file::Comparison;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPath(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Key(String),
    Index(usize),
}

impl FromStr for JsonPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no path into JSON: write `checks.redis` or `members[0].name`");
        let mut parts = Vec::new();
        for (nth, piece) in text.split('.').enumerate() {
            let (key, mut indices) = piece.split_at(piece.find('[').unwrap_or(piece.len()));
            if key.contains(']') {
                return Err(wrong());
            }
            if !key.is_empty() {
                parts.push(Part::Key(key.to_owned()));
            } else if nth > 0 || indices.is_empty() {
                // Only a whole document can be a list.
                return Err(wrong());
            }
            while !indices.is_empty() {
                let (index, rest) =
                    indices.strip_prefix('[').and_then(|rest| rest.split_once(']')).ok_or_else(wrong)?;
                let is_plain = index.bytes().all(|byte| byte.is_ascii_digit());
                let index = index.parse().ok().filter(|_| is_plain).ok_or_else(wrong)?;
                parts.push(Part::Index(index));
                indices = rest;
            }
        }
        Ok(Self(parts))
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, part) in self.0.iter().enumerate() {
            match part {
                Part::Key(key) if nth == 0 => f.write_str(key)?,
                Part::Key(key) => write!(f, ".{key}")?,
                Part::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

impl JsonPath {
    fn find<'a>(&self, document: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(document, |value, part| match part {
            Part::Key(key) => value.get(key),
            Part::Index(index) => value.get(index),
        })
    }

    /// What is there, if it is as it should be. What is not there is neither this nor not that.
    pub fn judge(&self, body: &[u8], wanted: &Comparison) -> Result<String, String> {
        let document = serde_json::from_slice::<Value>(body);
        let document =
            document.map_err(|error| format!("the answer is no JSON: {}", excerpt(&error.to_string())))?;
        let value = self.find(&document).ok_or_else(|| format!("the answer has no {self}"))?;
        let shown = match value {
            Value::String(text) => excerpt(text),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                excerpt(&value.to_string())
            }
        };
        let told = format!("{self} is {shown}");
        if wanted.holds_for_json(value) { Ok(told) } else { Err(told) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(path: &str, body: &str, wanted: &Comparison) -> Result<String, String> {
        path.parse::<JsonPath>().unwrap().judge(body.as_bytes(), wanted)
    }

    #[test]
    fn paths_are_read_and_written_and_nonsense_is_refused() {
        for path in ["checks", "checks.redis", "[0]", "[0][12].a", "members[0].name", "a b.c-d.$e", "é"] {
            assert_eq!(path.parse::<JsonPath>().unwrap().to_string(), path);
        }
        for path in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "a[",
            "a[]",
            "a[b]",
            "a[-1]",
            "a[+1]",
            "a[0]b",
            "a.[0]",
            "a]",
            "a[99999999999999999999]",
        ] {
            let read = path.parse::<JsonPath>();
            assert!(read.is_err(), "{path}: {read:?}");
        }
    }

    #[test]
    fn what_is_there_is_told_either_way() {
        let body = r#"{"checks": {"redis": "up", "lag": 1.50}, "members": [{"name": "a"}, {"name": "b"}]}"#;
        let equals = |text: &str| Comparison::Equals(text.to_owned());
        assert_eq!(judged("checks.redis", body, &equals("up")), Ok("checks.redis is up".to_owned()));
        assert_eq!(judged("checks.redis", body, &equals("down")), Err("checks.redis is up".to_owned()));
        assert_eq!(judged("checks.lag", body, &Comparison::Below(2.0)), Ok("checks.lag is 1.5".to_owned()));
        assert_eq!(judged("members[1].name", body, &equals("b")), Ok("members[1].name is b".to_owned()));
        assert_eq!(judged("[1]", "[1, 2]", &equals("2")), Ok("[1] is 2".to_owned()));
        let members = judged("members", body, &equals("")).unwrap_err();
        assert_eq!(members, r#"members is [{"name":"a"},{"name":"b"}]"#);
    }

    #[test]
    fn what_is_not_there_or_no_json_does_not_hold() {
        let not = Comparison::Not("up".to_owned());
        for path in ["checks", "checks.redis", "a[0]", "[0]", "a.b"] {
            assert_eq!(judged(path, r#"{"a": {"c": 1}}"#, &not), Err(format!("the answer has no {path}")));
        }
        let error = judged("a", "<html>", &not).unwrap_err();
        assert_eq!(error, "the answer is no JSON: expected value at line 1 column 1");
        let deep = "[".repeat(500_000);
        assert!(judged("[0]", &deep, &not).unwrap_err().contains("recursion limit"));
    }
}
