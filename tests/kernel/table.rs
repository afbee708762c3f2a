//! Every kind of fault, in each direction, in IPv4 and IPv6, by every engine: measured with real traffic.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use harness::agent::Agent;
use harness::has_netem;
use harness::lab::{APP_TO_REDIS, Lab, REDIS, REDIS6, address};
use harness::stream::{Pace, Stream, stream};
use partition_agent_proto::{FaultStatus, Hits, Kind, Verdict};
use serde_json::Value;

use crate::table_delays::DELAYS;
use crate::table_measure::What;
use crate::table_rows::{BY_AN_ENGINE, BY_NFTABLES, Row};

const FAMILIES: [&str; 2] = ["ipv4", "ipv6"];

/// The way of a stream, seen from the agent's host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Out,
    In,
}

impl Way {
    fn of(direction: &str) -> &'static [Self] {
        match direction {
            "egress" => &[Self::Out],
            "ingress" => &[Self::In],
            _ => &[Self::Out, Self::In],
        }
    }
}

/// What was wrong, and everything that was measured.
#[derive(Default)]
struct Report {
    failures: Vec<String>,
    measured: String,
}

impl Report {
    fn fail(&mut self, cell: &str, what: &str) {
        self.failures.push(format!("{cell}: {what}"));
    }

    fn finish(self) {
        println!("{}", self.measured);
        let failures = &self.failures;
        assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    }
}

/// Whether a machine that stood still for a moment can be the reason.
struct Failure {
    late: bool,
    text: String,
}

const TRIES: usize = 3;

struct Bench {
    lab: Lab,
    agent: Agent,
    report: Report,
}

impl Bench {
    fn new(lab: Lab) -> Self {
        let agent = Agent::start(&lab.app, "");
        Self { lab, agent, report: Report::default() }
    }

    fn run(mut self, engine: &str, rows: impl Iterator<Item = &'static Row>) {
        for (nth, row) in rows.enumerate() {
            let directions: &[&str] =
                if row.both { &["egress", "ingress", "both"] } else { &["egress", "ingress"] };
            for direction in directions {
                self.cell(&format!("{nth}-{direction}"), engine, row, direction);
            }
        }
        // What is delayed drains by itself.
        self.agent.until_idle(Duration::from_secs(20));
        self.report.finish();
    }

    /// One fault for each family; both are measured at once.
    fn cell(&mut self, id: &str, engine: &str, row: &Row, direction: &str) {
        let kinds = row.kinds.split_whitespace().collect::<String>();
        let cell = |family: &str| format!("{kinds} {direction} {family} {engine}");
        let mut standing = Vec::new();
        for (family, peer) in FAMILIES.into_iter().zip([REDIS, REDIS6]) {
            let spec = format!(
                r#"{{"kinds":[{kinds}],"target":{{"peers":["{peer}"]}},"direction":"{direction}","engine":"{engine}","for":"10m"}}"#
            );
            let id = format!("f{id}-{family}");
            let (status, body) = self.agent.ask("PUT", &format!("/v1/faults/{id}"), Some(&spec));
            if status != 201 {
                self.report.fail(&cell(family), &format!("refused: {status} {body}"));
                continue;
            }
            let fault = serde_json::from_value::<FaultStatus>(body).expect("a fault");
            if fault.verdict != Verdict::Confirmed {
                self.report.fail(&cell(family), &fault.verdict.to_string());
            }
            standing.push((family, id));
        }
        let pace = row.traffic.pace();
        let ways = Way::of(direction);
        let (mut tries, mut missing) = (0, FAMILIES.map(|family| (family, 0)));
        let failures = loop {
            tries += 1;
            let mut failures = Vec::new();
            for (family, way, stream) in self.streams(ways, pace) {
                let lost = stream.fates().iter().filter(|arrived| !**arrived).count();
                missing.iter_mut().filter(|(of, _)| *of == family).for_each(|(_, missing)| *missing += lost);
                failures.extend(self.judge(&format!("{} {way:?}", cell(family)), row, &stream));
            }
            // A machine that stands still makes packets late, but not three times the same ones.
            if tries == TRIES || failures.is_empty() || !failures.iter().all(|failure| failure.late) {
                break failures;
            }
        };
        self.report.failures.extend(failures.into_iter().map(|failure| failure.text));
        let unharmed = Pace { count: 50, length: 16, bunch: 2, ..pace };
        let others = [Way::Out, Way::In].into_iter().filter(|way| !ways.contains(way));
        for (family, way, stream) in self.streams(&others.collect::<Vec<_>>(), unharmed) {
            self.judge_unharmed(&format!("{} {way:?}, the other direction", cell(family)), &stream);
        }
        for (family, id) in standing {
            let sent = pace.count * ways.len() * tries;
            let missing = missing.iter().find(|(of, _)| *of == family).map_or(0, |(_, missing)| *missing);
            self.judge_hits(&cell(family), &id, (engine, row), sent, missing);
            let (status, body) = self.agent.ask("DELETE", &format!("/v1/faults/{id}"), None);
            if status != 200 {
                self.report.fail(&cell(family), &format!("not restored: {body}"));
            }
        }
    }

