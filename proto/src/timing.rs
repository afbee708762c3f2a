//! When a fault is felt within its time.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Kind, Span, SpecError};

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
            let from = self.from.iter().find(|from| same(kind, from));
            let from_some = kind.grown(Some(kind), 1.0).map(|_| SpecError::RampFromNothing(kind.name()));
            kind.grown(from, 1.0).ok_or(from_some.unwrap_or(SpecError::NoRamp(kind.name())))?;
        }
        Ok(())
    }

    /// The kinds as they are when this share of the way, 0 to 1, is behind.
    #[must_use]
    pub fn at(&self, kinds: &[Kind], share: f64) -> Vec<Kind> {
        let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 1.0 };
        let grown = |kind: &Kind| kind.grown(self.from.iter().find(|from| same(kind, from)), share);
        kinds.iter().map(|kind| grown(kind).unwrap_or_else(|| kind.clone())).collect()
    }
}

fn same(one: &Kind, other: &Kind) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
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
