//! TLS on the TCP port: the agent's certificate, and those of its callers.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use partition_agent_proto::Problem;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;

use super::Holder;
use super::certificate::host_names;

/// Far above what a chain or a bundle of roots takes.
const LARGEST: u64 = 1 << 20;

/// `[tls]`: files in PEM.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The agent's certificate, with those between it and the root, its own first.
    pub cert: PathBuf,
    /// Its key, which not every user of the host may read.
    pub key: PathBuf,
    /// Whoever has a certificate of one of these authorities is let in; without it, certificates let nobody in.
    pub client_ca: Option<PathBuf>,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read {what} {}: {source}", path.display())]
    Read { what: &'static str, path: PathBuf, source: io::Error },
    #[error("{} has no {what} in PEM", path.display())]
    Nothing { what: &'static str, path: PathBuf },
    #[error("{what} {} is not PEM that can be read: {source}", path.display())]
    Pem { what: &'static str, path: PathBuf, source: rustls::pki_types::pem::Error },
    #[error(
        "every user of this host may read or write the key {path} (its mode is {mode:04o}): `chmod o= {path}`, and make a new \
         key and certificate, as this one is known by now",
        path = path.display()
    )]
    Open { path: PathBuf, mode: u32 },
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
        let chain = certificates("the certificate", &files.cert)?;
        let names = chain.first().map(|own| host_names(own)).unwrap_or_default();
        let key = key(&files.key)?;
        let provider = Arc::new(ring::default_provider());
        let unfit = |source| TlsError::Unfit { path: files.cert.clone(), source };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        // Every client of this agent has 1.3.
        let builder = builder.with_protocol_versions(&[&TLS13]).map_err(unfit)?;
        let builder = match &files.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for root in certificates("the authority", path)? {
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

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(what, path, |_| Ok(()))?;
    let all = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    let all = all.map_err(|source| TlsError::Pem { what, path: path.to_owned(), source })?;
    if all.is_empty() {
        Err(TlsError::Nothing { what: "certificate", path: path.to_owned() })
    } else {
        Ok(all)
    }
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let closed = |mode: u32| match mode & 0o006 {
        0 => Ok(()),
        _ => Err(TlsError::Open { path: path.to_owned(), mode }),
    };
    let text = read("the key", path, closed)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => {
            TlsError::Nothing { what: "private key", path: path.to_owned() }
        }
        source => TlsError::Pem { what: "the key", path: path.to_owned(), source },
    })
}

/// Of what was opened, whatever the path names by now.
fn read(
    what: &'static str,
    path: &Path,
    fits: impl FnOnce(u32) -> Result<(), TlsError>,
) -> Result<Vec<u8>, TlsError> {
    let failed = |source| TlsError::Read { what, path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    fits(file.metadata().map_err(failed)?.permissions().mode() & 0o7777)?;
    let mut text = Vec::new();
    file.take(LARGEST).read_to_end(&mut text).map_err(failed)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_every_user_may_read_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for mode in [0o644, 0o604, 0o602] {
            file.as_file().set_permissions(std::fs::Permissions::from_mode(mode)).unwrap();
            let error = key(file.path()).unwrap_err().to_string();
            assert!(error.contains(&format!("{mode:04o}")) && error.contains("chmod o="), "{error}");
        }
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(key(file.path()).unwrap_err().to_string().contains("has no private key in PEM"));
    }

    #[test]
    fn a_file_that_is_not_there_or_holds_something_else_is_named() {
        let missing = certificates("the certificate", Path::new("/nonexistent")).unwrap_err().to_string();
        assert!(missing.contains("/nonexistent") && missing.contains("No such file"), "{missing}");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hello\n").unwrap();
        let error = certificates("the certificate", file.path()).unwrap_err().to_string();
        assert!(error.contains("has no certificate in PEM"), "{error}");
    }
}
