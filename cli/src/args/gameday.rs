//! Game days: `run` and `note`.

use std::num::NonZeroU32;
use std::path::PathBuf;

use crate::gameday::file::Severity;

#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// The game day, in YAML
    #[arg(value_name = "FILE", required_unless_present = "schema")]
    pub file: Option<PathBuf>,
    /// Only this scenario of it; may be repeated
    #[arg(long, value_name = "NAME")]
    pub scenario: Vec<String>,
    /// On this machine alone: the hosts of the fleet are network namespaces that exist for as long as the run
    #[arg(long)]
    pub lab: bool,
    /// How bad the faults of `degrade` steps are [default: as the file says]
    #[arg(long, value_enum, value_name = "SEVERITY")]
    pub severity: Option<Severity>,
    /// A rehearsal: the times of the timeline are so many times shorter
    #[arg(long, value_name = "N")]
    pub faster: Option<NonZeroU32>,
    /// Directory of the report, which must not have one yet [default: gameday-NAME-TIME]
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
    /// Only tell what is wrong with the file and its fleet
    #[arg(long)]
    pub validate_only: bool,
    /// Only show what would happen when, and ask every agent whether it would do it
    #[arg(long, conflicts_with = "validate_only")]
    pub dry_run: bool,
    /// Ask nobody
    #[arg(long)]
    pub yes: bool,
    /// Print the JSON schema of the file, for editors
    #[arg(long)]
    pub schema: bool,
}

#[derive(Debug, clap::Args)]
pub struct NoteArgs {
    /// What to write down; `yes` goes on where the run asks, `no` ends it and heals
    #[arg(value_name = "TEXT", required = true)]
    pub text: Vec<String>,
    /// The directory of the run's report [default: the newest gameday-* here]
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
}
