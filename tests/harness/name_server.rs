//! A name server on a host of the lab.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::{Arc, Mutex};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use crate::lab::Host;

/// What every name stands for that the zone does not have.
pub const ELSE: Ipv4Addr = Ipv4Addr::new(10, 9, 8, 7);

/// By names in lower case, and whether the address is one of IPv6. None: there is no answer.
type Zone = BTreeMap<(String, bool), Option<IpAddr>>;

/// Over UDP and TCP, until the test is over.
#[derive(Clone, Default)]
pub struct NameServer {
    zone: Arc<Mutex<Zone>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl NameServer {
    pub fn start(host: &Host, at: &[SocketAddr]) -> Self {
        let server = Self::default();
        for at in at {
            let (datagrams, connections) =
                (host.run(|| UdpSocket::bind(at)), host.run(|| TcpListener::bind(at)));
            let (datagrams, connections) =
                (datagrams.expect("a free port"), connections.expect("a free port"));
            let [udp, tcp] = [server.clone(), server.clone()];
            host.background(move || {
                let mut buffer = [0; 2048];
                while let Ok((length, asker)) = datagrams.recv_from(&mut buffer) {
                    let answer = udp.answer(&buffer[..length]);
                    let _ = answer.map(|answer| datagrams.send_to(&answer, asker));
                }
            });
            host.background(move || {
                for stream in connections.incoming().flatten() {
                    let server = tcp.clone();
                    std::thread::spawn(move || server.converse(stream));
                }
            });
        }
        server
    }

    /// In the place of its address of that family.
    pub fn set(&self, name: &str, address: &str) {
        let address = address.parse::<IpAddr>().expect("an address");
        let mut zone = self.zone.lock().expect("nobody panicked with it");
        zone.retain(|(other, _), answer| other != name || answer.is_some());
        zone.insert((name.to_owned(), address.is_ipv6()), Some(address));
    }

    /// Gives no answer to questions for this name any more.
    pub fn silence(&self, name: &str) {
        let mut zone = self.zone.lock().expect("nobody panicked with it");
        zone.extend([false, true].map(|ipv6| ((name.to_owned(), ipv6), None)));
    }

    /// Names that were asked for since the last time that this was called.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().expect("nobody panicked with it"))
    }

    fn converse(&self, mut stream: TcpStream) -> Option<()> {
        loop {
            let question = read_frame(&mut stream)?;
            stream.write_all(&frame(&self.answer(&question)?)).ok()?;
        }
    }

    /// The name again, in full: any other encoder would write a pointer, so an answer that passed through one shows.
    fn answer(&self, question: &[u8]) -> Option<Vec<u8>> {
        let end = 12 + question.get(12..)?.iter().position(|byte| *byte == 0)? + 1;
        let (name, fixed) = (question.get(12..end)?, question.get(end..end + 4)?);
        let text = text_of(name);
        self.asked.lock().expect("nobody panicked with it").push(text.clone());
        let known =
            |ipv6| self.zone.lock().expect("nobody panicked with it").get(&(text.clone(), ipv6)).copied();
        let address = match fixed {
            [0, 1, 0, 1] => Some(known(false).unwrap_or(Some(ELSE.into()))?),
            [0, 28, 0, 1] => known(true).map_or(Some(None), |known| known.map(Some))?,
            _ => None,
        };
        let count = u8::from(address.is_some());
        let mut answer = [&question[..2], &[0x81, 0x80, 0, 1, 0, count, 0, 0, 0, 0]].concat();
        answer.extend_from_slice(name);
        answer.extend_from_slice(fixed);
        if let Some(address) = address {
            let octets = match address {
                IpAddr::V4(address) => address.octets().to_vec(),
                IpAddr::V6(address) => address.octets().to_vec(),
            };
            answer.extend_from_slice(name);
            answer.extend_from_slice(fixed);
            // Valid for a second.
            answer.extend_from_slice(&[0, 0, 0, 1, 0, if address.is_ipv4() { 4 } else { 16 }]);
            answer.extend_from_slice(&octets);
        }
        Some(answer)
    }
}

/// Runs with another `/etc/resolv.conf`.
pub fn with_resolv_conf<T: Send>(text: &str, work: impl FnOnce() -> T + Send) -> T {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), text).expect("a temporary file");
    // Agents that have given up their privileges read it, too.
    std::fs::set_permissions(file.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .expect("a temporary file");
    with_file_over("/etc/resolv.conf", file.path(), work)
}

/// Runs with one file in the place of another: so do the programs that are started meanwhile, as long as they live.
pub fn with_file_over<T: Send>(path: &str, file: &Path, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNS).expect("root may");
            let none = None::<&Path>;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("root may mount");
            mount(Some(file), path, none, MsFlags::MS_BIND, none).expect("root may mount");
            work()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn text_of(mut name: &[u8]) -> String {
    let mut labels = Vec::new();
    while let Some((length, rest)) = name.split_first() {
        let Some((label, rest)) = rest.split_at_checked(usize::from(*length)) else { break };
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        name = rest;
    }
    labels.retain(|label| !label.is_empty());
    labels.join(".")
}

pub fn frame(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).expect("a short message").to_be_bytes();
    [length.as_slice(), message].concat()
}

pub fn read_frame(from: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    from.read_exact(&mut length).ok()?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    from.read_exact(&mut message).ok()?;
    Some(message)
}
