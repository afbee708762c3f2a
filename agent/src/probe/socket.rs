//! A UDP socket that answers from the address that it was asked at. On a host with several addresses the kernel would choose
//! another one, and whoever asked, or a firewall in between, would not know the answer for one.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use nix::cmsg_space;
use nix::libc::{in_pktinfo, in6_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt, sockopt,
};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::datagram::LENGTH;

/// A thousand agents may ask at the same moment, and the kernel counts some 800 bytes for each datagram.
const BUFFER: usize = 4 << 20;

/// The address of this host that a datagram was sent to, where the kernel says so.
#[derive(Debug, Clone, Copy)]
pub enum At {
    V4(in_pktinfo),
    V6(in6_pktinfo),
    Unknown,
}

/// One datagram; longer ones are cut off behind the byte that shows it.
pub struct Received {
    pub bytes: [u8; LENGTH + 1],
    pub length: usize,
    pub from: SocketAddr,
    pub at: At,
}

/// Ready to be asked.
pub fn bind(at: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let socket = std::net::UdpSocket::bind(at)?;
    match at {
        SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?,
        SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?,
    }
    widen(&socket);
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Makes room for a crowd, as far as the kernel lets: with CAP_NET_ADMIN beyond its limit.
pub fn widen(socket: &std::net::UdpSocket) {
    if setsockopt(socket, sockopt::RcvBufForce, &BUFFER).is_err() {
        // What is lost for want of room looks like a loss, and is one.
        let _ = setsockopt(socket, sockopt::RcvBuf, &BUFFER);
    }
}

/// The next datagram.
pub async fn receive(socket: &UdpSocket) -> io::Result<Received> {
    socket.async_io(Interest::READABLE, || try_receive(socket)).await
}

fn try_receive(socket: &UdpSocket) -> io::Result<Received> {
    let mut bytes = [0; LENGTH + 1];
    let mut control = cmsg_space!(in_pktinfo, in6_pktinfo);
    let (length, from, at) = {
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let message = recvmsg::<SockaddrStorage>(
            socket.as_raw_fd(),
            &mut parts,
            Some(&mut control),
            MsgFlags::MSG_DONTWAIT,
        )?;
        let at = message.cmsgs()?.find_map(|control| match control {
            ControlMessageOwned::Ipv4PacketInfo(info) => Some(At::V4(info)),
            ControlMessageOwned::Ipv6PacketInfo(info) => Some(At::V6(info)),
            _ => None,
        });
        (message.bytes, message.address.as_ref().and_then(address), at.unwrap_or(At::Unknown))
    };
    let from = from.ok_or_else(|| io::Error::other("a datagram from nowhere"))?;
    Ok(Received { bytes, length, from, at })
}

fn address(from: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = from.as_sockaddr_in().map(|from| SocketAddr::V4((*from).into()));
    v4.or_else(|| from.as_sockaddr_in6().map(|from| SocketAddr::V6((*from).into())))
}

/// Sends to somebody, from the address that they have sent to.
pub async fn reply(socket: &UdpSocket, bytes: &[u8], to: SocketAddr, at: At) -> io::Result<()> {
    socket.async_io(Interest::WRITABLE, || try_reply(socket, bytes, to, at)).await
}

fn try_reply(socket: &UdpSocket, bytes: &[u8], to: SocketAddr, at: At) -> io::Result<()> {
    let to = SockaddrStorage::from(to);
    let parts = [IoSlice::new(bytes)];
    let send = |control: &[ControlMessage]| {
        sendmsg(socket.as_raw_fd(), &parts, control, MsgFlags::MSG_DONTWAIT, Some(&to))
    };
    // Which interface it leaves by is for the routes to say.
    match at {
        At::V4(info) => send(&[ControlMessage::Ipv4PacketInfo(&in_pktinfo { ipi_ifindex: 0, ..info })]),
        At::V6(info) => send(&[ControlMessage::Ipv6PacketInfo(&in6_pktinfo { ipi6_ifindex: 0, ..info })]),
        At::Unknown => send(&[]),
    }?;
    Ok(())
}
