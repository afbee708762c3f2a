//! What a fault does to packets. tc-netem(8) has the models behind the shaping kinds, and their names here are its own.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{DnsName, Percent, Rate, Span};

/// One impairment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Kind {
    /// Packets vanish, each with this probability; 100 cuts the target off.
    Loss {
        /// The share of packets lost.
        percent: Percent,
        /// How much the fate of a packet depends on that of the packet before it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        correlation: Option<Percent>,
    },
    /// Losses in bursts, after Gilbert and Elliott: a good and a bad state, each with a loss of its own.
    LossGemodel {
        /// The chance to go from good to bad, at each packet.
        p: Percent,
        /// The chance to go back; 100 less `p` without it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        r: Option<Percent>,
        /// Loss in the bad state; 100 without it.
        #[serde(rename = "1-h", default, skip_serializing_if = "Option::is_none")]
        bad: Option<Percent>,
        /// Loss in the good state; none without it.
        #[serde(rename = "1-k", default, skip_serializing_if = "Option::is_none")]
        good: Option<Percent>,
    },
    /// Losses by a Markov chain of four states: 1 received, 2 received within a burst, 3 lost within a burst, 4 lost alone.
    LossState {
        /// From 1 to 3.
        p13: Percent,
        /// From 3 to 1; 100 less `p13` without it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        p31: Option<Percent>,
        /// From 3 to 2; none without it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        p32: Option<Percent>,
        /// From 2 to 3; 100 without it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        p23: Option<Percent>,
        /// From 1 to 4; none without it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        p14: Option<Percent>,
    },
    /// Packets arrive later.
    Delay {
        /// One way, for each direction: at most 60 seconds.
        latency: Span,
        /// Each packet waits `latency` plus or minus about this much; at most `latency`, and at most 2 seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        jitter: Option<Span>,
        /// How much the jitter of a packet depends on that of the packet before it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        correlation: Option<Percent>,
        /// How the jitter is spread; evenly, up to `jitter` to each side, without it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        distribution: Option<Distribution>,
        /// Let jitter change the order of packets. Without it none leaves before the one that came before it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        allow_reorder: bool,
    },
    /// Packets arrive twice.
    Duplicate {
        /// The share of packets.
        percent: Percent,
        /// How much the fate of a packet depends on that of the packet before it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        correlation: Option<Percent>,
    },
    /// One bit of a packet is flipped; the receiver's checksum finds most of them.
    Corrupt {
        /// The share of packets.
        percent: Percent,
        /// How much the fate of a packet depends on that of the packet before it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        correlation: Option<Percent>,
    },
    /// Packets overtake: this share of them is not delayed. Needs a `delay` to overtake.
    Reorder {
        /// The share of packets.
        percent: Percent,
        /// How much the fate of a packet depends on that of the packet before it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        correlation: Option<Percent>,
        /// Only every `gap`th packet is a candidate; every one without it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(minimum = 1, maximum = 4294967295_u32)]
        gap: Option<u32>,
    },
    /// No more than this goes through; the rest waits in a queue of half a second, and beyond that is lost.
    #[schema(title = "RateLimit")]
    Rate {
        /// Bits per second of whole frames.
        rate: Rate,
    },
    /// Packets go in bunches, as on radio links: collected, then sent at once.
    Slot {
        /// The shortest time between two bunches.
        min: Span,
        /// The longest; `min` without it. At most 2 seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<Span>,
        /// At most this many packets in a bunch.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(minimum = 1, maximum = 4294967295_u32)]
        packets: Option<u32>,
        /// At most this many bytes in a bunch.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(minimum = 1, maximum = 4294967295_u32)]
        bytes: Option<u32>,
        /// How the time between two bunches is spread: around the middle of the two, and half of what is between them is the
        /// standard deviation. Evenly between them without it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        distribution: Option<Distribution>,
    },
    /// Packets are refused, and their sender is told.
    Reject {
        /// How.
        with: RejectWith,
    },
    /// TCP connections to the target that exist when the fault starts are reset, once: all of them, on every interface.
    Reset {},
    /// Questions for these names are answered with a failure; all other names are answered as ever.
    Dns {
        /// Names, and `*.example.com` for every name below one.
        #[schema(min_items = 1)]
        names: Vec<DnsName>,
        /// What becomes of the questions.
        answer: DnsAnswer,
    },
}

