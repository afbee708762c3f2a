//! The API, one method for each route: the only file with paths in it.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use partition_agent_core::token::Token;
use partition_agent_proto::{
    Change, Clock, Commit, Connection, DEFAULT_SOCKET, FaultId, FaultSpec, FaultStatus, Heard, History, Info,
    KEEP_HEADER, Problem, Reach, ReachRequest, Span,
};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Method, RequestBuilder};
use serde::de::DeserializeOwned;

use crate::exit::Failure;

/// A fault on thousands of names can take a while to resolve; nothing else does.
const PATIENCE: Duration = Duration::from_secs(60);

/// A host that is up answers sooner, and TCP asks once more after a second.
const CONNECT: Duration = Duration::from_secs(3);

/// An agent closes a connection that is idle for 10 s: one that might be closing by now is not used again.
const IDLE: Duration = Duration::from_secs(5);

/// Where an agent listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentAddress {
    Unix(PathBuf),
    Http(String),
}

impl FromStr for AgentAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("unix", path)) if !path.is_empty() => Ok(Self::Unix(PathBuf::from(path))),
            Some(("http", rest)) if rest.len() > 2 && rest.starts_with("//") => {
                Ok(Self::Http(text.trim_end_matches('/').to_owned()))
            }
            Some(_) | None => {
                Err(format!("`{text}` is no agent's address: write unix:PATH or http://HOST:PORT"))
            }
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
}

impl Access {
    /// Whether somebody chose the agent.
    pub fn is_named(&self) -> bool {
        self.agent.is_some()
    }

    /// For agents on TCP: over a unix socket the kernel says who asks.
    pub fn token(&self) -> Answer<Option<Token>> {
        let token = self.token_file.as_deref().map(Token::read).transpose();
        token.map_err(|error| Failure::Failed(error.to_string()))
    }

    pub fn client(&self) -> Answer<Client> {
        let at = self.agent.clone().unwrap_or_default();
        let token = match &at {
            AgentAddress::Unix(_) => None,
            AgentAddress::Http(_) => self.token()?,
        };
        Client::new(at, token.as_ref())
    }
}

/// Cheap to clone: the connections are shared.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    at: AgentAddress,
    /// What to do where nobody answers.
    hint: &'static str,
}

type Answer<T> = Result<T, Failure>;

impl Client {
    /// With the token, wherever it is.
    pub fn new(at: AgentAddress, token: Option<&Token>) -> Answer<Self> {
        let builder = builder(token)?;
        let (builder, base) = match &at {
            AgentAddress::Unix(path) => (builder.unix_socket(path.clone()), "http://localhost".to_owned()),
            AgentAddress::Http(url) => (builder, url.clone()),
        };
        let http = builder.build().map_err(|error| Failure::Failed(error.to_string()))?;
        let hint = "start one (`systemctl start partition-agent`, or `partition-agent serve` as root), or name another \
                    with --agent";
        Ok(Self { http, base, at, hint })
    }

    /// Connections that many agents are asked over, all with the same token.
    pub fn shared(token: Option<&Token>) -> Answer<reqwest::Client> {
        builder(token)?.build().map_err(|error| Failure::Failed(error.to_string()))
    }

    /// Of one agent among many, over connections that are shared with the others.
    pub fn of(http: &reqwest::Client, url: String) -> Self {
        let http = http.clone();
        let hint = "is the host up, and does its agent listen there?";
        Self { http, base: url.clone(), at: AgentAddress::Http(url), hint }
    }

    /// Where the agent is.
    pub fn address(&self) -> String {
        self.at.to_string()
    }

    /// Whether there is an agent at all.
    pub async fn answers(&self) -> bool {
        self.request(Method::GET, "/healthz").send().await.is_ok()
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
        self.send(keep(request).json(spec)).await
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
        self.send(keep(self.request(Method::PUT, &path)).json(spec)).await
    }

    /// To an instant of the agent's own boot clock, in nanoseconds.
    pub async fn commit(&self, id: &FaultId, at_boot_ns: u64, attempt: u64) -> Answer<FaultStatus> {
        let commit = Commit { at_boot_ns, attempt: Some(attempt) };
        self.send(self.request(Method::POST, &format!("/v1/faults/{id}/commit")).json(&commit)).await
    }

    /// Whom this agent reaches.
    pub async fn reach(&self, request: &ReachRequest) -> Answer<Vec<Reach>> {
        self.send(self.request(Method::POST, "/v1/reach").json(request)).await
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

    pub async fn change(&self, id: &FaultId, duration: Span) -> Answer<FaultStatus> {
        self.send(self.request(Method::PATCH, &format!("/v1/faults/{id}")).json(&Change { duration })).await
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

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Answer<T> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let ok = response.status().is_success();
        let status = response.status();
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        if ok {
            return serde_json::from_slice(&body).map_err(|error| self.strange(&error.to_string()));
        }
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Err(problem.into()),
            Err(_) => Err(self.strange(&status.to_string())),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        // The innermost error is the one that says why.
        let mut why: &(dyn std::error::Error + 'static) = error;
        while let Some(source) = why.source() {
            why = source;
        }
        let refused = |error: &std::io::Error| error.kind() == std::io::ErrorKind::ConnectionRefused;
        let nobody_listens = why.downcast_ref::<std::io::Error>().is_some_and(refused);
        Failure::Unreachable {
            at: self.at.to_string(),
            why: why.to_string(),
            hint: self.hint,
            nobody_listens,
        }
    }

    fn strange(&self, what: &str) -> Failure {
        Failure::Failed(format!("{} answers, but not like a partition-agent: {what}", self.at))
    }
}

/// Of a client that sends the token, wherever it is.
fn builder(token: Option<&Token>) -> Answer<reqwest::ClientBuilder> {
    let mut headers = HeaderMap::new();
    if let Some(token) = token {
        let value = HeaderValue::try_from(token.authorization());
        let mut value = value.map_err(|error| Failure::Failed(error.to_string()))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    // An agent is asked directly: a proxy would be one more thing that a fault can cut. And it sends nobody elsewhere.
    let builder = reqwest::Client::builder().timeout(PATIENCE).no_proxy().redirect(Policy::none());
    let builder = builder.connect_timeout(CONNECT).pool_idle_timeout(IDLE);
    Ok(builder.default_headers(headers))
}

/// Tells of the caller's own ssh connection. Behind a pipe, sshd knows no addresses and says so in a form of its own.
fn keep(request: RequestBuilder) -> RequestBuilder {
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
        for text in ["", "unix:", "http:", "http://", "ftp://x", "/run/x"] {
            assert!(text.parse::<AgentAddress>().is_err(), "{text}");
        }
    }
}
