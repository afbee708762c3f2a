//! Whom the files belong to that decide what the agent does. Whoever could write them, or put others in their place, would have the
//! agent's capability; so nobody may but root and the agent's own user.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::geteuid;

use crate::nobody;

/// A file that somebody else has a say in.
#[derive(Debug, thiserror::Error)]
pub enum Distrust {
    #[error("cannot look at {}: {source}", path.display())]
    Look { path: PathBuf, source: io::Error },
    #[error("every user of this host may write {path} (its mode is {mode:04o}): `chmod o-w {path}`", path = path.display())]
    Open { path: PathBuf, mode: u32 },
    #[error(
        "{path} belongs to user {owner}, who is neither root nor the one that this runs as ({own}): `chown {own} {path}`",
        path = path.display()
    )]
    Owner { path: PathBuf, owner: u32, own: u32 },
    #[error("{} is no regular file", .0.display())]
    NotAFile(PathBuf),
    #[error("{} is no directory", .0.display())]
    NotADirectory(PathBuf),
    #[error("{} has more than one name (hard links): remove it, and look who made the other", .0.display())]
    Linked(PathBuf),
}

/// A file that can be read and that nobody else could have written or put there.
///
/// # Errors
/// [`Distrust`].
pub fn file(path: &Path) -> Result<File, Distrust> {
    let look = |source| Distrust::Look { path: path.to_owned(), source };
    // Without waiting for the other end, if it is a FIFO.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(look)?;
    // Of what was opened, not of what the path names by now.
    let found = file.metadata().map_err(look)?;
    if !found.is_file() {
        return Err(Distrust::NotAFile(path.to_owned()));
    }
    judge(path, &found)?;
    way_to(path)?;
    Ok(file)
}

/// A directory that nobody else could write in or put there.
///
/// # Errors
/// [`Distrust`].
pub fn directory(path: &Path) -> Result<(), Distrust> {
    let found = path.metadata().map_err(|source| Distrust::Look { path: path.to_owned(), source })?;
    if !found.is_dir() {
        return Err(Distrust::NotADirectory(path.to_owned()));
    }
    judge(path, &found)?;
    way_to(path)
}

/// Every directory on the way, as it is written and as it is without symbolic links: who can rename one of them can have
/// another file in this one's place.
///
/// # Errors
/// [`Distrust`].
pub fn way_to(path: &Path) -> Result<(), Distrust> {
    let look = |source| Distrust::Look { path: path.to_owned(), source };
    let absolute = std::path::absolute(path).map_err(look)?;
    // What is not there yet has a way, too.
    let real = absolute.ancestors().find_map(|there| there.canonicalize().ok());
    for way in [Some(absolute), real].into_iter().flatten() {
        for directory in way.ancestors().skip(1) {
            match directory.metadata() {
                Ok(found) => judge(directory, &found)?,
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(source) => return Err(Distrust::Look { path: directory.to_owned(), source }),
            }
        }
    }
    Ok(())
}

fn judge(path: &Path, found: &Metadata) -> Result<(), Distrust> {
    let mode = found.permissions().mode() & 0o7777;
    // In a sticky directory only the owner of an entry may rename it, and the entry is judged itself.
    let guarded = found.is_dir() && mode & 0o1000 != 0;
    if mode & 0o002 != 0 && !guarded && !is_read_only(path) {
        return Err(Distrust::Open { path: path.to_owned(), mode });
    }
    let (owner, own) = (found.uid(), geteuid().as_raw());
    // In a user namespace with some users only, root of the host is nobody.
    if owner == 0 || owner == own || nobody::user().is_ok_and(|nobody| nobody == Some(owner)) {
        return Ok(());
    }
    Err(Distrust::Owner { path: path.to_owned(), owner, own })
}

/// What is mounted read-only nobody writes, whatever its mode: the volumes that Kubernetes makes of a ConfigMap have 0777.
fn is_read_only(path: &Path) -> bool {
    statvfs(path).is_ok_and(|fs| fs.flags().contains(FsFlags::ST_RDONLY))
}

/// A file of the state directory, to be appended to: no symbolic link, no device, no FIFO, and no second name of another file.
/// One that is made belongs to the owner of the directory: root, in the foreground, may be the first to write in that of
/// the service's own user.
///
/// # Errors
/// What the kernel says, and [`Distrust`].
pub fn append_to(path: &Path) -> io::Result<File> {
    let file = match create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => a_file(path, appending().open(path))?,
        made => return made,
    };
    if file.metadata()?.nlink() > 1 {
        return Err(refused(Distrust::Linked(path.to_owned())));
    }
    Ok(file)
}

/// One that is not there yet.
///
/// # Errors
/// What the kernel says.
pub fn create(path: &Path) -> io::Result<File> {
    let made = appending().create_new(true).open(path)?;
    if let Some(Ok(dir)) = path.parent().map(std::fs::metadata)
        && dir.uid() != made.metadata()?.uid()
    {
        fchown(&made, Some(dir.uid()), Some(dir.gid()))?;
    }
    Ok(made)
}

