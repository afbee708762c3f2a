//! The table: every kind that is done to packets but delays, what is measured, and why the bounds are where they are.

use std::time::Duration;

use harness::rounds;
use harness::stream::Pace;

use crate::table_measure::{Bound, Check, What};
use Bound::{Between, Chance, Geometric};
use What::{All, BadChecksum, Bunches, Lost, LostInARow, Overtaken, Speed, Twice, Within};

pub struct Row {
    pub kinds: &'static str,
    pub traffic: Traffic,
    /// Also with `direction: both`.
    pub both: bool,
    pub checks: &'static [Check],
}

#[derive(Clone, Copy)]
pub enum Traffic {
    /// Small and fast.
    Many,
    /// So many of so many bytes, without a pause.
    Burst(usize, usize),
    /// So many of so many bytes, two each millisecond; on an emulated machine one every five.
    Steady(usize, usize),
}

impl Traffic {
    /// An emulated machine gets less of it, and slower: what it cannot keep up with would be late or lost.
    pub fn pace(self) -> Pace {
        let bunch = rounds(2);
        let pause = Duration::from_millis(if bunch == 1 { 5 } else { 1 });
        let quiet = Duration::from_millis(400);
        match self {
            Self::Many => Pace { count: rounds(10_000).max(1_000), length: 16, bunch: 20, pause, quiet },
            Self::Burst(count, length) => Pace { count, length, bunch: count, pause, quiet },
            Self::Steady(count, length) => {
                Pace { count: rounds(count).max(count.min(200)), length, bunch, pause, quiet }
            }
        }
    }
}

pub const fn check(what: What, bound: Bound, why: &'static str) -> Check {
    Check { what, bound, why }
}

const NONE: Bound = Between(0.0, 0.0);
pub const NONE_LOST: Check = check(Lost, NONE, "nothing is lost that nobody asked to lose");
pub const IN_ORDER: Check = check(Overtaken, NONE, "the order is kept unless asked");
pub const ONCE: Check = check(Twice, NONE, "nothing is doubled that nobody asked to double");

/// Without any engine.
pub const BY_NFTABLES: &[Row] = &[
    Row {
        kinds: r#"{"loss":{"percent":30}}"#,
        traffic: Traffic::Many,
        both: true,
        checks: &[
            check(Lost, Chance(0.3, 0.3, 1.0), "binomial"),
            check(LostInARow, Geometric(1.0 / 0.7), "each by itself: the next is lost in 30% of the cases"),
            IN_ORDER,
            ONCE,
        ],
    },
    Row {
        kinds: r#"{"loss":{"percent":100}}"#,
        traffic: Traffic::Burst(200, 16),
        both: true,
        checks: &[check(Lost, Between(1.0, 1.0), "all of them")],
    },
];

/// Slots by a table of one deviation.
const UPPER: &str = r#"{"slot":{"min":"20ms","max":"80ms","distribution":{"table":
    [8192,8192,8192,8192,8192,8192,8192,8192,8192,8192,8192,8192,8192,8192,8192,8192]}}}"#;

