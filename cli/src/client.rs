//! The API, one method for each route: the only file with paths in it.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use partition_agent_core::token::Token;
use partition_agent_proto::{
    Change, Connection, DEFAULT_SOCKET, FaultId, FaultSpec, FaultStatus, History, Info, KEEP_HEADER, Problem,
    Span,
};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Method, RequestBuilder};
use serde::de::DeserializeOwned;

use crate::exit::Failure;

/// A fault on thousands of names can take a while to resolve; nothing else does.
const PATIENCE: Duration = Duration::from_secs(60);

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

pub struct Client {
    http: reqwest::Client,
    base: String,
    at: AgentAddress,
}

type Answer<T> = Result<T, Failure>;

impl Client {
    /// With the token, wherever it is.
    pub fn new(at: AgentAddress, token: Option<&Token>) -> Answer<Self> {
        let failed = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
        let mut headers = HeaderMap::new();
        if let Some(token) = token {
            let mut value = HeaderValue::try_from(token.authorization()).map_err(|error| failed(&error))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        // An agent is asked directly: a proxy would be one more thing that a fault can cut. And it sends nobody elsewhere.
        let builder = reqwest::Client::builder().timeout(PATIENCE).no_proxy().redirect(Policy::none());
        let builder = builder.default_headers(headers);
        let (builder, base) = match &at {
            AgentAddress::Unix(path) => (builder.unix_socket(path.clone()), "http://localhost".to_owned()),
            AgentAddress::Http(url) => (builder, url.clone()),
        };
        let http = builder.build().map_err(|error| failed(&error))?;
        Ok(Self { http, base, at })
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
        // Behind a pipe, sshd knows no addresses and says so in a form of its own.
        let ssh = std::env::var("SSH_CONNECTION").ok().filter(|ssh| Connection::from_ssh(ssh).is_some());
        let request = match ssh {
            Some(connection) => request.header(KEEP_HEADER, connection),
            None => request,
        };
        self.send(request.json(spec)).await
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

    pub async fn restore(&self, id: &FaultId) -> Answer<FaultStatus> {
        self.send(self.request(Method::DELETE, &format!("/v1/faults/{id}"))).await
    }

    pub async fn restore_all(&self) -> Answer<Vec<FaultStatus>> {
        self.send(self.request(Method::DELETE, "/v1/faults")).await
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
        let mut why: &dyn std::error::Error = error;
        while let Some(source) = why.source() {
            why = source;
        }
        Failure::Unreachable {
            at: self.at.to_string(),
            why: why.to_string(),
            hint: "start one (`systemctl start partition-agent`, or `partition-agent serve` as root), or name another \
                   with --agent",
        }
    }

    fn strange(&self, what: &str) -> Failure {
        Failure::Failed(format!("{} answers, but not like a partition-agent: {what}", self.at))
    }
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
