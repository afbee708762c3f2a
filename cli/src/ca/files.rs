//! The directory of an authority. Nothing there is ever overwritten, and a key is never readable to others, not for a moment.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use partition_agent_core::trust;

use super::authority::Issued;

pub struct Directory(PathBuf);

/// Where a certificate and its key are.
#[derive(Debug)]
pub struct Written {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Directory {
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Makes it, for its owner alone, where it is not there.
    pub fn make(&self) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("cannot make {}: {error}", self.0.display());
        if let Some(parent) = self.0.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        match DirBuilder::new().mode(0o700).create(&self.0) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(failed(error)),
            Ok(()) | Err(_) => self.judge(),
        }
    }

    /// Whoever may write into it, or put another in its place, could put another authority there.
    ///
    /// # Errors
    /// Others than its owner may use it, or it is somebody else's.
    pub fn judge(&self) -> Result<(), String> {
        let path = self.0.display();
        let about = std::fs::metadata(&self.0).map_err(|error| {
            format!(
                "cannot look at {path}: {error}; `partition-agent ca init` makes an authority, --dir names the directory of one"
            )
        })?;
        let mode = about.permissions().mode() & 0o7777;
        if !about.is_dir() {
            return Err(format!("{path} is no directory: name another one with --dir"));
        }
        if mode & 0o077 != 0 {
            return Err(format!(
                "others than its owner may use the directory {path} (its mode is {mode:04o}), and a key is to be in it: `chmod \
                 700 {path}`, or name another one with --dir"
            ));
        }
        trust::directory(&self.0).map_err(|distrust| {
            format!("refusing the directory {path}: {distrust}; or name another one with --dir")
        })
    }

    pub fn files_of(&self, name: &str) -> Written {
        Written { certificate: self.0.join(format!("{name}.crt")), key: self.0.join(format!("{name}.key")) }
    }

    /// Both files, or none of them.
    ///
    /// # Errors
    /// One of them is there, whatever it is; with what to do instead.
    pub fn write(&self, name: &str, issued: &Issued, instead: &str) -> Result<Written, String> {
        let written = self.files_of(name);
        create(&written.key, 0o600, &issued.key, instead)?;
        create(&written.certificate, 0o644, &issued.certificate, instead).inspect_err(|_| {
            // It was made above, by this very command; the error that matters is the other one.
            let _ = std::fs::remove_file(&written.key);
        })?;
        Ok(written)
    }
}

fn create(path: &Path, mode: u32, text: &str, instead: &str) -> Result<(), String> {
    // O_CREAT with O_EXCL follows no link; O_NOFOLLOW says so.
    let opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(path);
    let at = path;
    let path = at.display();
    let file = opened.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            format!("{path} is there already, and nothing is overwritten: {instead}")
        }
        _ => format!("cannot make {path}: {error}"),
    })?;
    fill(file, text).map_err(|error| {
        // Half of it is of no use, and would be in the way of another try.
        let _ = std::fs::remove_file(at);
        format!("cannot write {path}: {error}")
    })
}

fn fill(mut file: File, text: &str) -> std::io::Result<()> {
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