/// What a queue does, but for its delays.
pub const BY_AN_ENGINE: &[Row] = &[
    Row {
        kinds: r#"{"loss":{"percent":50,"correlation":50}}"#,
        traffic: Traffic::Many,
        both: false,
        checks: &[
            // Simulated, 2 million draws of netem's `get_crandom`: 50% lost, 2.77 in a row; autocorrelations of 0.28,
            // 0.14, ... add up to a variance 2.1 times that of independent ones.
            check(Lost, Chance(0.5, 0.5, 2.1), "symmetric around a half, whatever the correlation"),
            check(LostInARow, Geometric(2.77), "independent, it would be 2"),
            IN_ORDER,
        ],
    },
    Row {
        kinds: r#"{"loss_gemodel":{"p":5,"r":25}}"#,
        traffic: Traffic::Many,
        both: false,
        checks: &[
            check(Lost, Chance(0.1667, 0.1667, 5.7), "p/(p+r); neighbours correlate by 1-p-r = 0.7: 1.7/0.3"),
            check(LostInARow, Geometric(4.0), "1/r"),
            IN_ORDER,
        ],
    },
    Row {
        kinds: r#"{"loss_state":{"p13":10,"p31":40}}"#,
        traffic: Traffic::Many,
        both: false,
        checks: &[
            check(Lost, Chance(0.2, 0.2, 3.0), "p13/(p13+p31); neighbours correlate by 0.5: 1.5/0.5"),
            check(LostInARow, Geometric(2.5), "1/p31"),
            IN_ORDER,
        ],
    },
    Row {
        kinds: r#"{"duplicate":{"percent":20}}"#,
        traffic: Traffic::Many,
        both: false,
        checks: &[check(Twice, Chance(0.2, 0.2, 1.0), "binomial"), NONE_LOST],
    },
    Row {
        kinds: r#"{"corrupt":{"percent":10}}"#,
        traffic: Traffic::Steady(1_000, 1_000),
        both: false,
        checks: &[
            // UDP covers 1,008 bytes of the 1,062 that the longest of the frames has.
            check(
                BadChecksum,
                Chance(0.0949, 0.1, 1.0),
                "binomial; a bit in the header below may be found elsewhere",
            ),
            check(Lost, Chance(0.0949, 0.1, 1.0), "binomial; a bit of the header may not matter"),
            IN_ORDER,
        ],
    },
    Row {
        kinds: r#"{"delay":{"latency":"50ms"}},{"reorder":{"percent":25}}"#,
        traffic: Traffic::Steady(1_000, 16),
        both: false,
        checks: &[
            check(
                Within(50.0),
                Chance(0.22, 0.25, 1.0),
                "a quarter is not delayed, and of that hardly any is late by 50 ms",
            ),
            check(
                Overtaken,
                Chance(0.57, 0.75, 1.0),
                "the rest, but for those that no one follows within 50 ms: a quarter at 10 ms apart",
            ),
            NONE_LOST,
        ],
    },
    Row {
        kinds: r#"{"delay":{"latency":"50ms"}},{"reorder":{"percent":100,"gap":5}}"#,
        traffic: Traffic::Steady(500, 16),
        both: false,
        checks: &[check(Within(50.0), Between(0.17, 0.2), "every fifth, and no other"), NONE_LOST],
    },
    Row {
        kinds: r#"{"rate":{"rate":"4mbit"}}"#,
        traffic: Traffic::Burst(150, 1_000),
        both: false,
        checks: &[
            check(
                Speed,
                Between(2.8, 4.0),
                "never faster; 20 ms late on 310 ms is 6%, and a busy machine is slower",
            ),
            NONE_LOST,
            IN_ORDER,
        ],
    },
    Row {
        kinds: r#"{"rate":{"rate":"4mbit"}}"#,
        traffic: Traffic::Burst(400, 1_000),
        both: false,
        checks: &[
            // 4 Mbit/s · 0.5 s / 12,112 bits: 165 wait, and those that left meanwhile made room for more: an emulated
            // machine takes 0.3 s to send them all.
            check(
                Lost,
                Between(0.02, 235.0 / 400.0),
                "a queue of half a second, beyond which packets are lost",
            ),
            check(Speed, Between(2.8, 4.0), "never faster"),
        ],
    },
    Row {
        kinds: r#"{"slot":{"min":"50ms"}}"#,
        traffic: Traffic::Steady(800, 16),
        both: false,
        checks: &[
            check(Bunches, Between(40.0, 75.0), "50 ms; a stall of the machine joins or parts some"),
            NONE_LOST,
            IN_ORDER,
        ],
    },
    Row {
        kinds: UPPER,
        traffic: Traffic::Steady(800, 16),
        both: false,
        checks: &[
            check(
                Bunches,
                Between(65.0, 110.0),
                "a deviation of 30 ms above the middle of 50 ms, each time; a stall of the machine joins or parts some",
            ),
            NONE_LOST,
            IN_ORDER,
        ],
    },
    Row {
        kinds: r#"{"slot":{"min":"20ms","packets":5}}"#,
        traffic: Traffic::Burst(100, 16),
        both: false,
        checks: &[
            check(All, Between(380.0, 900.0), "20 bunches of 5, 19 times 20 ms apart, and each may be late"),
            NONE_LOST,
            IN_ORDER,
        ],
    },
];
