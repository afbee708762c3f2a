//! Faults that go on and off: when they must be off, and that they come again.

use std::time::{Duration, Instant};

use partition_agent_proto::Flap;

use crate::clock::{Window, now};
use crate::model::{Fault, Is, Phase};
use crate::soak::Soak;
use crate::wishes::Wish;

/// Some periods of a flap or a ramp, with all the lateness of an agent on a busy machine.
const LONGEST: Duration = Duration::from_secs(12);

impl Fault {
    /// Notes the period in which a flap was seen on, where it is certain which one that was.
    pub fn note_flap(&mut self, seen: Window) {
        let (Some(flap), Phase::Timed { start, .. }) = (self.spec.flap, self.phase) else { return };
        let period = (flap.on.duration() + flap.off.duration()).as_nanos();
        let nth = |into: Duration| into.as_nanos() / period;
        let earliest = seen.earliest.checked_sub(start.latest).map(nth);
        let latest = seen.latest.checked_sub(start.earliest).map(nth);
        self.seen_on.extend(earliest.filter(|_| earliest == latest));
    }
}

impl Soak {
    /// A flap comes again, and a ramp comes to its end: one of them is watched for as long as that may take.
    pub fn watch(&mut self) {
        // Emulated, a look may take longer than a period does, and then nobody can say which one was seen.
        if harness::rounds(2) < 2 {
            return;
        }
        let wish = Wish::changing(&mut self.dice);
        self.inject_this(wish, None);
        let id = self.lasting_for(LONGEST, |fault| {
            let begun = matches!(fault.phase, Phase::Timed { start, .. } if start.latest < now());
            begun && (fault.spec.flap.is_some() || !fault.is_grown(Window::at(now())))
        });
        let Some(id) = id else { return };
        self.note(format!("watch {id}"));
        let known = self.faults[&id].seen_on.clone();
        let begun = Instant::now();
        loop {
            self.settle();
            let fault = &self.faults[&id];
            let is_done = match fault.spec.flap {
                Some(_) => fault.seen_on.difference(&known).count() >= 2,
                None => fault.is_grown(Window::at(now())),
            };
            if is_done {
                // With what is so from now on.
                return self.settle();
            }
            let what = "that flaps or grows has done neither";
            assert!(begun.elapsed() < LONGEST, "{id} {what}, {:?}\n{:#?}", fault.seen_on, self.log);
            std::thread::sleep(Duration::from_millis(30));
        }
    }
}

/// The kernel switches off in time; the agent switches on, and may be late.
pub fn within_flap(flap: Flap, start: Window, seen: Window, late: Duration) -> Is {
    let (on, period) = (flap.on.duration(), flap.on.duration() + flap.off.duration());
    let into = |instant: Duration, start: Duration| {
        let nanos = instant.saturating_sub(start).as_nanos() % period.as_nanos();
        Duration::from_nanos(u64::try_from(nanos).expect("less than a period"))
    };
    // From what is surely past the end of a phase to what is surely before the next.
    let (least, most) = (into(seen.earliest, start.latest + late), into(seen.latest, start.earliest));
    let length = seen.latest - seen.earliest + (start.latest - start.earliest) + late;
    if least >= on && most >= on && length < flap.off.duration() { Is::Not } else { Is::Either }
}
