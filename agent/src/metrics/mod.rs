//! What an agent has done, and how its faults stand, as `/metrics` tells it: OpenMetrics, for Prometheus.
//!
//! Two halves. What happens is recorded where it happens, in counters and histograms that everybody may write at any time
//! ([`Metrics`]). How things stand is counted by the keeper when somebody asks ([`Tally`]). A page is made of both, on the thread
//! of whoever asks.

mod page;
mod words;

#[cfg(test)]
mod tests;

use std::time::Duration;

use partition_agent_proto::{End, FaultId, Hits, ProblemCode, State};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

use crate::clock::BootTime;
use crate::policy::KindName;
use words::Trigger;

/// The media type of a page.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// From a transaction of nftables, some milliseconds, to one of 100,000 targets or on a host that is out of breath.
const DURATIONS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The agent looks 20 ms after the kernel, so nothing is seen before that. Minutes are a host that slept, or an undo that was refused.
const LATENESSES: [f64; 12] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// A label and its value. No value comes from outside but the ids of faults, of which there are 1,000 at most.
type Label = [(&'static str, String); 1];

/// What has happened since the agent started. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Metrics {
    started: BootTime,
    inject: Histogram,
    restore: Histogram,
    lateness: Histogram,
    ended: Family<Label, Counter>,
    restore_failures: Counter,
    lease_renewals: Counter,
    refusals: Family<Label, Counter>,
}

/// How faults stand at one instant.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tally {
    /// Of every fault that is not over.
    pub faults: Vec<Standing>,
    /// What faults have hit since the agent started, those that are over among them.
    pub hits: Hits,
    /// Packets that the emulator holds.
    pub held: u64,
}

/// One fault, as far as it is counted.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    pub id: FaultId,
    pub state: State,
    /// Each once.
    pub kinds: Vec<KindName>,
    pub leased: bool,
    /// While it is in force: since when, and when the kernel ends it.
    pub in_force: Option<(BootTime, BootTime)>,
}

impl Metrics {
    /// Nothing has happened yet. What is labelled begins at zero, because Prometheus sees no increase from nothing to one.
    #[must_use]
    pub fn new(started: BootTime) -> Self {
        let metrics = Self {
            started,
            inject: Histogram::new(DURATIONS),
            restore: Histogram::new(DURATIONS),
            lateness: Histogram::new(LATENESSES),
            ended: Family::default(),
            restore_failures: Counter::default(),
            lease_renewals: Counter::default(),
            refusals: Family::default(),
        };
        for trigger in Trigger::ALL {
            drop(metrics.ended.get_or_create(&trigger.label()));
        }
        for code in ProblemCode::ALL {
            drop(metrics.refusals.get_or_create(&reason(code)));
        }
        metrics
    }

    /// A fault was built, and is in force where it does not wait for its start. It took this long.
    pub fn injected(&self, took: Duration) {
        self.inject.observe(took.as_secs_f64());
    }

    /// A fault was taken out of force. It took this long, and that was so much after the instant at which it was to end, if there
    /// was one.
    pub fn restored(&self, took: Duration, late: Option<Duration>) {
        self.restore.observe(took.as_secs_f64());
        if let Some(late) = late {
            self.lateness.observe(late.as_secs_f64());
        }
    }

    /// Nothing of a fault is left.
    pub fn ended(&self, end: &End) {
        self.ended.get_or_create(&Trigger::of(end).label()).inc();
    }

    /// The kernel refused to remove something.
    pub fn restore_failed(&self) {
        self.restore_failures.inc();
    }

    pub fn lease_renewed(&self) {
        self.lease_renewals.inc();
    }

    /// Somebody was refused something.
    pub fn refused(&self, code: ProblemCode) {
        self.refusals.get_or_create(&reason(code)).inc();
    }
}

fn reason(code: ProblemCode) -> Label {
    [("reason", code.to_string())]
}
