//! Frames, as senders and kernels make them and as nobody would.

use super::dice::Dice;
use super::frame::Frame;
use super::offload::{self, HEADER};

/// The bytes are `struct virtio_net_hdr` and an Ethernet frame.
pub fn frame(bytes: &[u8]) {
    let mut finished = bytes.to_vec();
    let before = offload::summed(&finished);
    if offload::finish(&mut finished) {
        assert_eq!(finished.get(..HEADER), Some([0; HEADER].as_slice()), "nothing is left to do");
        if let Some((start, at, partial)) = before {
            // The sum of all words is then that of the pseudo-header, complemented: so a receiver finds it right.
            let after = offload::sum_from(&finished, start);
            assert_eq!(u32::from(after) % 0xffff, u32::from(!partial) % 0xffff, "the checksum at {at}");
        }
    } else {
        assert_eq!(finished, bytes, "what is refused stays as it was");
    }
    segments(bytes);
    let Some(mut frame) = Frame::new(bytes) else { return };
    let length = frame.length();
    frame.set_source([2, 0x70, 0x61, 0, 0, 1]);
    assert!(frame.is_from([2, 0x70, 0x61, 0, 0, 1]) && frame.length() == length);
    let ethernet = |frame: &Frame| {
        frame.parts().next().and_then(|part| part.get(HEADER..HEADER + 14)).map(<[u8]>::to_vec)
    };
    let header = ethernet(&frame);
    frame.corrupt(&mut Dice::new(1));
    assert_eq!(ethernet(&frame), header, "the Ethernet header is never hit");
    assert!(frame.length() >= length, "no byte is lost");
}

/// Cut one by one, the segments of a super-frame hold all that it held.
fn segments(bytes: &[u8]) {
    let (mut rest, mut count) = (Box::<[u8]>::from(bytes), 0_usize);
    while let Some(cut) = offload::cut(&rest) {
        assert!(cut.rest.len() < rest.len() && !cut.first.is_empty());
        // The headers are in both.
        assert!(cut.first.len() + cut.rest.len() >= rest.len());
        rest = cut.rest;
        count += 1;
        assert!(count <= bytes.len(), "it ends");
    }
}
