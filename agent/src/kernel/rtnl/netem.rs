//! netem's options, which no crate types: `struct tc_netem_qopt` and attributes (`linux/pkt_sched.h`).

mod text;

use std::time::Duration;

use netlink_packet_core::{DefaultNla, Emitable, NLA_F_NESTED, NlasIterator};
use partition_agent_proto::Percent;

use crate::plan::{Chance, Impairment, LossModel};

const TCA_NETEM_CORR: u16 = 1;
const TCA_NETEM_DELAY_DIST: u16 = 2;
const TCA_NETEM_REORDER: u16 = 3;
const TCA_NETEM_CORRUPT: u16 = 4;
const TCA_NETEM_LOSS: u16 = 5;
const TCA_NETEM_RATE: u16 = 6;
const TCA_NETEM_RATE64: u16 = 8;
const TCA_NETEM_LATENCY64: u16 = 10;
const TCA_NETEM_JITTER64: u16 = 11;
const TCA_NETEM_SLOT: u16 = 12;
const TCA_NETEM_SLOT_DIST: u16 = 13;

const NETEM_LOSS_GI: u16 = 1;
const NETEM_LOSS_GE: u16 = 2;

/// latency, limit, loss, gap, duplicate, jitter.
const QOPT_WORDS: usize = 6;

/// `PSCHED_SHIFT`: the struct has its times in ticks of 64 ns.
const TICK_SHIFT: u32 = 6;

/// What netem is told, and what it says of itself: everything but the tables of jitter and slots, which no dump has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    limit: u32,
    latency: Duration,
    jitter: Duration,
    jitter_correlation: Share,
    loss: Loss,
    duplicate: Odds,
    corrupt: Odds,
    reorder: Odds,
    gap: u32,
    /// Bytes per second.
    rate: u64,
    slot: Slot,
}

/// A share of the packets, in fractions of `u32::MAX`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Share(u32);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Odds {
    share: Share,
    correlation: Share,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    Random(Odds),
    /// `struct tc_netem_gemodel`. `h` is the share that passes in the bad state, `k1` the share that is lost in the
    /// good one: the kernel has the one upside down and the other not.
    Gemodel {
        p: Share,
        r: Share,
        h: Share,
        k1: Share,
    },
    /// `struct tc_netem_gimodel`, which has p14 before p23; tc's command line has them the other way round.
    State {
        p13: Share,
        p31: Share,
        p32: Share,
        p14: Share,
        p23: Share,
    },
}

/// `struct tc_netem_slot`; 0 packets or bytes are no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Slot {
    min: Duration,
    max: Duration,
    packets: u32,
    bytes: u32,
    /// By a table around the middle, not evenly.
    distributed: bool,
}

/// The contents of `TCA_OPTIONS`.
pub fn encode(impairment: &Impairment) -> Vec<u8> {
    let wanted = Seen::from(impairment);
    let random = wanted.loss.random();
    // The latency and jitter of the struct have 32 bits; the attributes are in nanoseconds and win. Kernels from 4.16 on
    // have them, and the egress hook needs a newer one anyway.
    let mut bytes = words(&[0, wanted.limit, random.share.0, wanted.gap, wanted.duplicate.share.0, 0]);
    let mut attributes = vec![
        DefaultNla::new(TCA_NETEM_LATENCY64, nanos(wanted.latency).to_vec()),
        DefaultNla::new(TCA_NETEM_JITTER64, nanos(wanted.jitter).to_vec()),
    ];
    let correlations = [wanted.jitter_correlation, random.correlation, wanted.duplicate.correlation];
    if correlations != [Share(0); 3] {
        attributes.push(DefaultNla::new(TCA_NETEM_CORR, words(&correlations.map(|share| share.0))));
    }
    for (kind, odds) in [(TCA_NETEM_REORDER, wanted.reorder), (TCA_NETEM_CORRUPT, wanted.corrupt)] {
        if odds.share != Share(0) {
            attributes.push(DefaultNla::new(kind, words(&[odds.share.0, odds.correlation.0])));
        }
    }
    if let Some(model) = wanted.loss.model() {
        attributes.push(DefaultNla::new(TCA_NETEM_LOSS | NLA_F_NESTED, emit(&[model])));
    }
    if wanted.rate > 0 {
        // struct tc_netem_rate: rate (all ones: see RATE64), packet overhead, cell size, cell overhead.
        let rate = u32::try_from(wanted.rate).unwrap_or_else(|_| {
            attributes.push(DefaultNla::new(TCA_NETEM_RATE64, wanted.rate.to_ne_bytes().to_vec()));
            u32::MAX
        });
        attributes.push(DefaultNla::new(TCA_NETEM_RATE, words(&[rate, 0, 0, 0])));
    }
    if impairment.slot.is_some() {
        attributes.push(DefaultNla::new(TCA_NETEM_SLOT, wanted.slot.encode()));
    }
    let slots = impairment.slot.as_ref().and_then(|slot| slot.distribution.as_ref());
    let tables = [(TCA_NETEM_DELAY_DIST, impairment.distribution.as_ref()), (TCA_NETEM_SLOT_DIST, slots)];
    for (kind, table) in tables.into_iter().filter_map(|(kind, table)| Some((kind, table?))) {
        let deviations = table.deviations.iter().flat_map(|deviation| deviation.to_ne_bytes()).collect();
        attributes.push(DefaultNla::new(kind, deviations));
    }
    bytes.extend(emit(&attributes));
    bytes
}

