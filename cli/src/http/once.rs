//! One request on a connection of its own: an open one says nothing of new ones.

use std::sync::Arc;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use super::connect::{Failed, Stream};

/// TLS to this host on a connection that is open.
pub async fn secure(
    stream: impl Stream + 'static,
    tls: Arc<ClientConfig>,
    host: &str,
) -> Result<Box<dyn Stream>, Failed> {
    let name = ServerName::try_from(host.to_owned())?;
    Ok(Box::new(TlsConnector::from(tls).connect(name, stream).await?))
}

/// What `read` makes of the answer. Its body is there for as long as that takes, and then the connection is closed.
pub async fn exchange<T>(
    stream: Box<dyn Stream>,
    request: Request<Full<Bytes>>,
    read: impl AsyncFnOnce(Response<Incoming>) -> T,
) -> Result<T, hyper::Error> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let talk = async {
        let answer = sender.send_request(request).await?;
        Ok(read(answer).await)
    };
    let mut talk = std::pin::pin!(talk);
    tokio::select! {
        told = &mut talk => return told,
        // An error of it is told to whoever waits for the answer. At its end, the answer may still be read.
        _ = connection => {}
    }
    talk.await
}