    /// A stream of each family each way, all at once.
    fn streams(&self, ways: &[Way], pace: Pace) -> Vec<(&'static str, Way, Stream)> {
        let Lab { app, redis, .. } = &self.lab;
        let one = |family: &'static str, way: Way| {
            let (from, to, at) = match (way, family) {
                (Way::Out, "ipv4") => (app, redis, REDIS),
                (Way::Out, _) => (app, redis, REDIS6),
                (Way::In, "ipv4") => (redis, app, APP_TO_REDIS),
                (Way::In, _) => (redis, app, "fd77:1::1"),
            };
            (family, way, stream(from, to, SocketAddr::new(address(at), 9000), pace))
        };
        std::thread::scope(|scope| {
            let each = ways.iter().flat_map(|way| FAMILIES.map(|family| (family, *way)));
            let running = each.map(|(family, way)| scope.spawn(move || one(family, way))).collect::<Vec<_>>();
            running.into_iter().map(|thread| thread.join().expect("a stream ends")).collect()
        })
    }

    fn judge(&mut self, cell: &str, row: &Row, stream: &Stream) -> Vec<Failure> {
        let _ = write!(self.report.measured, "{cell}:");
        let mut failures = Vec::new();
        let mut fail = |late, what: String| failures.push(Failure { late, text: format!("{cell}: {what}") });
        for check in row.checks {
            let measured = check.what.measure(stream);
            let (value, (low, high)) = (measured.value, check.bound.limits(&measured));
            let _ = write!(self.report.measured, " {:?} {value:.4}", check.what);
            if !(low..=high).contains(&value) {
                let text =
                    format!("{:?} is {value:.4}, not {low:.4} to {high:.4} ({})", check.what, check.why);
                fail(check.what.is_late(value, low, high), text);
            }
        }
        self.report.measured.push('\n');
        if stream.damaged > 0 {
            fail(false, format!("{} damaged datagrams reached a program", stream.damaged));
        }
        // A flipped bit in an address may end at a host that answers that it has no way there.
        let corrupts = row.kinds.contains("corrupt");
        if let Some(error) = stream.errors.first().filter(|_| !corrupts) {
            fail(false, format!("the sender saw {error}"));
        }
        failures
    }

    fn judge_unharmed(&mut self, cell: &str, stream: &Stream) {
        let [lost, overtaken, twice, median] =
            [What::Lost, What::Overtaken, What::Twice, What::Median].map(|what| what.measure(stream).value);
        // Less than any delay of the table.
        if lost + overtaken + twice > 0.0 || median > 40.0 {
            let text = format!("lost {lost}, overtaken {overtaken}, twice {twice}, median {median} ms");
            self.report.fail(cell, &text);
        }
    }

    /// Every datagram is counted once, and what did not arrive is counted where it was lost.
    fn judge_hits(&mut self, cell: &str, id: &str, (engine, row): (&str, &Row), sent: usize, missing: usize) {
        let Some(fault) = self.agent.faults().into_iter().find(|fault| fault.id.to_string() == id) else {
            return self.report.fail(cell, "it has gone by itself");
        };
        let by = fault.engine.map_or("auto".to_owned(), |engine| engine.to_string());
        let Hits { lost_packets, shaped_packets, queue_drops, overflow_drops, .. } = fault.hits;
        let counted = [shaped_packets, lost_packets, queue_drops, overflow_drops]
            .map(|count| usize::try_from(count).expect("a count"));
        // The receiver's checksums lose what was damaged, behind all counters. A queue without a loss of its own loses for want
        // of room only.
        let in_queue = if row.kinds.contains("corrupt") { 0 } else { missing };
        let overflow = if row.kinds.contains("loss") { 0 } else { in_queue };
        let expected = if engine == "auto" { [0, missing, 0, 0] } else { [sent, 0, in_queue, overflow] };
        if by != engine || counted != expected {
            let text = format!(
                "shaped by {by}: {counted:?} packets shaped, lost, dropped, for want of room, not {expected:?}"
            );
            self.report.fail(cell, &text);
        }
    }
}