/// What a dump says in its `TCA_OPTIONS`; `None` if that is not of netem's shape.
pub fn decode(options: &[u8]) -> Option<Seen> {
    let [latency, limit, loss, gap, duplicate, jitter] = read_words(options.get(..QOPT_WORDS * 4)?)?;
    let ticks = |ticks: u32| Duration::from_nanos(u64::from(ticks) << TICK_SHIFT);
    let mut seen = Seen { limit, gap, latency: ticks(latency), jitter: ticks(jitter), ..Seen::default() };
    let mut random = Odds { share: Share(loss), ..Odds::default() };
    let mut model = None;
    let mut rate64 = None;
    seen.duplicate.share = Share(duplicate);
    for nla in NlasIterator::new(options.get(QOPT_WORDS * 4..)?) {
        let nla = nla.ok()?;
        let value = nla.value();
        match nla.kind() {
            TCA_NETEM_CORR => {
                let [jitter, loss, duplicate] = read_words(value)?.map(Share);
                seen.jitter_correlation = jitter;
                random.correlation = loss;
                seen.duplicate.correlation = duplicate;
            }
            TCA_NETEM_REORDER => seen.reorder = Odds::decode(value)?,
            TCA_NETEM_CORRUPT => seen.corrupt = Odds::decode(value)?,
            TCA_NETEM_LOSS => model = Some(Loss::decode(value)?),
            TCA_NETEM_RATE => {
                let [rate, ..] = read_words::<4>(value)?;
                seen.rate = u64::from(rate);
            }
            TCA_NETEM_RATE64 => rate64 = Some(u64::from_ne_bytes(value.try_into().ok()?)),
            TCA_NETEM_LATENCY64 => seen.latency = read_nanos(value)?,
            TCA_NETEM_JITTER64 => seen.jitter = read_nanos(value)?,
            TCA_NETEM_SLOT => seen.slot = Slot::decode(value)?,
            _ => {}
        }
    }
    seen.loss = model.unwrap_or(Loss::Random(random));
    seen.rate = rate64.unwrap_or(seen.rate);
    Some(seen)
}

impl Seen {
    /// Each option, and what it is set to. Shares are in steps of a millionth here, so what rounding did to them is gone.
    fn facts(&self) -> [(&'static str, String); 10] {
        let reorder = match (self.reorder.share, self.gap) {
            // The kernel reorders nothing without a gap.
            (Share(0), _) | (_, 0) => "none".to_owned(),
            (_, gap) => format!("{} gap {gap}", self.reorder),
        };
        let rate = match self.rate {
            0 => "none".to_owned(),
            rate => format!("{} bit/s", u128::from(rate) * 8),
        };
        [
            ("latency", format!("{:?}", self.latency)),
            ("jitter", format!("{:?}", self.jitter)),
            ("correlation of jitter", self.jitter_correlation.to_string()),
            ("loss", self.loss.to_string()),
            ("duplication", self.duplicate.to_string()),
            ("corruption", self.corrupt.to_string()),
            ("reordering", reorder),
            ("rate", rate),
            ("slot", self.slot.to_string()),
            ("limit", format!("{} packets", self.limit)),
        ]
    }
}

/// The first thing that netem does not do as it should, in words: `latency is 50ms, not 100ms`.
pub fn differs(seen: &Seen, impairment: &Impairment) -> Option<String> {
    let pairs = seen.facts().into_iter().zip(Seen::from(impairment).facts());
    let mut different = pairs.filter(|(is, should)| is != should);
    different.next().map(|((what, is), (_, should))| format!("{what} is {is}, not {should}"))
}

impl From<&Impairment> for Seen {
    fn from(impairment: &Impairment) -> Self {
        let share = |percent: Option<Percent>| percent.map(Share::from).unwrap_or_default();
        let odds = |chance: Option<Chance>| chance.map(Odds::from).unwrap_or_default();
        Self {
            limit: impairment.limit,
            latency: impairment.latency,
            jitter: impairment.jitter,
            jitter_correlation: share(impairment.jitter_correlation),
            loss: match impairment.loss {
                None => Loss::default(),
                Some(LossModel::Random(chance)) => Loss::Random(chance.into()),
                Some(LossModel::Gemodel { p, r, bad, good }) => {
                    Loss::Gemodel { p: p.into(), r: share(r), h: share(bad).rest(), k1: share(good) }
                }
                Some(LossModel::State { p13, p31, p32, p23, p14 }) => Loss::State {
                    p13: p13.into(),
                    p31: share(p31),
                    p32: share(p32),
                    p14: share(p14),
                    p23: share(p23),
                },
            },
            duplicate: odds(impairment.duplicate),
            corrupt: odds(impairment.corrupt),
            reorder: odds(impairment.reorder.map(|reorder| reorder.chance)),
            // Without reordering, the kernel must not see a gap: it would take it for the reordering of everything.
            gap: impairment.reorder.map(|reorder| reorder.gap.max(1)).unwrap_or_default(),
            rate: impairment.netem_rate().unwrap_or_default() / 8,
            slot: impairment.slot.as_ref().map_or_else(Slot::default, |slot| Slot {
                min: slot.min,
                max: slot.max,
                // The kernel's numbers are positive `int`s, and more than it can count is no limit.
                packets: i32::try_from(slot.packets).map_or(0, |_| slot.packets),
                bytes: i32::try_from(slot.bytes).map_or(0, |_| slot.bytes),
                distributed: slot.distribution.is_some(),
            }),
        }
    }
}

impl Share {
    fn rest(self) -> Self {
        Self(u32::MAX - self.0)
    }
}

impl From<Percent> for Share {
    /// As tc rounds (`rint`): halves go to the even neighbour.
    fn from(percent: Percent) -> Self {
        const MILLION: u64 = 1_000_000;
        let product = u64::from(percent.millionths()) * u64::from(u32::MAX);
        let (whole, part) = (product / MILLION, product % MILLION);
        let up = part * 2 > MILLION || (part * 2 == MILLION && whole % 2 == 1);
        Self(u32::try_from(whole + u64::from(up)).unwrap_or(u32::MAX))
    }
}

impl From<Chance> for Odds {
    fn from(chance: Chance) -> Self {
        Self {
            share: chance.percent.into(),
            correlation: chance.correlation.map(Share::from).unwrap_or_default(),
        }
    }
}

impl Odds {
    fn decode(value: &[u8]) -> Option<Self> {
        let [share, correlation] = read_words(value)?.map(Share);
        Some(Self { share, correlation })
    }
}

impl Default for Loss {
    fn default() -> Self {
        Self::Random(Odds::default())
    }
}

impl Loss {
    fn random(self) -> Odds {
        match self {
            Self::Random(odds) => odds,
            Self::Gemodel { .. } | Self::State { .. } => Odds::default(),
        }
    }

