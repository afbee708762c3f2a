//! Faults that go on and off: when they must be off, and that they come again.

use std::collections::BTreeSet;
use std::time::Duration;

use partition_agent_proto::Flap;

use crate::clock::Window;
use crate::model::{Fault, Is, Phase};

/// The periods of a flap, by number.
#[derive(Debug, Clone, Default)]
pub struct Flaps {
    /// Those in which it was seen on.
    pub on: BTreeSet<u128>,
    /// Those that were looked at when it should have been on.
    pub due: BTreeSet<u128>,
}

/// An agent on a busy machine may be late for some of them.
const FLAPS: (usize, usize) = (2, 8);

/// A flap that has lasted this long was on again.
const FLAPPED: Duration = Duration::from_secs(10);

impl Fault {
    /// Notes what of a flap was seen; answers what is wrong with it.
    pub fn note_flap(&mut self, seen: Window, is_on: bool) -> Option<String> {
        let (Some(flap), Phase::Timed { start, .. }) = (self.spec.flap, self.phase) else { return None };
        let (on, period) = (flap.on.duration(), flap.on.duration() + flap.off.duration());
        // Into which period, and how far, at the earliest and at the latest.
        let earliest = seen.earliest.checked_sub(start.latest)?;
        let latest = seen.latest.checked_sub(start.earliest)?;
        let nth = |into: Duration| into.as_nanos() / period.as_nanos();
        if nth(earliest) == nth(latest) {
            let far = latest.as_nanos() % period.as_nanos();
            self.flaps.due.extend((far < on.as_nanos()).then_some(nth(latest)));
            self.flaps.on.extend(is_on.then_some(nth(latest)));
        }
        let (least, due) = FLAPS;
        let stays_off = earliest > FLAPPED && self.flaps.due.len() >= due && self.flaps.on.len() < least;
        stays_off.then(|| format!("a flap that does not come again: {:?}", self.flaps))
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
