//! What happens: the flags, and the kinds that they make.

use clap::ValueEnum;
use partition_agent_proto::{
    Direction, Distribution, DnsAnswer, DnsName, Kind, Percent, Profile, Ramp, Rate, RejectWith, Span,
};

use super::values::{self, Ramped};
use crate::completion;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "What happens")]
pub struct KindArgs {
    /// Lose this share of the packets; 100% cuts the target off
    #[arg(long, value_name = "PERCENT", allow_hyphen_values = true)]
    pub loss: Option<Ramped<Percent>>,
    /// Let losses follow each other: how much one depends on the one before
    #[arg(long, value_name = "PERCENT", requires = "loss")]
    pub loss_correlation: Option<Percent>,
    /// Losses in bursts after Gilbert and Elliott: P[,R[,1-H[,1-K]]]
    #[arg(long, value_name = "PERCENTS", value_delimiter = ',', num_args = 1..=4)]
    pub loss_gemodel: Vec<Percent>,
    /// Losses by a chain of four states: P13[,P31[,P32[,P23[,P14]]]]
    #[arg(long, value_name = "PERCENTS", value_delimiter = ',', num_args = 1..=5)]
    pub loss_state: Vec<Percent>,
    /// Delay packets by this much, one way, in each direction
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub latency: Option<Ramped<Span>>,
    /// Delay packets by this much there and back together, half of it in each direction
    #[arg(long, value_name = "TIME", conflicts_with = "latency")]
    pub rtt: Option<Span>,
    /// Vary the latency by about this much, up and down; packets keep their order
    #[arg(long, value_name = "TIME")]
    pub jitter: Option<Ramped<Span>>,
    /// Let the jitter of a packet depend on that of the one before
    #[arg(long, value_name = "PERCENT", requires = "jitter")]
    pub jitter_correlation: Option<Percent>,
    /// How the jitter is spread: normal, pareto, paretonormal, or a table file; evenly without it
    #[arg(long, value_name = "NAME|FILE", requires = "jitter", value_parser = values::distribution)]
    pub distribution: Option<Distribution>,
    /// Let jitter change the order of packets
    #[arg(long, requires = "jitter")]
    pub allow_reorder: bool,
    /// Send this share of the packets twice
    #[arg(long, value_name = "PERCENT")]
    pub duplicate: Option<Ramped<Percent>>,
    /// How much one duplicate depends on the one before
    #[arg(long, value_name = "PERCENT", requires = "duplicate")]
    pub duplicate_correlation: Option<Percent>,
    /// Flip a bit in this share of the packets
    #[arg(long, value_name = "PERCENT")]
    pub corrupt: Option<Ramped<Percent>>,
    /// How much one corruption depends on the one before
    #[arg(long, value_name = "PERCENT", requires = "corrupt")]
    pub corrupt_correlation: Option<Percent>,
    /// Let this share of the packets overtake delayed ones
    #[arg(long, value_name = "PERCENT")]
    pub reorder: Option<Percent>,
    /// How much one overtaking depends on the one before
    #[arg(long, value_name = "PERCENT", requires = "reorder")]
    pub reorder_correlation: Option<Percent>,
    /// Let only every Nth packet overtake
    #[arg(long, value_name = "N", requires = "reorder")]
    pub reorder_gap: Option<u32>,
    /// Let no more than this through, in bits per second: 768kbit, 10mbit, 1gbit
    #[arg(long, value_name = "RATE")]
    pub rate: Option<Ramped<Rate>>,
    /// Send packets in bunches, with this much time between two of them: MIN[-MAX]
    #[arg(long, value_name = "TIME", value_parser = values::slot)]
    pub slot: Option<(Span, Option<Span>)>,
    /// At most this many packets in a bunch
    #[arg(long, value_name = "N", requires = "slot")]
    pub slot_packets: Option<u32>,
    /// At most this many bytes in a bunch
    #[arg(long, value_name = "N", requires = "slot")]
    pub slot_bytes: Option<u32>,
    /// How the time between two bunches is spread around the middle of MIN and MAX, as with --distribution; evenly without it
    #[arg(long, value_name = "NAME|FILE", requires = "slot", value_parser = values::distribution)]
    pub slot_distribution: Option<Distribution>,
    /// Refuse packets, and tell their sender; TCP connections are reset
    #[arg(long, value_enum, value_name = "HOW", num_args = 0..=1, default_missing_value = "tcp-reset", require_equals = true)]
    pub reject: Option<Reject>,
    /// Reset the TCP connections to the target that exist when the fault starts, once
    #[arg(long)]
    pub reset: bool,
    /// Make the lookup of these names fail: api.example.com, or *.example.com for all below
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub dns_fail: Vec<DnsName>,
    /// How it fails: nxdomain, servfail, timeout or delay:TIME
    #[arg(long, value_name = "ANSWER", requires = "dns_fail", value_parser = values::dns_answer)]
    pub dns_answer: Option<DnsAnswer>,
    /// Behave like a link that people know; `partition-agent profiles` lists them
    #[arg(long, value_name = "NAME", add = completion::profiles(), conflicts_with_all = ["loss", "latency", "rtt", "jitter", "rate"])]
    pub profile: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Reject {
    TcpReset,
    PortUnreachable,
    HostUnreachable,
    AdminProhibited,
}

impl KindArgs {
    /// What happens to what goes out, or to everything; and to what comes in, where that is something else.
    pub fn kinds(&self, direction: Direction) -> Result<(Vec<Kind>, Vec<Kind>), String> {
        let mut kinds = Vec::new();
        let mut ingress = Vec::new();
        if let Some(name) = &self.profile {
            let names = || partition_agent_proto::PROFILES.map(|profile| profile.name).join(", ");
            let unknown = || format!("`{name}` is no profile: there are {}", names());
            let profile = Profile::find(name).ok_or_else(unknown)?;
            match direction {
                Direction::Egress => kinds = profile.up(),
                Direction::Ingress => kinds = profile.down(),
                Direction::Both => (kinds, ingress) = (profile.up(), profile.down()),
            }
        }
        let own = self.own_kinds(direction)?;
        if !ingress.is_empty() {
            ingress.extend(own.iter().cloned());
        }
        kinds.extend(own);
        Ok((kinds, ingress))
    }

