//! The rows of the table that delay packets.

use crate::table_measure::{Bound, Check, What};
use crate::table_rows::{IN_ORDER, NONE_LOST, ONCE, Row, Traffic, check};
use Bound::{Between, Chance};
use What::{Least, Median, Overtaken, Within};

const NEVER_EARLY: &str = "a timer is never early, and late by what a busy machine adds";

/// The share of a spread delay that is below a limit: that of the distribution 20 ms before the limit, less the three in a
/// hundred that a busy machine makes later than that, to that at the limit, since none is early.
const fn within(limit: f64, before: f64, at: f64, why: &'static str) -> Check {
    check(Within(limit), Chance(before * 0.97, at, 1.0), why)
}

/// Deviations of -1 and 1, half of them each: the jitter to either side, and nothing in between.
const TWO_SIDED: &str = r#"{"delay":{"latency":"200ms","jitter":"80ms","allow_reorder":true,"distribution":{"table":
    [-8192,-8192,-8192,-8192,-8192,-8192,-8192,-8192,8192,8192,8192,8192,8192,8192,8192,8192]}}}"#;

pub const DELAYS: &[Row] = &[
    Row {
        kinds: r#"{"delay":{"latency":"50ms"}}"#,
        traffic: Traffic::Steady(200, 16),
        both: true,
        checks: &[
            check(Least, Between(50.0, 70.0), NEVER_EARLY),
            check(Median, Between(50.0, 70.0), NEVER_EARLY),
            NONE_LOST,
            IN_ORDER,
            ONCE,
        ],
    },
    Row {
        kinds: r#"{"delay":{"latency":"50ms","jitter":"40ms"}}"#,
        traffic: Traffic::Steady(500, 16),
        both: true,
        checks: &[
            check(Least, Between(10.0, 110.0), "latency less jitter, if that comes first"),
            check(
                Median,
                Between(50.0, 110.0),
                "each waits for those before it: most come late in the range",
            ),
            NONE_LOST,
            IN_ORDER,
        ],
    },
    Row {
        kinds: r#"{"delay":{"latency":"200ms","jitter":"80ms","allow_reorder":true}}"#,
        traffic: Traffic::Steady(1_000, 16),
        both: false,
        checks: &[
            check(Least, Between(120.0, 140.0), NEVER_EARLY),
            within(160.0, 0.125, 0.25, "even, 120 to 280 ms"),
            within(200.0, 0.375, 0.5, "even"),
            within(300.0, 1.0, 1.0, "even: none beyond 280 ms"),
            check(Overtaken, Between(0.5, 1.0), "5 ms apart or less, spread over 160"),
            NONE_LOST,
        ],
    },
    Row {
        kinds: r#"{"delay":{"latency":"200ms","jitter":"80ms","distribution":"normal","allow_reorder":true}}"#,
        traffic: Traffic::Steady(1_000, 16),
        both: false,
        checks: &[
            within(120.0, 0.106, 0.159, "normal: -1.25 and -1 standard deviations"),
            within(200.0, 0.401, 0.5, "normal: -0.25 and 0"),
            within(300.0, 0.841, 0.894, "normal: 1 and 1.25"),
            NONE_LOST,
        ],
    },
    Row {
        kinds: r#"{"delay":{"latency":"200ms","jitter":"80ms","distribution":"pareto","allow_reorder":true}}"#,
        traffic: Traffic::Steady(1_000, 16),
        both: false,
        checks: &[
            check(Least, Between(153.8, 173.8), "Pareto: none below -0.577 standard deviations"),
            within(240.0, 0.802, 0.862, "Pareto: 0.25 and 0.5; normal would be 0.69"),
            within(300.0, 0.925, 0.942, "Pareto: 1 and 1.25; even would be 1"),
            NONE_LOST,
        ],
    },
    Row {
        kinds: r#"{"delay":{"latency":"200ms","jitter":"80ms","distribution":"paretonormal","allow_reorder":true}}"#,
        traffic: Traffic::Steady(1_000, 16),
        both: false,
        checks: &[
            within(120.0, 0.001, 0.011, "a quarter normal: rarer than the 0.159 of normal"),
            within(150.0, 0.035, 0.163, "Pareto would be 0"),
            within(240.0, 0.752, 0.829, "0.25 and 0.5"),
            within(300.0, 0.914, 0.936, "1 and 1.25; even would be 1"),
            NONE_LOST,
        ],
    },
    Row {
        kinds: TWO_SIDED,
        traffic: Traffic::Steady(1_000, 16),
        both: false,
        checks: &[
            check(Least, Between(120.0, 140.0), NEVER_EARLY),
            within(140.0, 0.5, 0.5, "half of them 80 ms before the middle"),
            within(280.0, 0.5, 0.5, "and none before 80 ms after it"),
            NONE_LOST,
        ],
    },
];
