//! netem's options, which no crate types: `struct tc_netem_qopt` and attributes (`linux/pkt_sched.h`).

use std::time::Duration;

use netlink_packet_core::{DefaultNla, Emitable, NlasIterator};

use crate::plan::Netem;

const TCA_NETEM_RATE: u16 = 6;
const TCA_NETEM_RATE64: u16 = 8;
const TCA_NETEM_LATENCY64: u16 = 10;
const TCA_NETEM_JITTER64: u16 = 11;

/// latency, limit, loss, gap, duplicate, jitter.
const QOPT_WORDS: usize = 6;

pub fn encode(netem: &Netem) -> Vec<u8> {
    // The latency and jitter of the struct are in ticks of 64 ns and 32 bits; the attributes are in nanoseconds and
    // win. Kernels from 4.16 on have them, and the egress hook needs a newer one anyway.
    let mut bytes = [0, netem.limit, 0, 0, 0, 0].into_iter().flat_map(u32::to_ne_bytes).collect::<Vec<_>>();
    let nanos = |d: Duration| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX).to_ne_bytes().to_vec();
    let mut attributes = vec![DefaultNla::new(TCA_NETEM_LATENCY64, nanos(netem.latency))];
    if !netem.jitter.is_zero() {
        attributes.push(DefaultNla::new(TCA_NETEM_JITTER64, nanos(netem.jitter)));
        // struct tc_netem_rate: rate (all ones: see RATE64), packet overhead, cell size, cell overhead.
        let rate = [u32::MAX, 0, 0, 0].into_iter().flat_map(u32::to_ne_bytes).collect();
        attributes.push(DefaultNla::new(TCA_NETEM_RATE, rate));
        attributes.push(DefaultNla::new(TCA_NETEM_RATE64, Netem::ORDER_KEEPING_RATE.to_ne_bytes().to_vec()));
    }
    let attributes = attributes.as_slice();
    let start = bytes.len();
    bytes.resize(start + attributes.buffer_len(), 0);
    attributes.emit(&mut bytes[start..]);
    bytes
}

/// Latency, jitter and limit, out of the options of a dump.
pub fn decode(options: &[u8]) -> Option<(Duration, Duration, u32)> {
    let limit = u32::from_ne_bytes(options.get(4..8)?.try_into().ok()?);
    let mut latency = Duration::ZERO;
    let mut jitter = Duration::ZERO;
    for nla in NlasIterator::new(options.get(QOPT_WORDS * 4..)?).map_while(Result::ok) {
        let nanos = || nla.value().try_into().ok().map(u64::from_ne_bytes).map(Duration::from_nanos);
        match nla.kind() {
            TCA_NETEM_LATENCY64 => latency = nanos()?,
            TCA_NETEM_JITTER64 => jitter = nanos()?,
            _ => {}
        }
    }
    Some((latency, jitter, limit))
}

/// The bytes of a raw attribute.
pub fn raw_value(nla: &DefaultNla) -> Vec<u8> {
    use netlink_packet_core::Nla;
    let mut bytes = vec![0; nla.value_len()];
    nla.emit_value(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for (latency, jitter) in [("100ms", Some("10ms")), ("250us", None), ("60s", Some("2s"))] {
            let netem = Netem::new(latency.parse().unwrap(), jitter.map(|jitter| jitter.parse().unwrap()));
            assert_eq!(decode(&encode(&netem)), Some((netem.latency, netem.jitter, netem.limit)));
        }
    }

    /// The bytes that `tc qdisc add dev X root netem limit 20000 delay 100ms` sends behind the struct, by strace.
    #[test]
    fn the_latency_attribute_is_the_one_that_tc_sends() {
        let netem = Netem::new("100ms".parse().unwrap(), None);
        let bytes = encode(&netem);
        assert_eq!(bytes[4..8], 20_000_u32.to_ne_bytes());
        assert_eq!(bytes[24..], [12, 0, 10, 0, 0, 0xe1, 0xf5, 5, 0, 0, 0, 0]);
    }
}
