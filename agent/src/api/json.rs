//! JSON as a request may have it: each name of an object once. `serde_json` alone takes the last of several, and whoever checked
//! the first of them before would have let something else pass.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// A value in which no object has a name twice.
#[derive(Debug, PartialEq)]
pub struct Distinct(pub Value);

impl<'de> Deserialize<'de> for Distinct {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

/// The last of those that a double can count one by one.
const WHOLE: f64 = 9_007_199_254_740_992.0;

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        // A whole number however it is written (JSON Schema, 6.1.1); beyond these a double has none of its own for each.
        if value.fract() == 0.0 && value.abs() <= WHOLE {
            #[allow(clippy::cast_possible_truncation)]
            return self.visit_i64(value as i64);
        }
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(Distinct(value)) = list.next_element()? {
            all.push(value);
        }
        Ok(Value::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut all = Map::new();
        while let Some(name) = object.next_key::<String>()? {
            if all.contains_key(&name) {
                return Err(A::Error::custom(format_args!("duplicate field `{}`", name.escape_debug())));
            }
            let Distinct(value) = object.next_value()?;
            all.insert(name, value);
        }
        Ok(Value::Object(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_each_name_once_is_read_as_it_is() {
        for text in [
            "null",
            "true",
            "-1",
            "18446744073709551615",
            "0.5",
            r#""\u00e9\n""#,
            r#"[1,[2],{"a":{"a":[]}}]"#,
            r#"{"a":1,"A":2,"":3}"#,
        ] {
            let plain = serde_json::from_str::<Value>(text).unwrap();
            assert_eq!(serde_json::from_str::<Distinct>(text).unwrap(), Distinct(plain), "{text}");
        }
    }

    #[test]
    fn a_whole_number_is_one_however_it_is_written() {
        for (written, number) in [
            ("1.0", "1"),
            ("-2.50e1", "-25"),
            ("1e3", "1000"),
            ("-0.0", "0"),
            ("0.5", "0.5"),
            ("1e30", "1e30"),
        ] {
            let plain = serde_json::from_str::<Value>(number).unwrap();
            assert_eq!(serde_json::from_str::<Distinct>(written).unwrap(), Distinct(plain), "{written}");
        }
    }

    #[test]
    fn a_name_that_comes_twice_is_refused_wherever_it_is() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"[{"b":{"a":1,"b":2,"a":3}}]"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"a":{"a":1},"b":0,"a":{}}"#,
        ] {
            let error = serde_json::from_str::<Distinct>(text).unwrap_err();
            assert!(error.is_data() && error.to_string().contains("duplicate field `a`"), "{error}");
        }
        let error = serde_json::from_str::<Distinct>(r#"{"\u001b[31m":1,"\u001b[31m":2}"#).unwrap_err();
        assert!(error.to_string().contains(r"`\u{1b}[31m`"), "{error}");
    }

    #[test]
    fn nesting_is_limited() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(serde_json::from_str::<Distinct>(&nested(100)).is_ok());
        let error = serde_json::from_str::<Distinct>(&nested(30_000)).unwrap_err();
        assert!(error.to_string().contains("recursion limit"), "{error}");
    }
}
