//! CAP_NET_ADMIN and nothing else, but for what other network namespaces take.

use caps::{CapSet, Capability, CapsHashSet};

/// Why the agent cannot run with the privileges that it has.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    #[error(
        "CAP_NET_ADMIN is missing: run as root, from the systemd unit, or in a user namespace of your own"
    )]
    NoNetAdmin,
    #[error("cannot read or drop capabilities: {0}")]
    Caps(#[from] caps::errors::CapsError),
}

/// # Errors
/// When a fault could not be injected anyway.
pub fn require_net_admin() -> Result<(), PrivilegeError> {
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_NET_ADMIN)? {
        Ok(())
    } else {
        Err(PrivilegeError::NoNetAdmin)
    }
}

/// What it takes to find the network namespace of another process and to enter it, to read the files of its mount namespace,
/// and to talk to an engine whose socket is root's.
const NAMESPACES: [Capability; 4] = [
    Capability::CAP_SYS_ADMIN,
    Capability::CAP_SYS_PTRACE,
    Capability::CAP_DAC_READ_SEARCH,
    Capability::CAP_DAC_OVERRIDE,
];

/// Drops everything but CAP_NET_ADMIN, and what of [`NAMESPACES`] there is where it is asked for, for good, from the calling thread and those that it starts: so this comes before
/// any of them. The sockets and directories that take more are opened before.
///
/// # Errors
/// When the kernel refuses.
pub fn drop_the_rest(namespaces: bool) -> Result<(), PrivilegeError> {
    let mut only = CapsHashSet::from([Capability::CAP_NET_ADMIN]);
    let permitted = caps::read(None, CapSet::Permitted)?;
    only.extend(NAMESPACES.into_iter().filter(|capability| namespaces && permitted.contains(capability)));
    caps::clear(None, CapSet::Ambient)?;
    caps::clear(None, CapSet::Inheritable)?;
    caps::set(None, CapSet::Effective, &only)?;
    caps::set(None, CapSet::Permitted, &only)?;
    Ok(())
}
