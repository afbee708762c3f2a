//! Which questions fail, and the answers that make them fail.

use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, Metadata, OpCode, ResponseCode};
use hickory_proto::rr::Name;
use partition_agent_proto::{DnsAnswer, DnsName};

/// What fits into one packet nearly everywhere (DNS flag day 2020); our own answers are far smaller.
const PAYLOAD: u16 = 1232;

/// The names that fail, and how.
#[derive(Debug, Clone)]
pub struct Rules {
    names: Vec<DnsName>,
    answer: DnsAnswer,
}

/// What becomes of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It meets no rule: the name server gets it as it is.
    Forward,
    /// The asker gets this.
    Answer(Vec<u8>),
    /// Nobody gets anything.
    Silence,
    /// The name server gets it as it is, this much later.
    ForwardLater(Duration),
}

impl Rules {
    /// Questions for any of `names` get `answer`.
    #[must_use]
    pub fn new(names: Vec<DnsName>, answer: DnsAnswer) -> Self {
        Self { names, answer }
    }

    /// What becomes of `message`, which is one message of DNS without the length that TCP puts before it, or any other
    /// bytes. The first question counts: servers refuse messages with more (RFC 9619).
    #[must_use]
    pub fn decide(&self, message: &[u8]) -> Decision {
        let Ok(query) = Message::from_vec(message) else {
            return Decision::Forward;
        };
        if query.metadata.message_type != MessageType::Query || query.metadata.op_code != OpCode::Query {
            return Decision::Forward;
        }
        let Some(asked) = query.queries.first().map(|question| text(&question.name)) else {
            return Decision::Forward;
        };
        if !self.names.iter().any(|name| name.matches(&asked)) {
            return Decision::Forward;
        }
        match self.answer {
            DnsAnswer::Nxdomain => failure(&query, ResponseCode::NXDomain),
            DnsAnswer::Servfail => failure(&query, ResponseCode::ServFail),
            DnsAnswer::Timeout => Decision::Silence,
            DnsAnswer::Delay { latency } => Decision::ForwardLater(latency.duration()),
        }
    }
}

/// Labels joined by dots. A label can hold any byte, a dot too; what no [`DnsName`] can hold becomes a backslash, which
/// none holds either, so that such a label is never taken for two.
fn text(name: &Name) -> String {
    let plain = |&byte: &u8| if byte.is_ascii_graphic() && byte != b'.' { char::from(byte) } else { '\\' };
    name.iter().map(|label| label.iter().map(plain).collect::<String>()).collect::<Vec<_>>().join(".")
}

