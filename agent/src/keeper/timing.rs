//! When a fault is on, off and how strong, as a function of time. Pure.

use std::time::Duration;

use partition_agent_proto::{FaultSpec, Flap, Span};

use crate::clock::BootTime;

/// The instants of one fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    pub start: BootTime,
    pub deadline: BootTime,
    flap: Option<Flap>,
    ramp: Option<Duration>,
    lease: Option<Lease>,
}

/// For how long it is renewed, and until when it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lease {
    length: Duration,
    end: BootTime,
}

/// A ramp goes in a hundred steps, but not faster and not slower than these.
const STEPS: u32 = 100;
const STEP: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

impl Timing {
    /// Of a fault that is asked for now.
    pub fn new(spec: &FaultSpec, now: BootTime) -> Self {
        Self::starting(spec, now + spec.start_in.map(Span::duration).unwrap_or_default())
    }

    /// Of a fault that starts at this instant.
    pub fn starting(spec: &FaultSpec, start: BootTime) -> Self {
        let ramp = spec.ramp.as_ref().map(|ramp| ramp.over.duration());
        let lease = spec.lease.map(Span::duration).map(|length| Lease { length, end: start + length });
        Self { start, deadline: start + spec.duration.duration(), flap: spec.flap, ramp, lease }
    }

    /// Its lease begins anew, now; before the start it does not run.
    pub fn renew(&mut self, now: BootTime) {
        let start = self.start;
        self.lease = self.lease.map(|lease| Lease { end: now.max(start) + lease.length, ..lease });
    }

    /// When the kernel ends it, if nobody does anything: at the end of its lease, or at the deadline.
    pub fn end(&self) -> BootTime {
        self.lease.map_or(self.deadline, |lease| lease.end.min(self.deadline))
    }

    /// Whether somebody has to renew it.
    pub fn has_lease(&self) -> bool {
        self.lease.is_some()
    }

    /// The deadline is this long from now, or from the start where that is still to come.
    pub fn end_in(&mut self, now: BootTime, duration: Duration) {
        self.deadline = now.max(self.start) + duration;
    }

    /// Whether the fault has begun.
    pub fn has_begun(&self, now: BootTime) -> bool {
        self.start <= now
    }

    /// How long it stays on, if it is on; the kernel is told so and switches it off.
    pub fn on_for(&self, now: BootTime) -> Option<Duration> {
        let left = now.until(self.end());
        if !self.has_begun(now) || left.is_zero() {
            return None;
        }
        let Some(flap) = self.flap else { return Some(left) };
        let (into, _) = self.within_flap(now, flap);
        let on = flap.on.duration().checked_sub(into).filter(|on| !on.is_zero())?;
        Some(on.min(left))
    }

    /// The next instant after this one at which it goes on: its start, or the next flap.
    pub fn next_on(&self, now: BootTime) -> Option<BootTime> {
        if !self.has_begun(now) {
            return Some(self.start);
        }
        let flap = self.flap?;
        let (into, period) = self.within_flap(now, flap);
        let next = now + period.saturating_sub(into);
        (next < self.deadline).then_some(next)
    }

