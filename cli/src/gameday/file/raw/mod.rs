//! A game day as it is written: every key once, with what it is for people. What is said here is also in the JSON schema, so it is for
//! those who write such a file.

mod probes;
mod timeline;
mod values;

use serde::Deserialize;
use utoipa::ToSchema;

use super::got::{Got, Named, Several};
use super::model::{HookEvent, Severity};
use crate::fleet::Text;

pub use probes::{RawComparison, RawJson, RawProbe};
pub use timeline::{RawRecovery, RawScenario, RawStep};
pub use values::{Lasting, Moment, Said, Scalar, Status, When, is_step_name};

/// A game day: what must hold, what is cut when, and what must hold again. `partition-agent run FILE.yaml` runs it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = GameDay)]
pub struct RawDay {
    /// What it is called in the report.
    #[schema(value_type = String, min_length = 1, examples("Redis failover"))]
    pub name: Got<String>,
    /// Why it is done, for the report.
    #[schema(value_type = String)]
    pub about: Got<String>,
    /// Who takes part, for the report.
    #[schema(value_type = Vec<String>, examples("SRE lead"))]
    pub participants: Got<Several<String>>,
    /// Which of `severities` the steps with `degrade` do. `--severity` overrides it.
    #[schema(value_type = Severity, default = "high")]
    pub severity: Got<Severity>,
    /// What each severity is, in the words of `partition-agent inject`.
    #[schema(value_type = RawSeverities)]
    pub severities: Got<RawSeverities>,
    /// The fleet file, beside this one. `--fleet` overrides it. Without one, the game day is one agent's.
    #[schema(value_type = String, min_length = 1, examples("redis-failover.toml"))]
    pub fleet: Got<String>,
    /// The whole run takes no longer: then it aborts and heals.
    #[schema(value_type = Lasting, default = "2h")]
    pub longest: Got<Text<Lasting>>,
    /// What is promised. What is not there is measured, and not judged.
    #[schema(value_type = RawTargets)]
    pub targets: Got<RawTargets>,
    /// Questions that are asked again and again, by name. Each holds, or it fails.
    #[schema(value_type = std::collections::BTreeMap<String, RawProbe>)]
    pub probes: Got<Named<RawProbe>>,
    /// What must hold before anything is cut: else nothing is.
    #[schema(value_type = Vec<Said>)]
    pub steady: Got<Several<Text<Said>>>,
    /// How long the steady state may take to hold.
    #[schema(value_type = Lasting, default = "30s")]
    pub steady_within: Got<Text<Lasting>>,
    /// What must hold from the steady state to the end, whatever is cut: what users see. One break, and the run has failed.
    #[schema(value_type = Vec<Said>)]
    pub always: Got<Several<Text<Said>>>,
    /// What it looks like when somebody notices: its first time after the first fault is the time to detect.
    #[schema(value_type = Said)]
    pub detected: Got<Text<Said>>,
    /// What it looks like when somebody is called: its first time after the first fault is the time to alert.
    #[schema(value_type = Said)]
    pub alerted: Got<Text<Said>>,
    /// What must not happen: the run aborts and heals.
    #[schema(value_type = Vec<RawGuard>)]
    pub guards: Got<Vec<Got<RawGuard>>>,
    /// What is done when.
    #[schema(value_type = Vec<RawStep>, min_items = 1)]
    pub timeline: Got<Vec<Got<RawStep>>>,
    /// Instead of `timeline`, several of them by name: one round for each, in the order of the file.
    #[schema(value_type = std::collections::BTreeMap<String, RawScenario>)]
    pub scenarios: Got<Named<RawScenario>>,
    /// What must hold again when all faults are over. Without it, the steady state.
    #[schema(value_type = RawRecovery)]
    pub recovery: Got<RawRecovery>,
    /// Numbered writes, by name: those that were acknowledged and cannot be read back are lost.
    #[schema(value_type = std::collections::BTreeMap<String, RawMarker>)]
    pub markers: Got<Named<RawMarker>>,
    /// Who is told.
    #[schema(value_type = Vec<RawHook>)]
    pub hooks: Got<Vec<Got<RawHook>>>,
    /// At the end of the report, for people.
    #[schema(value_type = Vec<String>, examples("What went well?"))]
    pub questions: Got<Several<String>>,
}

