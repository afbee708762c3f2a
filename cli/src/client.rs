//! The API, one method for each route: the only file with paths in it.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::http::request::Builder;
use hyper::{Method, Request, Response, StatusCode};
use partition_agent_core::fleet::{LONGEST_ANSWER, Proof, Question};
use partition_agent_core::secret::Reader;
use partition_agent_core::token::Token;
use partition_agent_proto::{
    AuditEntry, Change, Clock, Commit, Connection, DEFAULT_SOCKET, FaultId, FaultSpec, FaultStatus, Heard,
    History, Info, KEEP_HEADER, Problem, Reach, ReachRequest, Span,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_rustls::rustls;

use crate::events::Events;
use crate::exit::Failure;
use crate::http::{Http, innermost, of_http};
use crate::tls::TlsFiles;
use crate::tls::why::{self, Why};

/// A fault on thousands of names can take a while to resolve; nothing else does.
const PATIENCE: Duration = Duration::from_secs(60);

/// No answer is longer, in bytes, so that nobody fills our memory. The longest list of faults has 1,000, each with the spec out of a body of
/// 64 KiB and the ids of those that shadow it: 500 of the others, as the newer ones do, at 67 bytes each, and the spec once more in words. That is about 160 MiB; of a fault's
/// addresses there are 16 in it, however many there are. A history of 10,000 such faults would be longer: `--limit` asks for fewer.
const LONGEST: usize = 256 * 1024 * 1024;

/// Where an agent listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentAddress {
    Unix(PathBuf),
    /// A URL, of HTTP or HTTPS.
    Http(String),
}

impl AgentAddress {
    fn is_tls(&self) -> bool {
        match self {
            Self::Unix(_) => false,
            Self::Http(url) => is_tls(url),
        }
    }
}

/// Whether an agent is asked over TLS.
pub fn is_tls(url: &str) -> bool {
    url.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"))
}

impl FromStr for AgentAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("unix", path)) if !path.is_empty() => Ok(Self::Unix(PathBuf::from(path))),
            Some(("http" | "https", rest)) if rest.len() > 2 && rest.starts_with("//") => {
                Ok(Self::Http(text.trim_end_matches('/').to_owned()))
            }
            Some(_) | None => Err(format!(
                "`{text}` is no agent's address: write unix:PATH, https://HOST:PORT or http://HOST:PORT"
            )),
        }
    }
}

impl std::fmt::Display for AgentAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Http(url) => f.write_str(url),
        }
    }
}

impl Default for AgentAddress {
    fn default() -> Self {
        Self::Unix(PathBuf::from(DEFAULT_SOCKET))
    }
}

/// Which agent to ask, and how to be let in.
#[derive(Debug, Clone)]
pub struct Access {
    /// The one at the default socket without it.
    pub agent: Option<AgentAddress>,
    pub token_file: Option<PathBuf>,
    pub tls: TlsFiles,
}

impl Access {
    /// Whether somebody chose the agent.
    pub fn is_named(&self) -> bool {
        self.agent.is_some()
    }

    /// To agents on hosts, over TLS where one of them asks for it.
    pub fn ways(&self, any_tls: bool) -> Answer<Arc<Ways>> {
        let token = self.token_file.as_deref().map(|path| Token::read(path, Reader::Command)).transpose();
        let token = token.map_err(|error| Failure::Failed(error.to_string()))?;
        let tls = any_tls.then(|| self.tls.config()).transpose().map_err(Failure::Failed)?;
        Ok(Arc::new(Ways {
            http: Http::to_hosts(tls),
            authorization: token.as_ref().map(authorization).transpose()?,
            has_certificate: self.tls.cert.is_some(),
        }))
    }

    pub fn client(&self) -> Answer<Client> {
        let at = self.agent.clone().unwrap_or_default();
        let (ways, base) = match &at {
            // The kernel says there who asks.
            AgentAddress::Unix(path) => {
                (Arc::new(Ways::to_socket(path.clone())), "http://localhost".to_owned())
            }
            AgentAddress::Http(url) if self.tls.is_named() && !at.is_tls() => {
                return Err(Failure::Usage(format!(
                    "{url} is not TLS, and --tls-ca, --tls-cert or --tls-key says to use it: write https://, or leave them \
                     (PARTITION_AGENT_TLS_CA, _CERT and _KEY) out"
                )));
            }
            AgentAddress::Http(url) => (self.ways(at.is_tls())?, url.clone()),
        };
        let hint = "start one (`systemctl start partition-agent`, or `partition-agent serve` as root), or name another \
                    with --agent";
        Ok(Client { ways, base, at, hint })
    }
}