    fn own_kinds(&self, direction: Direction) -> Result<Vec<Kind>, String> {
        let mut kinds = Vec::new();
        let loss =
            |loss: &Ramped<Percent>| Kind::Loss { percent: loss.to, correlation: self.loss_correlation };
        kinds.extend(self.loss.as_ref().map(loss));
        // The parser counts arguments, not what the commas make of one.
        if self.loss_gemodel.len() > 4 {
            return Err("--loss-gemodel takes at most four percentages: P,R,1-H,1-K".to_owned());
        }
        if self.loss_state.len() > 5 {
            return Err("--loss-state takes at most five percentages: P13,P31,P32,P23,P14".to_owned());
        }
        if let [p, rest @ ..] = self.loss_gemodel.as_slice() {
            let [r, bad, good] = [0, 1, 2].map(|nth| rest.get(nth).copied());
            kinds.push(Kind::LossGemodel { p: *p, r, bad, good });
        }
        if let [p13, rest @ ..] = self.loss_state.as_slice() {
            let [p31, p32, p23, p14] = [0, 1, 2, 3].map(|nth| rest.get(nth).copied());
            kinds.push(Kind::LossState { p13: *p13, p31, p32, p23, p14 });
        }
        kinds.extend(self.delay(direction)?);
        let duplicate = |share: &Ramped<Percent>| Kind::Duplicate {
            percent: share.to,
            correlation: self.duplicate_correlation,
        };
        kinds.extend(self.duplicate.as_ref().map(duplicate));
        let corrupt = |share: &Ramped<Percent>| Kind::Corrupt {
            percent: share.to,
            correlation: self.corrupt_correlation,
        };
        kinds.extend(self.corrupt.as_ref().map(corrupt));
        kinds.extend(self.reorder.map(|percent| Kind::Reorder {
            percent,
            correlation: self.reorder_correlation,
            gap: self.reorder_gap,
        }));
        kinds.extend(self.rate.as_ref().map(|rate| Kind::Rate { rate: rate.to }));
        kinds.extend(self.slot.map(|(min, max)| Kind::Slot {
            min,
            max,
            packets: self.slot_packets,
            bytes: self.slot_bytes,
            distribution: self.slot_distribution.clone(),
        }));
        kinds.extend(self.reject.map(|with| Kind::Reject {
            with: match with {
                Reject::TcpReset => RejectWith::TcpReset,
                Reject::PortUnreachable => RejectWith::PortUnreachable,
                Reject::HostUnreachable => RejectWith::HostUnreachable,
                Reject::AdminProhibited => RejectWith::AdminProhibited,
            },
        }));
        if self.reset {
            kinds.push(Kind::Reset {});
        }
        if !self.dns_fail.is_empty() {
            let answer = self.dns_answer.unwrap_or_default();
            kinds.push(Kind::Dns { names: self.dns_fail.clone(), answer });
        }
        Ok(kinds)
    }

