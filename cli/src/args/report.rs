//! Reports of game days.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, clap::Args)]
pub struct ReportArgs {
    #[command(subcommand)]
    pub verb: ReportVerb,
}

#[derive(Debug, Subcommand)]
pub enum ReportVerb {
    /// Show how game days became better or worse, in the order of their time
    Compare(CompareArgs),
    /// Make report.md and report.html again from report.json
    Render(RenderArgs),
}

#[derive(Debug, clap::Args)]
pub struct CompareArgs {
    /// report.json of two game days or more
    #[arg(value_name = "FILE", num_args = 2.., required = true)]
    pub files: Vec<PathBuf>,
    /// Also write it as a page
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub struct RenderArgs {
    /// report.json of a game day
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where to write them [default: beside it]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}
