//! Prometheus' instant queries. Every sample that comes back must hold: a query that should hold for some of them says so itself, with
//! `max` or `count`. None at all does not hold.

use std::collections::BTreeMap;

use hyper::StatusCode;
use hyper::body::Incoming;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::http::{self, Site};
use crate::gameday::excerpt::excerpt;
use crate::gameday::file::Comparison;

pub struct Prometheus {
    site: Site,
    /// Without the query.
    shown: String,
    value: Comparison,
}

/// As the documentation of its HTTP API has it.
#[derive(Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
enum Answer {
    Success {
        data: Data,
    },
    Error {
        #[serde(rename = "errorType", default)]
        kind: String,
        #[serde(default)]
        error: String,
    },
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Vector(Vec<Sample>),
    Scalar(Value),
    Matrix(IgnoredAny),
    String(IgnoredAny),
}

#[derive(Deserialize)]
struct Sample {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    /// A native histogram has none.
    value: Option<Value>,
}

/// When, and what.
#[derive(Deserialize)]
struct Value(IgnoredAny, String);

impl Prometheus {
    /// # Errors
    /// What is wrong, without anything that may be secret.
    pub fn new(
        url: &str,
        query: &str,
        headers: &BTreeMap<String, String>,
        value: &Comparison,
    ) -> Result<Self, String> {
        let site = Site::new(url, headers)?;
        let shown = site.shown();
        Ok(Self { site: site.with("/api/v1/query", "query", query), shown, value: value.clone() })
    }

    pub fn shown(&self) -> &str {
        &self.shown
    }

    pub async fn ask(&self) -> Result<String, String> {
        let read = async |answer: hyper::Response<Incoming>| {
            let status = answer.status();
            judge(status, &http::body(answer.into_body()).await?, &self.value)
        };
        self.site.ask(None, read).await
    }
}

/// Whether all samples hold; told is the first that does not, or else the first.
pub fn judge(status: StatusCode, body: &[u8], wanted: &Comparison) -> Result<String, String> {
    let answer = serde_json::from_slice::<Answer>(body);
    let data = match answer {
        Ok(Answer::Success { data }) => data,
        Ok(Answer::Error { kind, error }) => {
            return Err(format!("{}: {}", excerpt(&kind), excerpt(&error)));
        }
        Err(error) if status.is_success() => {
            return Err(format!("no answer of Prometheus: {}", excerpt(&error.to_string())));
        }
        Err(_) => return Err(http::said(status, body)),
    };
    let samples = match data {
        Data::Vector(samples) => samples,
        Data::Scalar(value) => vec![Sample { metric: BTreeMap::new(), value: Some(value) }],
        Data::Matrix(_) => {
            return Err("the query is of a range: leave its [..] out, or put a function around it".to_owned());
        }
        Data::String(_) => return Err("the query is a text, not a number".to_owned()),
    };
    let holds = |sample: &&Sample| {
        sample.value.as_ref().is_some_and(|Value(_, value)| wanted.holds_for_number(value))
    };
    let others = match samples.len() {
        0 | 1 => String::new(),
        several => format!(", of {several} results"),
    };
    match (samples.iter().find(|sample| !holds(sample)), samples.first()) {
        (Some(fails), _) => Err(format!("{}{others}", told(fails))),
        (None, Some(first)) => Ok(format!("{}{others}", told(first))),
        (None, None) => Err("no result".to_owned()),
    }
}

fn told(sample: &Sample) -> String {
    let value = match &sample.value {
        Some(Value(_, value)) if value.trim().is_empty() => "no number".to_owned(),
        Some(Value(_, value)) => excerpt(value),
        None => "a histogram, which is no number".to_owned(),
    };
    if sample.metric.is_empty() {
        return value;
    }
    let labels = sample.metric.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
    format!("{value} ({})", excerpt(&labels.join(", ")))
}

#[cfg(test)]
mod tests;
