//! Files that say who is let in, and as whom: tokens, keys, certificates.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::trust::{self, Distrust};

/// Who reads a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// A command. Whoever types it answers for the files that they name; one of them may be a pipe.
    Command,
    /// The agent. Whoever could write the file would let callers in, so nobody else may.
    Agent,
}

/// What a file is to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    Token,
    Key,
    Certificates,
}

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("cannot read {holds} {}: {source}", path.display())]
    Read { holds: Holds, path: PathBuf, source: io::Error },
    #[error("refusing {holds} {}: {distrust}", path.display())]
    Distrust { holds: Holds, path: PathBuf, distrust: Distrust },
    #[error(
        "every user of this host may read or write {holds} {path} (its mode is {mode:04o}): `chmod o= {path}`, and {anew}, since \
         this one is known by now",
        path = path.display(), anew = holds.anew()
    )]
    Open { holds: Holds, path: PathBuf, mode: u32 },
    #[error("{holds} {} has more than {most} bytes, which is more than any such file takes", path.display())]
    Long { holds: Holds, path: PathBuf, most: usize },
    #[error("{holds} {}: there is none; a file of them begins with {}", path.display(), holds.beginning())]
    Nothing { holds: Holds, path: PathBuf },
    #[error("{holds} {} cannot be read as PEM: {source}", path.display())]
    Pem { holds: Holds, path: PathBuf, source: pem::Error },
}

impl fmt::Display for Holds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token => "the token file",
            Self::Key => "the key",
            Self::Certificates => "the certificates in",
        })
    }
}

impl Holds {
    /// In bytes.
    fn most(self) -> usize {
        match self {
            // Twice as much as a token has, for the white space around it.
            Self::Token => 2_048,
            // A bundle with every authority of the web has 0.3 MB.
            Self::Key | Self::Certificates => 4 << 20,
        }
    }

    fn is_secret(self) -> bool {
        match self {
            Self::Token | Self::Key => true,
            Self::Certificates => false,
        }
    }

    fn anew(self) -> &'static str {
        match self {
            Self::Token => "put a new token into it",
            Self::Key | Self::Certificates => "make a new key and certificate",
        }
    }

    fn beginning(self) -> &'static str {
        match self {
            Self::Token => "a token",
            Self::Key => "-----BEGIN PRIVATE KEY-----, and has no passphrase",
            Self::Certificates => "-----BEGIN CERTIFICATE-----",
        }
    }
}

/// The whole of a file. A secret that every user of the host may read or write is refused: it is known by now.
///
/// # Errors
/// [`SecretError`], never with anything of what is in the file.
pub fn read(path: &Path, holds: Holds, reader: Reader) -> Result<Vec<u8>, SecretError> {
    let failed = |source| SecretError::Read { holds, path: path.to_owned(), source };
    let opened = match reader {
        Reader::Command => File::open(path).map_err(failed),
        Reader::Agent => trust::file(path).map_err(|distrust| match distrust {
            Distrust::Look { source, .. } => failed(source),
            // Not only `chmod o-w`, then.
            Distrust::Open { path: culprit, mode } if culprit == path && holds.is_secret() => {
                SecretError::Open { holds, path: culprit, mode }
            }
            distrust => SecretError::Distrust { holds, path: path.to_owned(), distrust },
        }),
    };
    let file = opened?;
    // Of what was opened, not of what the path names by now.
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
    if holds.is_secret() && mode & 0o006 != 0 {
        return Err(SecretError::Open { holds, path: path.to_owned(), mode });
    }
    let most = holds.most();
    let mut bytes = Vec::new();
    let one_more = u64::try_from(most).map_or(u64::MAX, |most| most.saturating_add(1));
    file.take(one_more).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > most {
        return Err(SecretError::Long { holds, path: path.to_owned(), most });
    }
    Ok(bytes)
}

/// All certificates of a file in PEM, of which there is one at least.
///
/// # Errors
/// [`SecretError`].
pub fn certificates(path: &Path, reader: Reader) -> Result<Vec<CertificateDer<'static>>, SecretError> {
    let holds = Holds::Certificates;
    let text = read(path, holds, reader)?;
    let all = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    let all = all.map_err(|source| SecretError::Pem { holds, path: path.to_owned(), source })?;
    if all.is_empty() { Err(SecretError::Nothing { holds, path: path.to_owned() }) } else { Ok(all) }
}

