//! Links that people know, as faults. One way each; `down` is what comes in, `up` what goes out.

use crate::{Kind, Percent, Rate, Span};

/// A link by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// As the command line has it.
    pub name: &'static str,
    /// Kilobits per second that come in.
    pub down_kbit: u64,
    /// Kilobits per second that go out.
    pub up_kbit: u64,
    /// Milliseconds for there and back together.
    pub rtt_ms: u64,
    /// Milliseconds, one way.
    pub jitter_ms: u64,
    /// Thousandths of a percent of the packets, each way.
    pub loss_millipercent: u32,
    /// Where the figures come from.
    pub source: &'static str,
}

/// Every profile there is. Round figures of the sources that they name: a starting point, not a measurement.
pub const PROFILES: [Profile; 9] = [
    Profile {
        name: "edge",
        down_kbit: 240,
        up_kbit: 200,
        rtt_ms: 840,
        jitter_ms: 40,
        loss_millipercent: 1_000,
        source: "WebPageTest's connectivity profile \"EDGE\"; jitter and loss are our estimate",
    },
    Profile {
        name: "3g",
        down_kbit: 1_600,
        up_kbit: 768,
        rtt_ms: 300,
        jitter_ms: 20,
        loss_millipercent: 500,
        source: "WebPageTest's connectivity profile \"3G\"; jitter and loss are our estimate",
    },
    Profile {
        name: "lte",
        down_kbit: 12_000,
        up_kbit: 12_000,
        rtt_ms: 70,
        jitter_ms: 10,
        loss_millipercent: 100,
        source: "WebPageTest's connectivity profile \"LTE\"; jitter and loss are our estimate",
    },
    Profile {
        name: "dsl",
        down_kbit: 1_500,
        up_kbit: 384,
        rtt_ms: 50,
        jitter_ms: 5,
        loss_millipercent: 0,
        source: "WebPageTest's connectivity profile \"DSL\"; jitter is our estimate",
    },
    Profile {
        name: "cable",
        down_kbit: 5_000,
        up_kbit: 1_000,
        rtt_ms: 28,
        jitter_ms: 3,
        loss_millipercent: 0,
        source: "WebPageTest's connectivity profile \"Cable\"; jitter is our estimate",
    },
    Profile {
        name: "wifi-bad",
        down_kbit: 5_000,
        up_kbit: 2_000,
        rtt_ms: 60,
        jitter_ms: 25,
        loss_millipercent: 3_000,
        source: "our estimate of a crowded 2.4 GHz channel at the edge of its range",
    },
    Profile {
        name: "starlink",
        down_kbit: 100_000,
        up_kbit: 10_000,
        rtt_ms: 40,
        jitter_ms: 8,
        loss_millipercent: 500,
        source: "typical figures of Starlink's published specifications for fixed service, rounded; loss is our estimate",
    },
    Profile {
        name: "geo-satellite",
        down_kbit: 20_000,
        up_kbit: 3_000,
        rtt_ms: 600,
        jitter_ms: 20,
        loss_millipercent: 500,
        source: "35,786 km up, twice there and back (RFC 2488 section 2), plus processing; rates and loss are our estimate",
    },
    Profile {
        name: "intercontinental",
        down_kbit: 1_000_000,
        up_kbit: 1_000_000,
        rtt_ms: 150,
        jitter_ms: 2,
        loss_millipercent: 10,
        source: "15,000 km of fibre at two thirds of the speed of light; rates, jitter and loss are our estimate",
    },
];

impl Profile {
    /// The profile of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        PROFILES.iter().find(|profile| profile.name == name)
    }

    /// What happens to packets that go out.
    #[must_use]
    pub fn up(&self) -> Vec<Kind> {
        self.kinds(self.up_kbit)
    }

    /// What happens to packets that come in.
    #[must_use]
    pub fn down(&self) -> Vec<Kind> {
        self.kinds(self.down_kbit)
    }

    fn kinds(&self, kbit: u64) -> Vec<Kind> {
        let mut kinds = Vec::new();
        let percent = Percent::new(f64::from(self.loss_millipercent) / 1_000.0);
        kinds.extend(percent.map(|percent| Kind::Loss { percent, correlation: None }));
        kinds.push(Kind::Delay {
            latency: Span::from_millis(self.rtt_ms / 2),
            jitter: Some(Span::from_millis(self.jitter_ms)),
            correlation: None,
            distribution: None,
            allow_reorder: false,
        });
        kinds.extend(Rate::new(kbit * 1_000).map(|rate| Kind::Rate { rate }));
        kinds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_is_a_fault_that_makes_sense() {
        for profile in PROFILES {
            for kinds in [profile.up(), profile.down()] {
                assert!(kinds.len() >= 2, "{}", profile.name);
                for kind in kinds {
                    assert_eq!(kind.validate(), Ok(()), "{}", profile.name);
                }
            }
            assert_eq!(
                Profile::find(profile.name),
                Some(PROFILES.iter().find(|p| p.name == profile.name).unwrap())
            );
        }
        assert_eq!(Profile::find("carrier-pigeon"), None);
    }
}