/// Connections, and how to be let in. Many agents are asked over the same ones.
pub struct Ways {
    http: Http,
    authorization: Option<HeaderValue>,
    has_certificate: bool,
}

impl Ways {
    fn to_socket(path: PathBuf) -> Self {
        Self { http: Http::to_socket(path), authorization: None, has_certificate: false }
    }

    /// Of an agent that asks others.
    pub fn of_agent(proof: &Proof) -> Arc<Self> {
        Arc::new(Self {
            http: Http::to_hosts(proof.tls.clone()),
            // A token is visible ASCII, which a header can hold; without one it is not let in.
            authorization: proof.token.as_ref().and_then(|token| authorization(token).ok()),
            has_certificate: proof.has_certificate,
        })
    }
}

/// Cheap to clone: the connections are shared.
#[derive(Clone)]
pub struct Client {
    ways: Arc<Ways>,
    base: String,
    at: AgentAddress,
    /// What to do where nobody answers.
    hint: &'static str,
}

type Answer<T> = Result<T, Failure>;

impl Client {
    /// Of one agent among many, over connections that are shared with the others.
    pub fn of(ways: &Arc<Ways>, url: String) -> Self {
        let ways = Arc::clone(ways);
        let hint = "is the host up, and does its agent listen there?";
        Self { ways, base: url.clone(), at: AgentAddress::Http(url), hint }
    }

    /// Where the agent is.
    pub fn address(&self) -> String {
        self.at.to_string()
    }

    /// Whether there is an agent at all.
    pub async fn answers(&self) -> bool {
        self.get_answer(self.request(Method::GET, "/healthz"), Bytes::new()).await.is_ok()
    }

    pub async fn info(&self) -> Answer<Info> {
        self.send(self.request(Method::GET, "/v1/info")).await
    }

    /// With the caller's own ssh connection, which the fault then leaves alone.
    pub async fn inject(&self, id: Option<&FaultId>, spec: &FaultSpec, dry_run: bool) -> Answer<FaultStatus> {
        let request = match id {
            Some(id) => self.request(Method::PUT, &format!("/v1/faults/{id}?dry_run={dry_run}")),
            None => self.request(Method::POST, &format!("/v1/faults?dry_run={dry_run}")),
        };
        self.send_json(keep(request), spec).await
    }

    /// Built and cutting nothing, until it is committed or this long has passed.
    /// With a number by which nothing else is taken back.
    pub async fn prepare(
        &self,
        id: &FaultId,
        spec: &FaultSpec,
        patience: Span,
        attempt: u64,
    ) -> Answer<FaultStatus> {
        let path = format!("/v1/faults/{id}?prepare={patience}&attempt={attempt}");
        self.send_json(keep(self.request(Method::PUT, &path)), spec).await
    }

    /// To an instant of the agent's own boot clock, in nanoseconds.
    pub async fn commit(&self, id: &FaultId, at_boot_ns: u64, attempt: u64) -> Answer<FaultStatus> {
        let commit = Commit { at_boot_ns, attempt: Some(attempt) };
        self.send_json(self.request(Method::POST, &format!("/v1/faults/{id}/commit")), &commit).await
    }

    /// Whom this agent reaches.
    pub async fn reach(&self, request: &ReachRequest) -> Answer<Vec<Reach>> {
        self.send_json(self.request(Method::POST, "/v1/reach"), request).await
    }

    /// Whom it heard in a round.
    pub async fn heard(&self, round: u64) -> Answer<Vec<Heard>> {
        self.send(self.request(Method::GET, &format!("/v1/heard?round={round}"))).await
    }

    pub async fn clock(&self) -> Answer<Clock> {
        self.send(self.request(Method::GET, "/v1/clock")).await
    }