/// What `degrade` does, in words of `partition-agent inject` that say what happens.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Severities)]
pub struct RawSeverities {
    #[schema(value_type = String, default = "--latency 50ms --jitter 10ms")]
    pub low: Got<String>,
    #[schema(value_type = String, default = "--latency 200ms --jitter 40ms --loss 5%")]
    pub medium: Got<String>,
    #[schema(value_type = String, default = "--loss 100%")]
    pub high: Got<String>,
}

/// What is promised.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Targets)]
pub struct RawTargets {
    /// From the first fault until `detected` holds, at most.
    #[schema(value_type = Lasting)]
    pub detect: Got<Text<Lasting>>,
    /// From the first fault until `alerted` holds, at most.
    #[schema(value_type = Lasting)]
    pub alert: Got<Text<Lasting>>,
    /// From the first fault until all has recovered, at most.
    #[schema(value_type = Lasting)]
    pub rto: Got<Text<Lasting>>,
    /// From the first lost marker to the last, at most.
    #[schema(value_type = Lasting)]
    pub rpo: Got<Text<Lasting>>,
    /// Lost markers, at most.
    #[schema(value_type = u64)]
    pub lost: Got<u64>,
    /// Markers that are there more than once, at most.
    #[schema(value_type = u64)]
    pub duplicated: Got<u64>,
}

/// The run aborts and heals when this has been so for long enough.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Guard)]
pub struct RawGuard {
    #[schema(value_type = Said, examples("not checkout"))]
    pub when: Got<Text<Said>>,
    /// So long without a break.
    #[serde(rename = "for")]
    #[schema(value_type = Lasting, default = "0s")]
    pub lasts: Got<Text<Lasting>>,
    /// For the report.
    #[schema(value_type = String, examples("customers cannot pay"))]
    pub because: Got<String>,
}

/// Numbered writes, and how they are found again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Marker)]
pub struct RawMarker {
    /// A shell command with MARKER (1, 2, ...) and RUN (of this run only) in its environment. Its exit status 0 is an acknowledgement.
    #[schema(value_type = String, min_length = 1, examples("redis-cli -e -h master rpush orders $MARKER"))]
    pub write: Got<String>,
    /// A shell command that prints the markers that are there, one a line; other lines are ignored.
    #[schema(value_type = String, min_length = 1, examples("redis-cli -h master lrange orders 0 -1"))]
    pub read: Got<String>,
    /// From one write to the next.
    #[schema(value_type = Lasting, default = "1s")]
    pub every: Got<Text<Lasting>>,
    /// So long may a write take, and each of a few reads.
    #[schema(value_type = Lasting, default = "2s")]
    pub timeout: Got<Text<Lasting>>,
    /// In a lab: the host that writes and reads.
    #[schema(value_type = String, min_length = 1)]
    pub from: Got<String>,
    /// Between the recovery and the read.
    #[schema(value_type = Lasting, default = "5s")]
    pub settle: Got<Text<Lasting>>,
    /// Some of them may be lost or doubled: they are counted, and no target is for them.
    #[schema(value_type = bool, default = false)]
    pub expendable: Got<bool>,
}

/// Somebody who is told: `slack` or `command`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Hook)]
pub struct RawHook {
    /// What of.
    #[schema(value_type = Vec<HookEvent>)]
    pub on: Got<Several<HookEvent>>,
    /// A URL that takes a POST of `{"text": ...}`. `${NAME}` is from the environment.
    #[schema(value_type = String, min_length = 1, examples("${SLACK_URL}"))]
    pub slack: Got<String>,
    /// A shell command with EVENT, GAMEDAY and TEXT in its environment.
    #[schema(value_type = String, min_length = 1)]
    pub command: Got<String>,
}
