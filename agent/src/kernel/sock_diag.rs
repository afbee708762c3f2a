//! TCP connections of a network namespace, and their end: `NETLINK_SOCK_DIAG` (`linux/inet_diag.h`), as `ss -K` does it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST};
use netlink_sys::{Socket, protocols::NETLINK_SOCK_DIAG};
use nix::errno::Errno;

use super::error::errno_of;
use super::{Refusal, Reset};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const SOCK_DESTROY: u16 = 21;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLMSG_HEADER: usize = 16;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;

/// ESTABLISHED, `SYN_SENT`, `SYN_RECV`, `FIN_WAIT1`, `FIN_WAIT2`, `CLOSE_WAIT`, `LAST_ACK` and CLOSING
/// (`net/tcp_states.h`), one bit each: not `TIME_WAIT` (6) and CLOSE (7), which no program has any more, and not
/// LISTEN (10), which has no peer.
const STATES: u32 = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 8 | 1 << 9 | 1 << 11;

/// More than the kernel puts into one datagram of a dump.
const DATAGRAM: usize = 1 << 16;

/// One end of a connection, or of one that is being made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpConnection {
    /// IPv4 in IPv6's clothes is plain IPv4 here, and in the same way for the peer.
    pub local: SocketAddr,
    pub peer: SocketAddr,
    /// Of the program that opened it.
    pub user: u32,
    family: u8,
    id: SocketId,
}

/// `struct inet_diag_sockid` as the kernel gave it: ports, addresses, interface, and the cookie that tells a socket
/// from a later one with the same addresses.
type SocketId = [u8; 48];

/// A socket of the network namespace that the thread was in which opened it.
pub struct SockDiag {
    line: Mutex<Line>,
}

struct Line {
    socket: Socket,
    sequence: u32,
}

impl SockDiag {
    /// # Errors
    /// The kernel's, if it has no `NETLINK_SOCK_DIAG`.
    pub fn open() -> Result<Self, Refusal> {
        let mut socket =
            Socket::new(NETLINK_SOCK_DIAG).map_err(|error| said("open a sock_diag socket", &error))?;
        socket.bind_auto().map_err(|error| said("bind a sock_diag socket", &error))?;
        Ok(Self { line: Mutex::new(Line { socket, sequence: 0 }) })
    }

    /// Both families. A connection over the loopback is two of them, one for each end.
    ///
    /// # Errors
    /// The kernel's, with what to do about it.
    pub fn connections(&self) -> Result<Vec<TcpConnection>, Refusal> {
        let mut found = Vec::new();
        for family in [AF_INET, AF_INET6] {
            let request = request(family, STATES, &[0; 48]);
            let answers = self
                .ask(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &request)
                .map_err(|error| said("ss --tcp", &error))?;
            found.extend(answers.iter().filter_map(|answer| connection(answer)));
        }
        Ok(found)
    }

    /// Ends a connection at this end: its program gets `ECONNABORTED`, and the other end a reset, unless the connection
    /// was still being made. `false` if it had gone by itself. Where the program has closed its end already, the kernel may
    /// forget that end without a reset.
    ///
    /// # Errors
    /// The kernel's, with what to do about it: `EPERM` without `CAP_NET_ADMIN` in the namespace, `EOPNOTSUPP` from a kernel
    /// without `CONFIG_INET_DIAG_DESTROY`.
    pub fn destroy(&self, connection: &TcpConnection) -> Result<bool, Refusal> {
        let request = request(connection.family, STATES, &connection.id);
        let Err(error) = self.ask(SOCK_DESTROY, NLM_F_ACK, &request) else { return Ok(true) };
        match errno_of(&error) {
            // Also where the addresses have a new socket, or the listener answers for them: the cookie is another one.
            Errno::ENOENT => Ok(false),
            _ => {
                let TcpConnection { local, peer, .. } = connection;
                Err(said(&format!("ss --kill src {local} dst {peer}"), &error))
            }
        }
    }

