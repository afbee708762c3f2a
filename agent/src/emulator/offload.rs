//! The work that a sender has left for its network card, as `struct virtio_net_hdr` (linux/virtio_net.h) puts it
//! before each frame of the TAP: a checksum that is not complete, a segment that is many. Usually it just stays
//! with the frame.

/// Without the `num_buffers` that a larger header would have; the byte order is the host's.
pub const HEADER: usize = 10;

const NEEDS_CSUM: u8 = 1;
const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
/// A flag beside the kind of segment.
const GSO_ECN: u8 = 0x80;

const ETHERNET: usize = 14;
const VLAN_TAG: usize = 4;
const ETHERTYPE_VLAN: [[u8; 2]; 2] = [[0x81, 0x00], [0x88, 0xa8]];
const IPV6_HEADER: usize = 40;

const TCP_FIN_PSH: u8 = 0x09;
const TCP_CWR: u8 = 0x80;

/// What the header says. Offsets count from the start of the Ethernet frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Offload {
    flags: u8,
    gso: u8,
    gso_size: usize,
    csum_start: usize,
    csum_offset: usize,
}

impl Offload {
    fn of(bytes: &[u8]) -> Option<Self> {
        let [flags, gso, _, _, size @ .., start_low, start_high, offset_low, offset_high] =
            bytes.first_chunk::<HEADER>()?;
        let number = |low: &u8, high: &u8| usize::from(u16::from_ne_bytes([*low, *high]));
        let [size_low, size_high] = size;
        Some(Self {
            flags: *flags,
            gso: *gso,
            gso_size: number(size_low, size_high),
            csum_start: number(start_low, start_high),
            csum_offset: number(offset_low, offset_high),
        })
    }

    /// Whether the sum is one of the network layer's content. Anything else would be written over the Ethernet header.
    fn is_behind(self, ethernet: &[u8]) -> bool {
        self.csum_start >= network_start(ethernet)
    }

    fn is_super_frame(self) -> bool {
        self.gso & !GSO_ECN != GSO_NONE
    }
}

/// Where the network layer begins in an Ethernet frame: behind the addresses, the VLAN tags and the type.
pub fn network_start(ethernet: &[u8]) -> usize {
    let mut start = ETHERNET;
    while start.checked_sub(2).and_then(|at| ethernet.get(at..start)).is_some_and(is_vlan) {
        start += VLAN_TAG;
    }
    start
}

fn is_vlan(ethertype: &[u8]) -> bool {
    ETHERTYPE_VLAN.iter().any(|vlan| vlan == ethertype)
}

/// Does what was left to be done, so that nobody does it later: completes the checksum (the kernel's
/// `skb_checksum_help`) and clears the header. False, and nothing done, for a super-frame and for offsets that lie.
pub fn finish(bytes: &mut [u8]) -> bool {
    let Some(offload) = Offload::of(bytes) else { return false };
    if offload.is_super_frame() {
        return false;
    }
    if offload.flags & NEEDS_CSUM != 0 {
        if !bytes.get(HEADER..).is_some_and(|ethernet| offload.is_behind(ethernet)) {
            return false;
        }
        let Some(summed) = bytes.get_mut(HEADER + offload.csum_start..) else { return false };
        // The field holds the sum of the pseudo-header, so the sum over it and the rest is the one to complement.
        let checksum = match !folded(sum(summed)) {
            // 0 would mean "none" in UDP; both are zeroes to a sum of ones' complements.
            0 => 0xffff,
            checksum => checksum,
        };
        if put(summed, offload.csum_offset, checksum.to_be_bytes()).is_none() {
            return false;
        }
    }
    bytes.iter_mut().take(HEADER).for_each(|byte| *byte = 0);
    true
}

/// Two frames that together carry the data of one.
#[derive(Debug, PartialEq, Eq)]
pub struct Cut {
    /// One segment.
    pub first: Box<[u8]>,
    /// Still a super-frame, if it is longer than a segment.
    pub rest: Box<[u8]>,
}

