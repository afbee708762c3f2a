//! Those who ask a name server, byte by byte.

use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use harness::lab::Host;

use crate::name_server::{frame, read_frame};

/// A question for the address of a name, its case kept.
pub fn question(id: u16, name: &str) -> Vec<u8> {
    let mut message = [id.to_be_bytes().as_slice(), &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).expect("a short message"));
        message.extend_from_slice(label.as_bytes());
    }
    message.extend_from_slice(&[0, 0, 1, 0, 1]);
    message
}

/// The answer, if it comes in time.
pub fn ask(
    from: &Host,
    server: SocketAddr,
    tcp: bool,
    question: &[u8],
    patience: Duration,
) -> Option<Vec<u8>> {
    from.run(|| {
        if tcp {
            let mut stream = TcpStream::connect_timeout(&server, patience).ok()?;
            stream.set_read_timeout(Some(patience)).expect("a timeout");
            stream.write_all(&frame(question)).expect("it can be sent");
            return read_frame(&mut stream);
        }
        let any: IpAddr = if server.is_ipv4() { [0; 4].into() } else { [0_u16; 8].into() };
        let socket = UdpSocket::bind((any, 0)).expect("a free port");
        // Connected: only an answer that seems to come from that very server is one.
        socket.connect(server).expect("a route");
        socket.set_read_timeout(Some(patience)).expect("a timeout");
        socket.send(question).expect("it can be sent");
        let mut buffer = [0; 2048];
        let length = socket.recv(&mut buffer).ok()?;
        Some(buffer[..length].to_vec())
    })
}