    /// Ends every connection that is wanted, whatever is refused of the others; none where the kernel ends no
    /// connections at all.
    pub fn reset(&self, wanted: impl Fn(&TcpConnection) -> bool) -> Reset {
        let all = self.can_destroy().and_then(|()| self.connections());
        let all = match all {
            Ok(all) => all,
            Err(refusal) => return Reset { count: 0, refused: Some(refusal) },
        };
        let mut reset = Reset::default();
        for connection in all.iter().filter(|connection| wanted(connection)) {
            match self.destroy(connection) {
                Ok(ended) => reset.count += u64::from(ended),
                // The kernel ends connections, but not this one: no program has it any more (`TIME_WAIT` on older kernels).
                Err(refusal) if refusal.errno == Errno::EOPNOTSUPP => {}
                Err(refusal) => drop(reset.refused.get_or_insert(refusal)),
            }
        }
        reset
    }

    /// Tries to end a connection that there is not.
    ///
    /// # Errors
    /// As those of [`Self::destroy`].
    pub fn can_destroy(&self) -> Result<(), Refusal> {
        let nobody = TcpConnection {
            local: ([127, 0, 0, 1], 0).into(),
            peer: ([127, 0, 0, 1], 0).into(),
            user: 0,
            family: AF_INET,
            id: [0; 48],
        };
        self.destroy(&nobody).map(|_| ())
    }

    /// The payloads of all answers.
    fn ask(&self, kind: u16, flags: u16, payload: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        line.sequence = line.sequence.wrapping_add(1);
        let sequence = line.sequence;
        let length = u32::try_from(NLMSG_HEADER + payload.len()).map_err(io::Error::other)?;
        let kind_and_flags = [kind, NLM_F_REQUEST | flags].map(u16::to_ne_bytes);
        let sequence_and_port = [sequence, 0].map(u32::to_ne_bytes);
        let message =
            [&length.to_ne_bytes(), kind_and_flags.as_flattened(), sequence_and_port.as_flattened(), payload];
        line.socket.send(&message.concat(), 0)?;
        let mut answers = Vec::new();
        loop {
            let mut datagram = Vec::with_capacity(DATAGRAM);
            match line.socket.recv(&mut datagram, 0) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                received => received?,
            };
            // What is left over from a question that broke off has an older number.
            for message in messages(&datagram).filter(|message| message.sequence == sequence) {
                match message.kind {
                    // A list that broke off ends with NLMSG_DONE too, and only the code in it tells.
                    NLMSG_DONE | NLMSG_ERROR => return errno(message.payload).map(|()| answers),
                    _ => answers.push(message.payload.to_vec()),
                }
            }
        }
    }
}

struct Message<'a> {
    kind: u16,
    sequence: u32,
    payload: &'a [u8],
}

/// The messages of a datagram, up to the first that is broken.
fn messages(mut rest: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(word(rest, 0)?).ok()?;
        let kind = u16::from_ne_bytes(rest.get(4..6)?.try_into().ok()?);
        let message = Message { kind, sequence: word(rest, 8)?, payload: rest.get(NLMSG_HEADER..length)? };
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// What `NLMSG_ERROR` and `NLMSG_DONE` begin with: 0 if all is well, or else a negative errno.
fn errno(payload: &[u8]) -> io::Result<()> {
    match word(payload, 0).map(u32::cast_signed) {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(code.saturating_neg())),
        None => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
    }
}

/// `struct inet_diag_req_v2`.
fn request(family: u8, states: u32, id: &SocketId) -> Vec<u8> {
    let (no_extensions, padding) = (0, 0);
    [&[family, IPPROTO_TCP, no_extensions, padding], &states.to_ne_bytes()[..], id].concat()
}

/// `struct inet_diag_msg`: family, state, timer, retransmissions, id, and numbers of which only the user matters here.
fn connection(message: &[u8]) -> Option<TcpConnection> {
    let family = *message.first()?;
    let id = message.get(4..)?.first_chunk::<48>()?;
    let end = |port: usize, address: usize| {
        let port = u16::from_be_bytes(id.get(port..port + 2)?.try_into().ok()?);
        let bytes = id.get(address..address + 16)?.first_chunk::<16>()?;
        let address = match family {
            AF_INET => IpAddr::V4(Ipv4Addr::from(*bytes.first_chunk::<4>()?)),
            AF_INET6 => IpAddr::V6(Ipv6Addr::from(*bytes)).to_canonical(),
            _ => return None,
        };
        Some(SocketAddr::new(address, port))
    };
    Some(TcpConnection { local: end(0, 4)?, peer: end(2, 20)?, user: word(message, 64)?, family, id: *id })
}