/// Cuts the first segment off a TCP super-frame, the only kind that our TAPs accept. None for any other frame, and
/// for a malformed one.
pub fn cut(bytes: &[u8]) -> Option<Cut> {
    let offload = Offload::of(bytes)?;
    let is_tcp = matches!(offload.gso & !GSO_ECN, GSO_TCPV4 | GSO_TCPV6);
    if !is_tcp || offload.flags & NEEDS_CSUM == 0 || offload.gso_size == 0 {
        return None;
    }
    let ethernet = bytes.get(HEADER..).filter(|ethernet| offload.is_behind(ethernet))?;
    let tcp = offload.csum_start;
    let data_offset = usize::from(ethernet.get(tcp.checked_add(12)?)? >> 4) * 4;
    let payload = HEADER + tcp + data_offset;
    let end = payload + offload.gso_size;
    let (headers, left) = (bytes.get(..payload)?, bytes.get(end..).filter(|left| !left.is_empty())?);

    let mut first: Box<[u8]> = bytes.get(..end)?.into();
    let mut rest: Box<[u8]> = [headers, left].concat().into();
    resize(&mut first, bytes.len(), tcp, offload.csum_offset, 0)?;
    resize(&mut rest, bytes.len(), tcp, offload.csum_offset, 1)?;

    // The end of the data belongs to the last segment, and to the first the answer to a congestion mark (RFC 3168).
    *first.get_mut(HEADER + tcp + 13)? &= !TCP_FIN_PSH;
    *rest.get_mut(HEADER + tcp + 13)? &= !TCP_CWR;
    let sequence = u32::from_be_bytes(read(&rest, HEADER + tcp + 4)?);
    let next = sequence.wrapping_add(u32::try_from(offload.gso_size).ok()?);
    put(&mut rest, HEADER + tcp + 4, next.to_be_bytes())?;

    not_a_super_frame(&mut first);
    if left.len() <= offload.gso_size {
        not_a_super_frame(&mut rest);
    }
    Some(Cut { first, rest })
}

/// Tells the IP header and the sum of the pseudo-header how long the packet is now, and counts the IPv4
/// identification on.
fn resize(bytes: &mut [u8], old: usize, tcp: usize, csum_offset: usize, nth: u16) -> Option<()> {
    let new = bytes.len();
    let ethernet = bytes.get_mut(HEADER..)?;
    let network = network_start(ethernet);
    let ip = ethernet.get_mut(network..)?;
    if ip.first()? >> 4 == 4 {
        let length = u16::try_from(ip.len()).ok()?;
        let identification = u16::from_be_bytes(read(ip, 4)?).wrapping_add(nth);
        put(ip, 2, length.to_be_bytes())?;
        put(ip, 4, identification.to_be_bytes())?;
        put(ip, 10, [0, 0])?;
        let header = ip.get(..usize::from(ip.first()? & 0x0f) * 4)?;
        let checksum = !folded(sum(header));
        put(ip, 10, checksum.to_be_bytes())?;
    } else {
        let length = u16::try_from(ip.len().checked_sub(IPV6_HEADER)?).ok()?;
        put(ip, 4, length.to_be_bytes())?;
    }
    // A difference, not a new sum: behind a routing header the destination is not the one in the IP header
    // (RFC 8200, 8.1).
    let field = tcp.checked_add(csum_offset)?;
    let segment = |length: usize| u16::try_from(length.checked_sub(HEADER + tcp)?).ok();
    let partial = u16::from_be_bytes(read(ethernet, field)?);
    let changed = u64::from(partial) + u64::from(!segment(old)?) + u64::from(segment(new)?);
    put(ethernet, field, folded(changed).to_be_bytes())
}

fn not_a_super_frame(bytes: &mut [u8]) {
    // The kind of segment and its size.
    for at in [1, 4, 5] {
        bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = 0);
    }
}

fn read<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) -> Option<()> {
    *bytes.get_mut(at..)?.first_chunk_mut()? = value;
    Some(())
}

/// The sum of the 16-bit words (RFC 1071), not folded: 64 KiB of them are far below 2^64.
fn sum(bytes: &[u8]) -> u64 {
    let (words, odd) = bytes.as_chunks::<2>();
    let last = odd.first().map_or(0, |byte| u64::from(*byte) << 8);
    words.iter().map(|word| u64::from(u16::from_be_bytes(*word))).sum::<u64>() + last
}

