//! HTTP over TCP, TLS and unix sockets: no proxy is asked, no redirect followed. What answers is asked directly, since a proxy would be
//! one more thing that a fault can cut.

mod connect;
pub mod once;
mod resolve;

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio_rustls::rustls::ClientConfig;

use connect::Connector;

/// A host that is up answers sooner, and TCP asks once more after a second.
const CONNECT: Duration = Duration::from_secs(3);

/// An agent closes a connection that is idle for 10 s: one that might be closing by now is not used again.
const IDLE: Duration = Duration::from_secs(5);

/// Connections, kept open for the next request. Cheap to clone: they are shared.
#[derive(Clone)]
pub struct Http(Client<Connector, Full<Bytes>>);

/// Why there is no answer.
pub type NoAnswer = hyper_util::client::legacy::Error;

impl Http {
    /// To hosts, over TLS where the URL says so.
    pub fn to_hosts(tls: Option<Arc<ClientConfig>>) -> Self {
        Self::by(Connector::to_hosts(tls, CONNECT))
    }

    /// To a socket, whatever host the URL has.
    pub fn to_socket(path: PathBuf) -> Self {
        Self::by(Connector::to_socket(path))
    }

    fn by(connector: Connector) -> Self {
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_idle_timeout(IDLE).pool_timer(TokioTimer::new());
        Self(builder.build(connector))
    }

    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, NoAnswer> {
        self.0.request(request).await
    }
}

/// The innermost error is the one that says why.
pub fn innermost<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut why = error;
    while let Some(source) = inner(why) {
        why = source;
    }
    why
}

/// An error of the operating system's kind carries another one without calling it its source.
fn inner<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(carried) => Some(carried),
        None => error.source(),
    }
}

/// Where an exchange went wrong, rather than the way to it.
pub fn of_http<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a hyper::Error> {
    let mut error = Some(error);
    while let Some(outer) = error {
        if let Some(http) = outer.downcast_ref() {
            return Some(http);
        }
        error = inner(outer);
    }
    None
}
