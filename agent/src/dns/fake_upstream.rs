//! A name server for tests: every name has the address 10.9.8.7, in an encoding that nobody would make twice.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often a waiting thread looks whether it is to end.
const TICK: Duration = Duration::from_millis(20);

pub struct FakeUpstream {
    pub at: SocketAddr,
    /// Questions that came here, over either protocol.
    asked: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl FakeUpstream {
    /// In the network namespace of the calling thread. With port 0, on a free one.
    pub fn start(at: SocketAddr) -> Self {
        // A port that is free for one protocol may be taken for the other.
        let both = || {
            let datagrams = UdpSocket::bind(at).ok()?;
            let connections = TcpListener::bind(datagrams.local_addr().ok()?).ok()?;
            Some((datagrams, connections))
        };
        let (datagrams, connections) = (0..100).find_map(|_| both()).unwrap();
        let at = datagrams.local_addr().unwrap();
        datagrams.set_read_timeout(Some(TICK)).unwrap();
        connections.set_nonblocking(true).unwrap();
        let (asked, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let udp = {
            let (asked, stop) = (Arc::clone(&asked), Arc::clone(&stop));
            move || {
                let mut buffer = [0; 65_535];
                while !stop.load(Ordering::Relaxed) {
                    let Ok((length, asker)) = datagrams.recv_from(&mut buffer) else { continue };
                    asked.fetch_add(1, Ordering::Relaxed);
                    if let Some(answer) = answer(&buffer[..length]) {
                        let _ = datagrams.send_to(&answer, asker);
                    }
                }
            }
        };
        let tcp = {
            let (asked, stop) = (Arc::clone(&asked), Arc::clone(&stop));
            move || {
                let mut serving = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let Ok((client, _)) = connections.accept() else {
                        thread::sleep(TICK);
                        continue;
                    };
                    let (asked, stop) = (Arc::clone(&asked), Arc::clone(&stop));
                    serving.push(thread::spawn(move || drop(converse(client, &asked, &stop))));
                }
                serving.into_iter().for_each(|thread| thread.join().unwrap());
            }
        };
        Self { at, asked, stop, threads: vec![thread::spawn(udp), thread::spawn(tcp)] }
    }

    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for FakeUpstream {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

fn converse(mut client: TcpStream, asked: &AtomicU64, stop: &AtomicBool) -> io::Result<()> {
    client.set_nonblocking(false)?;
    while !stop.load(Ordering::Relaxed) {
        client.set_read_timeout(Some(TICK))?;
        // One byte, so that a tick never splits the length.
        match client.peek(&mut [0]) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(_) => continue,
        }
        client.set_read_timeout(Some(Duration::from_secs(5)))?;
        let question = read_frame(&mut client)?;
        asked.fetch_add(1, Ordering::Relaxed);
        if let Some(answer) = answer(&question) {
            client.write_all(&frame(&answer))?;
        }
    }
    Ok(())
}

pub fn frame(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).unwrap().to_be_bytes();
    [length.as_slice(), message].concat()
}

pub fn read_frame(from: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 2];
    from.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    from.read_exact(&mut message)?;
    Ok(message)
}

/// A question for the address of `name`, with its case kept.
pub fn question(id: u16, name: &str) -> Vec<u8> {
    let mut message = [id.to_be_bytes().as_slice(), &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).unwrap());
        message.extend_from_slice(label.as_bytes());
    }
    message.extend_from_slice(&[0, 0, 1, 0, 1]);
    message
}

/// What the server says to `question`: nothing for names that begin with `silent`; its id and some bytes to what is
/// too short for a question.
pub fn answer(question: &[u8]) -> Option<Vec<u8>> {
    let name: Vec<u8> =
        question.get(12..).unwrap_or_default().iter().copied().take_while(|b| *b != 0).collect();
    let Some(fixed) = question.get(13 + name.len()..17 + name.len()) else {
        return Some([&question[..question.len().min(2)], b"no question"].concat());
    };
    if name.starts_with(b"\x06silent") {
        return None;
    }
    let is_address = fixed == [0, 1, 0, 1];
    let mut answer = [&question[..2], &[0x81, 0x80, 0, 1, 0, u8::from(is_address), 0, 0, 0, 0]].concat();
    answer.extend_from_slice(&question[12..17 + name.len()]);
    if is_address {
        // The name again, in full: any encoder would write a pointer.
        answer.extend_from_slice(&name);
        answer.extend_from_slice(&[0, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 9, 8, 7]);
    }
    Some(answer)
}
