//! Timelines as they are written.

use serde::Deserialize;
use utoipa::ToSchema;

use super::{Lasting, Moment, Said};
use crate::fleet::Text;
use crate::gameday::file::got::{Got, Several};
use crate::gameday::file::model::Look;

/// One of several rounds. What it does not say is as in the rest of the file.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Scenario)]
pub struct RawScenario {
    /// What it is about, for the report.
    #[schema(value_type = String)]
    pub about: Got<String>,
    /// What is done when.
    #[schema(value_type = Vec<RawStep>, min_items = 1)]
    pub timeline: Got<Vec<Got<RawStep>>>,
    /// What must hold before anything is cut: else nothing is.
    #[schema(value_type = Vec<Said>)]
    pub steady: Got<Several<Text<Said>>>,
    /// What must hold from the steady state to the end, whatever is cut.
    #[schema(value_type = Vec<Said>)]
    pub always: Got<Several<Text<Said>>>,
    /// What it looks like when somebody notices.
    #[schema(value_type = Said)]
    pub detected: Got<Text<Said>>,
    /// What it looks like when somebody is called.
    #[schema(value_type = Said)]
    pub alerted: Got<Text<Said>>,
    /// What must hold again when all faults are over.
    #[schema(value_type = RawRecovery)]
    pub recovery: Got<RawRecovery>,
}

/// Something that is done at a time: one of `inject`, `partition`, `degrade`, `restore`, `run`, `confirm`, `observe` and `matrix`.
/// `expect` may stand beside it, or alone.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Step)]
pub struct RawStep {
    /// When: from T, the moment of the first cut (`T+5m`, `5m`, `T-15m`), or from another step (`cut`, `cut+30s`).
    #[schema(value_type = Moment)]
    pub at: Got<Text<Moment>>,
    /// By which other steps name it; its fault has the name, too.
    #[schema(value_type = String, pattern = "^[a-z][a-z0-9._-]{0,31}$", examples("cut"))]
    pub name: Got<String>,
    /// A fault, in the words of `partition-agent inject`, `--on` included.
    #[schema(value_type = String, min_length = 1, examples("--loss 100% --peer redis --on gateway --for 10m"))]
    pub inject: Got<String>,
    /// A partition, in the words of `partition-agent partition`, `--on` included.
    #[schema(value_type = String, min_length = 1, examples("@eu @us --one-way --for 5m"))]
    pub partition: Got<String>,
    /// A fault as `severity` says, in the words of `partition-agent inject` that say whose packets, where and when.
    #[schema(value_type = String, min_length = 1, examples("--peer redis --on gateway --for 3m"))]
    pub degrade: Got<String>,
    /// Ends faults before their time: `all`, or the names of their steps.
    #[schema(value_type = Vec<String>, min_length = 1, examples("all", "cut"))]
    pub restore: Got<Several<String>>,
    /// A shell command; its exit status and output are in the report.
    #[schema(value_type = String, min_length = 1, examples("./failover.sh"))]
    pub run: Got<String>,
    /// With `run`: it ends within this time, or is killed.
    #[schema(value_type = Lasting, default = "30s")]
    pub timeout: Got<Text<Lasting>>,
    /// Waits until somebody says yes, which `--yes` does; what comes after is as much later.
    #[schema(value_type = String, min_length = 1, examples("The status page says maintenance?"))]
    pub confirm: Got<String>,
    /// A question for people, who answer it with a note; else it stays blank in the report.
    #[schema(value_type = String, min_length = 1, examples("Do services log retries?"))]
    pub observe: Got<String>,
    /// Who reaches whom, for the report.
    #[schema(value_type = Look)]
    pub matrix: Got<Look>,
    /// What must be so now. What is not fails the run, which goes on.
    #[schema(value_type = Vec<Said>)]
    pub expect: Got<Several<Text<Said>>>,
}

/// When all is well again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Recovery)]
pub struct RawRecovery {
    /// What must hold; without it, the steady state.
    #[schema(value_type = Vec<Said>)]
    pub holds: Got<Several<Text<Said>>>,
    /// So long without a break.
    #[schema(value_type = Lasting, default = "5s")]
    pub stable: Got<Text<Lasting>>,
    /// After the last fault is over, at most.
    #[schema(value_type = Lasting, default = "10m")]
    pub within: Got<Text<Lasting>>,
}
