//! A page of `/metrics`, made of what was recorded, a tally and two readings of clocks. Pure. A registry is made for each page and
//! dropped with it, so that nothing outlives the fault that it tells of.

use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::words::{STATES, drops, sinks};
use super::{Label, Metrics, Standing, Tally};
use crate::clock::BootTime;
use crate::policy::KindName;

type Counts = Family<Label, Counter>;
type Gauges = Family<Label, Gauge>;
type Instants = Family<Label, Gauge<f64, std::sync::atomic::AtomicU64>>;

impl Metrics {
    /// `boot` and `wall`, the time since 1970, are of the same moment.
    #[must_use]
    pub fn page(&self, tally: &Tally, boot: BootTime, wall: Duration) -> String {
        let instant = |at: BootTime| unix(at, boot, wall);
        let mut page = Registry::with_prefix("partition_agent");
        page.register("build", "The agent", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        page.register_with_unit(
            "start_time",
            "When the agent started, since 1970",
            Unit::Seconds,
            ConstGauge::new(instant(self.started)),
        );
        standing(&mut page, tally, instant);
        hits(&mut page, tally);
        self.happened(&mut page);
        let mut text = String::new();
        // Nothing is written but to memory.
        encode(&mut text, &page).unwrap_or_default();
        text
    }

    fn happened(&self, page: &mut Registry) {
        page.register_with_unit(
            "inject_duration",
            "How long it took the keeper to build a fault, put it into force where it does not wait for its start, and read it back",
            Unit::Seconds,
            self.inject.clone(),
        );
        page.register_with_unit(
            "restore_duration",
            "How long it took the keeper to take a fault out of force, without the time that delayed packets then have to arrive",
            Unit::Seconds,
            self.restore.clone(),
        );
        page.register_with_unit(
            "restore_lateness",
            "How long after its deadline, the end of its lease or the instant of its restore the agent saw that a fault was out of force; \
             the kernel ends it at the deadline, and the agent looks 20 ms later",
            Unit::Seconds,
            self.lateness.clone(),
        );
        page.register(
            "ended_faults",
            "Faults of which nothing is left, by what ended them",
            self.ended.clone(),
        );
        page.register(
            "restore_failures",
            "Restores that the kernel refused, each try of a stuck fault among them",
            self.restore_failures.clone(),
        );
        page.register("lease_renewals", "Leases that somebody renewed", self.lease_renewals.clone());
        page.register(
            "refusals",
            "Requests that were refused, by the code of the problem",
            self.refusals.clone(),
        );
    }
}

/// How faults stand.
fn standing(page: &mut Registry, tally: &Tally, instant: impl Fn(BootTime) -> f64) {
    let (states, kinds) = (Gauges::default(), Gauges::default());
    let (since, until) = (Instants::default(), Instants::default());
    for state in STATES {
        drop(states.get_or_create(&[("state", state.to_string())]));
    }
    for kind in KindName::ALL {
        drop(kinds.get_or_create(&[("kind", kind.to_string())]));
    }
    for Standing { id, state, kinds: of_fault, in_force, .. } in &tally.faults {
        states.get_or_create(&[("state", state.to_string())]).inc();
        let Some((start, end)) = in_force else { continue };
        for kind in of_fault {
            kinds.get_or_create(&[("kind", kind.to_string())]).inc();
        }
        let id = [("id", id.to_string())];
        since.get_or_create(&id).set(instant(*start));
        until.get_or_create(&id).set(instant(*end));
    }
    let leases = tally.faults.iter().filter(|fault| fault.leased).count();
    page.register("faults", "Faults that are not over, by state", states);
    page.register(
        "active_faults",
        "Faults in force, by kind; one of several kinds counts under each of them",
        kinds,
    );
    page.register_with_unit(
        "fault_start_timestamp",
        "When a fault that is in force started, since 1970",
        Unit::Seconds,
        since,
    );
    page.register_with_unit(
        "fault_deadline_timestamp",
        "When the kernel ends a fault that is in force, at its deadline or the end of its lease, since 1970",
        Unit::Seconds,
        until,
    );
    page.register("leases", "Faults that end when nobody renews them", ConstGauge::new(leases));
    page.register("emulator_queue_packets", "Packets that the emulator holds", ConstGauge::new(tally.held));
}

/// What faults have hit, those that are over among them.
fn hits(page: &mut Registry, tally: &Tally) {
    let (packets, bytes, dropped) = (Counts::default(), Counts::default(), Counts::default());
    for (sink, of_packets, of_bytes) in sinks(&tally.hits) {
        packets.get_or_create(&[("sink", sink.to_owned())]).inc_by(of_packets);
        bytes.get_or_create(&[("sink", sink.to_owned())]).inc_by(of_bytes);
    }
    for (cause, count) in drops(&tally.hits) {
        dropped.get_or_create(&[("cause", cause.to_owned())]).inc_by(count);
    }
    page.register("hit_packets", "Packets that faults have hit, by what became of them", packets);
    page.register_with_unit(
        "hit",
        "Their bytes: with the Ethernet header of lost and shaped packets that go out, without it of all others",
        Unit::Bytes,
        bytes,
    );
    page.register(
        "queue_drops",
        "Packets lost in the queue of a fault: by a shaping loss that was asked for, or for want of room; of a fault with a shaping \
         loss netem counts the two together, as loss",
        dropped,
    );
    page.register(
        "reset_connections",
        "Connections that faults have reset at their start",
        ConstCounter::new(tally.hits.reset_connections),
    );
    page.register(
        "failed_questions",
        "Questions for names that faults let fail",
        ConstCounter::new(tally.hits.failed_questions),
    );
}

/// An instant of the boot clock on the wall, in seconds since 1970, to the millisecond: two readings of two clocks are microseconds
/// apart, and what does not change should be told the same way each time.
fn unix(at: BootTime, boot: BootTime, wall: Duration) -> f64 {
    let nanos = |time: Duration| i128::try_from(time.as_nanos()).unwrap_or(i128::MAX);
    // Rounded once, and to the nearest: two clocks that were cut off each by itself would be a millisecond apart now and then.
    let unix = nanos(wall).saturating_sub(nanos(boot.since_boot())).saturating_add(nanos(at.since_boot()));
    #[allow(clippy::cast_precision_loss, reason = "a double has milliseconds for 285,000 years")]
    let millis = (unix as f64 / 1e6).round();
    millis / 1_000.0
}