#[test]
fn every_kind_by_nftables() {
    Bench::new(Lab::new()).run("auto", BY_NFTABLES.iter());
}

#[test]
fn every_kind_by_the_emulator() {
    Bench::new(Lab::new()).run("emulator", BY_AN_ENGINE.iter().chain(DELAYS));
}

#[test]
fn every_kind_by_netem() {
    let lab = Lab::new();
    if has_netem(&lab) {
        Bench::new(lab).run("netem", BY_AN_ENGINE.iter().chain(DELAYS));
    }
}

/// A kind that is not done to packets, or not by a queue, is not in the table: where its tests are.
fn elsewhere(kind: &Kind) -> Option<&'static str> {
    match kind {
        Kind::Loss { .. }
        | Kind::LossGemodel { .. }
        | Kind::LossState { .. }
        | Kind::Delay { .. }
        | Kind::Duplicate { .. }
        | Kind::Corrupt { .. }
        | Kind::Reorder { .. }
        | Kind::Rate { .. }
        | Kind::Slot { .. } => None,
        Kind::Reject { .. } | Kind::Reset {} => Some(include_str!("reject.rs")),
        Kind::Dns { .. } => Some(include_str!("dns.rs")),
    }
}

/// One of each, as the API has them.
const EACH: &str = r#"[{"loss":{"percent":1}},{"loss_gemodel":{"p":1}},{"loss_state":{"p13":1}},{"delay":{"latency":"1s"}},
    {"duplicate":{"percent":1}},{"corrupt":{"percent":1}},{"reorder":{"percent":1}},{"rate":{"rate":"1mbit"}},
    {"slot":{"min":"1s"}},{"reject":{"with":"tcp_reset"}},{"reset":{}},{"dns":{"names":["a.example"],"answer":"timeout"}}]"#;

#[test]
fn every_kind_is_in_the_table_or_has_tests_of_its_own() {
    let schema = serde_json::from_str::<Value>(include_str!("../../proto/openapi.json")).expect("JSON");
    let kinds = schema["components"]["schemas"]["Kind"]["oneOf"].as_array().expect("the kinds");
    let named = |kind: &Value| {
        let place = kind["$ref"].as_str().expect("a reference").trim_start_matches('#');
        schema.pointer(place).and_then(|kind| kind["required"][0].as_str()).expect("a name").to_owned()
    };
    let each = serde_json::from_str::<Vec<Value>>(EACH).expect("JSON");
    let name = |kind: &Value| kind.as_object().and_then(|kind| kind.keys().next().cloned()).expect("a name");
    let names = each.iter().map(name).collect::<Vec<_>>();
    let known = kinds.iter().map(named).collect::<Vec<_>>();
    assert_eq!(names, known, "one of each kind");
    let rows = |rows: &[Row]| {
        let kinds =
            |row: &Row| serde_json::from_str::<Vec<Value>>(&format!("[{}]", row.kinds)).expect("kinds");
        rows.iter().flat_map(kinds).map(|kind| name(&kind)).collect::<Vec<_>>()
    };
    let rows = [BY_NFTABLES, BY_AN_ENGINE, DELAYS].map(rows).concat();
    for (kind, name) in each.into_iter().zip(names) {
        match elsewhere(&serde_json::from_value(kind).expect("a kind")) {
            Some(tests) => assert!(tests.contains(&format!(r#"{{"{name}":"#)), "no test injects {name}"),
            None => assert!(rows.contains(&name), "{name} has no row in the table"),
        }
    }
}
