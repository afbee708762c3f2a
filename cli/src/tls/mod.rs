//! Who is believed over TLS, and as whom this command appears.

pub mod why;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use partition_agent_core::secret::{self, Reader};
use serde::{Deserialize, Serialize};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};

/// Where distributions keep the authorities that a system trusts: Debian and Alpine, Fedora and RHEL, SUSE.
const BUNDLES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];

/// Files of PEM. In a fleet file they are `[tls]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// File with the authorities that agents' certificates are from; with `serve`, those of its callers
    #[arg(
        long = "tls-ca",
        global = true,
        env = "PARTITION_AGENT_TLS_CA",
        value_name = "FILE",
        help_heading = "TLS"
    )]
    pub ca: Option<PathBuf>,
    /// File with the certificate to show to agents; with `serve`, that of this one
    #[arg(
        long = "tls-cert",
        global = true,
        env = "PARTITION_AGENT_TLS_CERT",
        value_name = "FILE",
        help_heading = "TLS"
    )]
    pub cert: Option<PathBuf>,
    /// File with the key of that certificate
    #[arg(
        long = "tls-key",
        global = true,
        env = "PARTITION_AGENT_TLS_KEY",
        value_name = "FILE",
        help_heading = "TLS"
    )]
    pub key: Option<PathBuf>,
}

impl TlsFiles {
    /// Whether somebody wants TLS.
    pub fn is_named(&self) -> bool {
        self.ca.is_some() || self.cert.is_some() || self.key.is_some()
    }

    /// These, and what is not named here from there. A certificate and its key stay together.
    pub fn or(self, other: Self) -> Self {
        let Self { ca, cert, key } = self;
        let ca = ca.or(other.ca);
        if cert.is_some() || key.is_some() {
            Self { ca, cert, key }
        } else {
            Self { ca, cert: other.cert, key: other.key }
        }
    }

    /// With relative paths taken from there.
    pub fn beside(self, directory: &Path) -> Self {
        let there = |path: Option<PathBuf>| path.map(|path| directory.join(path));
        Self { ca: there(self.ca), cert: there(self.cert), key: there(self.key) }
    }

    /// For every connection of a command: sessions are remembered in it.
    ///
    /// # Errors
    /// What is wrong with which file, and what to do.
    pub fn config(&self) -> Result<Arc<ClientConfig>, String> {
        let builder = builder()?.with_root_certificates(authorities(self.ca.as_deref())?);
        let (cert, key) = match (&self.cert, &self.key) {
            (None, None) => return Ok(Arc::new(builder.with_no_client_auth())),
            (Some(cert), Some(key)) => (cert, key),
            (Some(cert), None) => {
                return Err(format!(
                    "the certificate {} is of no use without its key: name that with --tls-key, or as `key` under [tls] of \
                     the fleet file",
                    cert.display()
                ));
            }
            (None, Some(key)) => {
                return Err(format!(
                    "the key {} is of no use without its certificate: name that with --tls-cert, or as `cert` under [tls] \
                     of the fleet file",
                    key.display()
                ));
            }
        };
        let told = |error: secret::SecretError| error.to_string();
        let chain = secret::certificates(cert, Reader::Command).map_err(told)?;
        let private = secret::private_key(key, Reader::Command).map_err(told)?;
        let config = builder.with_client_auth_cert(chain, private);
        let config = config.map_err(|error| {
            format!("{} is not the key of the certificate {}: {error}", key.display(), cert.display())
        })?;
        Ok(Arc::new(config))
    }
}

/// Of a client that shows no certificate, and believes what these authorities vouch for; without a file, those of the system.
pub fn trusting(file: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    Ok(Arc::new(builder()?.with_root_certificates(authorities(file)?).with_no_client_auth()))
}

/// With its own cryptography: none is installed for the process.
fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())
}

fn authorities(file: Option<&Path>) -> Result<RootCertStore, String> {
    let path = match file {
        Some(path) => path.to_owned(),
        None => system_authorities()?,
    };
    let certificates = secret::certificates(&path, Reader::Command).map_err(|error| error.to_string())?;
    let mut roots = RootCertStore::empty();
    // The system's bundle may hold some that are too old to be understood.
    if roots.add_parsable_certificates(certificates).0 == 0 {
        return Err(format!(
            "the certificates in {}: there is none that can be an authority",
            path.display()
        ));
    }
    Ok(roots)
}

fn system_authorities() -> Result<PathBuf, String> {
    if let Some(named) = std::env::var_os("SSL_CERT_FILE") {
        return Ok(named.into());
    }
    let there = BUNDLES.iter().map(Path::new).find(|path| path.exists());
    there.map(Path::to_owned).ok_or_else(|| {
        "this system has no certificate authorities: install ca-certificates, or name a file of them in SSL_CERT_FILE; those \
         of agents, with --tls-ca"
            .to_owned()
    })
}

#[cfg(test)]
mod tests;