fn said(act: &str, error: &io::Error) -> Refusal {
    let refusal = Refusal::new(act, errno_of(error), None);
    match refusal.errno {
        Errno::EOPNOTSUPP => {
            refusal.hint("this kernel was built without CONFIG_INET_DIAG_DESTROY and resets no connections")
        }
        Errno::EPERM => refusal.hint("it needs CAP_NET_ADMIN in the network namespace"),
        Errno::ENOENT | Errno::EPROTONOSUPPORT => refusal
            .hint("this kernel does not know its TCP connections; load tcp_diag (CONFIG_INET_TCP_DIAG)"),
        _ => refusal,
    }
}

#[cfg(feature = "fuzz")]
pub mod fuzzing {
    use super::*;

    /// A datagram of the kernel's: what is a connection can be asked for again by what was read of it.
    pub fn sock_diag(bytes: &[u8]) {
        for message in messages(bytes) {
            let _ = errno(message.payload);
            if let Some(connection) = connection(message.payload) {
                let asked = request(connection.family, STATES, &connection.id);
                assert_eq!(
                    asked.get(8..),
                    message.payload.get(4..52),
                    "the same addresses, ports and cookie"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::process::Command;
    use std::time::Duration;

    use nix::sched::{CloneFlags, unshare};
    use nix::sys::socket::{Backlog, listen};
    use proptest::prelude::*;

    use super::*;

    /// Runs on a thread of its own, with a loopback of its own.
    fn in_a_namespace(test: impl FnOnce(SockDiag) + Send + 'static) {
        let test = || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
            test(SockDiag::open().unwrap());
        };
        std::thread::spawn(test).join().unwrap();
    }

    fn connect(listener: &TcpListener, to: &str) -> (TcpStream, TcpStream) {
        let near = TcpStream::connect((to, listener.local_addr().unwrap().port())).unwrap();
        let (far, _) = listener.accept().unwrap();
        for stream in [&near, &far] {
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        }
        (near, far)
    }

    fn canonical(address: SocketAddr) -> SocketAddr {
        SocketAddr::new(address.ip().to_canonical(), address.port())
    }

    fn find(diag: &SockDiag, stream: &TcpStream) -> TcpConnection {
        let (local, peer) = (canonical(stream.local_addr().unwrap()), canonical(stream.peer_addr().unwrap()));
        let mut all = diag.connections().unwrap().into_iter();
        all.find(|connection| (connection.local, connection.peer) == (local, peer)).unwrap()
    }

    fn said_to(result: io::Result<usize>) -> Errno {
        Errno::from_raw(result.unwrap_err().raw_os_error().unwrap())
    }

    fn one_of_two_is_reset(listen_on: &'static str, to: &'static str) {
        in_a_namespace(move |diag| {
            let listener = TcpListener::bind(listen_on).unwrap();
            let (mut near, mut far) = connect(&listener, to);
            let (mut other_near, mut other_far) = connect(&listener, to);
            // The listener is none of them, and each connection is there with both of its ends.
            assert_eq!(diag.connections().unwrap().len(), 4);
            let connection = find(&diag, &far);
            assert_eq!(connection.local.is_ipv4(), to == "127.0.0.1");
            let reader = std::thread::spawn(move || far.read(&mut [0]));
            assert!(diag.destroy(&connection).unwrap());
            assert_eq!(said_to(reader.join().unwrap()), Errno::ECONNABORTED, "this end");
            assert_eq!(said_to(near.read(&mut [0])), Errno::ECONNRESET, "the other end");
            assert!(!diag.destroy(&connection).unwrap(), "it has gone");
            assert_eq!(diag.connections().unwrap().len(), 2);
            other_near.write_all(b"x").unwrap();
            let mut byte = [0];
            other_far.read_exact(&mut byte).unwrap();
            assert_eq!(byte, *b"x");
        });
    }

    #[test]
    fn one_of_two_connections_is_reset_over_ipv4() {
        one_of_two_is_reset("127.0.0.1:0", "127.0.0.1");
    }

    #[test]
    fn one_of_two_connections_is_reset_over_ipv6() {
        one_of_two_is_reset("[::1]:0", "::1");
    }

    #[test]
    fn one_of_two_connections_is_reset_where_ipv4_wears_ipv6s_clothes() {
        one_of_two_is_reset("[::]:0", "127.0.0.1");
    }

    #[test]
    fn a_connection_that_is_being_made_is_given_up() {
        in_a_namespace(|diag| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            // A backlog of 0 has room for one; the next one's SYN goes unanswered.
            listen(&listener, Backlog::new(0).unwrap()).unwrap();
            let _first = TcpStream::connect(address).unwrap();
            let second = std::thread::spawn(move || TcpStream::connect(address).map(|_| 0));
            // From then on there are three: both ends of the first, and the second.
            let waiting = std::iter::repeat_with(|| {
                std::thread::sleep(Duration::from_millis(10));
                diag.connections().unwrap()
            });
            let all = waiting.take(1000).find(|all| all.len() == 3).unwrap();
            let peers = |end: &&TcpConnection| {
                !all.iter().any(|other| other.local == end.peer && other.peer == end.local)
            };
            let lonely = all.iter().find(peers).unwrap();
            assert_eq!(lonely.peer, address);
            assert!(diag.destroy(lonely).unwrap());
            assert_eq!(said_to(second.join().unwrap()), Errno::ECONNABORTED);
        });
    }

    #[test]
    fn a_new_connection_between_the_same_addresses_is_left_alone() {
        in_a_namespace(|diag| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let (near, far) = connect(&listener, "127.0.0.1");
            let mut old = find(&diag, &near);
            // The cookie of a socket that was there before.
            old.id[40] ^= 0xff;
            assert!(!diag.destroy(&old).unwrap());
            (&near).write_all(b"x").unwrap();
            (&far).read_exact(&mut [0]).unwrap();
        });
    }

    #[test]
    fn a_connection_that_is_closed_on_one_side_is_still_one() {
        in_a_namespace(|diag| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let (mut near, mut far) = connect(&listener, "127.0.0.1");
            near.shutdown(Shutdown::Write).unwrap();
            assert_eq!(far.read(&mut [0]).unwrap(), 0);
            assert!(diag.destroy(&find(&diag, &far)).unwrap());
            assert_eq!(said_to(far.write(b"x")), Errno::ECONNABORTED, "this end");
            assert_eq!(said_to(near.read(&mut [0])), Errno::ECONNRESET, "the other end");
        });
    }

