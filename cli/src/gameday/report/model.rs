//! What a run was, in values: `report.json`. Markdown, HTML and `report compare` are made of it and of nothing else. Times are
//! milliseconds from the start of the run, unless they say otherwise.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// Of this format: 1.
    pub format: u32,
    pub name: String,
    pub about: String,
    /// The file's path as it was typed.
    pub file: String,
    /// Of partition-agent.
    pub version: String,
    /// Tells this run from all others.
    pub run: String,
    /// RFC 3339.
    pub started_at: String,
    pub lasted_ms: u64,
    pub participants: Vec<String>,
    pub severity: String,
    /// In a lab, and not on real hosts.
    pub lab: bool,
    /// By how much the timeline was faster than written; 1 is as written.
    pub faster: u32,
    pub outcome: Outcome,
    /// Why it is not `passed`, a line each.
    pub why: Vec<String>,
    pub hosts: BTreeMap<String, HostReport>,
    pub rounds: Vec<RoundReport>,
    pub notes: Vec<Note>,
    pub questions: Vec<Question>,
    /// Hooks that could not be told, and the like: nothing that makes the run fail.
    pub warnings: Vec<String>,
}

impl Report {
    /// Of this version.
    pub const FORMAT: u32 = 1;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Passed,
    /// It ran to its end, and something was not as it should be.
    Failed,
    /// By a guard, by Ctrl-C, by a fault that could not be put into force: everything was healed before its time.
    Aborted,
    /// The steady state did not hold: nothing was cut.
    NotStarted,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostReport {
    pub agent: String,
    pub version: String,
    pub kernel: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RoundReport {
    pub scenario: Option<String>,
    pub about: String,
    pub outcome: Outcome,
    /// In order, without gaps.
    pub phases: Vec<Span>,
    pub faults: Vec<FaultReport>,
    pub probes: Vec<ProbeReport>,
    pub events: Vec<Event>,
    /// Every target and expectation, met or not.
    pub checks: Vec<Check>,
    pub measures: Measures,
    pub markers: Vec<MarkerReport>,
    pub matrices: Vec<MatrixReport>,
}

/// Part of the time; `what` is `steady`, `faults`, `recovery`, `after` for phases, `holds`, `fails`, `unknown` for probes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Span {
    pub what: String,
    pub from_ms: u64,
    pub to_ms: u64,
    /// The last answer of a probe in it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FaultReport {
    pub id: String,
    /// The step that made it.
    pub step: String,
    /// As typed.
    pub words: String,
    pub from_ms: u64,
    /// None: it was still there when the report was written, which is told in `why`.
    pub to_ms: Option<u64>,
    /// How far apart the hosts started, where that is known.
    pub spread_ms: Option<f64>,
    pub hosts: BTreeMap<String, FaultOnHost>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FaultOnHost {
    /// In the agent's words: `deadline`, `restored by ...`.
    pub end: Option<String>,
    /// Packets lost, shaped, rejected.
    pub packets: u64,
    pub bytes: u64,
    /// In words: `320 lost`.
    pub hits: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProbeReport {
    pub name: String,
    /// `http http://gateway:8080/healthz from client`.
    pub what: String,
    /// How it is when all is well: false where the steady state or the recovery asks for `not NAME`.
    #[serde(default = "yes")]
    pub normally_holds: bool,
    pub asked: u64,
    pub failed: u64,
    /// In order, without gaps between the first answer and the last.
    pub spans: Vec<Span>,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    pub at_ms: u64,
    pub kind: EventKind,
    /// The step that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    Phase,
    Step,
    Fault,
    Restored,
    Probe,
    Detected,
    Alerted,
    Recovered,
    Expectation,
    Observation,
    Confirmed,
    Command,
    Guard,
    Interrupted,
    Note,
    Warning,
}

impl EventKind {
    /// As people read it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Phase => "phase",
            Self::Step => "step",
            Self::Fault => "fault",
            Self::Restored => "restored",
            Self::Probe => "probe",
            Self::Detected => "detected",
            Self::Alerted => "alerted",
            Self::Recovered => "recovered",
            Self::Expectation => "expectation",
            Self::Observation => "observation",
            Self::Confirmed => "confirmed",
            Self::Command => "command",
            Self::Guard => "guard",
            Self::Interrupted => "interrupted",
            Self::Note => "note",
            Self::Warning => "warning",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// `time to detect`, `RTO`, `orders: markers lost`, `step cut: not redis`.
    pub what: String,
    /// As asked: `at most 30s`. Empty: it is only measured.
    pub target: String,
    /// As found: `2.1s`, `never`.
    pub measured: String,
    /// The target of a time, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_ms: Option<u64>,
    /// A time as found, in milliseconds. None: it never came, or it is no time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured_ms: Option<u64>,
    /// None: there is no target, or it could not be measured.
    pub met: Option<bool>,
    /// It is something that a step or the whole run expects, and not one of the targets.
    #[serde(default)]
    pub expectation: bool,
}

/// What a check is called, where it is not an expectation.
impl Check {
    pub const DETECT: &str = "time to detect";
    pub const ALERT: &str = "time to alert";
    pub const RTO: &str = "RTO";
    pub const RECOVERY: &str = "recovery time";
    pub const RPO: &str = "RPO";
    pub const LOST: &str = "markers lost";
    pub const DUPLICATED: &str = "markers duplicated";

    /// Something that is expected of a step or the whole run.
    pub fn expected(what: String, measured: String, met: bool) -> Self {
        Self {
            what,
            target: String::new(),
            measured,
            target_ms: None,
            measured_ms: None,
            met: Some(met),
            expectation: true,
        }
    }
}

/// All in milliseconds; None: it never was, or there was nothing to measure it by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Measures {
    /// When the first fault came into force, in the run's time.
    pub first_fault_ms: Option<u64>,
    /// When the last one was over.
    pub healed_ms: Option<u64>,
    /// From the first fault.
    pub detect_ms: Option<u64>,
    /// From the first fault.
    pub alert_ms: Option<u64>,
    /// From the first fault until all had recovered.
    pub rto_ms: Option<u64>,
    /// From the end of the last fault until all had recovered.
    pub recovery_ms: Option<u64>,
    /// From the first lost marker to the last; 0 where none is lost. Of all markers, whether something was promised of them or not.
    pub rpo_ms: Option<u64>,
    /// From the guard or the interrupt until every host had healed.
    pub abort_ms: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MarkerReport {
    pub name: String,
    pub written: u64,
    pub acknowledged: u64,
    pub found: u64,
    /// Acknowledged and gone.
    pub lost: Vec<u64>,
    /// There more than once.
    pub duplicated: Vec<u64>,
    /// Not acknowledged, and there.
    pub uncertain: Vec<u64>,
    /// By phase: written, acknowledged, lost.
    pub phases: BTreeMap<String, MarkerCounts>,
    /// When they were written, in order: `acknowledged`, `refused` (not acknowledged) or `lost` (acknowledged and gone), the detail
    /// is their numbers. Empty: not known; then only the counts by phase are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spans: Vec<Span>,
    /// In milliseconds, from the first lost one to the last; 0 where none is. None: they could not be read back.
    #[serde(default)]
    pub rpo_ms: Option<u64>,
    /// They are only counted, and no target is for them.
    #[serde(default)]
    pub expendable: bool,
    /// Why they could not be read back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unread: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MarkerCounts {
    pub written: u64,
    pub acknowledged: u64,
    pub lost: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MatrixReport {
    /// `before`, `during`, `after`.
    pub when: String,
    pub at_ms: u64,
    pub from: Vec<String>,
    pub to: Vec<String>,
    /// Row by row; what `matrix` prints in a cell.
    pub cells: Vec<Vec<MatrixCell>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MatrixCell {
    /// `1.2ms`, `cut`, `30%`; empty: the same host.
    pub text: String,
    /// Whether it is as the faults say; None: not known.
    pub expected: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Note {
    pub at_ms: u64,
    pub by: String,
    pub text: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Question {
    pub text: String,
    /// What was measured or noted; None: left to people.
    pub answer: Option<String>,
}
