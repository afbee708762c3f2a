//! TLS of whoever asks agents: whom they believe, and what they show.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use crate::secret::{self, Reader, SecretError};

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum ClientTlsError {
    #[error(transparent)]
    File(#[from] SecretError),
    #[error("the certificates in {}: there is none that can be an authority", .0.display())]
    NoAuthority(PathBuf),
    #[error("{} is not the key of the certificate {}: {source}", key.display(), cert.display())]
    Unfit { cert: PathBuf, key: PathBuf, source: rustls::Error },
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
}

/// For every connection of a client that believes what the authorities in a file vouch for, and shows a certificate with its key where
/// it has one: sessions are remembered in it. Its cryptography is its own: none is installed for the process.
///
/// # Errors
/// What is wrong with which file.
pub fn client_config(
    authorities: &Path,
    shows: Option<(&Path, &Path)>,
    reader: Reader,
) -> Result<Arc<ClientConfig>, ClientTlsError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?;
    let builder = builder.with_root_certificates(roots(authorities, reader)?);
    let Some((cert, key)) = shows else { return Ok(Arc::new(builder.with_no_client_auth())) };
    let (chain, private) = (secret::certificates(cert, reader)?, secret::private_key(key, reader)?);
    let unfit = |source| ClientTlsError::Unfit { cert: cert.to_owned(), key: key.to_owned(), source };
    Ok(Arc::new(builder.with_client_auth_cert(chain, private).map_err(unfit)?))
}

fn roots(path: &Path, reader: Reader) -> Result<RootCertStore, ClientTlsError> {
    let mut roots = RootCertStore::empty();
    // A system's bundle may hold some that are too old to be understood.
    if roots.add_parsable_certificates(secret::certificates(path, reader)?).0 == 0 {
        return Err(ClientTlsError::NoAuthority(path.to_owned()));
    }
    Ok(roots)
}
