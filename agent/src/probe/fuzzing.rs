//! Datagrams of anybody.

use super::datagram::Datagram;

pub fn datagram(bytes: &[u8]) {
    let Some(read) = Datagram::decode(bytes) else { return };
    assert_eq!(read.encode().as_slice(), bytes);
    if let Some(reply) = read.reply() {
        assert!(reply.encode().len() <= bytes.len() && reply.reply().is_none());
    }
}
