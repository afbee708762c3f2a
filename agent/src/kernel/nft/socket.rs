//! The netlink socket of nftables: transactions on one, questions on another.

use std::collections::HashMap;
use std::io;

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NetlinkMessage, NetlinkPayload, NlasIterator,
};
use netlink_packet_netfilter::none::ControlMessage;
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};

use super::message::Act;
use crate::crash::{self, Point};
use crate::kernel::error::errno_of as errno;
use crate::kernel::{Refusal, Within};
use crate::plan::TableFamily;

/// A transaction is one message to the kernel: 100,000 elements take about 10 MiB.
const SEND_BUFFER: usize = 64 << 20;
/// Errors of a whole refused transaction come back at once.
const RECEIVE_BUFFER: usize = 4 << 20;

/// `nlmsghdr` and `nfgenmsg` (`linux/netlink.h`, `linux/netfilter/nfnetlink.h`).
const HEADER: usize = 16;
const NFGENMSG: usize = 4;

/// A socket that owns what it makes.
pub struct NftSocket {
    socket: Socket,
}

impl NftSocket {
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_NETFILTER)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_ext_ack(true)?;
        socket.set_cap_ack(true)?;
        // The forced sizes take CAP_NET_ADMIN in the first user namespace; elsewhere the kernel's limits hold, and a
        // transaction that is too large for them is refused whole.
        if setsockopt(&socket, sockopt::SndBufForce, &SEND_BUFFER).is_err() {
            setsockopt(&socket, sockopt::SndBuf, &SEND_BUFFER)?;
        }
        if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
            setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER)?;
        }
        Ok(Self { socket })
    }

    /// Runs all of it or none of it. No acknowledgement is asked for: the kernel runs the whole batch inside `send`,
    /// so when that returns every error is queued, and none means done. (An ACK for each message overflows the
    /// receive buffer of a large batch, and then ENOBUFS hides that all of it was committed.)
    pub fn commit(&self, acts: Vec<Act>) -> Result<(), Refusal> {
        let mut bytes = Vec::new();
        let mut lines = HashMap::new();
        append(&mut bytes, control(ControlMessage::BatchBegin), None, 0, 0);
        for (sequence, act) in (1..).zip(acts) {
            append(&mut bytes, act.message.into(), Some(act.family), act.flags, sequence);
            lines.insert(sequence, act.line);
        }
        append(&mut bytes, control(ControlMessage::BatchEnd), None, 0, 0);
        let transaction = || "nft transaction".to_owned();
        crash::at(Point::TransactionBegun);
        if let Err(error) = self.socket.send(&bytes, 0) {
            let refusal = Refusal::new(transaction(), errno(&error), None);
            return Err(match errno(&error) {
                Errno::EMSGSIZE | Errno::ENOBUFS => refusal.hint(
                    "the transaction is too large for this socket: name fewer targets, or run where \
                     CAP_NET_ADMIN allows a larger send buffer",
                ),
                _ => refusal,
            });
        }
        crash::at(Point::TransactionDone);
        let mut first = None;
        loop {
            let mut buffer = Vec::with_capacity(1 << 16);
            match self.socket.recv(&mut buffer, libc::MSG_DONTWAIT) {
                Ok(_) => {
                    for message in messages(&buffer) {
                        if let Some((sequence, errno, says)) = message.refusal() {
                            let line = lines.get(&sequence).cloned().unwrap_or_else(transaction);
                            first.get_or_insert_with(|| Refusal::new(line, errno, says));
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // The errors themselves overflowed: something was refused, so nothing was done.
                Err(error) if errno(&error) == Errno::ENOBUFS => {
                    first.get_or_insert_with(|| Refusal::new(transaction(), Errno::ENOBUFS, None));
                }
                Err(error) => return Err(Refusal::new(transaction(), errno(&error), None)),
            }
        }
        first.map_or(Ok(()), Err)
    }
}

/// Asks for a list and returns the payload of each entry, behind its `nfgenmsg`. On a socket of its own: a list that
/// overflows its buffer must not disturb the socket whose life is the life of the faults.
pub fn list(
    within: &Within,
    family: TableFamily,
    question: impl Into<NetfilterMessageInner>,
    what: &str,
) -> Result<Vec<Vec<u8>>, Refusal> {
    let refused = |error: io::Error| Refusal::new(format!("list {what}"), errno(&error), None);
    let asker = within.run(NftSocket::open).and_then(std::convert::identity).map_err(refused)?;
    let question = question.into();
    'again: for _ in 0..LIST_ATTEMPTS {
        let mut bytes = Vec::new();
        append(&mut bytes, question.clone(), Some(family), NLM_F_DUMP, 1);
        asker.socket.send(&bytes, 0).map_err(refused)?;
        let mut entries = Vec::new();
        let mut interrupted = false;
        loop {
            // Offered this much room, the kernel fills it; offered less, it makes many small messages.
            let mut buffer = Vec::with_capacity(1 << 16);
            asker.socket.recv(&mut buffer, 0).map_err(refused)?;
            for message in messages(&buffer) {
                interrupted |= message.flags & NLM_F_DUMP_INTR != 0;
                if let Some((_, errno, says)) = message.refusal() {
                    return Err(Refusal::new(format!("list {what}"), errno, says));
                }
                if message.kind == NLMSG_DONE {
                    if interrupted {
                        continue 'again;
                    }
                    return Ok(entries);
                }
                entries.push(message.payload.get(NFGENMSG..).unwrap_or_default().to_vec());
            }
        }
    }
    Err(Refusal::new(
        format!("list {what}"),
        Errno::EINTR,
        Some("the list kept changing while it was read".into()),
    ))
}

/// The list changed while the kernel wrote it (`linux/netlink.h`): ask again.
const NLM_F_DUMP_INTR: u16 = 0x10;
const LIST_ATTEMPTS: usize = 8;

fn control(message: ControlMessage) -> NetfilterMessageInner {
    message.into()
}

pub(super) fn append(
    bytes: &mut Vec<u8>,
    inner: NetfilterMessageInner,
    family: Option<TableFamily>,
    flags: u16,
    sequence: u32,
) {
    let header = match family {
        // NFNL_SUBSYS_NFTABLES names the subsystem that a batch is for.
        None => NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, 10),
        Some(TableFamily::Netdev) => NetfilterHeader::new(NetfilterProtoFamily::NetDev, 0, 0),
        Some(TableFamily::Inet) => NetfilterHeader::new(NetfilterProtoFamily::Inet, 0, 0),
        Some(TableFamily::Ip) => NetfilterHeader::new(NetfilterProtoFamily::IPv4, 0, 0),
        Some(TableFamily::Ip6) => NetfilterHeader::new(NetfilterProtoFamily::IPv6, 0, 0),
    };
    let mut message = NetlinkMessage::from(NetfilterMessage::new(header, inner));
    message.header.flags = NLM_F_REQUEST | flags;
    message.header.sequence_number = sequence;
    message.finalize();
    let start = bytes.len();
    bytes.resize(start + message.buffer_len(), 0);
    message.serialize(&mut bytes[start..]);
    debug_assert!(matches!(message.payload, NetlinkPayload::InnerMessage(_)));
}