fn folded(mut sum: u64) -> u16 {
    loop {
        match u16::try_from(sum) {
            Ok(folded) => return folded,
            Err(_) => sum = (sum & 0xffff) + (sum >> 16),
        }
    }
}

#[cfg(feature = "fuzz")]
pub use fuzz::{sum_from, summed};

#[cfg(feature = "fuzz")]
mod fuzz {
    use super::*;

    /// Where the sum of a frame begins, where its field is, and what that holds; of those that are to be completed, and whose
    /// field is a word of the sum.
    pub fn summed(bytes: &[u8]) -> Option<(usize, usize, u16)> {
        let offload = Offload::of(bytes)?;
        let (start, at) = (HEADER + offload.csum_start, HEADER + offload.csum_start + offload.csum_offset);
        let aligned = offload.csum_offset % 2 == 0;
        (offload.flags & NEEDS_CSUM != 0 && aligned)
            .then(|| Some((start, at, u16::from_be_bytes(read(bytes, at)?))))
            .flatten()
    }

    pub fn sum_from(bytes: &[u8], start: usize) -> u16 {
        folded(sum(bytes.get(start..).unwrap_or_default()))
    }
}

#[cfg(test)]
pub mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A TCP frame as the kernel hands it over: the checksum is the folded sum of the pseudo-header. Flags CWR,
    /// PSH, ACK, FIN.
    pub fn tcp_frame(ipv6: bool, vlan: bool, payload: &[u8], gso_size: u16) -> Vec<u8> {
        let length = u16::try_from(20 + payload.len()).unwrap();
        let mut ethernet = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        if vlan {
            ethernet.extend([0x81, 0x00, 0x00, 0x05]);
        }
        if ipv6 {
            ethernet.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            ethernet.extend(length.to_be_bytes());
            ethernet.extend([6, 64]);
            ethernet.extend([0xfd; 32]);
        } else {
            let mut ip = vec![0x45, 0];
            ip.extend((20 + length).to_be_bytes());
            ip.extend([0xff, 0xff, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
            let checksum = !folded(sum(&ip));
            ip[10..12].copy_from_slice(&checksum.to_be_bytes());
            ethernet.extend([0x08, 0x00]);
            ethernet.extend(ip);
        }
        let tcp = u16::try_from(ethernet.len()).unwrap();
        let addresses = if ipv6 { &[0xfd; 32][..] } else { &[10, 0, 0, 1, 10, 0, 0, 2][..] };
        let pseudo = folded(sum(addresses) + 6 + u64::from(length));
        ethernet.extend([0x12, 0x34, 0x56, 0x78, 0xff, 0xff, 0xff, 0x00, 0, 0, 0, 0, 0x50, 0x99, 1, 0]);
        ethernet.extend(pseudo.to_be_bytes());
        ethernet.extend([0, 0]);
        ethernet.extend(payload);

        let kind = match (gso_size, ipv6) {
            (0, _) => 0,
            (_, false) => GSO_TCPV4 | GSO_ECN,
            (_, true) => GSO_TCPV6,
        };
        let mut bytes = vec![NEEDS_CSUM, kind];
        for number in [tcp + 20, gso_size, tcp, 16] {
            bytes.extend(number.to_ne_bytes());
        }
        bytes.extend(ethernet);
        bytes
    }

    /// Whether a receiver takes the packet: both checksums hold, and the lengths are those of the frame.
    pub fn is_intact(ethernet: &[u8]) -> bool {
        let ip = &ethernet[network_start(ethernet)..];
        let (header, addresses) = if ip[0] == 0x60 { (40, &ip[8..40]) } else { (20, &ip[12..20]) };
        let tcp = &ip[header..];
        let (length_at, length) = if header == 40 { (4, tcp.len()) } else { (2, ip.len()) };
        let says = u16::from_be_bytes([ip[length_at], ip[length_at + 1]]);
        usize::from(says) == length
            && (header == 40 || folded(sum(&ip[..20])) == 0xffff)
            && folded(sum(addresses) + 6 + u64::try_from(tcp.len()).unwrap() + sum(tcp)) == 0xffff
    }

    #[test]
    fn the_checksum_is_completed_and_nothing_is_left_to_do() {
        for (ipv6, vlan) in [(false, false), (true, false), (false, true), (true, true)] {
            let mut bytes = tcp_frame(ipv6, vlan, b"an odd number", 0);
            assert!(!is_intact(&bytes[HEADER..]));
            assert!(finish(&mut bytes));
            assert!(is_intact(&bytes[HEADER..]), "{ipv6} {vlan}");
            assert_eq!(bytes[..HEADER], [0; HEADER]);
        }
    }

    #[test]
    fn a_checksum_of_zero_is_written_as_ones() {
        // Nothing but a field, whose pseudo-header sums to all ones.
        let mut bytes =
            [&[NEEDS_CSUM, 0, 0, 0, 0, 0][..], &14_u16.to_ne_bytes(), &[0; 2 + 14], &[0xff; 2]].concat();
        assert!(finish(&mut bytes));
        assert_eq!(bytes[HEADER + 14..], [0xff, 0xff]);
    }

    #[test]
    fn offsets_that_lie_are_refused() {
        let mut bytes = tcp_frame(false, false, b"payload", 0);
        bytes[6..8].copy_from_slice(&u16::MAX.to_ne_bytes());
        assert!(!finish(&mut bytes.clone()));
        bytes[1] = GSO_TCPV4;
        bytes[4..6].copy_from_slice(&2_u16.to_ne_bytes());
        assert_eq!(cut(&bytes), None);
    }

    #[test]
    fn a_checksum_inside_the_ethernet_header_is_refused() {
        for gso in [0, 100] {
            let mut bytes = tcp_frame(false, false, &[7; 500], gso);
            bytes[6..8].copy_from_slice(&0_u16.to_ne_bytes());
            let before = bytes.clone();
            assert!(!finish(&mut bytes));
            assert_eq!((cut(&bytes), bytes), (None, before));
        }
    }

    /// All segments of a super-frame, cut off one by one.
    fn segments(mut bytes: Box<[u8]>) -> Vec<Box<[u8]>> {
        let mut segments = Vec::new();
        while let Some(cut) = cut(&bytes) {
            segments.push(cut.first);
            bytes = cut.rest;
        }
        segments.push(bytes);
        segments
    }

    proptest! {
        #[test]
        fn a_super_frame_is_cut_as_the_kernel_would(
            payload in proptest::collection::vec(any::<u8>(), 101..1_000), ipv6: bool, vlan: bool,
        ) {
            let bytes = tcp_frame(ipv6, vlan, &payload, 100);
            let network = network_start(&bytes[HEADER..]);
            let tcp = network + if ipv6 { 40 } else { 20 };
            let segments = segments(bytes.into());
            prop_assert_eq!(segments.len(), payload.len().div_ceil(100));
            let mut carried: Vec<u8> = Vec::new();
            for (nth, segment) in (0_u16..).zip(&segments) {
                let mut segment = segment.clone();
                prop_assert!(finish(&mut segment));
                let ethernet = &segment[HEADER..];
                prop_assert!(is_intact(ethernet));
                let sequence = 0xffff_ff00_u32.wrapping_add(100 * u32::from(nth));
                prop_assert_eq!(&ethernet[tcp + 4..tcp + 8], &sequence.to_be_bytes());
                let last = usize::from(nth) + 1 == segments.len();
                let flags = 0x10 | if nth == 0 { TCP_CWR } else { 0 } | if last { TCP_FIN_PSH } else { 0 };
                prop_assert_eq!(ethernet[tcp + 13], flags);
                if !ipv6 {
                    let identification = 0xffff_u16.wrapping_add(nth);
                    prop_assert_eq!(&ethernet[network + 4..network + 6], &identification.to_be_bytes());
                }
                carried.extend(&ethernet[tcp + 20..]);
            }
            prop_assert_eq!(carried, payload);
        }

        #[test]
        fn no_header_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100), gso in 0_u8..6) {
            let mut bytes = bytes;
            if let Some([flags, kind]) = bytes.first_chunk_mut() {
                (*flags, *kind) = (NEEDS_CSUM, gso);
            }
            cut(&bytes);
            finish(&mut bytes);
        }
    }
}