    /// How far into a flap this is, and how long one is.
    fn within_flap(&self, now: BootTime, flap: Flap) -> (Duration, Duration) {
        let period = flap.on.duration() + flap.off.duration();
        let nanos = self.start.until(now).as_nanos() % period.as_nanos().max(1);
        (Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)), period)
    }

    /// How much of the ramp is behind, 0 to 1.
    pub fn share(&self, now: BootTime) -> f64 {
        match self.ramp {
            Some(over) => (self.start.until(now).as_secs_f64() / over.as_secs_f64()).min(1.0),
            None => 1.0,
        }
    }

    /// When it grows next; the last time is the end of the ramp.
    pub fn next_step(&self, now: BootTime) -> Option<BootTime> {
        let over = self.ramp?;
        let end = self.start + over;
        if !self.has_begun(now) {
            return Some(self.start);
        }
        (now < end).then(|| (now + (over / STEPS).clamp(STEP.0, STEP.1)).min(end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timing(more: &str) -> Timing {
        let json =
            format!(r#"{{"kinds":[{{"loss":{{"percent":1}}}}],"target":{{"ports":[1]}},"for":"60s"{more}}}"#);
        Timing::new(&serde_json::from_str(&json).unwrap(), at(1_000))
    }

    fn at(seconds: u64) -> BootTime {
        BootTime::after_boot(Duration::from_secs(seconds))
    }

    fn seconds(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    #[test]
    fn a_plain_fault_is_on_until_its_deadline() {
        let timing = timing("");
        assert_eq!((timing.on_for(at(1_000)), timing.on_for(at(1_059))), (seconds(60), seconds(1)));
        assert_eq!((timing.on_for(at(1_060)), timing.next_on(at(1_000))), (None, None));
        assert_eq!((timing.share(at(1_000)), timing.next_step(at(1_000))), (1.0, None));
    }

    #[test]
    fn a_start_in_the_future_moves_the_deadline() {
        let mut timing = timing(r#","start_in":"10s""#);
        assert_eq!((timing.on_for(at(1_009)), timing.next_on(at(1_000))), (None, Some(at(1_010))));
        assert_eq!((timing.on_for(at(1_010)), timing.next_on(at(1_010))), (seconds(60), None));
        timing.end_in(at(1_005), Duration::from_secs(5));
        assert_eq!(timing.deadline, at(1_015));
    }

    #[test]
    fn a_flap_goes_on_and_off_and_ends_with_the_fault() {
        let timing = timing(r#","flap":{"on":"20s","off":"15s"}"#);
        assert_eq!((timing.on_for(at(1_000)), timing.on_for(at(1_019))), (seconds(20), seconds(1)));
        assert_eq!((timing.on_for(at(1_020)), timing.on_for(at(1_034))), (None, None));
        assert_eq!(timing.next_on(at(1_000)), Some(at(1_035)));
        // The last one is cut short by the deadline at 1060, and the next would begin at 1070.
        assert_eq!((timing.on_for(at(1_045)), timing.next_on(at(1_035))), (seconds(10), None));
    }

    #[test]
    fn a_ramp_grows_in_steps_to_its_end() {
        let timing = timing(r#","ramp":{"over":"20s"}"#);
        assert_eq!(
            (timing.share(at(1_000)), timing.share(at(1_005)), timing.share(at(1_030))),
            (0.0, 0.25, 1.0)
        );
        assert_eq!(timing.next_step(at(1_000)), Some(at(1_000) + Duration::from_millis(200)));
        let last = at(1_019) + Duration::from_millis(900);
        assert_eq!((timing.next_step(last), timing.next_step(at(1_020))), (Some(at(1_020)), None));
    }

    #[test]
    fn a_lease_ends_it_before_the_deadline_unless_it_is_renewed() {
        let mut timing = timing(r#","lease":"10s""#);
        assert_eq!((timing.end(), timing.deadline), (at(1_010), at(1_060)));
        assert_eq!((timing.on_for(at(1_000)), timing.on_for(at(1_009))), (seconds(10), seconds(1)));
        assert_eq!(timing.on_for(at(1_010)), None);
        timing.renew(at(1_009));
        assert_eq!((timing.end(), timing.on_for(at(1_009))), (at(1_019), seconds(10)));
        // The last renewal reaches no further than the deadline.
        timing.renew(at(1_055));
        assert_eq!((timing.end(), timing.on_for(at(1_055))), (at(1_060), seconds(5)));
        timing.end_in(at(1_056), Duration::from_secs(60));
        assert_eq!((timing.end(), timing.deadline), (at(1_065), at(1_116)));
    }

    #[test]
    fn a_lease_runs_from_the_start() {
        let mut timing = timing(r#","start_in":"30s","lease":"10s""#);
        assert_eq!(timing.end(), at(1_040));
        timing.renew(at(1_020));
        assert_eq!((timing.end(), timing.on_for(at(1_030))), (at(1_040), seconds(10)));
        timing.renew(at(1_031));
        assert_eq!(timing.end(), at(1_041));
    }

    #[test]
    fn a_flap_is_on_no_longer_than_its_lease_and_comes_again_if_that_is_renewed() {
        let mut timing = timing(r#","flap":{"on":"20s","off":"15s"},"lease":"12s""#);
        assert_eq!((timing.on_for(at(1_000)), timing.on_for(at(1_012))), (seconds(12), None));
        timing.renew(at(1_011));
        assert_eq!((timing.on_for(at(1_011)), timing.end()), (seconds(9), at(1_023)));
        // The pause from 1020 to 1035 needs renewals like the rest.
        assert_eq!(timing.next_on(at(1_020)), Some(at(1_035)));
        timing.renew(at(1_022));
        timing.renew(at(1_033));
        assert_eq!((timing.on_for(at(1_033)), timing.on_for(at(1_035))), (None, seconds(10)));
    }
}
