//! The TAP device: what is forwarded to it is read here, and what is written here comes in from it.

use std::ffi::c_char;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

const CLONE_DEVICE: &str = "/dev/net/tun";

/// Frames that the device holds until they are read. Its default of 1000 is 5 ms of a busy link, and what does not
/// fit is lost without anybody having asked for it.
const RING: i32 = 10_000;

/// `TUN_F_*` of linux/if_tun.h.
const CHECKSUM: u32 = 0x01;
const TSO4: u32 = 0x02;
const TSO6: u32 = 0x04;
const TSO_ECN: u32 = 0x08;

/// A TAP device that lives as long as this value. The frames have a `struct virtio_net_hdr` of 10 bytes before
/// them, the size that the kernel begins with.
#[derive(Debug)]
pub struct Tap {
    file: File,
    name: String,
}

impl Tap {
    /// Makes a device of this name, 1 to 15 bytes, in the network namespace of the calling thread. It is down.
    ///
    /// # Errors
    /// Says what to do about it: without the device node, without the right, with a name that is taken.
    pub fn create(name: &str) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(CLONE_DEVICE)
            .map_err(|error| explain_open(&error))?;
        let mut request = request(name)?;
        // Without EXCL the kernel would attach us to somebody else's persistent device of that name.
        let flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR | libc::IFF_TUN_EXCL;
        let [low, high, ..] = flags.to_le_bytes();
        request.ifr_ifru.ifru_flags = i16::from_le_bytes([low, high]);
        ioctl::attach(&file, &mut request).map_err(|error| explain_attach(name, error))?;
        let tap = Self { file, name: name.to_owned() };
        tap.take_super_frames()?;
        tap.set_ring()?;
        Ok(tap)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads one frame with its header; a frame that is longer than the buffer is cut off.
    ///
    /// # Errors
    /// `EAGAIN` when there is none, `EBADFD` when the device was deleted.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.file).read(buffer)
    }

    /// Writes one frame with its header. The device never makes a writer wait: its buffer (`TUNSETSNDBUF`) has no
    /// bound.
    ///
    /// # Errors
    /// `EIO` when the device is down, `EBADFD` when it was deleted, `EINVAL` for a header that the kernel does not
    /// believe.
    pub fn write(&self, frame: &[u8]) -> io::Result<()> {
        (&self.file).write(frame).map(|_| ())
    }

    /// Lets senders leave checksums and segmentation to us, as to a network card. We leave it to the next device.
    fn take_super_frames(&self) -> io::Result<()> {
        // A kernel that refuses this segments for us, which only costs speed.
        ioctl::set_offload(&self.file, CHECKSUM | TSO4 | TSO6 | TSO_ECN)
            .or_else(|_| ioctl::set_offload(&self.file, 0))
            .map_err(|error| refused(&self.name, "TUNSETOFFLOAD", error))
    }

    fn set_ring(&self) -> io::Result<()> {
        let any_socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
        let mut request = request(&self.name)?;
        request.ifr_ifru.ifru_metric = RING;
        ioctl::set_queue_length(any_socket, &mut request)
            .map_err(|error| refused(&self.name, "SIOCSIFTXQLEN", error))
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// A request about the device of this name, and no more than that.
fn request(name: &str) -> io::Result<libc::ifreq> {
    let mut request = ioctl::empty_request();
    // The last byte stays 0, and `%d` would make the kernel choose a number.
    let room = request.ifr_name.len() - 1;
    if name.is_empty() || name.len() > room || name.contains(['%', '/', '\0']) {
        let why =
            format!("`{name}` is no name for a device: give it 1 to {room} bytes, without %, / and NUL");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = c_char::from_ne_bytes([from]);
    }
    Ok(request)
}

fn explain_open(error: &io::Error) -> io::Error {
    let advice = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOENT | Errno::ENODEV | Errno::ENXIO) => {
            "load the driver with `modprobe tun`; a container needs the device node (`--device /dev/net/tun`)"
        }
        Some(Errno::EACCES | Errno::EPERM) => {
            "run as root; a sandbox has to let the device node through (`DeviceAllow=/dev/net/tun rw`)"
        }
        _ => "the emulator needs it, because this kernel has no sch_netem",
    };
    io::Error::new(error.kind(), format!("cannot open {CLONE_DEVICE}: {error}: {advice}"))
}

fn explain_attach(name: &str, error: Errno) -> io::Error {
    let advice = match error {
        Errno::EBUSY | Errno::EEXIST => {
            "a device of that name exists: delete it with `ip link del`, if it is a leftover"
        }
        Errno::EPERM => "this takes CAP_NET_ADMIN in the network namespace",
        _ => "the emulator needs it, because this kernel has no sch_netem",
    };
    let kind = io::Error::from(error).kind();
    io::Error::new(kind, format!("cannot make the TAP device {name}: {error}: {advice}"))
}

fn refused(name: &str, what: &str, error: Errno) -> io::Error {
    let kind = io::Error::from(error).kind();
    io::Error::new(kind, format!("the kernel refused {what} on the TAP device {name}: {error}"))
}

#[allow(unsafe_code, reason = "there is no safe wrapper for these ioctls")]
mod ioctl {
    use std::ffi::c_int;

    use super::{AsFd, AsRawFd, Errno, File};

    nix::ioctl_write_ptr_bad!(
        tun_set_iff,
        nix::request_code_write!(b'T', 202, size_of::<c_int>()),
        libc::ifreq
    );
    nix::ioctl_write_int_bad!(tun_set_offload, nix::request_code_write!(b'T', 208, size_of::<u32>()));
    nix::ioctl_write_ptr_bad!(set_tx_queue_length, libc::SIOCSIFTXQLEN, libc::ifreq);

    pub fn empty_request() -> libc::ifreq {
        // SAFETY: a C struct of integers and a union of such, for which zeroes are a value.
        unsafe { std::mem::zeroed() }
    }

    pub fn attach(file: &File, request: &mut libc::ifreq) -> Result<(), Errno> {
        // SAFETY: the descriptor is open and the request a whole `ifreq`, into which the kernel writes the name back.
        unsafe { tun_set_iff(file.as_raw_fd(), request) }.map(drop)
    }

    pub fn set_offload(file: &File, offloads: u32) -> Result<(), Errno> {
        // SAFETY: the descriptor is open, and the argument is a number, not an address.
        unsafe { tun_set_offload(file.as_raw_fd(), offloads.cast_signed()) }.map(drop)
    }

    pub fn set_queue_length(any_socket: impl AsFd, request: &mut libc::ifreq) -> Result<(), Errno> {
        // SAFETY: the descriptor is open and the request a whole `ifreq`.
        unsafe { set_tx_queue_length(any_socket.as_fd().as_raw_fd(), request) }.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_the_kernel_would_cut_off_or_fill_in_is_refused() {
        for name in ["", "pa-0123456789abc", "pa-%d", "a/b"] {
            let error = Tap::create(name).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{name}");
        }
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let missing = explain_open(&io::Error::from(Errno::ENOENT));
        assert!(missing.to_string().contains("modprobe tun"), "{missing}");
        let taken = explain_attach("pa-e0", Errno::EBUSY);
        assert!(taken.to_string().contains("pa-e0") && taken.to_string().contains("ip link del"), "{taken}");
    }
}
