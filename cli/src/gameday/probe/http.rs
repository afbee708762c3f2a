//! HTTP: a request, its status, and perhaps a place in the JSON that comes back.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, OnceLock};

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use tokio_rustls::rustls;
use tokio_rustls::rustls::ClientConfig;
use url::Url;

use super::dial::Dial;
use super::json::JsonPath;
use crate::gameday::excerpt::{excerpt, without};
use crate::gameday::file::Comparison;
use crate::http::{innermost, once};
use crate::tls;

/// Of an answer.
const LONGEST: usize = 1024 * 1024;

/// Somewhere to ask by HTTP, or HTTPS with the authorities of the system.
pub struct Site {
    url: Url,
    dial: Dial,
    headers: HeaderMap,
    /// Read once: it is many certificates.
    tls: OnceLock<Result<Arc<ClientConfig>, String>>,
}

/// A question and what its answer should be.
pub struct Http {
    site: Site,
    body: Option<Bytes>,
    status: Vec<u16>,
    json: Option<(JsonPath, Comparison)>,
}

impl Site {
    /// # Errors
    /// What is wrong, without anything that may be secret.
    pub fn new(url: &str, headers: &BTreeMap<String, String>) -> Result<Self, String> {
        let url = url.parse::<Url>().map_err(|error| format!("the URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("the URL begins with `{}:`: write http:// or https://", url.scheme()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("the URL has a user or a password in it: write a header `Authorization`".to_owned());
        }
        let host = url.host_str().ok_or("the URL has no host")?.trim_matches(['[', ']']);
        let dial = Dial::new(host, url.port_or_known_default().ok_or("the URL has no port")?);
        let headers = headers.iter().map(|(name, value)| header(name, value)).collect::<Result<_, _>>()?;
        Ok(Self { url, dial, headers, tls: OnceLock::new() })
    }

    /// With a parameter of its query.
    pub fn with(mut self, path: &str, name: &str, value: &str) -> Self {
        let base = self.url.path().trim_end_matches('/').to_owned();
        self.url.set_path(&format!("{base}{path}"));
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    /// Without what may be secret.
    pub fn shown(&self) -> String {
        shown(&self.url)
    }

    /// What `read` makes of the answer to a GET, or to a POST where there is a body.
    pub async fn ask<T>(
        &self,
        body: Option<&Bytes>,
        read: impl AsyncFnOnce(Response<Incoming>) -> Result<T, String>,
    ) -> Result<T, String> {
        let request = self.request(body)?;
        let stream = self.dial.connect().await?;
        // Small requests go out at once.
        let _ = stream.set_nodelay(true);
        let stream = match self.url.scheme() {
            "https" => {
                let tls = self.tls.get_or_init(|| tls::trusting(None)).clone()?;
                let secured = once::secure(stream, tls, self.dial.host()).await;
                secured.map_err(|error| format!("no TLS with it: {}", innermost(error.as_ref())))?
            }
            _ => Box::new(stream),
        };
        let answered = once::exchange(stream, request, read).await.map_err(|error| no_answer(&error));
        answered.flatten().map_err(|why| self.masked(why))
    }

    /// Without the values of headers, which some servers repeat.
    fn masked(&self, why: String) -> String {
        let values = self.headers.values().filter_map(|value| value.to_str().ok());
        values.fold(why, without)
    }

    fn request(&self, body: Option<&Bytes>) -> Result<Request<Full<Bytes>>, String> {
        let method = if body.is_some() { Method::POST } else { Method::GET };
        let to = &self.url[url::Position::BeforePath..url::Position::AfterQuery];
        let mut request = Request::builder().method(method).uri(to);
        let headers = request.headers_mut().ok_or("the URL is none of HTTP")?;
        let authority = &self.url[url::Position::BeforeHost..url::Position::AfterPort];
        headers.insert(HOST, HeaderValue::from_str(authority).map_err(|error| error.to_string())?);
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("partition-agent/", env!("CARGO_PKG_VERSION"))),
        );
        if let Some(body) = body {
            let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok();
            let kind = if is_json { "application/json" } else { "text/plain; charset=utf-8" };
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        headers.extend(self.headers.clone());
        request.body(Full::new(body.cloned().unwrap_or_default())).map_err(|error| error.to_string())
    }
}

/// A URL for people: without its query and without a user, which may hold what is secret.
pub fn shown(url: &Url) -> String {
    let mut shown = url[url::Position::BeforeScheme..url::Position::BeforeUsername].to_owned();
    shown.push_str(&url[url::Position::BeforeHost..url::Position::AfterPath]);
    if url.query().is_some() {
        shown.push_str("?…");
    }
    shown
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let parsed = name.parse::<HeaderName>().map_err(|_| format!("`{name}` is no name of a header"))?;
    let value = HeaderValue::from_str(value)
        .map_err(|_| format!("the value of the header `{name}` has characters that none may have"))?;
    Ok((parsed, value))
}

fn no_answer(error: &hyper::Error) -> String {
    let why = innermost(error);
    // A request that was not sent yet is told in the words of its connection.
    let http = why.downcast_ref::<hyper::Error>().unwrap_or(error);
    if why.is::<rustls::Error>() {
        format!("no TLS with it: {why}")
    } else if http.is_parse() {
        format!("no answer of HTTP: {why}")
    } else if http.is_incomplete_message() {
        "it closed the connection without an answer".to_owned()
    } else {
        format!("no answer: {why}")
    }
}

/// All of a body that is not too long.
pub async fn body(body: Incoming) -> Result<Bytes, String> {
    let read = Limited::new(body, LONGEST).collect().await;
    read.map(http_body_util::Collected::to_bytes).map_err(|error: Box<dyn Error + Send + Sync>| {
        match error.downcast_ref::<LengthLimitError>() {
            Some(_) => format!("the answer is longer than {} MiB", LONGEST / 1024 / 1024),
            None => format!("the answer breaks off: {}", innermost(error.as_ref())),
        }
    })
}

impl Http {
    /// # Errors
    /// What is wrong, without anything that may be secret.
    pub fn new(
        url: &str,
        headers: &BTreeMap<String, String>,
        body: Option<&str>,
        status: &[u16],
        json: Option<&(String, Comparison)>,
    ) -> Result<Self, String> {
        let json = json.map(|(path, wanted)| Ok::<_, String>((path.parse()?, wanted.clone()))).transpose()?;
        let body = body.map(|body| Bytes::from(body.to_owned()));
        Ok(Self { site: Site::new(url, headers)?, body, status: status.to_owned(), json })
    }

