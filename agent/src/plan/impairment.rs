//! What a queue does to the packets in it: one value for both engines, netem and the emulator.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use partition_agent_proto::{Distribution, Kind, Percent, RejectWith};

use super::distribution;

/// netem's own default of 1000 packets overflows at 10,000 packets a second and 100 ms, and the packets that it then
/// drops look like a loss that nobody asked for. So the queue is sized for this rate instead.
const PACKETS_PER_SECOND: u128 = 200_000;
const LIMIT: std::ops::RangeInclusive<u128> = 1_000..=1_000_000;

/// A rate has a buffer in front of it, as every router has: half a second of full-sized packets, 16 at least.
const BUFFER: Duration = Duration::from_millis(500);
const FULL_PACKET_BITS: u128 = 1514 * 8;
const SMALLEST_BUFFER: u128 = 16;

/// Delay, loss and everything else that a queue can do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Impairment {
    pub latency: Duration,
    pub jitter: Duration,
    pub jitter_correlation: Option<Percent>,
    /// Deviations in units of jitter / 8192 (`NETEM_DIST_SCALE`); evenly from -jitter to +jitter without it.
    pub distribution: Option<Table>,
    /// Jitter must not change the order.
    pub keep_order: bool,
    pub loss: Option<LossModel>,
    pub duplicate: Option<Chance>,
    pub corrupt: Option<Chance>,
    pub reorder: Option<Reorder>,
    /// Bits per second.
    pub rate: Option<u64>,
    pub slot: Option<Slot>,
    /// Packets; a GSO packet counts as one.
    pub limit: u32,
}

/// How jitter is spread, or the time between two bunches, and what people call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub name: &'static str,
    pub deviations: Arc<[i16]>,
}

/// A share of the packets, and how much the fate of one depends on that of the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chance {
    pub percent: Percent,
    pub correlation: Option<Percent>,
}

/// Which packets are not delayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reorder {
    pub chance: Chance,
    /// Only every `gap`th packet is a candidate: 1 is every one.
    pub gap: u32,
}

/// Which packets are lost. Chances that may be none are `Option`s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LossModel {
    Random(Chance),
    /// `loss gemodel p r 1-h 1-k`
    Gemodel {
        p: Percent,
        r: Option<Percent>,
        bad: Option<Percent>,
        good: Option<Percent>,
    },
    /// `loss state p13 p31 p32 p23 p14`
    State {
        p13: Percent,
        p31: Option<Percent>,
        p32: Option<Percent>,
        p23: Option<Percent>,
        p14: Option<Percent>,
    },
}

/// Bunches: the gate opens after a time between the two, and lets at most so much through; 0 is no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    pub min: Duration,
    pub max: Duration,
    pub packets: u32,
    pub bytes: u32,
    /// The time is then spread around the middle of the two, and the half of what is between them is a deviation.
    pub distribution: Option<Table>,
}

/// What a kind is to the data plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Packets vanish, this share of them: nftables throws those dice.
    Null(Percent),
    Reject(RejectWith),
    /// It is a part of a queue.
    Shapes,
    /// Not done to packets.
    Elsewhere,
}

impl Impairment {
    /// Jitter makes netem send packets out of their order unless a rate is set: with a rate, none leaves before the
    /// one before it. This one, 1 Tbit/s in bits per second, keeps the order and costs a full-sized packet 12 ns.
    pub const ORDER_KEEPING_RATE: u64 = 1_000_000_000_000;

    /// What the shaping ones of these kinds ask for; nothing, if there are none.
    pub fn new(kinds: &[Kind]) -> Option<Self> {
        Self::and_roles(kinds).0
    }

    /// The same, and what each of the kinds is.
    pub fn and_roles(kinds: &[Kind]) -> (Option<Self>, Vec<Role>) {
        let mut impairment = Self::default();
        let roles = kinds.iter().map(|kind| impairment.add(kind)).collect::<Vec<_>>();
        impairment.limit = impairment.limit();
        (roles.contains(&Role::Shapes).then_some(impairment), roles)
    }

