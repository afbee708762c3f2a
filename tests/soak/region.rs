//! Sets of packets as boxes: addresses, protocols and ports. Two descriptions are the same when no packet tells them apart,
//! however the one or the other is cut into elements.

use std::collections::BTreeSet;
use std::net::IpAddr;

/// Every address, protocol and port within these bounds, all of them inclusive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    v6: bool,
    first: u128,
    last: u128,
    /// None: whatever is above IP, with or without ports.
    service: Option<(String, u16, u16)>,
}

/// Of protocols only these are ever told apart here; the last one stands for all others.
const PROTOCOLS: [&str; 5] = ["tcp", "udp", "icmp", "ipv6-icmp", "other"];

impl Block {
    /// `10.0.0.1`, `10.0.0.0/24`, `fd00::/8`.
    pub fn net(text: &str) -> Self {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u32>().expect("a prefix"))),
            None => (text, None),
        };
        let (v6, number, bits) = number(address);
        let host = bits - prefix.unwrap_or(bits);
        let mask = if host == 128 { u128::MAX } else { (1_u128 << host) - 1 };
        Self { v6, first: number & !mask, last: number | mask, service: None }
    }

    pub fn service(self, protocol: &str, first: u16, last: u16) -> Self {
        Self { service: Some((protocol.to_owned(), first, last)), ..self }
    }

    fn has(&self, v6: bool, address: u128, protocol: &str, port: u16) -> bool {
        let served =
            |(own, first, last): &(String, u16, u16)| own == protocol && (*first..=*last).contains(&port);
        self.v6 == v6
            && (self.first..=self.last).contains(&address)
            && self.service.as_ref().is_none_or(served)
    }

    /// An element of a set, as `nft` writes it: `10.0.0.1`, `10.0.0.0/24`, `10.0.0.1-10.0.0.9 . tcp . 80-90`.
    pub fn element(text: &str) -> Option<Self> {
        let parts = text.split(" . ").collect::<Vec<_>>();
        let net = match parts.first()?.split_once('-') {
            Some((first, last)) => Self { last: Self::net(last).last, ..Self::net(first) },
            None => Self::net(parts.first()?),
        };
        match parts.as_slice() {
            [_] => Some(net),
            [_, protocol, ports] => {
                let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
                Some(net.service(protocol, first.parse().ok()?, last.parse().ok()?))
            }
            _ => None,
        }
    }
}

fn number(address: &str) -> (bool, u128, u32) {
    match address.parse::<IpAddr>().unwrap_or_else(|_| panic!("{address} is no address")) {
        IpAddr::V4(address) => (false, u128::from(u32::from(address)), 32),
        IpAddr::V6(address) => (true, u128::from(address), 128),
    }
}

/// Whether a packet with this far end is in one of the blocks.
pub fn has(blocks: &[Block], address: IpAddr, protocol: &str, port: u16) -> bool {
    let (v6, address, _) = number(&address.to_string());
    blocks.iter().any(|block| block.has(v6, address, protocol, port))
}

/// The first packet that only one of the two has. Every block begins and ends somewhere, so it is enough to look there and
/// right behind it.
pub fn difference(one: &[Block], other: &[Block]) -> Option<String> {
    let all = || one.iter().chain(other);
    for v6 in [false, true] {
        let ends = all().filter(|block| block.v6 == v6);
        let ends = ends.flat_map(|block| {
            [block.first, block.last.saturating_add(1), block.first.saturating_sub(1), block.last]
        });
        let most = if v6 { u128::MAX } else { u128::from(u32::MAX) };
        let addresses = ends.filter(|address| *address <= most).collect::<BTreeSet<_>>();
        let mut ports = all().filter_map(|block| block.service.as_ref());
        let mut cuts = BTreeSet::from([1, u16::MAX]);
        for (_, first, last) in ports.by_ref() {
            cuts.extend([*first, *last, first.saturating_sub(1), last.saturating_add(1)]);
        }
        // Nobody has port 0.
        cuts.remove(&0);
        for address in addresses {
            for protocol in PROTOCOLS {
                for port in &cuts {
                    let [in_one, in_other] = [one, other]
                        .map(|blocks| blocks.iter().any(|block| block.has(v6, address, protocol, *port)));
                    if in_one != in_other {
                        let family = if v6 { "IPv6" } else { "IPv4" };
                        return Some(format!("{family} {address:#x}, {protocol}, port {port}"));
                    }
                }
            }
        }
    }
    None
}

#[test]
fn differences_are_found_and_cuts_make_none() {
    let net = |text| vec![Block::net(text)];
    assert_eq!(difference(&net("10.0.0.0/31"), &[net("10.0.0.0"), net("10.0.0.1")].concat()), None);
    assert!(difference(&net("10.0.0.0/30"), &[net("10.0.0.0"), net("10.0.0.1")].concat()).is_some());
    let on = |first, last| Block::net("10.0.0.1").service("tcp", first, last);
    assert_eq!(difference(&[on(1, 5), on(6, 9)], &[on(1, 9)]), None);
    assert!(difference(&[on(1, 5), on(7, 9)], &[on(1, 9)]).is_some());
    assert!(difference(&[on(1, 9)], &net("10.0.0.1")).is_some());
    assert!(difference(&[], &net("fd00::1")).is_some());
    let element = Block::element("0.0.0.0/0 . tcp . 80-81").into_iter().collect::<Vec<_>>();
    assert!(has(&element, "192.0.2.1".parse().unwrap(), "tcp", 81));
    assert!(!has(&element, "192.0.2.1".parse().unwrap(), "tcp", 82));
}
