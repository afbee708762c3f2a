//! Where a round stands, for whoever watches it at the terminal or asks at the socket.

use super::Course;
use crate::gameday::desk;
use crate::gameday::view::Now;

impl Course<'_> {
    pub(super) fn show(&self) {
        let now = self.log.now();
        let phase = self.phases.last().map_or("", |phase| phase.what.as_str());
        let faults = self.standing.iter().map(|(id, in_force)| {
            let fault = self.faults.iter().find(|fault| fault.id == id.as_str());
            let name = fault.map_or_else(String::new, |fault| format!("{}: {}", fault.step, fault.words));
            (name, in_force.ends_ms.saturating_sub(now))
        });
        let scenario = self.round.scenario.as_deref();
        let headline = match scenario {
            Some(scenario) => format!("{}: {scenario}", self.stage.day.name),
            None => self.stage.day.name.clone(),
        };
        let faults = faults.collect::<Vec<_>>();
        let probes = self.watch.now().collect::<Vec<_>>();
        self.stage.desk.standing.send_replace(desk::Standing {
            name: self.stage.day.name.clone(),
            scenario: scenario.map(str::to_owned),
            phase: phase.to_owned(),
            elapsed_ms: now,
            asks: self.asks.clone(),
            probes: probes.iter().map(|(name, holds, _)| ((*name).to_owned(), *holds)).collect(),
            faults: faults.iter().map(|(name, _)| name.clone()).collect(),
            notes: self.log.last_notes(desk::LAST_NOTES),
        });
        self.log.view.show(&Now {
            headline: &headline,
            phase,
            elapsed_ms: now,
            next: self.coming.as_ref().map(|(name, at)| (name.as_str(), at.saturating_sub(now))),
            asks: self.asks.as_deref(),
            probes,
            faults,
        });
    }
}