/// How jitter is spread around the latency, or the time between two bunches. The jitter is then the standard deviation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Distribution {
    /// The bell curve.
    Normal,
    /// Rarely very late.
    Pareto,
    /// A quarter bell curve, three quarters Pareto.
    Paretonormal,
    /// Deviations in units of jitter / 8192, one of them drawn for each packet: what tc's `.dist` files hold. 16 to 8192 of them.
    Table(Vec<i16>),
}

/// What the sender of a rejected packet gets. Of what this host itself sends over UDP, the kernel also fails the first call
/// with `EPERM`, as it does for every local firewall.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RejectWith {
    /// TCP: a reset. Everything else: ICMP port unreachable. The sender sees "connection refused".
    #[default]
    TcpReset,
    /// ICMP port unreachable: "connection refused".
    PortUnreachable,
    /// ICMP host unreachable: "no route to host".
    HostUnreachable,
    /// ICMP administratively prohibited: what a firewall says.
    AdminProhibited,
}

/// What becomes of a question for a failing name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum DnsAnswer {
    /// There is no such name.
    #[default]
    Nxdomain,
    /// The server failed.
    Servfail,
    /// No answer.
    Timeout,
    /// The true answer, this much later.
    #[schema(title = "LateAnswer")]
    Delay {
        /// At most 60 seconds.
        latency: Span,
    },
}