    pub async fn faults(&self) -> Answer<Vec<FaultStatus>> {
        self.send(self.request(Method::GET, "/v1/faults")).await
    }

    pub async fn fault(&self, id: &FaultId) -> Answer<FaultStatus> {
        self.send(self.request(Method::GET, &format!("/v1/faults/{id}"))).await
    }

    /// What another agent shows of this one, as it comes.
    pub async fn shown(&self, question: Question) -> Answer<Bytes> {
        let path = match question {
            Question::Info => "/v1/info",
            Question::Faults => "/v1/faults",
        };
        let response = self.begin(self.request(Method::GET, path), Bytes::new()).await?;
        match self.read_at_most(LONGEST_ANSWER, response).await? {
            (status, body) if status.is_success() => Ok(body),
            (status, body) => Err(self.refused(status, &body)),
        }
    }

    pub async fn change(&self, id: &FaultId, duration: Span) -> Answer<FaultStatus> {
        self.send_json(self.request(Method::PATCH, &format!("/v1/faults/{id}")), &Change { duration }).await
    }

    pub async fn renew(&self, id: &FaultId) -> Answer<FaultStatus> {
        self.send(self.request(Method::POST, &format!("/v1/faults/{id}/renew"))).await
    }

    /// At an instant of the agent's own boot clock, in nanoseconds, or now.
    pub async fn restore(&self, id: &FaultId, at_boot_ns: Option<u64>) -> Answer<FaultStatus> {
        self.send(self.request(Method::DELETE, &format!("/v1/faults/{id}{}", at(at_boot_ns)))).await
    }

    /// Only if it came by this attempt.
    pub async fn withdraw(&self, id: &FaultId, attempt: u64) -> Answer<FaultStatus> {
        self.send(self.request(Method::DELETE, &format!("/v1/faults/{id}?attempt={attempt}"))).await
    }

    /// The same as a restore, for every fault.
    pub async fn restore_all(&self, at_boot_ns: Option<u64>) -> Answer<Vec<FaultStatus>> {
        self.send(self.request(Method::DELETE, &format!("/v1/faults{}", at(at_boot_ns)))).await
    }

    pub async fn history(&self, limit: usize) -> Answer<Vec<History>> {
        self.send(self.request(Method::GET, &format!("/v1/history?limit={limit}"))).await
    }

    pub async fn audit(&self, limit: usize) -> Answer<Vec<AuditEntry>> {
        self.send(self.request(Method::GET, &format!("/v1/audit?limit={limit}"))).await
    }

    /// What happens from now on.
    pub async fn events(&self) -> Answer<Events> {
        let request = self.request(Method::GET, "/v1/events");
        let response = self.answered(self.begin(request, Bytes::new())).await?;
        if response.status().is_success() {
            return Ok(Events::of(response.into_body()));
        }
        let (status, body) = self.answered(self.read(response)).await?;
        Err(self.refused(status, &body))
    }

    fn request(&self, method: Method, path: &str) -> Builder {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        match &self.ways.authorization {
            Some(authorization) => request.header(AUTHORIZATION, authorization),
            None => request,
        }
    }

    async fn send_json<T: DeserializeOwned>(&self, request: Builder, body: &impl Serialize) -> Answer<T> {
        let body = serde_json::to_vec(body).map_err(|error| Failure::Failed(error.to_string()))?;
        self.understood(request.header(CONTENT_TYPE, "application/json"), body.into()).await
    }

    async fn send<T: DeserializeOwned>(&self, request: Builder) -> Answer<T> {
        self.understood(request, Bytes::new()).await
    }