    pub fn shown(&self) -> String {
        self.site.shown()
    }

    pub async fn ask(&self) -> Result<String, String> {
        self.site.ask(self.body.as_ref(), async |answer| self.judge(answer).await).await
    }

    async fn judge(&self, answer: Response<Incoming>) -> Result<String, String> {
        let told = judge_status(answer.status().as_u16(), &self.status)?;
        // The body is waited for only where something in it counts.
        let Some((path, wanted)) = &self.json else { return Ok(told) };
        let body = body(answer.into_body()).await?;
        match path.judge(&body, wanted) {
            Ok(found) => Ok(format!("{told}, {found}")),
            Err(found) => Err(format!("{told}, {found}")),
        }
    }
}

/// Any success, where none is wanted.
pub fn judge_status(status: u16, wanted: &[u16]) -> Result<String, String> {
    let holds = if wanted.is_empty() { (200..300).contains(&status) } else { wanted.contains(&status) };
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let told = match reason {
        Some(reason) => format!("{status} {reason}"),
        None => status.to_string(),
    };
    if holds { Ok(told) } else { Err(told) }
}

/// What a server says of an error, in a few words.
pub fn said(status: StatusCode, body: &[u8]) -> String {
    let said = excerpt(&String::from_utf8_lossy(body));
    if said.is_empty() { status.to_string() } else { format!("{status}: {said}") }
}

#[cfg(test)]
mod tests;
