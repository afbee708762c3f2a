//! A game day as it is meant: everything read, resolved and checked. Times of steps are from T, the moment of the first cut.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use partition_agent_proto::fleet::Selector;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::args::{InjectArgs, PartitionArgs};

/// A whole file.
#[derive(Debug)]
pub struct GameDay {
    pub path: PathBuf,
    pub name: String,
    pub about: String,
    pub participants: Vec<String>,
    pub severity: Severity,
    /// The fleet file, if the game day names one.
    pub fleet: Option<PathBuf>,
    /// The whole run takes no longer: then it aborts and heals.
    pub longest: Duration,
    pub targets: Targets,
    pub probes: BTreeMap<String, Probe>,
    /// At least one, in the order of the file.
    pub rounds: Vec<Round>,
    pub markers: BTreeMap<String, Marker>,
    pub hooks: Vec<Hook>,
    /// For people, at the end of the report.
    pub questions: Vec<String>,
    /// Where in the file it says `fleet`, and who asks and who writes, as `probe api` and `marker orders`: only a fleet knows whether that is wrong.
    pub lines: BTreeMap<String, u64>,
}

impl GameDay {
    /// Where its commands run: that of the file.
    pub fn directory(&self) -> PathBuf {
        directory(&self.path)
    }
}

/// Of a file; of one that is named without any, the one that everybody is in.
pub fn directory(path: &Path) -> PathBuf {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
    directory.map_or_else(|| PathBuf::from("."), PathBuf::from)
}

/// How bad the faults of `degrade` steps are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Low,
    Medium,
    High,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        })
    }
}

/// What is promised; what is not there is not judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Targets {
    /// From the first cut until `detected` holds.
    pub detect: Option<Duration>,
    /// From the first cut until `alerted` holds.
    pub alert: Option<Duration>,
    /// From the first cut until everything is recovered.
    pub rto: Option<Duration>,
    /// From the first marker that is lost to the last.
    pub rpo: Option<Duration>,
    /// Markers that were acknowledged and are gone.
    pub lost: Option<u64>,
    /// Markers that are there more than once.
    pub duplicated: Option<u64>,
}

/// One pass: steady state, timeline, recovery.
#[derive(Debug)]
pub struct Round {
    /// Of a file with scenarios.
    pub scenario: Option<String>,
    pub about: String,
    pub steady: Vec<Condition>,
    pub steady_within: Duration,
    /// From the steady state to the end, without a break.
    pub always: Vec<Condition>,
    pub detected: Option<Condition>,
    pub alerted: Option<Condition>,
    pub guards: Vec<Guard>,
    /// In the order of their times. The first that cuts anything is at 0.
    pub steps: Vec<Step>,
    pub recovery: Recovery,
}

/// A probe that holds, or does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    pub probe: String,
    pub holds: bool,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.holds { "" } else { "not " }, self.probe)
    }
}

/// When it has been so for that long, the run aborts and heals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    pub when: Condition,
    pub lasts: Duration,
    pub because: String,
}

#[derive(Debug)]
pub struct Step {
    /// As written, or `step 3`.
    pub name: String,
    /// The line of its action in the file, 1 is the first; of one without, its own.
    pub line: u64,
    /// Milliseconds from T, negative before it.
    pub at_ms: i64,
    pub action: Option<Action>,
    /// What is looked at when the step is done.
    pub expect: Vec<Condition>,
}

#[derive(Debug)]
pub enum Action {
    /// `inject` and `degrade`: as typed, and what that means.
    Inject {
        words: String,
        on: Option<Selector>,
        args: Box<InjectArgs>,
    },
    Partition {
        words: String,
        on: Option<Selector>,
        args: Box<PartitionArgs>,
    },
    /// The faults of these steps; none named: all of this run.
    Restore(Vec<String>),
    Run {
        command: String,
        timeout: Duration,
    },
    Confirm(String),
    Observe(String),
    Matrix(Look),
}

/// Which matrix of the report it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Look {
    Before,
    During,
    After,
}

/// What must hold again, and by when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    pub holds: Vec<Condition>,
    /// So long without a break.
    pub stable: Duration,
    /// After the last fault ended.
    pub within: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    pub ask: Ask,
    /// The host that asks.
    pub from: Option<String>,
    pub every: Duration,
    pub timeout: Duration,
}

/// What is asked, and what makes it hold. Values from the environment are filled in.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    Http {
        url: String,
        headers: BTreeMap<String, String>,
        /// Makes it a POST.
        body: Option<String>,
        /// None: any success.
        status: Vec<u16>,
        json: Option<(String, Comparison)>,
    },
    /// `HOST:PORT`.
    Tcp(String),
    Dns {
        name: String,
        server: Option<String>,
    },
    /// It runs in this directory: that of the file.
    Command {
        command: String,
        stdout: Option<Comparison>,
        directory: PathBuf,
    },
    Prometheus {
        url: String,
        query: String,
        headers: BTreeMap<String, String>,
        value: Comparison,
    },
    Redis {
        at: String,
        password: Option<String>,
    },
    Postgresql {
        at: String,
    },
    Nats {
        at: String,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub enum Comparison {
    Equals(String),
    Not(String),
    Contains(String),
    Above(f64),
    Below(f64),
}

/// Numbered writes, and how they are found again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    pub write: String,
    pub read: String,
    pub every: Duration,
    pub timeout: Duration,
    pub from: Option<String>,
    /// Between the recovery and the read.
    pub settle: Duration,
    /// No target is for them.
    pub expendable: bool,
}

/// Somebody who is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// Never empty.
    pub on: Vec<HookEvent>,
    pub tell: Tell,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tell {
    /// A URL that takes Slack's `{"text": ...}`.
    Slack(String),
    Command(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HookEvent {
    Started,
    /// A fault is in force.
    Fault,
    /// The last fault of a round is over.
    Healed,
    Recovered,
    Aborted,
    Finished,
}
