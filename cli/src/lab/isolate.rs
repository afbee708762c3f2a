//! Namespaces of our own, so that nothing of hosts shows outside.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getgid, getuid};

use crate::exit::Failure;

static ISOLATED: AtomicBool = AtomicBool::new(false);

/// Whether [`isolate`] was called.
pub fn is_isolated() -> bool {
    ISOLATED.load(Ordering::Relaxed)
}

/// Moves this process into namespaces of its own, so that nothing it does shows outside: network and mounts, and for
/// people other than root a user namespace in which they are root. Before any thread is started.
///
/// # Errors
/// The kernel does not let this user make them; or there are threads.
pub fn isolate() -> Result<(), Failure> {
    let (uid, gid) = (getuid(), getgid());
    let mut flags = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS;
    let as_root =
        caps::has_cap(None, caps::CapSet::Effective, caps::Capability::CAP_SYS_ADMIN).unwrap_or(false);
    if !as_root {
        flags |= CloneFlags::CLONE_NEWUSER;
    }
    unshare(flags).map_err(|errno| {
        Failure::Failed(format!(
            "cannot make namespaces: {errno}\n  allow user namespaces (sysctl user.max_user_namespaces, \
             kernel.apparmor_restrict_unprivileged_userns), or run this as root"
        ))
    })?;
    if !as_root {
        std::fs::write("/proc/self/setgroups", "deny")?;
        std::fs::write("/proc/self/uid_map", format!("0 {uid} 1"))?;
        std::fs::write("/proc/self/gid_map", format!("0 {gid} 1"))?;
    }
    // Sockets and state go to a /run of our own, which vanishes with us; so does memory that servers share and do not tidy up when
    // they are killed.
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), Some("mode=0755"))?;
    if Path::new("/dev/shm").is_dir() {
        mount(Some("tmpfs"), "/dev/shm", Some("tmpfs"), MsFlags::empty(), Some("mode=1777"))?;
    }
    ISOLATED.store(true, Ordering::Relaxed);
    Ok(())
}
