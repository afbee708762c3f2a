//! Units, peers, ports, names and selectors: what is read prints itself, and means the same when it is read again.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use partition_agent_proto::fleet::Selector;
use partition_agent_proto::{Connection, DnsName, FaultId, Peer, Percent, Ports, Rate, Span};

fn again<T: FromStr + Display + PartialEq + Debug>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        let written = value.to_string();
        match written.parse::<T>() {
            Ok(read) => assert_eq!(read, value, "`{text}`, then `{written}`"),
            Err(_) => panic!("`{text}` is {value:?} and prints `{written}`, which is none"),
        }
    }
}

pub fn words(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    again::<Percent>(&text);
    again::<Span>(&text);
    again::<Rate>(&text);
    again::<Ports>(&text);
    again::<Peer>(&text);
    again::<DnsName>(&text);
    again::<FaultId>(&text);
    again::<Selector>(&text);
    let _ = Connection::from_ssh(&text);
}
