//! One GET, by HTTP or HTTPS.

use std::path::Path;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, LOCATION, USER_AGENT};
use hyper::{Request, Response};
use tokio_rustls::rustls;
use url::Url;

use super::PATIENCE;
use super::bounded::{LONGEST, too_long};
use crate::http::{Http, NoAnswer, innermost, of_http};
use crate::tls;

/// What to ask, and whom to believe.
pub struct Get<'a> {
    pub url: &'a Url,
    pub headers: &'a [(&'static str, String)],
    /// A file with the authorities that vouch for the server; without one, those of the system.
    pub authorities: Option<&'a Path>,
}

impl Get<'_> {
    /// The body of a success.
    pub async fn text(&self) -> Result<String, String> {
        let asked = tokio::time::timeout(PATIENCE, self.ask()).await;
        asked.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}")))
    }

    async fn ask(&self) -> Result<String, String> {
        let is_tls = self.url.scheme() == "https";
        let tls = is_tls.then(|| tls::trusting(self.authorities)).transpose()?;
        let mut request = Request::get(self.url.as_str())
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, concat!("partition-agent/", env!("CARGO_PKG_VERSION")));
        for (name, value) in self.headers {
            request = request.header(*name, value);
        }
        let request = request.body(Full::<Bytes>::default()).map_err(|error| error.to_string())?;
        body(Http::to_hosts(tls).send(request).await.map_err(|error| no_answer(&error))?).await
    }
}

fn no_answer(error: &NoAnswer) -> String {
    let why = innermost(error);
    let what = if why.is::<rustls::Error>() {
        "no TLS with it"
    } else if of_http(error).is_some() {
        "no answer of HTTP"
    } else {
        "no answer"
    };
    format!("{what}: {why}")
}

async fn body(response: Response<Incoming>) -> Result<String, String> {
    let status = response.status();
    if status.is_redirection() {
        let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("elsewhere");
        return Err(format!("it answers {status} and sends to {to}: name that instead"));
    }
    let body = Limited::new(response.into_body(), LONGEST).collect().await;
    let body = body.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
        Some(_) => too_long(),
        None => format!("its answer breaks off: {}", innermost(error.as_ref())),
    })?;
    let text = String::from_utf8(body.to_bytes().into())
        .map_err(|error| format!("it is no text in UTF-8: {error}"))?;
    if status.is_success() {
        return Ok(text);
    }
    let said = text.lines().next().unwrap_or_default().chars().take(200).collect::<String>();
    Err(format!("it answers {status}: {said}"))
}
