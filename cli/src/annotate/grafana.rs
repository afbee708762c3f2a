//! Grafana's annotations, by its HTTP API: one is made at the start of a fault, and given an end at its end.

use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, StatusCode};
use partition_agent_core::secret::Reader;
use partition_agent_core::token::Token;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use crate::args::AnnotateArgs;
use crate::exit::Failure;
use crate::gameday::excerpt::excerpt;
use crate::http::{Http, innermost};
use crate::tls;

const PATIENCE: Duration = Duration::from_secs(10);

/// Of an answer, in bytes.
const LONGEST: usize = 1 << 20;

/// What every annotation of ours has: dashboards ask for it.
const TAG: &str = "partition-agent";

/// Two readings of the agent's clocks are closer than this, in milliseconds.
const SAME: i64 = 1_000;

pub struct Grafana {
    http: Http,
    url: Url,
    authorization: HeaderValue,
    dashboard: Option<String>,
    tags: Vec<String>,
}

/// A fault, for Grafana.
pub struct Mark<'a> {
    pub host: &'a str,
    pub id: &'a str,
    pub text: &'a str,
    /// Milliseconds since 1970.
    pub start: i64,
}

/// As much of an annotation as is looked at.
#[derive(Deserialize)]
struct Known {
    id: u64,
    time: i64,
    #[serde(rename = "timeEnd", default)]
    end: i64,
}

impl Known {
    /// Whether it has begun then, and has no end: Grafana tells of none, of 0, or of its beginning.
    fn is_open_since(&self, start: i64) -> bool {
        self.time.abs_diff(start) <= SAME.unsigned_abs() && self.end <= self.time
    }
}

impl Grafana {
    /// Over TLS, with the authorities of the system.
    ///
    /// # Errors
    /// What is wrong with the token or with TLS.
    pub fn new(args: &AnnotateArgs) -> Result<Self, Failure> {
        let token = Token::read(&args.grafana_token_file, Reader::Command);
        let token = token.map_err(|error| Failure::Failed(error.to_string()))?;
        let authorization = HeaderValue::try_from(token.authorization());
        let mut authorization = authorization.map_err(|error| Failure::Failed(error.to_string()))?;
        authorization.set_sensitive(true);
        let tls = (args.grafana.scheme() == "https").then(|| tls::trusting(None)).transpose();
        Ok(Self {
            http: Http::to_hosts(tls.map_err(Failure::Failed)?),
            url: args.grafana.clone(),
            authorization,
            dashboard: args.dashboard.clone(),
            tags: args.tags.clone(),
        })
    }

    /// Whether it lets us in, before anything is waited for.
    pub async fn lets_in(&self) -> Result<(), String> {
        self.ask(Method::GET, "", &[("limit", "1"), ("tags", TAG)], None).await.map(drop)
    }

    /// The number of the annotation. One that an earlier command made of the same fault is taken.
    pub async fn begin(&self, mark: &Mark<'_>) -> Result<u64, String> {
        let own = [TAG, mark.host, mark.id];
        let [from, to] = [mark.start - SAME, mark.start + SAME].map(|millis| millis.to_string());
        let mut query = vec![("from", from.as_str()), ("to", &to), ("type", "annotation")];
        query.extend(own.map(|tag| ("tags", tag)));
        let known = self.ask(Method::GET, "", &query, None).await?;
        let known = serde_json::from_value::<Vec<Known>>(known).map_err(|error| self.strange(&error))?;
        if let Some(same) = known.into_iter().find(|known| known.is_open_since(mark.start)) {
            return Ok(same.id);
        }
        let tags = own.into_iter().chain(self.tags.iter().map(String::as_str)).collect::<Vec<_>>();
        let mut body = json!({"time": mark.start, "tags": tags, "text": escaped(mark.text)});
        if let Some(dashboard) = &self.dashboard {
            body["dashboardUID"] = dashboard.as_str().into();
        }
        let made = self.ask(Method::POST, "", &[], Some(&body)).await?;
        made["id"].as_u64().ok_or_else(|| self.strange(&"an annotation without a number"))
    }

    /// Gives it an end. One that somebody has deleted needs none.
    pub async fn end(&self, annotation: u64, end: i64) -> Result<(), String> {
        self.ask(Method::PATCH, &format!("/{annotation}"), &[], Some(&json!({"timeEnd": end})))
            .await
            .map(drop)
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Value, String> {
        let mut url = self.url.clone();
        url.set_path(&format!("{}/api/annotations{path}", self.url.path().trim_end_matches('/')));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let is_patch = method == Method::PATCH;
        let request = Request::builder()
            .method(method)
            .uri(url.as_str())
            .header(AUTHORIZATION, &self.authorization)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body.map(Value::to_string).map(Bytes::from).unwrap_or_default()))
            .map_err(|error| error.to_string())?;
        let answered = async {
            let answer = self.http.send(request).await.map_err(|error| innermost(&error).to_string())?;
            let status = answer.status();
            let read = Limited::new(answer.into_body(), LONGEST).collect().await;
            let read = read.map_err(|error| innermost(error.as_ref()).to_string())?.to_bytes();
            Ok((status, read))
        };
        let answered = tokio::time::timeout(PATIENCE, answered).await;
        let answered = answered.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}")));
        let (status, read) = answered.map_err(|why: String| format!("Grafana at {}: {why}", self.url))?;
        let told = serde_json::from_slice::<Value>(&read);
        if status.is_success() {
            return told.map_err(|error| self.strange(&error));
        }
        if is_patch && status == StatusCode::NOT_FOUND {
            return Ok(Value::Null);
        }
        let said = told.ok().and_then(|told| Some(excerpt(told.get("message")?.as_str()?)));
        let hint = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                "; the token has to be one of a service account with the role Editor"
            }
            _ => "",
        };
        let said = said.map(|said| format!(": {said}")).unwrap_or_default();
        Err(format!("Grafana at {} answers {status}{said}{hint}", self.url))
    }

    fn strange(&self, what: &dyn std::fmt::Display) -> String {
        format!("what is at {} answers, but not like Grafana: {what}", self.url)
    }
}

/// Grafana shows the text as HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::Known;

    #[test]
    fn only_what_has_no_end_is_gone_on_with() {
        let known = |json: &str| serde_json::from_str::<Known>(json).unwrap();
        for open in [
            r#"{"id":1,"time":5000}"#,
            r#"{"id":1,"time":5000,"timeEnd":0}"#,
            r#"{"id":1,"time":5000,"timeEnd":5000}"#,
        ] {
            assert!(known(open).is_open_since(4_990), "{open}");
            assert!(!known(open).is_open_since(9_000), "{open}");
        }
        assert!(!known(r#"{"id":1,"time":5000,"timeEnd":5600}"#).is_open_since(5_000));
    }

    #[test]
    fn a_text_stays_one() {
        assert_eq!(super::escaped("a<b>&"), "a&lt;b&gt;&amp;");
    }
}