/// Why a [`Kind`] makes no sense by itself.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum KindError {
    /// More than a minute of latency.
    #[error(
        "a latency of {0} is too long: at most 60s; to hold packets for longer, cut the peer off with a loss of 100%"
    )]
    LongLatency(Span),
    /// netem keeps its jitter in 31 bits of nanoseconds and cuts the rest off.
    #[error("a jitter of {0} is too much: netem can do at most 2s")]
    LongJitter(Span),
    /// Jitter beyond the latency would ask for packets that arrive before they are sent.
    #[error(
        "a jitter of {jitter} is more than the latency of {latency}: no packet arrives before it was sent"
    )]
    Jitter {
        /// As asked.
        jitter: Span,
        /// As asked.
        latency: Span,
    },
    /// A correlation or a distribution of nothing.
    #[error("a {0} shapes the jitter, and there is none: add a jitter")]
    NoJitter(&'static str),
    /// A table that netem would refuse, or that nobody would want.
    #[error("a distribution of {0} numbers is no table: it has 16 to 8192")]
    Table(usize),
    /// From 1 to 2, 3 and 4 with more than certainty.
    #[error("the chances to leave one state add up to more than 100%")]
    Chances,
    /// Slots that would never open, or that run backwards.
    #[error("a slot of {min} to {max} is none: max is at least min, and at most 2s")]
    Slot {
        /// As asked.
        min: Span,
        /// As asked.
        max: Span,
    },
    /// A distribution of slots of one length.
    #[error("a distribution spreads the time between two slots, and there is only {0}: add a max beyond it")]
    EvenSlot(Span),
    /// Nobody is to fail.
    #[error("a DNS fault needs the names that fail")]
    NoNames,
    /// A gap of 0 or a bunch of nothing.
    #[error("{0} is at least 1")]
    Zero(&'static str),
}

impl Kind {
    /// Whether it lets nothing through, of the packets that it hits. (Each loss correlated with the one before is all the more one.)
    #[must_use]
    pub fn cuts(&self) -> bool {
        match self {
            Self::Loss { percent, .. } => *percent == Percent::ALL,
            Self::Reject { .. } => true,
            Self::LossGemodel { .. }
            | Self::LossState { .. }
            | Self::Delay { .. }
            | Self::Duplicate { .. }
            | Self::Corrupt { .. }
            | Self::Reorder { .. }
            | Self::Rate { .. }
            | Self::Slot { .. }
            | Self::Reset {}
            | Self::Dns { .. } => false,
        }
    }

    /// # Errors
    /// The first thing that makes no sense.
    pub fn validate(&self) -> Result<(), KindError> {
        let most = |span: Span, seconds| span.duration() > Duration::from_secs(seconds);
        match self {
            Self::Delay { latency, .. } if most(*latency, 60) => Err(KindError::LongLatency(*latency)),
            Self::Delay { jitter: Some(jitter), .. } if most(*jitter, 2) => {
                Err(KindError::LongJitter(*jitter))
            }
            Self::Delay { latency, jitter: Some(jitter), .. } if jitter > latency => {
                Err(KindError::Jitter { jitter: *jitter, latency: *latency })
            }
            Self::Delay { jitter: None, correlation: Some(_), .. } => Err(KindError::NoJitter("correlation")),
            Self::Delay { jitter: None, distribution: Some(_), .. } => {
                Err(KindError::NoJitter("distribution"))
            }
            Self::Delay { distribution: Some(Distribution::Table(table)), .. }
            | Self::Slot { distribution: Some(Distribution::Table(table)), .. }
                if !(16..=8192).contains(&table.len()) =>
            {
                Err(KindError::Table(table.len()))
            }
            Self::LossState { p13, p14: Some(p14), .. } if over(&[*p13, *p14]) => Err(KindError::Chances),
            Self::LossState { p13, p31, p32: Some(p32), .. }
                if over(&[p31.unwrap_or_else(|| p13.rest()), *p32]) =>
            {
                Err(KindError::Chances)
            }
            Self::Slot { min, max, .. }
                if max.is_some_and(|max| max < *min) || most(max.unwrap_or(*min), 2) =>
            {
                Err(KindError::Slot { min: *min, max: max.unwrap_or(*min) })
            }
            Self::Slot { min, max, distribution: Some(_), .. } if max.is_none_or(|max| max == *min) => {
                Err(KindError::EvenSlot(*min))
            }
            Self::Slot { packets: Some(0), .. } => Err(KindError::Zero("the number of packets in a slot")),
            Self::Slot { bytes: Some(0), .. } => Err(KindError::Zero("the number of bytes in a slot")),
            Self::Reorder { gap: Some(0), .. } => Err(KindError::Zero("the gap")),
            Self::Dns { names, .. } if names.is_empty() => Err(KindError::NoNames),
            Self::Dns { answer: DnsAnswer::Delay { latency }, .. } if most(*latency, 60) => {
                Err(KindError::LongLatency(*latency))
            }
            Self::Loss { .. }
            | Self::LossGemodel { .. }
            | Self::LossState { .. }
            | Self::Delay { .. }
            | Self::Duplicate { .. }
            | Self::Corrupt { .. }
            | Self::Reorder { .. }
            | Self::Rate { .. }
            | Self::Slot { .. }
            | Self::Reject { .. }
            | Self::Reset {}
            | Self::Dns { .. } => Ok(()),
        }
    }

    /// The kind when this share, 0 to 1, of the way from its beginning is behind; nothing, if it is none that grows.
    /// What is a quantity moves; what is a choice is as asked for from the beginning. Less than the smallest quantity is
    /// the smallest: the fault has the same parts all the way.
    #[must_use]
    pub fn grown(&self, from: Option<&Self>, share: f64) -> Option<Self> {
        let mut kind = self.clone();
        match &mut kind {
            Self::Loss { percent, .. } | Self::Duplicate { percent, .. } | Self::Corrupt { percent, .. } => {
                let first = match from {
                    Some(
                        Self::Loss { percent, .. }
                        | Self::Duplicate { percent, .. }
                        | Self::Corrupt { percent, .. },
                    ) => Some(*percent),
                    Some(_) | None => None,
                };
                *percent = percent.grown(first, share);
            }
            Self::Delay { latency, jitter, .. } => {
                let (first_latency, first_jitter) = match from {
                    Some(Self::Delay { latency, jitter, .. }) => (Some(*latency), *jitter),
                    Some(_) | None => (None, None),
                };
                *latency = latency.grown(first_latency, share);
                *jitter = jitter.map(|jitter| jitter.grown(first_jitter, share).min(*latency));
            }
            Self::Rate { rate } => match from {
                Some(Self::Rate { rate: first }) => *rate = rate.grown(*first, share),
                // Not from nothing: that would be a cut.
                Some(_) | None => return None,
            },
            Self::LossGemodel { .. }
            | Self::LossState { .. }
            | Self::Reorder { .. }
            | Self::Slot { .. }
            | Self::Reject { .. }
            | Self::Reset {}
            | Self::Dns { .. } => return None,
        }
        Some(kind)
    }

    /// One of each, by what people call it; the first is a cut.
    #[must_use]
    pub fn examples() -> Vec<(&'static str, Self)> {
        let words = [
            ("loss 100%", r#"{"loss":{"percent":100}}"#),
            ("loss below 100%", r#"{"loss":{"percent":50}}"#),
            ("correlated loss", r#"{"loss":{"percent":50,"correlation":25}}"#),
            ("loss-gemodel", r#"{"loss_gemodel":{"p":1}}"#),
            ("loss-state", r#"{"loss_state":{"p13":1}}"#),
            ("latency", r#"{"delay":{"latency":"2ms","jitter":"1ms"}}"#),
            ("duplicate", r#"{"duplicate":{"percent":50}}"#),
            ("corrupt", r#"{"corrupt":{"percent":50}}"#),
            ("reorder", r#"{"reorder":{"percent":50}}"#),
            ("rate", r#"{"rate":{"rate":"1mbit"}}"#),
            ("slot", r#"{"slot":{"min":"1ms"}}"#),
            ("reject", r#"{"reject":{"with":"tcp_reset"}}"#),
            ("reset", r#"{"reset":{}}"#),
            ("dns", r#"{"dns":{"names":["example.com"],"answer":"nxdomain"}}"#),
        ];
        let kind = |(words, json)| Some((words, serde_json::from_str(json).ok()?));
        words.into_iter().filter_map(kind).collect()
    }

    /// One word for it, as the command line has it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Loss { .. } => "loss",
            Self::LossGemodel { .. } => "loss-gemodel",
            Self::LossState { .. } => "loss-state",
            Self::Delay { .. } => "latency",
            Self::Duplicate { .. } => "duplicate",
            Self::Corrupt { .. } => "corrupt",
            Self::Reorder { .. } => "reorder",
            Self::Rate { .. } => "rate",
            Self::Slot { .. } => "slot",
            Self::Reject { .. } => "reject",
            Self::Reset {} => "reset",
            Self::Dns { .. } => "dns",
        }
    }
}

/// The names of those that a ramp can move.
pub(crate) fn growing() -> String {
    let kinds = Kind::examples().into_iter().map(|(_, kind)| kind);
    let mut names = kinds
        .filter(|kind| kind.grown(Some(kind), 1.0).is_some())
        .map(|kind| kind.name())
        .collect::<Vec<_>>();
    names.dedup();
    names.join(", ")
}

fn over(chances: &[Percent]) -> bool {
    chances.iter().map(|chance| chance.millionths()).sum::<u32>() > Percent::ALL.millionths()
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let correlated = |correlation: &Option<Percent>| {
            correlation.map(|correlation| format!(" correlated {correlation}")).unwrap_or_default()
        };
        match self {
            Self::Loss { percent, correlation } => write!(f, "loss {percent}{}", correlated(correlation)),
            Self::LossGemodel { p, r, bad, good } => {
                write!(f, "loss gemodel p {p}")?;
                let rest = [("r", r), ("1-h", bad), ("1-k", good)];
                rest.into_iter().try_for_each(|(name, chance)| maybe(f, name, chance.as_ref()))
            }
            Self::LossState { p13, p31, p32, p23, p14 } => {
                write!(f, "loss state p13 {p13}")?;
                let rest = [("p31", p31), ("p32", p32), ("p23", p23), ("p14", p14)];
                rest.into_iter().try_for_each(|(name, chance)| maybe(f, name, chance.as_ref()))
            }
            Self::Delay { latency, jitter, correlation, distribution, allow_reorder } => {
                write!(f, "latency {latency}")?;
                if let Some(jitter) = jitter {
                    write!(f, " ± {jitter}{}", correlated(correlation))?;
                }
                distribution.as_ref().map_or(Ok(()), |distribution| write!(f, " {distribution}"))?;
                f.write_str(if *allow_reorder { " one way, reordering" } else { " one way" })
            }
            Self::Duplicate { percent, correlation } => {
                write!(f, "duplicate {percent}{}", correlated(correlation))
            }
            Self::Corrupt { percent, correlation } => {
                write!(f, "corrupt {percent}{}", correlated(correlation))
            }
            Self::Reorder { percent, correlation, gap } => {
                write!(f, "reorder {percent}{}", correlated(correlation))?;
                maybe(f, "gap", gap.as_ref())
            }
            Self::Rate { rate } => write!(f, "rate {rate}/s"),
            Self::Slot { min, max, packets, bytes, distribution } => {
                write!(f, "slot {min}")?;
                max.map_or(Ok(()), |max| write!(f, "-{max}"))?;
                distribution.as_ref().map_or(Ok(()), |distribution| write!(f, " {distribution}"))?;
                maybe(f, "packets", packets.as_ref())?;
                maybe(f, "bytes", bytes.as_ref())
            }
            Self::Reject { with } => f.write_str(match with {
                RejectWith::TcpReset => "reject",
                RejectWith::PortUnreachable => "reject with port unreachable",
                RejectWith::HostUnreachable => "reject with host unreachable",
                RejectWith::AdminProhibited => "reject with admin prohibited",
            }),
            Self::Reset {} => f.write_str("reset of existing connections"),
            Self::Dns { names, answer } => {
                let names = names.iter().map(DnsName::as_str).collect::<Vec<_>>().join(", ");
                write!(f, "DNS {answer} for {names}")
            }
        }
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal => f.write_str("normal"),
            Self::Pareto => f.write_str("pareto"),
            Self::Paretonormal => f.write_str("paretonormal"),
            Self::Table(table) => write!(f, "by a table of {}", table.len()),
        }
    }
}

fn maybe<T: fmt::Display>(f: &mut fmt::Formatter<'_>, name: &str, value: Option<&T>) -> fmt::Result {
    value.map_or(Ok(()), |value| write!(f, " {name} {value}"))
}

impl fmt::Display for DnsAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nxdomain => f.write_str("nxdomain"),
            Self::Servfail => f.write_str("servfail"),
            Self::Timeout => f.write_str("timeout"),
            Self::Delay { latency } => write!(f, "delay {latency}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn there_is_an_example_of_each() {
        let error = serde_json::from_str::<Kind>(r#"{"none":{}}"#).unwrap_err().to_string();
        // It lists what there is: the word that is not known, and then all of them.
        let all = error.matches('`').count() / 2 - 1;
        let kinds = Kind::examples().into_iter().map(|(_, kind)| kind).collect::<Vec<_>>();
        assert!(kinds.iter().all(|kind| kind.validate().is_ok()));
        assert_eq!(kinds.iter().map(Kind::name).collect::<BTreeSet<_>>().len(), all, "{error}");
    }

    #[test]
    fn what_grows_is_listed() {
        assert_eq!(growing(), "loss, latency, duplicate, corrupt, rate");
    }
}