    fn model(self) -> Option<DefaultNla> {
        match self {
            Self::Random(_) => None,
            Self::Gemodel { p, r, h, k1 } => {
                Some(DefaultNla::new(NETEM_LOSS_GE, words(&[p, r, h, k1].map(|share| share.0))))
            }
            Self::State { p13, p31, p32, p14, p23 } => {
                Some(DefaultNla::new(NETEM_LOSS_GI, words(&[p13, p31, p32, p14, p23].map(|share| share.0))))
            }
        }
    }

    fn decode(nested: &[u8]) -> Option<Self> {
        let nla = NlasIterator::new(nested).next()?.ok()?;
        match nla.kind() {
            NETEM_LOSS_GE => {
                let [p, r, h, k1] = read_words(nla.value())?.map(Share);
                Some(Self::Gemodel { p, r, h, k1 })
            }
            NETEM_LOSS_GI => {
                let [p13, p31, p32, p14, p23] = read_words(nla.value())?.map(Share);
                Some(Self::State { p13, p31, p32, p14, p23 })
            }
            _ => None,
        }
    }
}

impl Slot {
    fn encode(self) -> Vec<u8> {
        let limits = words(&[self.packets, self.bytes]);
        let none = (Duration::ZERO, Duration::ZERO);
        let (even, around) = if self.distributed {
            (none, ((self.min + self.max) / 2, self.max.saturating_sub(self.min) / 2))
        } else {
            ((self.min, self.max), none)
        };
        [&nanos(even.0), &nanos(even.1), &limits[..], &nanos(around.0), &nanos(around.1)].concat()
    }

    fn decode(value: &[u8]) -> Option<Self> {
        let (min, max) = (read_nanos(value.get(..8)?)?, read_nanos(value.get(8..16)?)?);
        let [packets, bytes] = read_words(value.get(16..24)?)?;
        let (mean, deviation) = (read_nanos(value.get(24..32)?)?, read_nanos(value.get(32..40)?)?);
        let distributed = !deviation.is_zero();
        let (min, max) =
            if distributed { (mean.saturating_sub(deviation), mean + deviation) } else { (min, max) };
        Some(Self { min, max, packets, bytes, distributed })
    }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn read_words<const N: usize>(bytes: &[u8]) -> Option<[u32; N]> {
    let mut words = [0; N];
    let (chunks, []) = bytes.as_chunks::<4>() else { return None };
    // A newer kernel may say more than we know of, but not less.
    for (nth, word) in words.iter_mut().enumerate() {
        *word = u32::from_ne_bytes(*chunks.get(nth)?);
    }
    Some(words)
}

fn nanos(duration: Duration) -> [u8; 8] {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX).to_ne_bytes()
}

fn read_nanos(bytes: &[u8]) -> Option<Duration> {
    let nanos = i64::from_ne_bytes(bytes.try_into().ok()?);
    u64::try_from(nanos).ok().map(Duration::from_nanos)
}

fn emit(attributes: &[DefaultNla]) -> Vec<u8> {
    let mut bytes = vec![0; attributes.buffer_len()];
    attributes.emit(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests;
