//! What is sent: 32 bytes, whichever way, so that a forged sender gains nothing by the answers.
//!
//! ```text
//!  0       4        5     6       8      16     20   24          28      32
//!  | magic | version | kind | zeros | round | from | to | sequence | zeros |
//! ```
//!
//! Numbers are big-endian.

/// Of every datagram.
pub const LENGTH: usize = 32;

const MAGIC: [u8; 4] = *b"pa-p";
const VERSION: u8 = 1;

/// A question or its answer. Only a question is answered: two responders never talk to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Request,
    Reply,
}

/// One datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram {
    pub kind: Kind,
    /// The same for all that is asked together.
    pub round: u64,
    /// Who asks.
    pub from: u32,
    /// Who is asked.
    pub to: u32,
    /// Which of the datagrams between the two.
    pub sequence: u32,
}

impl Datagram {
    /// As it is sent.
    pub fn encode(&self) -> [u8; LENGTH] {
        let kind = match self.kind {
            Kind::Request => 1,
            Kind::Reply => 2,
        };
        let mut bytes = [0; LENGTH];
        let round = self.round.to_be_bytes();
        let [from, to, sequence] = [self.from, self.to, self.sequence].map(u32::to_be_bytes);
        let fields: [&[u8]; 7] = [&MAGIC, &[VERSION, kind], &[0, 0], &round, &from, &to, &sequence];
        for (byte, field) in bytes.iter_mut().zip(fields.into_iter().flatten()) {
            *byte = *field;
        }
        bytes
    }

    /// Nothing, if it is none: too short, too long, of another version, or with something where zeros belong.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk::<8>()?;
        let (round, rest) = rest.split_first_chunk()?;
        let (from, rest) = rest.split_first_chunk()?;
        let (to, rest) = rest.split_first_chunk()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        let [m, a, g, i, VERSION, kind, 0, 0] = *head else { return None };
        let kind = match kind {
            1 => Kind::Request,
            2 => Kind::Reply,
            _ => return None,
        };
        if [m, a, g, i] != MAGIC || rest != [0; 4] {
            return None;
        }
        let [from, to, sequence] = [from, to, sequence].map(|number| u32::from_be_bytes(*number));
        Some(Self { kind, round: u64::from_be_bytes(*round), from, to, sequence })
    }

    /// The answer to a question, and none to an answer.
    pub fn reply(self) -> Option<Self> {
        match self.kind {
            Kind::Request => Some(Self { kind: Kind::Reply, ..self }),
            Kind::Reply => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    prop_compose! {
        fn datagram()(kind in prop_oneof![Just(Kind::Request), Just(Kind::Reply)],
                      round in any::<u64>(), from in any::<u32>(), to in any::<u32>(), sequence in any::<u32>()) -> Datagram {
            Datagram { kind, round, from, to, sequence }
        }
    }

    #[test]
    fn the_form_is_what_it_is() {
        let datagram =
            Datagram { kind: Kind::Request, round: 0x0102_0304_0506_0708, from: 9, to: 10, sequence: 11 };
        let bytes =
            *b"pa-p\x01\x01\0\0\x01\x02\x03\x04\x05\x06\x07\x08\0\0\0\x09\0\0\0\x0a\0\0\0\x0b\0\0\0\0";
        assert_eq!(datagram.encode(), bytes);
    }

    proptest! {
        #[test]
        fn what_is_sent_is_what_is_read(datagram in datagram()) {
            prop_assert_eq!(Datagram::decode(&datagram.encode()), Some(datagram));
        }

        #[test]
        fn whatever_is_read_would_be_sent_the_same(bytes in prop::collection::vec(any::<u8>(), 0..2 * LENGTH)) {
            if let Some(datagram) = Datagram::decode(&bytes) {
                prop_assert_eq!(datagram.encode().to_vec(), bytes);
            }
        }

        #[test]
        fn one_byte_more_or_less_or_other_than_a_number_is_none(
            datagram in datagram(), at in prop_oneof![0_usize..8, 28_usize..32], other in 3_u8..,
        ) {
            let bytes = datagram.encode();
            prop_assert_eq!(Datagram::decode(bytes.split_last().unwrap().1), None);
            prop_assert_eq!(Datagram::decode(&[&bytes[..], &[0]].concat()), None);
            let mut damaged = bytes;
            damaged[at] = damaged[at].wrapping_add(other).max(3);
            prop_assert_eq!(Datagram::decode(&damaged), None);
        }

        #[test]
        fn an_answer_is_no_larger_than_its_question_and_gets_none(datagram in datagram()) {
            if let Some(reply) = datagram.reply() {
                prop_assert!(reply.encode().len() <= datagram.encode().len());
                prop_assert_eq!(reply.reply(), None);
            }
        }
    }
}
