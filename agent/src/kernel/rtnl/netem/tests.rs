//! Against what tc sends, and what kernels with netem make of it.

use std::collections::BTreeMap;
use std::process::Command;

use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST};
use netlink_sys::{Socket, protocols::NETLINK_ROUTE};
use nix::sched::{CloneFlags, unshare};
use partition_agent_proto::Kind;
use proptest::prelude::*;

use super::*;

/// For each variant: tc's command line, the kinds of a fault that ask for the same, by strace the `TCA_OPTIONS` that
/// iproute2 6.1 sends for the command line, those that Linux 6.12 dumps when it was sent ours, and what tc then shows.
const VARIANTS: &str = include_str!("tc.txt");

struct Variant {
    impairment: Impairment,
    sent: Vec<u8>,
    dumped: Vec<u8>,
    shown: serde_json::Value,
}

fn impairment(json: &str) -> Impairment {
    Impairment::new(&serde_json::from_str::<Vec<Kind>>(json).unwrap()).unwrap()
}

fn variants() -> Vec<Variant> {
    let variant = |text: &str| {
        let [command, json, sent, dumped, shown] = text.lines().collect::<Vec<_>>()[..] else {
            panic!("not five lines: {text}");
        };
        let impairment = impairment(json);
        assert_eq!(impairment.to_string(), command);
        Variant { impairment, sent: bytes(sent), dumped: bytes(dumped), shown: shown.parse().unwrap() }
    };
    VARIANTS.split("\n\n").map(variant).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.trim().as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn attributes(options: &[u8]) -> BTreeMap<(u16, bool), Vec<u8>> {
    let nlas = NlasIterator::new(&options[24..]).map(Result::unwrap);
    nlas.map(|nla| ((nla.kind(), nla.nested_flag()), nla.value().to_vec())).collect()
}

#[test]
fn every_option_is_sent_as_tc_sends_it() {
    for Variant { impairment, sent: tcs, .. } in variants() {
        let ours = encode(&impairment);
        let (mut our_attributes, mut tc_attributes) = (attributes(&ours), attributes(&tcs));
        let [tc_latency, limit, loss, gap, duplicate, tc_jitter] = read_words(&tcs[..24]).unwrap();
        assert_eq!(
            read_words(&ours[..24]),
            Some([0, limit, loss, gap, duplicate, 0]),
            "struct of {impairment}"
        );
        // tc's times are in the struct, in ticks, and ours in attributes.
        for (kind, ticks) in [(TCA_NETEM_LATENCY64, tc_latency), (TCA_NETEM_JITTER64, tc_jitter)] {
            let sent = read_nanos(&our_attributes.remove(&(kind, false)).unwrap()).unwrap();
            assert_eq!(sent.as_nanos() >> TICK_SHIFT, u128::from(ticks), "time {kind} of {impairment}");
        }
        // tc sends correlations of nothing along with those of corruption and reordering, and forgets the correlation
        // of duplication where there is no other.
        let none = words(&[0; 3]);
        let ours = our_attributes.remove(&(TCA_NETEM_CORR, false)).unwrap_or_else(|| none.clone());
        match tc_attributes.remove(&(TCA_NETEM_CORR, false)) {
            Some(tcs) => assert_eq!(ours, tcs, "correlations of {impairment}"),
            None => assert_eq!(ours[..8], none[..8], "correlations of {impairment}"),
        }
        assert_eq!(our_attributes, tc_attributes, "attributes of {impairment}");
    }
}

#[test]
fn halves_are_rounded_as_tc_rounds_them() {
    let share = |percent: f64| Share::from(Percent::new(percent).unwrap()).0;
    // `tc qdisc add ... netem loss N%` with 10, 20, .., 100, by strace: the odd tens are halves.
    let tcs = [
        0x1999_999a,
        0x3333_3333,
        0x4ccc_cccc,
        0x6666_6666,
        0x8000_0000,
        0x9999_9999,
        0xb333_3332,
        0xcccc_cccc,
        0xe666_6666,
        0xffff_ffff,
    ];
    for (tens, tcs) in (1..).zip(tcs) {
        assert_eq!(share(f64::from(tens * 10)), tcs, "{tens}0%");
    }
    assert_eq!((share(0.0001), share(33.3333), share(0.1234)), (0x10c7, 0x5555_4fbd, 0x0050_df16));
}

#[test]
fn what_is_written_is_read() {
    for Variant { impairment, dumped, .. } in variants() {
        assert_eq!(decode(&encode(&impairment)), Some(Seen::from(&impairment)), "{impairment}");
        assert_eq!(decode(&dumped), Some(Seen::from(&impairment)), "{impairment}");
    }
}

#[test]
fn the_first_difference_is_said_in_words() {
    let said = |is: &str, should: &str| {
        differs(&decode(&encode(&impairment(is))).unwrap(), &impairment(should)).unwrap()
    };
    for (is, should, words) in [
        (
            r#"[{"delay":{"latency":"50ms"}}]"#,
            r#"[{"delay":{"latency":"100ms"}}]"#,
            "latency is 50ms, not 100ms",
        ),
        (
            r#"[{"delay":{"latency":"50ms"}}]"#,
            r#"[{"delay":{"latency":"50ms","jitter":"1500us"}}]"#,
            "jitter is 0ns, not 1.5ms",
        ),
        (
            r#"[{"delay":{"latency":"9ms","jitter":"1ms","correlation":7.5}}]"#,
            r#"[{"delay":{"latency":"9ms","jitter":"1ms"}}]"#,
            "correlation of jitter is 7.5%, not 0%",
        ),
        (
            r#"[{"loss_gemodel":{"p":1,"r":10,"1-h":70}}]"#,
            r#"[{"loss":{"percent":5,"correlation":25}}]"#,
            "loss is gemodel 1% 10% 70% 0%, not 5% 25%",
        ),
        (
            r#"[{"loss_state":{"p13":1,"p14":0.0001}}]"#,
            r#"[{"loss_state":{"p13":1}}]"#,
            "loss is state 1% 99% 0% 100% 0.0001%, not state 1% 99% 0% 100% 0%",
        ),
        (r#"[{"duplicate":{"percent":1}}]"#, r#"[{"corrupt":{"percent":1}}]"#, "duplication is 1%, not none"),
        (
            r#"[{"corrupt":{"percent":1}}]"#,
            r#"[{"corrupt":{"percent":1,"correlation":2}}]"#,
            "corruption is 1%, not 1% 2%",
        ),
        (
            r#"[{"delay":{"latency":"1ms"}},{"reorder":{"percent":5,"gap":3}}]"#,
            r#"[{"delay":{"latency":"1ms"}}]"#,
            "reordering is 5% gap 3, not none",
        ),
        (
            r#"[{"rate":{"rate":"10mbit"}}]"#,
            r#"[{"rate":{"rate":"100gbit"}}]"#,
            "rate is 10000000 bit/s, not 100000000000 bit/s",
        ),
        (
            r#"[{"slot":{"min":"1ms","packets":8}}]"#,
            r#"[{"slot":{"min":"1ms","max":"2ms"}}]"#,
            "slot is 1ms to 1ms, 8 packets, 0 bytes, not 1ms to 2ms, 0 packets, 0 bytes",
        ),
        (
            r#"[{"slot":{"min":"1ms","max":"2ms","distribution":"normal"}},{"rate":{"rate":"10mbit"}}]"#,
            r#"[{"slot":{"min":"1ms","max":"2ms"}},{"rate":{"rate":"10mbit"}}]"#,
            "slot is 1ms to 2ms by a table, 0 packets, 0 bytes, not 1ms to 2ms, 0 packets, 0 bytes",
        ),
    ] {
        assert_eq!(said(is, should), words);
    }
    let mut shorter = impairment(r#"[{"rate":{"rate":"10mbit"}}]"#);
    shorter.limit = 7;
    let seen = decode(&encode(&shorter)).unwrap();
    assert_eq!(
        differs(&seen, &impairment(r#"[{"rate":{"rate":"10mbit"}}]"#)).unwrap(),
        "limit is 7 packets, not 412 packets"
    );
    assert_eq!(differs(&seen, &shorter), None);
}

#[test]
fn what_rounding_does_to_a_share_is_no_difference() {
    let wanted = impairment(r#"[{"loss":{"percent":30,"correlation":25}}]"#);
    let mut options = encode(&wanted);
    for (loss, different) in [(0x4ccc_cccb_u32, false), (0x4ccc_cccd, false), (0x4ccc_cccc + 4295, true)] {
        options[8..12].copy_from_slice(&loss.to_ne_bytes());
        assert_eq!(differs(&decode(&options).unwrap(), &wanted).is_some(), different, "{loss:#x}");
    }
}

#[test]
fn options_of_another_shape_are_not_read() {
    let whole = encode(&impairment(r#"[{"slot":{"min":"1ms"}},{"loss_gemodel":{"p":1}}]"#));
    assert_eq!(decode(&whole[..23]), None);
    assert_eq!(decode(&whole[..whole.len() - 1]), None);
    // The struct alone is an answer, of a netem with nothing but what it has.
    assert!(decode(&whole[..24]).is_some());
    // A latency before now.
    let mut options = encode(&impairment(r#"[{"delay":{"latency":"1ms"}}]"#));
    options[28..36].copy_from_slice(&(-1_i64).to_ne_bytes());
    assert_eq!(decode(&options), None);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(options in prop::collection::vec(any::<u8>(), 0..200), at in 0_usize..150, byte: u8) {
        let wanted = impairment(r#"[{"slot":{"min":"1ms"}},{"loss_gemodel":{"p":1}},{"rate":{"rate":"100gbit"}}]"#);
        decode(&options).map(|seen| differs(&seen, &wanted));
        let mut bent = encode(&wanted);
        let at = at % bent.len();
        bent[at] = byte;
        decode(&bent).map(|seen| differs(&seen, &wanted));
    }
}

/// Runs on a thread of its own, with a loopback of its own.
fn in_a_namespace(test: impl FnOnce() + Send + 'static) {
    let test = || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
        test();
    };
    std::thread::spawn(test).join().unwrap();
}

#[test]
#[ignore = "needs a kernel with netem"]
fn every_variant_is_taken_and_dumped_as_it_was_asked_for() {
    in_a_namespace(|| {
        for Variant { impairment, shown, .. } in variants() {
            add(&impairment);
            assert_eq!(differs(&decode(&dump()).unwrap(), &impairment), None, "{impairment}");
            let tc = Command::new("tc").args(["-j", "qdisc", "show", "dev", "lo"]).output().unwrap();
            let qdiscs = serde_json::from_slice::<serde_json::Value>(&tc.stdout).unwrap();
            assert_eq!(qdiscs[0]["options"], shown, "{impairment}");
            assert_eq!(request(RTM_DELQDISC, NLM_F_ACK, &[]), Vec::<Vec<u8>>::new());
        }
    });
}

/// No dump has the table, so this looks at what it does: every deviation in this one is the whole jitter.
#[test]
#[ignore = "needs a kernel with netem"]
fn the_table_of_the_jitter_is_used() {
    in_a_namespace(|| {
        for entries in [16, 8192] {
            let table = format!("{:?}", vec![8192; entries]);
            add(&impairment(&format!(
                r#"[{{"delay":{{"latency":"20ms","jitter":"10ms","distribution":{{"table":{table}}}}}}}]"#
            )));
            let ping = Command::new("ping").args(["-c", "5", "-i", "0.2", "127.0.0.1"]).output().unwrap();
            let text = String::from_utf8(ping.stdout).unwrap();
            let times = text.split("time=").skip(1).map(|rest| rest.split(' ').next().unwrap());
            let times = times.map(|time| time.parse::<f64>().unwrap()).collect::<Vec<_>>();
            // There and back. An even jitter of 10 to 30 ms each way would be this long all five times never.
            assert!(times.len() == 5 && times.iter().all(|time| *time >= 59.9), "{text}");
            assert_eq!(request(RTM_DELQDISC, NLM_F_ACK, &[]), Vec::<Vec<u8>>::new());
        }
    });
}

const RTM_NEWQDISC: u16 = 36;
const RTM_DELQDISC: u16 = 37;
const RTM_GETQDISC: u16 = 38;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

fn add(impairment: &Impairment) {
    let attributes =
        [DefaultNla::new(TCA_KIND, b"netem\0".to_vec()), DefaultNla::new(TCA_OPTIONS, encode(impairment))];
    let added = request(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, &attributes);
    assert_eq!(added, Vec::<Vec<u8>>::new());
}

fn dump() -> Vec<u8> {
    let qdiscs = request(RTM_GETQDISC, NLM_F_DUMP, &[]);
    let mut attributes = NlasIterator::new(&qdiscs[0][20..]).map(Result::unwrap);
    attributes.find(|nla| nla.kind() == TCA_OPTIONS).unwrap().value().to_vec()
}

/// Sends a request about the root qdisc of the loopback, and returns the payloads of the answers.
fn request(kind: u16, flags: u16, attributes: &[DefaultNla]) -> Vec<Vec<u8>> {
    let mut socket = Socket::new(NETLINK_ROUTE).unwrap();
    socket.bind_auto().unwrap();
    // struct tcmsg: family, interface, handle, parent (root), info.
    let body = [words(&[0, 1, 0x7061_0000, u32::MAX, 0]), emit(attributes)].concat();
    let length = u32::try_from(16 + body.len()).unwrap();
    let kind_and_flags = [kind, NLM_F_REQUEST | flags].map(u16::to_ne_bytes).concat();
    socket.send(&[words(&[length]), kind_and_flags, words(&[1, 0]), body].concat(), 0).unwrap();
    let mut answers = Vec::new();
    loop {
        let (datagram, _) = socket.recv_from_full().unwrap();
        let mut rest = &datagram[..];
        while !rest.is_empty() {
            let length = usize::try_from(u32::from_ne_bytes(rest[..4].try_into().unwrap())).unwrap();
            let payload = &rest[16..length];
            match u16::from_ne_bytes(rest[4..6].try_into().unwrap()) {
                NLMSG_DONE => return answers,
                NLMSG_ERROR => {
                    assert_eq!(payload[..4], [0; 4], "{}", String::from_utf8_lossy(payload));
                    return answers;
                }
                _ => answers.push(payload.to_vec()),
            }
            rest = &rest[length.next_multiple_of(4).min(rest.len())..];
        }
    }
}
