//! netem's options in words.

use std::fmt;

use super::{Loss, Odds, Share, Slot};

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
            Self { min, max, packets, bytes, distributed } => {
                let how = if *distributed { " by a table" } else { "" };
                write!(f, "{min:?} to {max:?}{how}, {packets} packets, {bytes} bytes")
            }
        }
    }
}
