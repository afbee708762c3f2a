//! CAP_NET_ADMIN and nothing else.

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

/// Drops everything but CAP_NET_ADMIN, for good, from the calling thread and those that it starts: so this comes before
/// any of them. The sockets and directories that take more are opened before.
///
/// # Errors
/// When the kernel refuses.
pub fn drop_the_rest() -> Result<(), PrivilegeError> {
    let only = CapsHashSet::from([Capability::CAP_NET_ADMIN]);
    caps::clear(None, CapSet::Ambient)?;
    caps::clear(None, CapSet::Inheritable)?;
    caps::set(None, CapSet::Effective, &only)?;
    caps::set(None, CapSet::Permitted, &only)?;
    Ok(())
}
