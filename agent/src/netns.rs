//! Open network namespaces: opening them, telling them apart, and working inside of them.

use std::cmp::Ordering;
use std::fmt;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use nix::sched::{CloneFlags, setns};
use nix::sys::statfs::{NSFS_MAGIC, fstatfs};

/// What entering the network namespaces of others takes.
pub const CAPABILITIES: &str = "entering other network namespaces takes CAP_SYS_ADMIN and CAP_SYS_PTRACE: \
     start the agent with namespaces = true in agent.toml and those capabilities";

/// `/proc/self` is that of the first thread; others may have entered another namespace.
const OWN: &str = "/proc/thread-self/ns/net";

/// Which network namespace: that of the nsfs inode. The number is free for another once the namespace is gone, so it says
/// something only while the namespace is held open or known to live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetnsId {
    device: u64,
    inode: u64,
}

impl NetnsId {
    /// Looks without opening.
    ///
    /// # Errors
    /// There is no such file (any more), or the agent may not look at it (`PTRACE_MODE_READ` for files below `/proc/PID`).
    pub fn at(path: impl AsRef<Path>) -> io::Result<Self> {
        fs::metadata(path).map(|file| Self { device: file.dev(), inode: file.ino() })
    }

    /// Of the calling thread.
    ///
    /// # Errors
    /// `/proc` is not mounted.
    pub fn of_self() -> io::Result<Self> {
        Self::at(OWN)
    }
}

impl fmt::Display for NetnsId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "net:[{}]", self.inode)
    }
}

/// An open network namespace. It lives on, with all that is in it, for as long as a clone of this is held.
#[derive(Debug, Clone)]
pub struct Netns {
    file: Arc<OwnedFd>,
    id: NetnsId,
}

impl Netns {
    /// Opens the file of a network namespace: `/proc/PID/ns/net`, `/run/netns/NAME`.
    ///
    /// # Errors
    /// It cannot be opened, or it is no network namespace (`InvalidInput`).
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        // An O_PATH descriptor does not open a device or wait for a FIFO, whatever the path leads to.
        let found = File::options().read(true).custom_flags(libc::O_PATH | libc::O_CLOEXEC).open(path)?;
        if fstatfs(&found)?.filesystem_type() != NSFS_MAGIC {
            return Err(not_a_netns(path));
        }
        let file = File::open(format!("/proc/thread-self/fd/{}", found.as_raw_fd()))?;
        // Mount, PID and other namespaces are nsfs files as well.
        if kind(&file)? != libc::CLONE_NEWNET {
            return Err(not_a_netns(path));
        }
        let status = file.metadata()?;
        Ok(Self { file: Arc::new(file.into()), id: NetnsId { device: status.dev(), inode: status.ino() } })
    }

    /// That of the calling thread.
    ///
    /// # Errors
    /// `/proc` is not mounted.
    pub fn of_self() -> io::Result<Self> {
        Self::open(OWN)
    }

    #[must_use]
    pub fn id(&self) -> NetnsId {
        self.id
    }

    #[must_use]
    pub fn file(&self) -> &OwnedFd {
        &self.file
    }

    /// Does the work inside, on a thread of its own, and waits for it. The calling thread stays where it is.
    ///
    /// # Errors
    /// The thread could not be started, or not enter: that takes `CAP_SYS_ADMIN`.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        std::thread::scope(|scope| {
            let name = format!("netns-{}", self.id.inode);
            let inside = std::thread::Builder::new().name(name).spawn_scoped(scope, || {
                setns(&self.file, CloneFlags::CLONE_NEWNET)?;
                Ok(work())
            })?;
            match inside.join() {
                Ok(result) => result.map_err(|error| self.refused(error)),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    fn refused(&self, error: nix::Error) -> io::Error {
        let kind = io::Error::from(error).kind();
        let advice = if error == nix::Error::EPERM { format!("; {CAPABILITIES}") } else { String::new() };
        io::Error::new(kind, format!("setns to {}: {error}{advice}", self.id))
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl PartialEq for Netns {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Netns {}

impl PartialOrd for Netns {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Netns {
    fn cmp(&self, other: &Self) -> Ordering {
        self.id.cmp(&other.id)
    }
}

impl Hash for Netns {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

fn not_a_netns(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{} is no network namespace", path.display()))
}

mod request {
    // linux/nsfs.h: NS_GET_NSTYPE. nix has no wrapper for it.
    nix::ioctl_none_bad!(ns_get_nstype, nix::request_code_none!(0xb7, 0x3));
}

/// The `CLONE_NEW*` constant of an nsfs file's kind.
#[allow(unsafe_code, reason = "an ioctl without a safe wrapper")]
fn kind(file: &File) -> io::Result<i32> {
    // SAFETY: the descriptor is open for as long as `file` is borrowed, it is of nsfs, and the request takes no argument.
    Ok(unsafe { request::ns_get_nstype(file.as_raw_fd()) }?)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// A namespace that nothing but the returned value holds.
    fn fresh() -> Netns {
        std::thread::spawn(|| {
            nix::sched::unshare(CloneFlags::CLONE_NEWNET).unwrap();
            Netns::of_self().unwrap()
        })
        .join()
        .unwrap()
    }

    #[test]
    fn only_network_namespaces_are_opened() {
        for path in ["/proc/self/ns/mnt", "/proc/self/ns/pid", "/etc/passwd", "/dev/null", "/"] {
            assert_eq!(Netns::open(path).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{path}");
        }
        assert_eq!(Netns::open("/nowhere").unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_fifo_is_refused_without_waiting_for_a_writer() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fifo");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(Netns::open(path).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn namespaces_are_equal_by_what_they_are_not_by_descriptor() {
        let (own, again, other) = (Netns::of_self().unwrap(), Netns::of_self().unwrap(), fresh());
        assert_eq!(own, again);
        assert_ne!(own, other);
        assert_eq!(HashSet::from([own.clone(), again, other.clone()]).len(), 2);
        assert_eq!(own.id(), NetnsId::of_self().unwrap());
    }

    #[test]
    fn work_is_done_inside_and_the_caller_stays_outside() {
        let (own, other) = (NetnsId::of_self().unwrap(), fresh());
        let borrowed = String::from("devices");
        let (inside, devices) = other
            .run(|| {
                assert_eq!(borrowed, "devices");
                (NetnsId::of_self().unwrap(), fs::read_to_string("/proc/thread-self/net/dev").unwrap())
            })
            .unwrap();
        assert_eq!(inside, other.id());
        assert!(!devices.contains("eth0"), "{devices}");
        assert_eq!(NetnsId::of_self().unwrap(), own);
    }
}
