//! Who is believed over TLS, and as whom this command appears.

pub mod why;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use partition_agent_core::client_tls::client_config;
use partition_agent_core::secret::Reader;
use serde::{Deserialize, Serialize};
use tokio_rustls::rustls::ClientConfig;

/// Where distributions keep the authorities that a system trusts: Debian and Alpine, Fedora and RHEL, SUSE.
const BUNDLES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];

/// Files of PEM. In a fleet file they are `[tls]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args, Deserialize, Serialize, utoipa::ToSchema)]
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
    #[schema(value_type = String, required = false)]
    pub ca: Option<PathBuf>,
    /// File with the certificate to show to agents; with `serve`, that of this one
    #[arg(
        long = "tls-cert",
        global = true,
        env = "PARTITION_AGENT_TLS_CERT",
        value_name = "FILE",
        help_heading = "TLS"
    )]
    #[schema(value_type = String, required = false)]
    pub cert: Option<PathBuf>,
    /// File with the key of that certificate
    #[arg(
        long = "tls-key",
        global = true,
        env = "PARTITION_AGENT_TLS_KEY",
        value_name = "FILE",
        help_heading = "TLS"
    )]
    #[schema(value_type = String, required = false)]
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
        let shows = match (&self.cert, &self.key) {
            (None, None) => None,
            (Some(cert), Some(key)) => Some((cert.as_path(), key.as_path())),
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
        config(self.ca.as_deref(), shows)
    }
}

/// Of a client that shows no certificate, and believes what these authorities vouch for; without a file, those of the system.
pub fn trusting(file: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    config(file, None)
}

fn config(authorities: Option<&Path>, shows: Option<(&Path, &Path)>) -> Result<Arc<ClientConfig>, String> {
    let authorities = authorities.map_or_else(system_authorities, |named| Ok(named.to_owned()))?;
    client_config(&authorities, shows, Reader::Command).map_err(|error| error.to_string())
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
