//! When a fault is felt within its time.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Kind, Percent, Rate, Span, SpecError};

/// Off and on again. The kernel switches off; the agent switches on, so a fault whose agent hangs stays off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Flap {
    /// How long it is on, each time: 100 ms at least.
    pub on: Span,
    /// How long it is off in between: 100 ms at least.
    pub off: Span,
}

/// Growing from less to what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Ramp {
    /// How long it grows; then it stays as it was asked for.
    pub over: Span,
    /// Where it begins, for those of the fault's kinds that begin with more than nothing. A rate must be here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<Kind>,
}

impl Flap {
    /// # Errors
    /// Too fast for a switch that people would notice, or that timers could keep.
    pub fn validate(self) -> Result<(), SpecError> {
        let shortest = Span::from_millis(100);
        if self.on < shortest || self.off < shortest { Err(SpecError::FastFlap) } else { Ok(()) }
    }
}

impl Ramp {
    /// # Errors
    /// A kind that does not grow, or a beginning that goes with none of the fault's kinds.
    pub fn validate(&self, kinds: &[Kind]) -> Result<(), SpecError> {
        for from in &self.from {
            from.validate()?;
            if self.from.iter().filter(|other| same(other, from)).count() > 1 {
                return Err(SpecError::RepeatedKind);
            }
            if !kinds.iter().any(|kind| same(kind, from)) {
                return Err(SpecError::RampFrom(from.name()));
            }
        }
        for kind in kinds {
            let begins = self.from.iter().any(|from| same(kind, from));
            match kind {
                Kind::Rate { .. } if !begins => return Err(SpecError::RampRate),
                Kind::Loss { .. }
                | Kind::Delay { .. }
                | Kind::Duplicate { .. }
                | Kind::Corrupt { .. }
                | Kind::Rate { .. } => {}
                Kind::LossGemodel { .. }
                | Kind::LossState { .. }
                | Kind::Reorder { .. }
                | Kind::Slot { .. }
                | Kind::Reject { .. }
                | Kind::Reset {}
                | Kind::Dns { .. } => return Err(SpecError::NoRamp(kind.name())),
            }
        }
        Ok(())
    }

    /// The kinds as they are when this share of the way, 0 to 1, is behind.
    #[must_use]
    pub fn at(&self, kinds: &[Kind], share: f64) -> Vec<Kind> {
        let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 1.0 };
        kinds
            .iter()
            .map(|kind| between(self.from.iter().find(|from| same(kind, from)), kind, share))
            .collect()
    }
}

fn same(one: &Kind, other: &Kind) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
}

/// Everything that is a quantity moves; what is a choice is as asked for from the beginning. Less than the smallest
/// quantity is the smallest: the fault has the same parts all the way.
fn between(from: Option<&Kind>, to: &Kind, share: f64) -> Kind {
    let mut kind = to.clone();
    match (&mut kind, from) {
        (Kind::Loss { percent, .. }, Some(Kind::Loss { percent: first, .. }))
        | (Kind::Duplicate { percent, .. }, Some(Kind::Duplicate { percent: first, .. }))
        | (Kind::Corrupt { percent, .. }, Some(Kind::Corrupt { percent: first, .. })) => {
            *percent = percent_between(Some(*first), *percent, share);
        }
        (Kind::Loss { percent, .. } | Kind::Duplicate { percent, .. } | Kind::Corrupt { percent, .. }, _) => {
            *percent = percent_between(None, *percent, share);
        }
        (Kind::Delay { latency, jitter, .. }, from) => {
            let (first_latency, first_jitter) = match from {
                Some(Kind::Delay { latency, jitter, .. }) => (Some(*latency), *jitter),
                _ => (None, None),
            };
            *latency = span_between(first_latency, *latency, share);
            *jitter = jitter.map(|jitter| span_between(first_jitter, jitter, share).min(*latency));
        }
        (Kind::Rate { rate }, Some(Kind::Rate { rate: first })) => {
            *rate = rate_between(*first, *rate, share);
        }
        (
            Kind::Rate { .. }
            | Kind::LossGemodel { .. }
            | Kind::LossState { .. }
            | Kind::Reorder { .. }
            | Kind::Slot { .. }
            | Kind::Reject { .. }
            | Kind::Reset {}
            | Kind::Dns { .. },
            _,
        ) => {}
    }
    kind
}

fn percent_between(from: Option<Percent>, to: Percent, share: f64) -> Percent {
    let from = from.map_or(0.0, |from| f64::from(from.millionths()));
    let millionths = from + (f64::from(to.millionths()) - from) * share;
    Percent::new((millionths / 10_000.0).max(0.0001)).unwrap_or(to)
}

fn span_between(from: Option<Span>, to: Span, share: f64) -> Span {
    let from = from.map_or(0.0, |from| from.duration().as_secs_f64());
    let seconds = from + (to.duration().as_secs_f64() - from) * share;
    std::time::Duration::try_from_secs_f64(seconds.max(1e-6))
        .ok()
        .and_then(|d| Span::new(d).ok())
        .unwrap_or(to)
}

fn rate_between(from: Rate, to: Rate, share: f64) -> Rate {
    // Rates end at 10^11, far below where a double counts in steps of more than one.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let bits = {
        let (from, to) = (from.bits_per_second() as f64, to.bits_per_second() as f64);
        (from + (to - from) * share).round() as u64
    };
    Rate::new(bits).unwrap_or(to)
}

impl fmt::Display for Flap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on, {} off", self.on, self.off)
    }
}

impl fmt::Display for Ramp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.from.is_empty() {
            return write!(f, "growing from nothing over {}", self.over);
        }
        let from = self.from.iter().map(Kind::to_string).collect::<Vec<_>>().join(" and ");
        write!(f, "growing from {from} over {}", self.over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(json: &str) -> Vec<Kind> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_ramp_begins_where_it_is_told_and_ends_at_what_was_asked() {
        let to = kinds(
            r#"[{"loss":{"percent":50}},{"delay":{"latency":"200ms","jitter":"20ms"}},{"rate":{"rate":"1mbit"}}]"#,
        );
        let from = kinds(r#"[{"loss":{"percent":10}},{"rate":{"rate":"9mbit"}}]"#);
        let ramp = Ramp { over: Span::from_secs(60), from };
        assert!(ramp.validate(&to).is_ok());
        let text = |share| ramp.at(&to, share).iter().map(Kind::to_string).collect::<Vec<_>>().join(", ");
        assert_eq!(text(0.0), "loss 10%, latency 1us ± 1us one way, rate 9mbit/s");
        assert_eq!(text(0.5), "loss 30%, latency 100ms ± 10ms one way, rate 5mbit/s");
        assert_eq!(ramp.at(&to, 1.0), to);
        assert_eq!(ramp.at(&to, f64::NAN), to);
    }

    #[test]
    fn what_cannot_grow_says_so() {
        let ramp = |from: &str| Ramp { over: Span::from_secs(1), from: kinds(from) };
        assert!(ramp("[]").validate(&kinds(r#"[{"rate":{"rate":"1mbit"}}]"#)).is_err());
        assert!(ramp("[]").validate(&kinds(r#"[{"reset":{}}]"#)).is_err());
        assert!(
            ramp(r#"[{"corrupt":{"percent":1}}]"#).validate(&kinds(r#"[{"loss":{"percent":1}}]"#)).is_err()
        );
    }
}