/// There is no SOA in it, on purpose: without one nobody caches that a name does not exist (RFC 2308, section 5), so
/// lookups work again as soon as the fault is over.
fn failure(query: &Message, code: ResponseCode) -> Decision {
    let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
    answer.metadata = Metadata::response_from_request(&query.metadata);
    answer.metadata.recursion_available = true;
    answer.metadata.response_code = code;
    answer.queries.clone_from(&query.queries);
    answer.edns = query.edns.as_ref().map(|asked| {
        let mut edns = Edns::new();
        edns.set_max_payload(PAYLOAD).set_dnssec_ok(asked.flags().dnssec_ok);
        edns
    });
    match answer.to_vec() {
        Ok(bytes) => Decision::Answer(bytes),
        Err(error) => {
            // A failing name must not be resolved only because its failure cannot be written.
            tracing::warn!(%error, "a failing question stays without an answer: it cannot be written");
            Decision::Silence
        }
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::{DNSClass, RecordType};
    use partition_agent_proto::Span;
    use proptest::prelude::*;

    use super::*;

    fn rules(names: &[&str], answer: DnsAnswer) -> Rules {
        Rules::new(names.iter().map(|name| name.parse().unwrap()).collect(), answer)
    }

    /// By hand, so that neither the case nor odd labels go through the encoder under test.
    fn question(labels: &[&[u8]], kind: u16, class: u16, opt: &[u8]) -> Vec<u8> {
        let mut message = vec![0xbe, 0xef, 0x01, 0x10, 0, 1, 0, 0, 0, 0, 0, u8::from(!opt.is_empty())];
        for label in labels {
            message.push(u8::try_from(label.len()).unwrap());
            message.extend_from_slice(label);
        }
        message.push(0);
        message.extend_from_slice(&kind.to_be_bytes());
        message.extend_from_slice(&class.to_be_bytes());
        message.extend_from_slice(opt);
        message
    }

    fn a(labels: &[&[u8]]) -> Vec<u8> {
        question(labels, 1, 1, &[])
    }

    fn answered(decision: &Decision) -> Message {
        let Decision::Answer(bytes) = decision else { panic!("{decision:?}") };
        Message::from_vec(bytes).unwrap()
    }

    #[test]
    fn a_failing_name_keeps_id_question_and_case() {
        let asked = a(&[b"aPi", b"EXAMPLE", b"com"]);
        let Decision::Answer(bytes) = rules(&["api.example.com"], DnsAnswer::Nxdomain).decide(&asked) else {
            panic!("not answered")
        };
        // QR, RD and CD as asked, RA, NXDOMAIN; one question, nothing else.
        let mut expected = asked.clone();
        expected[2] = 0x81;
        expected[3] = 0x93;
        assert_eq!(bytes, expected);
    }

    #[test]
    fn servfail_is_rcode_2() {
        let decision = rules(&["a.b"], DnsAnswer::Servfail).decide(&a(&[b"a", b"b"]));
        assert_eq!(answered(&decision).metadata.response_code, ResponseCode::ServFail);
    }

    #[test]
    fn timeout_is_silence_and_delay_comes_later() {
        let latency: Span = "1500ms".parse().unwrap();
        let asked = a(&[b"a", b"b"]);
        assert_eq!(rules(&["a.b"], DnsAnswer::Timeout).decide(&asked), Decision::Silence);
        assert_eq!(
            rules(&["a.b"], DnsAnswer::Delay { latency }).decide(&asked),
            Decision::ForwardLater(Duration::from_millis(1500))
        );
    }

    #[test]
    fn a_wildcard_is_what_is_below() {
        let rules = rules(&["*.example.com"], DnsAnswer::Timeout);
        assert_eq!(rules.decide(&a(&[b"x", b"y", b"example", b"com"])), Decision::Silence);
        assert_eq!(rules.decide(&a(&[b"example", b"com"])), Decision::Forward);
        assert_eq!(rules.decide(&a(&[b"notexample", b"com"])), Decision::Forward);
        // One label with a dot in it is not two labels.
        assert_eq!(rules.decide(&a(&[b"x.example", b"com"])), Decision::Forward);
        assert_eq!(self::rules(&["*"], DnsAnswer::Timeout).decide(&a(&[])), Decision::Silence);
    }

    #[test]
    fn every_type_and_class_fails() {
        let rules = rules(&["4.3.2.1.in-addr.arpa", "_sip._tcp.example.com"], DnsAnswer::Nxdomain);
        let ptr = question(&[b"4", b"3", b"2", b"1", b"in-addr", b"arpa"], 12, 1, &[]);
        assert_eq!(answered(&rules.decide(&ptr)).queries[0].query_type, RecordType::PTR);
        let any = question(&[b"_sip", b"_tcp", b"example", b"com"], 255, 255, &[]);
        assert_eq!(answered(&rules.decide(&any)).queries[0].query_class, DNSClass::ANY);
        let unknown = question(&[b"_sip", b"_tcp", b"example", b"com"], 65_280, 4711, &[]);
        let Decision::Answer(bytes) = rules.decide(&unknown) else { panic!("not answered") };
        assert_eq!(bytes[12..], unknown[12..]);
    }

    #[test]
    fn an_opt_is_answered_with_an_opt_and_keeps_do() {
        // Root, OPT, 4096 bytes, version 0 with DO, a cookie of eight bytes.
        let opt = [0, 0, 41, 16, 0, 0, 0, 0x80, 0, 0, 12, 0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8];
        let asked = question(&[b"a", b"b"], 1, 1, &opt);
        let edns = answered(&rules(&["a.b"], DnsAnswer::Nxdomain).decide(&asked)).edns.unwrap();
        assert_eq!((edns.max_payload(), edns.version(), edns.flags().dnssec_ok), (PAYLOAD, 0, true));
        assert!(answered(&rules(&["a.b"], DnsAnswer::Nxdomain).decide(&a(&[b"a", b"b"]))).edns.is_none());
    }

    #[test]
    fn what_is_no_query_is_forwarded() {
        let rules = rules(&["*"], DnsAnswer::Nxdomain);
        let asked = a(&[b"a", b"b"]);
        let with = |at: usize, byte: u8| {
            let mut message = asked.clone();
            message[at] = byte;
            message
        };
        assert_eq!(rules.decide(&with(2, 0x81)), Decision::Forward, "a response");
        assert_eq!(rules.decide(&with(2, 0x29)), Decision::Forward, "an update");
        assert_eq!(rules.decide(&with(5, 0)), Decision::Forward, "no question");
        assert_eq!(rules.decide(&asked[..asked.len() - 1]), Decision::Forward, "cut off");
        assert_eq!(rules.decide(b""), Decision::Forward);
        assert_eq!(rules.decide(b"GET / HTTP/1.1\r\n\r\n"), Decision::Forward);
        assert!(matches!(rules.decide(&asked), Decision::Answer(_)));
    }

    proptest! {
        #[test]
        fn any_bytes_get_a_decision(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = rules(&["*"], DnsAnswer::Nxdomain).decide(&bytes);
        }

        #[test]
        fn mutated_questions_get_a_decision_and_keep_their_id(
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        ) {
            let opt = [0, 0, 41, 16, 0, 0, 0, 0x80, 0, 0, 12, 0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8];
            let mut asked = question(&[b"api", b"example", b"com"], 1, 1, &opt);
            for (at, byte) in changes {
                let at = at.index(asked.len());
                asked[at] = byte;
            }
            if let Decision::Answer(bytes) = rules(&["*"], DnsAnswer::Servfail).decide(&asked) {
                prop_assert_eq!(&bytes[..2], &asked[..2]);
                prop_assert!(Message::from_vec(&bytes).is_ok());
            }
        }
    }
}