    #[test]
    fn every_wanted_connection_is_reset_and_one_that_has_gone_meanwhile_is_no_failure() {
        in_a_namespace(|diag| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let pairs = [(); 3].map(|()| connect(&listener, "127.0.0.1"));
            let gone = find(&diag, &pairs[0].0);
            let wanted = |end: &TcpConnection| end.peer == listener.local_addr().unwrap();
            assert_eq!(diag.reset(wanted), Reset { count: 3, refused: None });
            assert_eq!(diag.reset(wanted), Reset::default());
            let (near, far) = connect(&listener, "127.0.0.1");
            let closing = find(&diag, &near);
            near.shutdown(Shutdown::Both).unwrap();
            far.shutdown(Shutdown::Both).unwrap();
            drop((near, far));
            // Listed before, and gone or in `TIME_WAIT` when its turn comes.
            for gone in [&gone, &closing] {
                let ended = diag.destroy(gone).map_err(|refusal| refusal.errno);
                assert!(matches!(ended, Ok(_) | Err(Errno::EOPNOTSUPP)), "{ended:?}");
            }
        });
    }

    #[test]
    fn a_list_that_broke_off_is_an_error() {
        let code = |code: i32| errno(&code.to_ne_bytes()).map_err(|error| error.raw_os_error());
        assert_eq!(code(0), Ok(()));
        assert_eq!(code(-(Errno::ENOENT as i32)), Err(Some(Errno::ENOENT as i32)));
        assert!(errno(&[]).is_err());
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let error = said("ss --kill", &io::Error::from_raw_os_error(Errno::EOPNOTSUPP as i32)).with_hint();
        assert!(error.contains("not supported") && error.contains("CONFIG_INET_DIAG_DESTROY"), "{error}");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut bytes in prop::collection::vec(any::<u8>(), 4..120), length in 0_u32..130) {
            // Most numbers would be too long for anything behind them to be read.
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
            for message in messages(&bytes) {
                let _ = (connection(message.payload), errno(message.payload));
            }
            let _ = (connection(&bytes), errno(&bytes));
        }
    }
}