    fn add(&mut self, kind: &Kind) -> Role {
        match kind {
            Kind::Loss { percent, correlation: None } => return Role::Null(*percent),
            Kind::Reject { with } => return Role::Reject(*with),
            Kind::Reset {} | Kind::Dns { .. } => return Role::Elsewhere,
            Kind::Loss { percent, correlation } => {
                self.loss = Some(LossModel::Random(Chance { percent: *percent, correlation: *correlation }));
            }
            Kind::LossGemodel { p, r, bad, good } => {
                let (r, bad) = (r.or_else(|| rest(*p)), bad.or(Some(Percent::ALL)));
                self.loss = Some(LossModel::Gemodel { p: *p, r, bad, good: *good });
            }
            Kind::LossState { p13, p31, p32, p23, p14 } => {
                let (p31, p23) = (p31.or_else(|| rest(*p13)), p23.or(Some(Percent::ALL)));
                self.loss = Some(LossModel::State { p13: *p13, p31, p32: *p32, p23, p14: *p14 });
            }
            Kind::Delay { latency, jitter, correlation, distribution, allow_reorder } => {
                self.latency = latency.duration();
                self.jitter = jitter.map(partition_agent_proto::Span::duration).unwrap_or_default();
                self.jitter_correlation = *correlation;
                self.distribution = distribution.as_ref().map(table);
                self.keep_order = !allow_reorder;
            }
            Kind::Duplicate { percent, correlation } => {
                self.duplicate = Some(Chance { percent: *percent, correlation: *correlation });
            }
            Kind::Corrupt { percent, correlation } => {
                self.corrupt = Some(Chance { percent: *percent, correlation: *correlation });
            }
            Kind::Reorder { percent, correlation, gap } => {
                let chance = Chance { percent: *percent, correlation: *correlation };
                self.reorder = Some(Reorder { chance, gap: gap.unwrap_or(1) });
            }
            Kind::Rate { rate } => self.rate = Some(rate.bits_per_second()),
            Kind::Slot { min, max, packets, bytes, distribution } => {
                self.slot = Some(Slot {
                    min: min.duration(),
                    max: max.unwrap_or(*min).duration(),
                    packets: packets.unwrap_or_default(),
                    bytes: bytes.unwrap_or_default(),
                    distribution: distribution.as_ref().map(table),
                });
            }
        }
        Role::Shapes
    }

    fn limit(&self) -> u32 {
        let held = self.longest_delay() + self.slot.as_ref().map(Slot::longest).unwrap_or_default();
        let packets = match self.rate {
            // What the link carries meanwhile, and its buffer.
            Some(rate) => {
                let bits = u128::from(rate) * (held + BUFFER).as_nanos() / 1_000_000_000;
                (bits / FULL_PACKET_BITS).clamp(SMALLEST_BUFFER, *LIMIT.end())
            }
            None => {
                (held.as_nanos() * PACKETS_PER_SECOND / 1_000_000_000).clamp(*LIMIT.start(), *LIMIT.end())
            }
        };
        u32::try_from(packets).unwrap_or(u32::MAX)
    }

    /// The longest that a packet can wait because of latency and jitter.
    pub fn longest_delay(&self) -> Duration {
        self.latency + furthest(self.jitter, self.distribution.as_ref())
    }

    /// How long a packet can be on its way through the queue after the last one has entered it.
    pub fn drain(&self) -> Duration {
        let buffered = self.rate.map(|rate| {
            let nanos = u128::from(self.limit) * FULL_PACKET_BITS * 1_000_000_000 / u128::from(rate.max(1));
            // A full buffer of a slow link may take longer than anybody would wait for a restore.
            Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).min(Duration::from_secs(5))
        });
        let slot = self.slot.as_ref().map(|slot| slot.longest() * 2).unwrap_or_default();
        // The rest is for timers and a busy host.
        self.longest_delay() + buffered.unwrap_or_default() + slot + Duration::from_millis(100)
    }

    /// The rate that netem is told: what was asked for, or one that only keeps the order.
    pub fn netem_rate(&self) -> Option<u64> {
        let order = self.keep_order && !self.jitter.is_zero() && self.reorder.is_none();
        self.rate.or_else(|| order.then_some(Self::ORDER_KEEPING_RATE))
    }
}

impl Slot {
    /// What a distribution spreads around, and a deviation of it.
    pub fn middle(&self) -> (Duration, Duration) {
        ((self.min + self.max) / 2, self.max.saturating_sub(self.min) / 2)
    }

    /// The longest time between two bunches.
    fn longest(&self) -> Duration {
        let (mean, deviation) = self.middle();
        mean + furthest(deviation, self.distribution.as_ref())
    }
}

/// How far above its mean a time can be.
fn furthest(deviation: Duration, table: Option<&Table>) -> Duration {
    let furthest = table.map_or(8192, |table| {
        table.deviations.iter().map(|deviation| i32::from(*deviation)).max().unwrap_or_default().max(0)
    });
    deviation * u32::try_from(furthest).unwrap_or_default() / 8192
}

/// What is left of certainty.
fn rest(chance: Percent) -> Option<Percent> {
    let left = Percent::ALL.millionths() - chance.millionths();
    Percent::new(f64::from(left) / 10_000.0).ok()
}

fn table(distribution: &Distribution) -> Table {
    match distribution {
        Distribution::Normal => Table { name: "normal", deviations: distribution::normal() },
        Distribution::Pareto => Table { name: "pareto", deviations: distribution::pareto() },
        Distribution::Paretonormal => {
            Table { name: "paretonormal", deviations: distribution::paretonormal() }
        }
        Distribution::Table(table) => Table { name: "table", deviations: table.as_slice().into() },
    }
}

impl fmt::Display for Chance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.percent)?;
        self.correlation.map_or(Ok(()), |correlation| write!(f, " {correlation}"))
    }
}

