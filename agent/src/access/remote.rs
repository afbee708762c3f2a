//! Who is let in over TCP.

use std::net::SocketAddr;
use std::path::PathBuf;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use partition_agent_proto::{Problem, ProblemCode, Role};

use super::site::is_host_name;
use super::{Caller, Handshakes, Holder, Hosts, TlsError, Tokens, TokensError, Who};
use crate::config::Config;

/// Why the agent does not listen on TCP.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    #[error(
        "refusing to listen on {0}: whoever reaches that port could cut this host off, so callers must have a token or a \
         certificate. Name a file with a token (`openssl rand -hex 32` makes one) as `token_file`, under [[tokens]] or with \
         --token-file, or an authority as `client_ca` under [tls]; or use the unix socket. On loopback --insecure-loopback \
         lets every program of this host in, without either"
    )]
    NoProof(SocketAddr),
    #[error(
        "refusing to listen on {0} without a token or a certificate: `insecure_loopback` is for addresses of loopback, and \
         this is none"
    )]
    Insecure(SocketAddr),
    #[error("`{}` under `hosts` is no host name: write the name alone, without a scheme, a port or a `*`", .0.escape_debug())]
    Host(String),
    #[error(transparent)]
    Tokens(#[from] TokensError),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Whoever is at the other end of a TCP connection.
#[derive(Debug, Clone)]
pub struct Visitor {
    pub from: SocketAddr,
    /// The holder of its certificate, where it has one; or why that says nothing.
    pub holder: Option<Result<Holder, Problem>>,
}

/// Whoever is known, and whether they may ask from where they are.
#[derive(Debug, Clone)]
pub struct Known {
    pub caller: Caller,
    pub here: Result<(), Problem>,
}

/// Those who may use the API over TCP, and how.
#[derive(Debug, Clone)]
pub struct Remotes {
    tokens: Tokens,
    pub handshakes: Option<Handshakes>,
    pub hosts: Hosts,
    /// Certificates let callers in.
    certificates: bool,
    /// On loopback, with nothing.
    anybody: bool,
    /// The most connections at once.
    pub most: usize,
}

impl Remotes {
    /// Whether the agent may listen as this says; looks at no file.
    ///
    /// # Errors
    /// There is nothing that callers must have.
    pub fn check(config: &Config) -> Result<(), AccessError> {
        if let Some(wrong) = config.hosts.iter().find(|name| !is_host_name(name)) {
            return Err(AccessError::Host(wrong.clone()));
        }
        let Some(at) = config.listen else { return Ok(()) };
        let is_loopback = at.ip().to_canonical().is_loopback();
        match (has_proof(config), config.insecure_loopback) {
            (true, _) => Ok(()),
            (false, true) if is_loopback => Ok(()),
            (false, true) => Err(AccessError::Insecure(at)),
            (false, false) => Err(AccessError::NoProof(at)),
        }
    }

    /// Reads tokens, keys and certificates: once, so others take a restart.
    ///
    /// # Errors
    /// A file that cannot be used, or nothing that callers must have.
    pub fn of(config: &Config) -> Result<Self, AccessError> {
        Self::check(config)?;
        let tokens = Tokens::read(config.token_file.as_deref(), &config.tokens)?;
        let handshakes =
            config.tls.as_ref().map(|files| Handshakes::of(files, !tokens.is_empty())).transpose()?;
        let own =
            nix::sys::utsname::uname().ok().and_then(|name| name.nodename().to_str().map(str::to_owned));
        let certified = handshakes.iter().flat_map(|handshakes| handshakes.host_names.clone());
        let hosts = Hosts::new(own.into_iter().chain(config.hosts.clone()).chain(certified));
        Ok(Self {
            tokens,
            handshakes,
            hosts,
            certificates: authority(config).is_some(),
            anybody: config.insecure_loopback && !has_proof(config),
            most: config.most_connections,
        })
    }

    /// A token that is sent counts, and else the certificate.
    ///
    /// # Errors
    /// Whoever asks has neither. Says nothing about what there is to ask for.
    pub fn admit(&self, visitor: &Visitor, headers: &HeaderMap) -> Result<Known, Problem> {
        let from = visitor.from;
        let mut sent = headers.get_all(AUTHORIZATION).iter();
        let token = sent.next().filter(|_| !self.tokens.is_empty());
        let known = |who, role| Known { caller: Caller { who, role }, here: Ok(()) };
        let unknown = |detail: &str| Problem::new(ProblemCode::Unauthorized, detail).hint(self.hint());
        if sent.next().is_some() {
            return Err(unknown("the request has more than one Authorization"));
        }
        if let Some(token) = token {
            let allows = self.tokens.find(token.as_bytes(), from.ip());
            let allows =
                allows.ok_or_else(|| unknown("the token of the request is not that of this agent"))?;
            let mut known = known(Who::Token { name: allows.name.to_owned(), from }, allows.role);
            if !allows.here {
                let detail = format!("the token {} is not to be used from {}", allows.name, from.ip());
                let hint = "ask from a host of the networks that `from` has under [[tokens]] of the agent's configuration";
                known.here = Err(Problem::new(ProblemCode::Forbidden, detail).hint(hint));
            }
            return Ok(known);
        }
        match &visitor.holder {
            Some(Ok(Holder { name, role })) => {
                Ok(known(Who::Certificate { name: name.clone(), from }, *role))
            }
            Some(Err(problem)) => Err(problem.clone()),
            None if self.anybody => Ok(known(Who::Anybody(from), Role::Admin)),
            None if self.tokens.is_empty() => Err(unknown("the request came without a certificate")),
            None => Err(unknown("the request has no token")),
        }
    }

    fn hint(&self) -> &'static str {
        match (self.tokens.is_empty(), self.certificates) {
            (false, false) => {
                "with --token-file FILE the command line sends one: it has to be in the file that `token_file` of the agent's \
                 configuration names, or in one under [[tokens]]"
            }
            (false, true) => {
                "with --token-file FILE the command line sends a token: it has to be in a file that `token_file` of the agent's \
                 configuration names, or [[tokens]]; or have a certificate of the authority that `client_ca` under [tls] names"
            }
            (true, _) => {
                "have a certificate of the authority that `client_ca` under [tls] of the agent's configuration names"
            }
        }
    }
}

fn authority(config: &Config) -> Option<&PathBuf> {
    config.tls.as_ref().and_then(|tls| tls.client_ca.as_ref())
}

fn has_proof(config: &Config) -> bool {
    config.token_file.is_some() || !config.tokens.is_empty() || authority(config).is_some()
}