/// The key of a file in PEM.
///
/// # Errors
/// [`SecretError`].
pub fn private_key(path: &Path, reader: Reader) -> Result<PrivateKeyDer<'static>, SecretError> {
    let holds = Holds::Key;
    PrivateKeyDer::from_pem_slice(&read(path, holds, reader)?).map_err(|error| match error {
        pem::Error::NoItemsFound => SecretError::Nothing { holds, path: path.to_owned() },
        source => SecretError::Pem { holds, path: path.to_owned(), source },
    })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::chown;

    use super::*;

    const ALL: [Holds; 3] = [Holds::Token, Holds::Key, Holds::Certificates];

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_secret_that_every_user_may_read_is_refused_whoever_reads() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for reader in [Reader::Command, Reader::Agent] {
            for (holds, mode) in [Holds::Token, Holds::Key]
                .into_iter()
                .flat_map(|holds| [0o644, 0o604, 0o602, 0o666].map(|mode| (holds, mode)))
            {
                chmod(file.path(), mode);
                let error = read(file.path(), holds, reader).unwrap_err().to_string();
                assert!(error.contains(&format!("{mode:04o}")) && error.contains("chmod o="), "{error}");
            }
            chmod(file.path(), 0o640);
            assert!(ALL.iter().all(|holds| read(file.path(), *holds, reader).is_ok()));
            chmod(file.path(), 0o644);
            assert!(read(file.path(), Holds::Certificates, reader).is_ok(), "no secret");
        }
    }

    #[test]
    fn the_agent_takes_none_that_somebody_else_could_have_written() {
        let dir = tempfile::tempdir().unwrap();
        let [inner, at, fifo] = ["inner", "inner/file", "fifo"].map(|name| dir.path().join(name));
        fs::create_dir(&inner).unwrap();
        fs::write(&at, "x").unwrap();
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let told = |path: &Path, holds| read(path, holds, Reader::Agent).unwrap_err().to_string();
        for holds in ALL {
            chmod(&at, 0o600);
            chmod(&inner, 0o777);
            let error = told(&at, holds);
            assert!(error.contains("inner (its mode is 0777)"), "{error}");
            assert!(read(&at, holds, Reader::Command).is_ok());
            chmod(&inner, 0o755);
            assert!(read(&at, holds, Reader::Agent).is_ok());
            // It would wait for whoever writes.
            assert!(told(&fifo, holds).contains("fifo is no regular file"));
        }
        chmod(&at, 0o646);
        let error = told(&at, Holds::Certificates);
        assert!(
            error.contains("every user of this host may write") && error.contains("chmod o-w"),
            "{error}"
        );
        if !nix::unistd::geteuid().is_root() {
            println!("skipped in part: root gives files away");
            return;
        }
        chmod(&at, 0o600);
        chown(&at, Some(1234), None).unwrap();
        assert!(ALL.iter().all(|holds| told(&at, *holds).contains("belongs to user 1234")));
    }

    #[test]
    fn what_is_too_long_is_refused_and_not_cut() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for holds in ALL {
            for reader in [Reader::Command, Reader::Agent] {
                fs::write(file.path(), vec![b'a'; holds.most()]).unwrap();
                assert_eq!(read(file.path(), holds, reader).unwrap().len(), holds.most());
                fs::write(file.path(), vec![b'a'; holds.most() + 1]).unwrap();
                let error = read(file.path(), holds, reader).unwrap_err().to_string();
                assert!(error.contains("more than any such file takes"), "{error}");
            }
        }
    }

    #[test]
    fn what_is_not_there_or_something_else_is_named() {
        let missing = certificates(Path::new("/nonexistent"), Reader::Agent).unwrap_err().to_string();
        assert!(missing.contains("/nonexistent") && missing.contains("No such file"), "{missing}");
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "hello\n").unwrap();
        let error = certificates(file.path(), Reader::Agent).unwrap_err().to_string();
        assert!(error.contains("there is none") && error.contains("-----BEGIN CERTIFICATE-----"), "{error}");
        let error = private_key(file.path(), Reader::Agent).unwrap_err().to_string();
        assert!(error.contains("there is none") && error.contains("-----BEGIN PRIVATE KEY-----"), "{error}");
    }
}
