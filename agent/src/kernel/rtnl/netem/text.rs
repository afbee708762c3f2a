//! netem's options in words.

use std::fmt;

use super::{Loss, Odds, Seen, Share, Slot};

impl Seen {
    /// Each option, and what it is set to. Shares are in steps of a millionth here, so what rounding did to them is gone.
    pub(super) fn facts(&self) -> [(&'static str, String); 10] {
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

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = u64::from(u32::MAX);
        let millionths = (u64::from(self.0) * 1_000_000 + whole / 2) / whole;
        let (percent, part) = (millionths / 10_000, millionths % 10_000);
        match part {
            0 => write!(f, "{percent}%"),
            part => write!(f, "{percent}.{}%", format!("{part:04}").trim_end_matches('0')),
        }
    }
}

impl fmt::Display for Odds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.share, self.correlation) {
            (Share(0), _) => f.write_str("none"),
            (share, Share(0)) => write!(f, "{share}"),
            (share, correlation) => write!(f, "{share} {correlation}"),
        }
    }
}

/// As tc-netem(8) has it.
impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Random(odds) => write!(f, "{odds}"),
            Self::Gemodel { p, r, h, k1 } => write!(f, "gemodel {p} {r} {} {k1}", h.rest()),
            Self::State { p13, p31, p32, p14, p23 } => write!(f, "state {p13} {p31} {p32} {p23} {p14}"),
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            slot if *slot == Self::default() => f.write_str("none"),
            Self { min, max, packets, bytes } => {
                write!(f, "{min:?} to {max:?}, {packets} packets, {bytes} bytes")
            }
        }
    }
}
