//! The listeners, and who is at the other end.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::serve::IncomingStream;
use partition_agent_proto::{Connection, Problem, ProblemCode};
use tokio::net::{TcpListener, UnixListener};

use super::audit::record;
use super::error::Refused;
use super::{Agent, app};
use crate::token::Token;

/// Who asks, as the kernel tells it.
#[derive(Debug, Clone)]
pub enum Caller {
    /// Over the unix socket: user and process.
    Local { uid: u32, pid: Option<i32> },
    /// Over TCP.
    Remote(SocketAddr),
    /// The kernel did not say.
    Unknown,
}

impl Caller {
    /// The connection that the question came over, where it is one that a fault could cut.
    pub fn connection(&self, port: Option<u16>) -> Option<Connection> {
        match (self, port) {
            (Self::Remote(peer), Some(local_port)) => {
                let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                Some(Connection { peer, local_port })
            }
            (Self::Remote(_), None) | (Self::Local { .. } | Self::Unknown, _) => None,
        }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local { uid, pid: Some(pid) } => write!(f, "uid {uid} (pid {pid})"),
            Self::Local { uid, pid: None } => write!(f, "uid {uid}"),
            Self::Remote(address) => address.fmt(f),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

impl Connected<IncomingStream<'_, UnixListener>> for Caller {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        match stream.io().peer_cred() {
            Ok(peer) => Self::Local { uid: peer.uid(), pid: peer.pid() },
            Err(_) => Self::Unknown,
        }
    }
}

impl Connected<IncomingStream<'_, TcpListener>> for Caller {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        Self::Remote(*stream.remote_addr())
    }
}

/// Serves for as long as the process lives.
pub async fn serve_unix(listener: UnixListener, agent: Agent) {
    let audit = agent.keeper.audit().clone();
    let app = app(agent).layer(middleware::from_fn(identify));
    let app = app.layer(middleware::from_fn_with_state(audit, record));
    let app = app.into_make_service_with_connect_info::<Caller>();
    // `serve` only returns if it is told to.
    let _ = axum::serve(listener, app).await;
}

/// The same, over TCP; with a token, for those who have it.
pub async fn serve_tcp(listener: TcpListener, agent: Agent, token: Option<Token>) {
    let audit = agent.keeper.audit().clone();
    let app = app(agent).layer(middleware::from_fn(identify));
    // Before that: without the token nothing of a request is looked at, and nothing is told.
    let app = match token {
        Some(token) => app.layer(middleware::from_fn_with_state(Arc::new(token), admit)),
        None => app,
    };
    // The outermost, so that who is turned away is recorded, too.
    let app = app.layer(middleware::from_fn_with_state(audit, record));
    let app = app.into_make_service_with_connect_info::<Caller>();
    let _ = axum::serve(listener, app).await;
}

async fn admit(State(token): State<Arc<Token>>, request: Request, next: Next) -> Response {
    let detail = match request.headers().get(header::AUTHORIZATION) {
        Some(value) if token.is_in(value.as_bytes()) => return next.run(request).await,
        Some(_) => "the token of the request is not that of this agent",
        None => "the request has no token",
    };
    let hint = "with --token-file FILE the command line sends one: it has to be in the file that `token_file` of the agent's \
                configuration names";
    Refused(Problem::new(ProblemCode::Unauthorized, detail).hint(hint)).into_response()
}

/// Hands the caller to the handlers, and to the record.
async fn identify(ConnectInfo(caller): ConnectInfo<Caller>, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(caller.clone());
    let mut response = next.run(request).await;
    // For the record.
    response.extensions_mut().insert(caller);
    response
}
