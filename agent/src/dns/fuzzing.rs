//! Messages of DNS, and how they come over TCP.

use futures_util::FutureExt;
use hickory_proto::op::{Message, MessageType};
use partition_agent_proto::{DnsAnswer, Span};
use tokio::io::AsyncReadExt;

use super::rules::{Decision, Rules};
use super::tcp::Frames;

const NAMES: [&str; 3] = ["api.example.com", "*.wild.example", "*"];

/// Whatever asks gets an answer to its own question or none.
pub fn dns(bytes: &[u8]) {
    for failing in 1..=NAMES.len() {
        let names = NAMES.iter().take(failing).map(|name| name.parse().expect("a name")).collect::<Vec<_>>();
        for answer in [
            DnsAnswer::Nxdomain,
            DnsAnswer::Servfail,
            DnsAnswer::Timeout,
            DnsAnswer::Delay { latency: Span::from_millis(1) },
        ] {
            match Rules::new(names.clone(), answer).decide(bytes) {
                Decision::Answer(answer) => is_answer(bytes, &answer),
                Decision::Forward | Decision::Silence | Decision::ForwardLater(_) => {}
            }
        }
    }
}

fn is_answer(question: &[u8], answer: &[u8]) {
    let [question, answer] = [question, answer].map(|bytes| Message::from_vec(bytes).expect("a message"));
    assert_eq!(answer.metadata.message_type, MessageType::Response);
    assert_eq!((answer.metadata.id, &answer.queries), (question.metadata.id, &question.queries));
    assert!(answer.answers.is_empty() && answer.authorities.is_empty());
    assert_eq!(answer.edns.is_some(), question.edns.is_some());
}

/// A connection that brings its bytes in two pieces: the messages are those that a reader of the whole finds.
pub fn dns_tcp(bytes: &[u8]) {
    let Some((at, bytes)) = bytes.split_first() else { return };
    let (first, second) = bytes.split_at(usize::from(*at).min(bytes.len()));
    let mut frames = Frames::new(first.chain(second));
    let mut rest = bytes;
    while let Some(message) = frames.next().now_or_never().expect("all of it is there").expect("no error") {
        let (length, behind) = rest.split_first_chunk().expect("a length");
        let (expected, behind) = behind.split_at(usize::from(u16::from_be_bytes(*length)));
        assert_eq!(message, expected);
        rest = behind;
    }
    let left =
        rest.split_first_chunk().map(|(length, rest)| (usize::from(u16::from_be_bytes(*length)), rest.len()));
    assert!(left.is_none_or(|(length, there)| there < length), "a whole message was left");
}
