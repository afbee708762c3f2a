//! TLS on the TCP port: the agent's certificate, and those of its callers.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use partition_agent_proto::Problem;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;
use utoipa::ToSchema;

use super::Holder;
use super::certificate::host_names;
use crate::secret::{self, Reader, SecretError};

/// `[tls]`: files in PEM.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The agent's certificate, with those between it and the root, its own first.
    #[schema(value_type = String)]
    pub cert: PathBuf,
    /// Its key, which not every user of the host may read.
    #[schema(value_type = String)]
    pub key: PathBuf,
    /// Whoever has a certificate of one of these authorities is let in; without it, certificates let nobody in.
    #[schema(value_type = String, required = false)]
    pub client_ca: Option<PathBuf>,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error(transparent)]
    File(#[from] SecretError),
    #[error("the certificate {} does not fit its key or cannot be used: {source}", path.display())]
    Unfit { path: PathBuf, source: rustls::Error },
    #[error("the certificates in {} do not make an authority: {source}", path.display())]
    Authority { path: PathBuf, source: VerifierBuilderError },
}

/// Makes TLS of a connection.
#[derive(Clone)]
pub struct Handshakes {
    acceptor: TlsAcceptor,
    /// What the agent's own certificate calls it.
    pub host_names: Vec<String>,
}

impl std::fmt::Debug for Handshakes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handshakes")
    }
}

impl Handshakes {
    /// Whoever comes without a certificate gets past the handshake only if there is another way to be let in.
    ///
    /// # Errors
    /// A file that cannot be used.
    pub fn of(files: &TlsFiles, other_ways: bool) -> Result<Self, TlsError> {
        let chain = secret::certificates(&files.cert, Reader::Agent)?;
        let names = chain.first().map(|own| host_names(own)).unwrap_or_default();
        let key = secret::private_key(&files.key, Reader::Agent)?;
        let provider = Arc::new(ring::default_provider());
        let unfit = |source| TlsError::Unfit { path: files.cert.clone(), source };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        // Every client of this agent has 1.3.
        let builder = builder.with_protocol_versions(&[&TLS13]).map_err(unfit)?;
        let builder = match &files.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for root in secret::certificates(path, Reader::Agent)? {
                    roots.add(root).map_err(|source| TlsError::Unfit { path: path.clone(), source })?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier = if other_ways { verifier.allow_unauthenticated() } else { verifier };
                let wrong = |source| TlsError::Authority { path: path.clone(), source };
                builder.with_client_cert_verifier(verifier.build().map_err(wrong)?)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(unfit)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A session that is taken up again is not verified again: it would outlive its certificate.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), host_names: names })
    }

    /// The connection, and whose certificate came with it.
    ///
    /// # Errors
    /// Whoever is at the other end does not speak TLS 1.3, or has a certificate that is not to be believed.
    pub async fn shake(
        &self,
        stream: TcpStream,
    ) -> io::Result<(TlsStream<TcpStream>, Option<Result<Holder, Problem>>)> {
        let stream = self.acceptor.accept(stream).await?;
        let chain = stream.get_ref().1.peer_certificates();
        let holder = chain.and_then(<[_]>::first).map(|certificate| Holder::of(certificate));
        Ok((stream, holder))
    }
}