    async fn understood<T: DeserializeOwned>(&self, request: Builder, body: Bytes) -> Answer<T> {
        let (status, body) = self.get_answer(request, body).await?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| self.strange(&error.to_string()));
        }
        Err(self.refused(status, &body))
    }

    fn refused(&self, status: StatusCode, body: &[u8]) -> Failure {
        match serde_json::from_slice::<Problem>(body) {
            Ok(problem) => problem.into(),
            Err(_) => self.strange(&status.to_string()),
        }
    }

    async fn get_answer(&self, request: Builder, body: Bytes) -> Answer<(StatusCode, Bytes)> {
        let answer = async { self.read(self.begin(request, body).await?).await };
        self.answered(answer).await
    }

    /// The head of an answer.
    async fn begin(&self, request: Builder, body: Bytes) -> Answer<Response<Incoming>> {
        let request = request.body(Full::new(body));
        let request = request.map_err(|error| Failure::Failed(format!("{}: {error}", self.at)))?;
        self.ways.http.send(request).await.map_err(|error| self.unreachable(&error))
    }

    async fn read(&self, response: Response<Incoming>) -> Answer<(StatusCode, Bytes)> {
        self.read_at_most(LONGEST, response).await
    }

    async fn read_at_most(
        &self,
        longest: usize,
        response: Response<Incoming>,
    ) -> Answer<(StatusCode, Bytes)> {
        let status = response.status();
        let body = Limited::new(response.into_body(), longest).collect().await;
        let body = body.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
            Some(_) => self.strange(&format!("more than {} MiB", longest >> 20)),
            None => self.unreachable(error.as_ref()),
        })?;
        Ok((status, body.to_bytes()))
    }

    /// In time.
    async fn answered<T>(&self, answer: impl Future<Output = Answer<T>>) -> Answer<T> {
        let answered = tokio::time::timeout(PATIENCE, answer).await;
        answered.unwrap_or_else(|_| Err(Failure::unanswered(self.at.to_string(), PATIENCE)))
    }

    fn unreachable(&self, error: &(dyn std::error::Error + 'static)) -> Failure {
        let why = innermost(error);
        let io = why.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        let tls = why.downcast_ref::<rustls::Error>();
        let (why, hint) = match tls.and_then(|tls| why::explain(tls, self.ways.has_certificate)) {
            Some(Why { why, hint }) => (why, Cow::Owned(hint)),
            None => (why.to_string(), Cow::Borrowed(self.guess(error, io))),
        };
        let nobody_listens = io == Some(ErrorKind::ConnectionRefused);
        Failure::Unreachable { at: self.at.to_string(), why, hint, nobody_listens }
    }

    /// What to do about an error that says little.
    fn guess(&self, error: &(dyn std::error::Error + 'static), io: Option<ErrorKind>) -> &'static str {
        let hung_up =
            matches!(io, Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof));
        let no_http = of_http(error).is_some_and(|error| error.is_parse() || error.is_incomplete_message());
        match &self.at {
            AgentAddress::Http(_) if !(hung_up || no_http) => self.hint,
            AgentAddress::Http(url) if !is_tls(url) => why::PERHAPS_TLS,
            AgentAddress::Http(_) if !self.ways.has_certificate => why::PERHAPS_WANTED,
            AgentAddress::Http(_) | AgentAddress::Unix(_) => self.hint,
        }
    }

    fn strange(&self, what: &str) -> Failure {
        Failure::Failed(format!("{} answers, but not like a partition-agent: {what}", self.at))
    }
}

fn authorization(token: &Token) -> Answer<HeaderValue> {
    let value = HeaderValue::try_from(token.authorization());
    let mut value = value.map_err(|error| Failure::Failed(error.to_string()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Tells of the caller's own ssh connection. Behind a pipe, sshd knows no addresses and says so in a form of its own.
fn keep(request: Builder) -> Builder {
    match std::env::var("SSH_CONNECTION").ok().filter(|ssh| Connection::from_ssh(ssh).is_some()) {
        Some(connection) => request.header(KEEP_HEADER, connection),
        None => request,
    }
}

/// The end of a path: at which instant, or now.
fn at(boot_ns: Option<u64>) -> String {
    boot_ns.map(|nanos| format!("?at_boot_ns={nanos}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_refused() {
        assert_eq!("unix:/run/x".parse(), Ok(AgentAddress::Unix("/run/x".into())));
        assert_eq!("http://[::1]:7433/".parse(), Ok(AgentAddress::Http("http://[::1]:7433".into())));
        assert_eq!("https://web-1:7433".parse(), Ok(AgentAddress::Http("https://web-1:7433".into())));
        for text in ["", "unix:", "http:", "http://", "https://", "ftp://x", "/run/x"] {
            assert!(text.parse::<AgentAddress>().is_err(), "{text}");
        }
    }
}
