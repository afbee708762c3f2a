//! The groups of whoever is at the other end of a unix socket. The one call for which nix has no wrapper: `SO_PEERGROUPS`
//! (Linux 4.13, `unix(7)` does not list it), whose answer is as long as the list is.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use nix::unistd::Gid;

/// `NGROUPS_MAX` of the kernel: nobody is in more groups than that.
const MOST: usize = 65_536;
/// Hardly anybody is in more.
const USUAL: usize = 64;

/// The supplementary groups that the peer had when it connected.
///
/// # Errors
/// What the kernel says: not a unix socket, or not a connected one.
pub fn of_peer(socket: &impl AsFd) -> io::Result<Vec<Gid>> {
    match ask(socket, USUAL) {
        Err(error) if error.raw_os_error() == Some(libc::ERANGE) => ask(socket, MOST),
        answer => answer,
    }
}

#[allow(unsafe_code, reason = "getsockopt into a list, which nix has no type for")]
fn ask(socket: &impl AsFd, room: usize) -> io::Result<Vec<Gid>> {
    let mut groups = vec![0 as libc::gid_t; room];
    let size = size_of::<libc::gid_t>();
    let mut length = libc::socklen_t::try_from(room * size).map_err(io::Error::other)?;
    // SAFETY: the kernel writes at most `length` bytes, which is the size of the buffer, and says in `length` how many those
    // were. Any bytes are valid group ids. The descriptor is open for as long as it is borrowed.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERGROUPS,
            groups.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    groups.truncate(usize::try_from(length).map_err(io::Error::other)? / size);
    Ok(groups.into_iter().map(Gid::from_raw).collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn this_process_is_in_its_own_groups() {
        let (one, _other) = UnixStream::pair().unwrap();
        let mut seen = of_peer(&one).unwrap();
        let mut own = nix::unistd::getgroups().unwrap();
        seen.sort_unstable_by_key(|group| group.as_raw());
        own.sort_unstable_by_key(|group| group.as_raw());
        assert_eq!(seen, own);
    }

    #[test]
    fn what_is_no_unix_socket_has_none() {
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(of_peer(&tcp).is_err());
    }

    #[test]
    fn a_longer_list_than_there_is_room_for_is_asked_for_again() {
        let (one, _other) = UnixStream::pair().unwrap();
        if !nix::unistd::getgroups().unwrap().is_empty() {
            assert_eq!(ask(&one, 0).unwrap_err().raw_os_error(), Some(libc::ERANGE));
        }
        assert_eq!(ask(&one, MOST).unwrap(), of_peer(&one).unwrap());
    }
}
