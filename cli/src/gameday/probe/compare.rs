//! What an answer is held against.

use std::cmp::Ordering;

use serde_json::Value;

use crate::gameday::file::Comparison;

impl Comparison {
    /// Text is what it says: `1.10` is not `1.1`. Only sizes are those of the number in it, and what is no number is neither above nor below.
    pub fn holds_for_text(&self, text: &str) -> bool {
        match self {
            Self::Equals(wanted) => text == wanted,
            Self::Not(other) => text != other,
            Self::Contains(part) => text.contains(part.as_str()),
            Self::Above(bound) => number(text).is_some_and(|number| number > *bound),
            Self::Below(bound) => number(text).is_some_and(|number| number < *bound),
        }
    }

    /// Numbers are compared as numbers: `1.0` is `1`.
    pub fn holds_for_number(&self, written: &str) -> bool {
        match self {
            Self::Equals(wanted) => is_same_number(written, wanted),
            Self::Not(other) => !is_same_number(written, other),
            Self::Contains(_) | Self::Above(_) | Self::Below(_) => self.holds_for_text(written),
        }
    }

    /// Of a list: `contains` is one of its elements, of an object one of its keys.
    pub fn holds_for_json(&self, value: &Value) -> bool {
        match (value, self) {
            (Value::Array(elements), Self::Contains(part)) => {
                let is_it = Self::Equals(part.clone());
                elements.iter().any(|element| is_it.holds_for_json(element))
            }
            (Value::Object(members), Self::Contains(key)) => members.contains_key(key),
            (Value::Number(number), _) => self.holds_for_number(&number.to_string()),
            (Value::String(text), _) => self.holds_for_text(text),
            (Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_), _) => {
                self.holds_for_text(&value.to_string())
            }
        }
    }
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok()
}

fn is_same_number(one: &str, other: &str) -> bool {
    if one == other {
        return true;
    }
    // Beyond 2^53 a float has neighbours that are the same to it.
    match (one.parse::<i128>(), other.parse::<i128>()) {
        (Ok(one), Ok(other)) => one == other,
        (Ok(_), Err(_)) | (Err(_), Ok(_)) | (Err(_), Err(_)) => match (number(one), number(other)) {
            (Some(one), Some(other)) => one.partial_cmp(&other) == Some(Ordering::Equal),
            (Some(_), None) | (None, Some(_)) | (None, None) => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Comparison::{Above, Below, Contains, Equals, Not};

    #[test]
    fn values_of_json_are_compared_as_what_they_are() {
        let text = |text: &str| text.to_owned();
        for (value, comparison, holds) in [
            (json!("up"), Equals(text("up")), true),
            (json!("up "), Equals(text("up")), false),
            (json!("up"), Not(text("up")), false),
            (json!("up"), Not(text("down")), true),
            (json!("1.10"), Equals(text("1.1")), false),
            (json!(1.0), Equals(text("1")), true),
            (json!(1), Equals(text("1.0")), true),
            (json!(1e3), Equals(text("1000")), true),
            (json!(1), Not(text("1.0")), false),
            (json!(1), Equals(text("one")), false),
            (json!(9_007_199_254_740_993_u64), Equals(text("9007199254740992")), false),
            (json!(true), Equals(text("true")), true),
            (json!(null), Equals(text("null")), true),
            (json!(null), Not(text("null")), false),
            (json!([]), Equals(text("[]")), true),
            (json!([1, "b"]), Contains(text("b")), true),
            (json!([1, "b"]), Contains(text("1.0")), true),
            (json!(["ab"]), Contains(text("b")), false),
            (json!({"a": 1}), Contains(text("a")), true),
            (json!({"a": "b"}), Contains(text("b")), false),
            (json!("redis is up"), Contains(text("is")), true),
            (json!(5), Above(5.0), false),
            (json!(5.1), Above(5.0), true),
            (json!(-1), Below(0.0), true),
            (json!("12"), Above(11.5), true),
            (json!("many"), Above(0.0), false),
            (json!("many"), Below(0.0), false),
            (json!(null), Below(1.0), false),
            (json!("NaN"), Below(1.0), false),
        ] {
            assert_eq!(comparison.holds_for_json(&value), holds, "{value} {comparison:?}");
        }
    }
}
