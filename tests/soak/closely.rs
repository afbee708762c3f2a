//! One fault by itself, now and then: what `GET /v1/faults/ID` says of it, read back from the kernel and counted there.

use std::time::{Duration, Instant};

use partition_agent_proto::{FaultStatus, Hits, Verdict};
use serde_json::Value;

use crate::clock::now;
use crate::model::{ARMED_WITHIN, Fault, Phase, Room};
use crate::soak::{PROMPT, Soak, slowness};

impl Soak {
    /// One that is in force and has nothing to follow.
    pub fn look_closely(&mut self) {
        let at = now();
        let is_steady = self.theirs.link_is_there;
        let id = self.lasting(|fault| {
            let begun = matches!(fault.phase, Phase::Timed { start, .. } if start.latest + ARMED_WITHIN < at);
            is_steady && begun && matches!(fault.room, Room::App | Room::Redis)
        });
        let Some(id) = id else { return };
        let begun = Instant::now();
        let path = format!("/v1/faults/{id}");
        loop {
            let (status, answer) = self.agent().ask("GET", &path, None);
            // It may have come to its end meanwhile.
            if self.lasting(|fault| fault.id == id).is_none() {
                return;
            }
            assert_eq!(status, 200, "{id}: {answer}\n{:#?}", self.log);
            let told = serde_json::from_value::<FaultStatus>(answer).expect("a fault");
            let fault = self.faults.get_mut(&id).expect("it lasts");
            let wrong = judge(fault, &told);
            fault.hits = told.hits;
            assert_eq!(wrong, None, "{id}\n{:#?}", self.log);
            // One that flaps goes on or off while it is read back.
            let is_fine = match told.verdict {
                Verdict::Confirmed => true,
                Verdict::Mismatch { .. } => false,
                Verdict::Inconclusive { .. } => told.spec.flap.is_some(),
            };
            if is_fine {
                return;
            }
            let late = begun.elapsed() > PROMPT * slowness();
            assert!(!late, "{id}: {:?} for {PROMPT:?}\n{:#?}", told.verdict, self.log);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The ids of the ends that are written down, each as often as it is.
    pub fn journal_of_ends(&self) -> Vec<String> {
        let socket = self.agent().address();
        let socket = std::path::Path::new(socket.trim_start_matches("unix:"));
        let state = socket.with_file_name("state");
        let texts = ["journal.1.jsonl", "journal.jsonl"]
            .map(|name| std::fs::read_to_string(state.join(name)).unwrap_or_default());
        let ends = texts.iter().flat_map(|text| text.lines()).filter(|line| line.contains(r#""op":"end""#));
        ends.filter_map(|line| serde_json::from_str::<Value>(line).ok()?["id"].as_str().map(str::to_owned))
            .collect()
    }
}

fn judge(fault: &Fault, told: &FaultStatus) -> Option<String> {
    if let Phase::Timed { start, .. } = fault.phase {
        let started = told.started_boot_ns.map(Duration::from_nanos);
        let fits = started.is_some_and(|at| start.earliest <= at && at <= start.latest + ARMED_WITHIN);
        if !fits {
            return Some(format!("started at {started:?}, not {start:?}"));
        }
    }
    let counts = |hits: &Hits| serde_json::to_value(hits).expect("numbers");
    let (before, after) = (counts(&fault.hits), counts(&told.hits));
    let shrinks = before.as_object().into_iter().flatten().find(|(name, before)| {
        after[name.as_str()].as_u64().unwrap_or_default() < before.as_u64().unwrap_or_default()
    });
    shrinks.map(|(name, before)| format!("{name} was {before}, and is {}", after[name.as_str()]))
}
