//! The queue that delays packets.

use std::fmt;
use std::time::Duration;

use partition_agent_proto::Span;

/// netem's own default of 1000 packets overflows at 10,000 packets a second and 100 ms, and the packets that it then
/// drops look like a loss that nobody asked for. So the queue is sized for this rate instead.
const PACKETS_PER_SECOND: u128 = 200_000;
const LIMIT: std::ops::RangeInclusive<u128> = 1_000..=1_000_000;

/// What `tc qdisc add ... netem` is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Netem {
    pub latency: Duration,
    pub jitter: Duration,
    /// Packets; a GSO packet counts as one.
    pub limit: u32,
}

impl Netem {
    /// Jitter makes netem send packets out of their order unless a rate is set: with a rate, none leaves before the
    /// one before it. This one, 1 Tbit/s in bytes per second, keeps the order and costs a full-sized packet 12 ns.
    pub const ORDER_KEEPING_RATE: u64 = 125_000_000_000;

    pub fn new(latency: Span, jitter: Option<Span>) -> Self {
        let latency = latency.duration();
        let jitter = jitter.map_or(Duration::ZERO, Span::duration);
        let packets = (latency + jitter).as_nanos() * PACKETS_PER_SECOND / 1_000_000_000;
        let limit = packets.clamp(*LIMIT.start(), *LIMIT.end());
        Self { latency, jitter, limit: u32::try_from(limit).unwrap_or(u32::MAX) }
    }

    /// How long a packet can be on its way through the queue after the last one has entered it.
    pub fn drain(&self) -> Duration {
        // The rest is for the kernel's own timers and a busy host.
        self.latency + self.jitter + Duration::from_millis(100)
    }
}

impl fmt::Display for Netem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = |d: Duration| d.as_nanos().div_ceil(1000);
        write!(f, "netem limit {} delay {}us", self.limit, micros(self.latency))?;
        if self.jitter.is_zero() {
            return Ok(());
        }
        write!(f, " {}us rate 1tbit", micros(self.jitter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_holds_what_the_delay_needs() {
        let netem = |text: &str| Netem::new(text.parse().unwrap(), None);
        assert_eq!(netem("1ms").limit, 1_000);
        assert_eq!(netem("100ms").limit, 20_000);
        assert_eq!(netem("60s").limit, 1_000_000);
        assert_eq!(netem("100ms").to_string(), "netem limit 20000 delay 100000us");
        let jittery = Netem::new("100ms".parse().unwrap(), Some("10ms".parse().unwrap()));
        assert_eq!(jittery.to_string(), "netem limit 22000 delay 100000us 10000us rate 1tbit");
    }
}