    fn delay(&self, direction: Direction) -> Result<Option<Kind>, String> {
        let latency = match (&self.latency, self.rtt) {
            (Some(latency), _) => latency.to,
            (None, Some(rtt)) => match direction {
                Direction::Both => Span::new(rtt.duration() / 2).map_err(|error| error.to_string())?,
                Direction::Egress | Direction::Ingress => {
                    return Err("--rtt is there and back: with one --direction, write --latency".to_owned());
                }
            },
            (None, None) if self.jitter.is_some() => {
                return Err("a jitter varies a latency: add --latency or --rtt".to_owned());
            }
            (None, None) => return Ok(None),
        };
        Ok(Some(Kind::Delay {
            latency,
            jitter: self.jitter.as_ref().map(|jitter| jitter.to),
            correlation: self.jitter_correlation,
            distribution: self.distribution.clone(),
            allow_reorder: self.allow_reorder,
        }))
    }

    pub fn ramp(&self, over: Option<Span>) -> Result<Option<Ramp>, String> {
        let percents =
            [&self.loss, &self.duplicate, &self.corrupt].into_iter().flatten().any(|value| value.grows);
        let spans = [&self.latency, &self.jitter].into_iter().flatten().any(|value| value.grows);
        let grows = percents || spans || self.rate.as_ref().is_some_and(|value| value.grows);
        let Some(over) = over else {
            return if grows { Err("two values are a ramp: add --ramp TIME".to_owned()) } else { Ok(None) };
        };
        let first = |value: &Option<Ramped<Percent>>| value.as_ref().and_then(|value| value.from);
        let correlation = None;
        let mut from = Vec::new();
        from.extend(first(&self.loss).map(|percent| Kind::Loss { percent, correlation }));
        let latency = self.latency.as_ref().and_then(|value| value.from);
        from.extend(latency.map(|latency| Kind::Delay {
            latency,
            jitter: self.jitter.as_ref().and_then(|value| value.from),
            correlation,
            distribution: None,
            allow_reorder: false,
        }));
        from.extend(first(&self.duplicate).map(|percent| Kind::Duplicate { percent, correlation }));
        from.extend(first(&self.corrupt).map(|percent| Kind::Corrupt { percent, correlation }));
        from.extend(self.rate.as_ref().and_then(|value| value.from).map(|rate| Kind::Rate { rate }));
        Ok(Some(Ramp { over, from }))
    }
}
