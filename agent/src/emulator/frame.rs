//! A frame of the TAP: an Ethernet frame behind the header that says what was left to the network card.

use super::dice::Dice;
use super::offload;

const SOURCE: std::ops::Range<usize> = offload::HEADER + 6..offload::HEADER + 12;
const SHORTEST: usize = offload::HEADER + 14;

/// Up to 64 KiB when the sender left the segmentation to the card; such a super-frame stays whole, and counts as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    bytes: Box<[u8]>,
    /// What remains of a super-frame that lost its first segment to corruption. It follows at once.
    rest: Option<Box<[u8]>>,
}

impl Frame {
    /// None if this is too short for an Ethernet frame.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (bytes.len() >= SHORTEST).then(|| Self { bytes: bytes.into(), rest: None })
    }

    /// What to write to the TAP, in this order, each with its header.
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(&*self.bytes).chain(self.rest.as_deref())
    }

    /// Bytes on the wire as netem counts them: with the Ethernet header, without the frame check sequence.
    pub fn length(&self) -> usize {
        self.parts().map(|part| part.len().saturating_sub(offload::HEADER)).sum()
    }

    pub fn is_from(&self, address: [u8; 6]) -> bool {
        self.bytes.get(SOURCE) == Some(&address)
    }

    pub fn set_source(&mut self, address: [u8; 6]) {
        if let Some(source) = self.bytes.get_mut(SOURCE) {
            source.copy_from_slice(&address);
        }
    }

    /// Flips one bit, and completes the checksum first: if it were left to the card, the receiver would find it
    /// right. A super-frame has its first segment cut off and hit, as netem does: were a bit flipped in the whole,
    /// every checksum would be computed over the damage, and the application would read it.
    ///
    /// The network layer is hit or what is in it, never the Ethernet header: a wrong destination there could take
    /// the packet to a station that nobody wants to disturb. False, and nothing done, if there is no such byte.
    pub fn corrupt(&mut self, dice: &mut Dice) -> bool {
        if let Some(cut) = offload::cut(&self.bytes) {
            (self.bytes, self.rest) = (cut.first, Some(cut.rest));
        }
        if !offload::finish(&mut self.bytes) {
            return false;
        }
        let start = self.bytes.get(offload::HEADER..).map_or(0, offload::network_start);
        let hit = self.bytes.get_mut(offload::HEADER + start..).unwrap_or_default();
        let at = dice.below(hit.len());
        let bit = dice.below(8);
        let Some(byte) = hit.get_mut(at) else { return false };
        *byte ^= 1 << bit;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::offload::tests::{is_intact, tcp_frame};
    use super::*;

    fn flipped(before: &[u8], after: &[u8]) -> u32 {
        assert_eq!(before.len(), after.len());
        before.iter().zip(after).map(|(before, after)| (before ^ after).count_ones()).sum()
    }

    #[test]
    fn corruption_flips_exactly_one_bit_behind_the_ethernet_header() {
        let mut bytes = vec![0; 10];
        bytes.extend([0xff; 12]);
        bytes.extend([0x08, 0x00]);
        bytes.extend([0; 50]);
        let mut dice = Dice::new(1);
        let mut hit = [false; 50];
        for _ in 0..2_000 {
            let mut frame = Frame::new(&bytes).unwrap();
            assert!(frame.corrupt(&mut dice));
            let after = frame.parts().next().unwrap();
            assert_eq!((flipped(&bytes, after), flipped(&bytes[..24], &after[..24])), (1, 0));
            hit[after[24..].iter().position(|byte| *byte != 0).unwrap()] = true;
        }
        // Each byte is missed with a chance of 0.98^2000.
        assert_eq!(hit, [true; 50]);
    }

    #[test]
    fn a_checksum_left_to_the_card_does_not_hide_the_damage() {
        for ipv6 in [false, true] {
            let mut dice = Dice::new(2);
            let mut whole = tcp_frame(ipv6, false, &[7; 500], 0);
            let mut frame = Frame::new(&whole).unwrap();
            assert!(frame.corrupt(&mut dice));
            assert!(offload::finish(&mut whole));
            let after = frame.parts().next().unwrap();
            assert_eq!(flipped(&whole, after), 1);
            assert_eq!(after[..10], [0; 10]);
        }
    }

    #[test]
    fn a_super_frame_loses_its_first_segment_only() {
        for ipv6 in [false, true] {
            let bytes = tcp_frame(ipv6, true, &[7; 3_500], 1_000);
            let mut frame = Frame::new(&bytes).unwrap();
            assert!(frame.corrupt(&mut Dice::new(3)));
            let parts: Vec<&[u8]> = frame.parts().collect();
            let offload::Cut { first: mut expected, rest } = offload::cut(&bytes).unwrap();
            assert!(offload::finish(&mut expected));
            assert!(is_intact(&expected[10..]));
            assert_eq!(flipped(&expected, parts[0]), 1);
            assert_eq!(parts[1], &*rest);
            assert_eq!(frame.length(), parts[0].len() + parts[1].len() - 20);
        }
    }

    #[test]
    fn the_source_is_replaced_and_nothing_else() {
        let bytes = tcp_frame(false, false, b"x", 0);
        let mut frame = Frame::new(&bytes).unwrap();
        assert!(frame.is_from([2, 0, 0, 0, 0, 2]) && !frame.is_from([2, 0, 0, 0, 0, 1]));
        frame.set_source([2, 0x70, 0x61, 0, 0, 1]);
        let after = frame.parts().next().unwrap();
        assert_eq!(after[16..22], [2, 0x70, 0x61, 0, 0, 1]);
        assert_eq!((&after[..16], &after[22..]), (&bytes[..16], &bytes[22..]));
    }

    #[test]
    fn a_frame_without_a_payload_cannot_be_hit() {
        let mut frame = Frame::new(&[0; 24]).unwrap();
        assert!(!frame.corrupt(&mut Dice::new(1)));
        assert_eq!(Frame::new(&[0; 23]), None);
    }
}
