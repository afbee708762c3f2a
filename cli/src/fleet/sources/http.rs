//! One GET, by HTTP or HTTPS. Asked directly, as agents are: no proxy, no redirect.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, HOST, LOCATION, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use url::{Host, Position, Url};

use super::PATIENCE;
use super::bounded::{LONGEST, too_long};

/// Where distributions keep the authorities that a system trusts: Debian and Alpine, Fedora and RHEL, SUSE.
const BUNDLES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];

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
        let host = match self.url.host().ok_or("a URL without a host")? {
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        let port = self.url.port_or_known_default().ok_or("a URL without a port")?;
        let tcp =
            TcpStream::connect((host.as_str(), port)).await.map_err(|error| format!("no answer: {error}"))?;
        if self.url.scheme() == "http" {
            return self.over(tcp).await;
        }
        let name = ServerName::try_from(host).map_err(|error| error.to_string())?;
        let tls = TlsConnector::from(Arc::new(self.tls()?));
        self.over(tls.connect(name, tcp).await.map_err(|error| format!("no TLS with it: {error}"))?).await
    }

    async fn over(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<String, String> {
        let failed = |error: hyper::Error| format!("no answer of HTTP: {}", innermost(&error));
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
        let (mut sender, connection) = handshake.await.map_err(failed)?;
        // Ends when both ends are done; what goes wrong, the request is told too.
        let connection = tokio::spawn(async move { drop(connection.await) });
        let authority = &self.url[Position::BeforeHost..Position::AfterPort];
        let target = &self.url[Position::BeforePath..Position::AfterQuery];
        let mut request = Request::get(target)
            .header(HOST, authority)
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, concat!("partition-agent/", env!("CARGO_PKG_VERSION")));
        for (name, value) in self.headers {
            request = request.header(*name, value);
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
        let response = sender.send_request(request).await.map_err(failed)?;
        let text = body(response).await;
        connection.abort();
        text
    }

    fn tls(&self) -> Result<ClientConfig, String> {
        let path = match self.authorities {
            Some(path) => path.to_owned(),
            None => system_authorities()?,
        };
        let unusable = |why: String| format!("the certificates in {}: {why}", path.display());
        let certificates = CertificateDer::pem_file_iter(&path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| unusable(error.to_string()))?;
        let mut roots = RootCertStore::empty();
        // The system's bundle may hold some that are too old to be understood.
        if roots.add_parsable_certificates(certificates).0 == 0 {
            return Err(unusable("there is none".to_owned()));
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        Ok(config.with_root_certificates(roots).with_no_client_auth())
    }
}

async fn body(response: Response<hyper::body::Incoming>) -> Result<String, String> {
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

fn system_authorities() -> Result<PathBuf, String> {
    if let Some(named) = std::env::var_os("SSL_CERT_FILE") {
        return Ok(named.into());
    }
    let there = BUNDLES.iter().map(Path::new).find(|path| path.exists());
    there.map(Path::to_owned).ok_or_else(|| {
        "this system has no certificate authorities: install ca-certificates, or name a file of them in SSL_CERT_FILE"
            .to_owned()
    })
}

/// The innermost error is the one that says why.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut why = error;
    while let Some(source) = why.source() {
        why = source;
    }
    why.to_string()
}
