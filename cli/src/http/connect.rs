//! How a connection opens.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::rustls::ClientConfig;
use tower_service::Service;

use super::once::secure;
use super::resolve::Resolver;

pub type Failed = Box<dyn std::error::Error + Send + Sync>;

/// What bytes go over.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Connection for Box<dyn Stream> {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

#[derive(Clone)]
pub enum Connector {
    Hosts { tcp: HttpConnector<Resolver>, tls: Option<Arc<ClientConfig>>, patience: Duration },
    Socket(PathBuf),
}

impl Connector {
    /// With so much time until it is open, TLS included.
    pub fn to_hosts(tls: Option<Arc<ClientConfig>>, patience: Duration) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(Resolver::new());
        // TLS comes on top of it.
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        Self::Hosts { tcp, tls, patience }
    }

    pub fn to_socket(path: PathBuf) -> Self {
        Self::Socket(path)
    }

    async fn open(self, to: Uri) -> Result<Box<dyn Stream>, Failed> {
        match self {
            Self::Socket(path) => Ok(Box::new(UnixStream::connect(path).await?)),
            Self::Hosts { tcp, tls, patience } => {
                let opened = tokio::time::timeout(patience, open(tcp, tls, to)).await;
                opened.unwrap_or_else(|_| {
                    let why = format!("no connection within {patience:?}");
                    Err(io::Error::new(io::ErrorKind::TimedOut, why).into())
                })
            }
        }
    }
}

async fn open(
    mut tcp: HttpConnector<Resolver>,
    tls: Option<Arc<ClientConfig>>,
    to: Uri,
) -> Result<Box<dyn Stream>, Failed> {
    let is_plain = to.scheme_str() == Some("http");
    let host = to.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let stream: TcpStream = tcp.call(to).await?.into_inner();
    if is_plain {
        return Ok(Box::new(stream));
    }
    let tls = tls.ok_or("there is no authority to trust, and so no TLS")?;
    secure(stream, tls, &host).await
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Box<dyn Stream>>;
    type Error = Failed;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.open(to).await.map(TokioIo::new) })
    }
}