impl fmt::Display for LossModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_none = |chance: &Option<Percent>| chance.map_or("0%".to_owned(), |chance| chance.to_string());
        match self {
            Self::Random(chance) => write!(f, "loss {chance}"),
            Self::Gemodel { p, r, bad, good } => {
                write!(f, "loss gemodel {p} {} {} {}", or_none(r), or_none(bad), or_none(good))
            }
            Self::State { p13, p31, p32, p23, p14 } => {
                let [p31, p32, p23, p14] = [p31, p32, p23, p14].map(or_none);
                write!(f, "loss state {p13} {p31} {p32} {p23} {p14}")
            }
        }
    }
}

/// As tc-netem(8) has it.
impl fmt::Display for Impairment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = |d: Duration| d.as_nanos().div_ceil(1000);
        write!(f, "netem limit {}", self.limit)?;
        if !self.latency.is_zero() {
            write!(f, " delay {}us", micros(self.latency))?;
        }
        if !self.jitter.is_zero() {
            write!(f, " {}us", micros(self.jitter))?;
            self.jitter_correlation.iter().try_for_each(|correlation| write!(f, " {correlation}"))?;
            self.distribution.iter().try_for_each(|table| write!(f, " distribution {}", table.name))?;
        }
        self.loss.iter().try_for_each(|loss| write!(f, " {loss}"))?;
        self.duplicate.iter().try_for_each(|chance| write!(f, " duplicate {chance}"))?;
        self.corrupt.iter().try_for_each(|chance| write!(f, " corrupt {chance}"))?;
        if let Some(Reorder { chance, gap }) = &self.reorder {
            write!(f, " reorder {chance} gap {gap}")?;
        }
        match self.netem_rate() {
            Some(Self::ORDER_KEEPING_RATE) => write!(f, " rate 1tbit")?,
            Some(rate) => write!(f, " rate {rate}bit")?,
            None => {}
        }
        if let Some(slot) = &self.slot {
            let (first, second) = match &slot.distribution {
                Some(table) => {
                    write!(f, " slot distribution {}", table.name)?;
                    slot.middle()
                }
                None => {
                    f.write_str(" slot")?;
                    (slot.min, slot.max)
                }
            };
            let (packets, bytes) = (slot.packets, slot.bytes);
            write!(f, " {}us {}us packets {packets} bytes {bytes}", micros(first), micros(second))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn impairment(json: &str) -> Impairment {
        Impairment::new(&serde_json::from_str::<Vec<Kind>>(json).unwrap()).unwrap()
    }

    #[test]
    fn the_queue_holds_what_the_delay_needs() {
        let limit = |latency: &str| impairment(&format!(r#"[{{"delay":{{"latency":"{latency}"}}}}]"#)).limit;
        assert_eq!((limit("1ms"), limit("100ms"), limit("60s")), (1_000, 20_000, 1_000_000));
        let rate = |rate: &str| impairment(&format!(r#"[{{"rate":{{"rate":"{rate}"}}}}]"#)).limit;
        assert_eq!((rate("64kbit"), rate("10mbit"), rate("1gbit")), (16, 412, 41_281));
    }

    #[test]
    fn it_reads_as_tc_has_it() {
        let text = |json: &str| impairment(json).to_string();
        assert_eq!(text(r#"[{"delay":{"latency":"100ms"}}]"#), "netem limit 20000 delay 100000us");
        assert_eq!(
            text(r#"[{"delay":{"latency":"100ms","jitter":"10ms"}}]"#),
            "netem limit 22000 delay 100000us 10000us rate 1tbit"
        );
        assert_eq!(
            text(
                r#"[{"delay":{"latency":"100ms","jitter":"10ms","correlation":25,"distribution":"normal","allow_reorder":true}},
                    {"loss_gemodel":{"p":1}},{"duplicate":{"percent":1,"correlation":50}},{"corrupt":{"percent":2}},
                    {"reorder":{"percent":25,"gap":5}},{"rate":{"rate":"10mbit"}},{"slot":{"min":"1ms","packets":8}}]"#
            ),
            "netem limit 526 delay 100000us 10000us 25% distribution normal loss gemodel 1% 99% 100% 0% duplicate 1% 50% \
             corrupt 2% reorder 25% gap 5 rate 10000000bit slot 1000us 1000us packets 8 bytes 0"
        );
        assert_eq!(
            text(r#"[{"loss_state":{"p13":5,"p14":1}}]"#),
            "netem limit 1000 loss state 5% 95% 0% 100% 1%"
        );
        assert_eq!(text(r#"[{"loss":{"percent":5,"correlation":25}}]"#), "netem limit 1000 loss 5% 25%");
        assert_eq!(
            text(r#"[{"slot":{"min":"20ms","max":"80ms","distribution":{"table":[16384]},"bytes":9000}}]"#),
            "netem limit 22000 slot distribution table 50000us 30000us packets 0 bytes 9000"
        );
    }

    #[test]
    fn a_plain_loss_shapes_nothing() {
        let kinds = serde_json::from_str::<Vec<Kind>>(r#"[{"loss":{"percent":5}},{"reset":{}}]"#).unwrap();
        assert_eq!(Impairment::new(&kinds), None);
    }
}