pub(super) struct Reply<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    pub(super) payload: &'a [u8],
}

impl Reply<'_> {
    /// Sequence number, error and the kernel's words, where this is an error.
    pub(super) fn refusal(&self) -> Option<(u32, Errno, Option<String>)> {
        if self.kind != NLMSG_ERROR {
            return None;
        }
        let code = i32::from_ne_bytes(self.payload.get(..4)?.try_into().ok()?);
        // CAP_ACK: the refused message is cut to its header, the words follow.
        let says = self.payload.get(4 + HEADER..).and_then(ext_ack_text);
        (code != 0).then(|| (self.sequence, Errno::from_raw(code.saturating_neg()), says))
    }
}

/// `NLMSGERR_ATTR_MSG`, the text of an extended acknowledgement.
pub fn ext_ack_text(attributes: &[u8]) -> Option<String> {
    NlasIterator::new(attributes)
        .map_while(Result::ok)
        .find(|nla| nla.kind() == 1)
        .map(|nla| String::from_utf8_lossy(nla.value()).trim_end_matches('\0').to_owned())
}

/// The messages in a buffer; what does not hold together ends it.
pub(super) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Reply<'_>> {
    std::iter::from_fn(move || {
        let word = |at: usize| bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_ne_bytes);
        let half = |at: usize| bytes.get(at..at + 2).and_then(|b| b.try_into().ok()).map(u16::from_ne_bytes);
        let length = usize::try_from(word(0)?).ok()?;
        let reply = Reply {
            kind: half(4)?,
            flags: half(6)?,
            sequence: word(8)?,
            payload: bytes.get(HEADER..length)?,
        };
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(reply)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_error_carries_the_kernels_words() {
        let mut bytes = vec![0_u8; 0];
        let text = b"no such thing\0\0\0";
        let length = u32::try_from(HEADER + 4 + HEADER + 4 + text.len()).unwrap();
        bytes.extend(length.to_ne_bytes());
        bytes.extend(NLMSG_ERROR.to_ne_bytes());
        bytes.extend(0x300_u16.to_ne_bytes());
        bytes.extend(7_u32.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend((-2_i32).to_ne_bytes());
        bytes.extend([0; HEADER]);
        bytes.extend(u16::try_from(4 + text.len() - 2).unwrap().to_ne_bytes());
        bytes.extend(1_u16.to_ne_bytes());
        bytes.extend(text);
        let replies = messages(&bytes).map(|reply| reply.refusal()).collect::<Vec<_>>();
        assert_eq!(replies, [Some((7, Errno::ENOENT, Some("no such thing".to_owned())))]);
    }

    proptest! {
        #[test]
        fn no_reply_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for reply in messages(&bytes).take(100) {
                let _ = reply.refusal();
            }
        }
    }
}