fn appending() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.append(true).read(true).mode(0o640).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    options
}

/// The same, to be read.
///
/// # Errors
/// What the kernel says, and [`Distrust`].
pub fn read(path: &Path) -> io::Result<File> {
    a_file(path, File::options().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path))
}

fn a_file(path: &Path, opened: io::Result<File>) -> io::Result<File> {
    let other = || refused(Distrust::NotAFile(path.to_owned()));
    match opened {
        Ok(file) if file.metadata()?.is_file() => Ok(file),
        Ok(_) => Err(other()),
        // O_NOFOLLOW: it is a symbolic link. ENXIO: a FIFO that nobody reads, or a socket.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ELOOP | libc::ENXIO)) => Err(other()),
        Err(error) => Err(error),
    }
}

fn refused(distrust: Distrust) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, distrust.to_string())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::symlink;

    use super::*;

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_every_user_may_write_or_replace_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let [inner, conf] = ["inner", "inner/agent.toml"].map(|name| dir.path().join(name));
        fs::create_dir(&inner).unwrap();
        fs::write(&conf, "").unwrap();
        for (of_directory, of_file, culprit) in [
            (0o755, 0o644, None),
            (0o755, 0o664, None),
            (0o755, 0o646, Some("agent.toml")),
            (0o777, 0o644, Some("inner (its mode is 0777)")),
            // As /tmp is.
            (0o1777, 0o644, None),
        ] {
            chmod(&inner, of_directory);
            chmod(&conf, of_file);
            match (file(&conf).map_err(|error| error.to_string()), culprit) {
                (done, None) => assert!(done.is_ok(), "{done:?}"),
                (done, Some(culprit)) => {
                    let text = done.unwrap_err();
                    assert!(text.contains(culprit) && text.contains("chmod o-w"), "{text}");
                }
            }
        }
        chmod(&inner, 0o777);
        assert!(matches!(directory(&inner), Err(Distrust::Open { mode: 0o777, .. })));
        // By another name as well, and for what is not there yet.
        let name = dir.path().join("link.toml");
        symlink(&conf, &name).unwrap();
        assert!(matches!(file(&name), Err(Distrust::Open { .. })));
        assert!(matches!(way_to(&inner.join("state")), Err(Distrust::Open { .. })));
        chmod(&inner, 0o755);
        assert!(file(&name).is_ok() && directory(&inner).is_ok() && way_to(&inner.join("a/b")).is_ok());
        assert!(matches!(file(&inner), Err(Distrust::NotAFile(_))));
        assert!(matches!(directory(&conf), Err(Distrust::NotADirectory(_))));
    }

    #[test]
    fn what_somebody_else_owns_is_refused() {
        if !geteuid().is_root() {
            println!("skipped: root gives files away");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let conf = dir.path().join("agent.toml");
        fs::write(&conf, "").unwrap();
        std::os::unix::fs::chown(&conf, Some(1234), None).unwrap();
        let text = file(&conf).unwrap_err().to_string();
        assert!(text.contains("belongs to user 1234") && text.contains("chown 0"), "{text}");
        std::os::unix::fs::chown(&conf, Some(0), None).unwrap();
        std::os::unix::fs::chown(dir.path(), Some(1234), None).unwrap();
        assert!(matches!(file(&conf), Err(Distrust::Owner { owner: 1234, .. })), "its directory");
    }

    #[test]
    fn a_state_file_is_a_file_with_one_name_or_none() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        fs::write(&victim, "as it was").unwrap();
        for (name, make) in [
            ("link", Box::new(|at: &Path| symlink(&victim, at).unwrap()) as Box<dyn Fn(&Path)>),
            ("dangling", Box::new(|at: &Path| symlink("/nonexistent/x", at).unwrap())),
            ("hard", Box::new(|at: &Path| fs::hard_link(&victim, at).unwrap())),
            ("fifo", Box::new(|at: &Path| nix::unistd::mkfifo(at, nix::sys::stat::Mode::S_IRWXU).unwrap())),
            ("socket", Box::new(|at: &Path| drop(std::os::unix::net::UnixListener::bind(at).unwrap()))),
            ("null", Box::new(|at: &Path| symlink("/dev/null", at).unwrap())),
        ] {
            let at = dir.path().join(name);
            make(&at);
            let error = append_to(&at).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
        assert_eq!(fs::read_to_string(&victim).unwrap(), "as it was");
        let at = dir.path().join("journal");
        for _ in 0..2 {
            io::Write::write_all(&mut append_to(&at).unwrap(), b"x").unwrap();
        }
        assert_eq!(fs::read_to_string(&at).unwrap(), "xx");
        assert!(read(&at).is_ok() && read(&dir.path().join("link")).is_err());
    }
}
