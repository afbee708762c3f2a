//! What can be typed.

mod annotate;
mod ca;
mod fleet;
mod gameday;
mod inject;
mod kinds;
mod lab;
mod parting;
mod partition;
mod report;
mod scope;
mod shell;
mod target;
mod timing;
mod values;

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::LazyLock;

use clap::{CommandFactory, Parser, Subcommand};
use partition_agent_proto::{FaultId, Span};

use crate::client::AgentAddress;
use crate::completion;
use crate::log::Format;
use crate::tls::TlsFiles;

pub use annotate::AnnotateArgs;
pub use ca::{CaArgs, CaVerb, InitArgs, IssueArgs, Role};
pub use fleet::{FleetArgs, FleetVerb, FleetVerbArgs};
pub use gameday::{NoteArgs, RunArgs};
pub use inject::{InjectArgs, TogetherArgs};
pub use kinds::KindArgs;
pub use lab::{
    LabArgs, LabEnterArgs, LabExecArgs, LabHoldArgs, LabHostArgs, LabNameArgs, LabRespondArgs, LabSweepArgs,
    LabUpArgs, LabVerb,
};
pub use partition::PartitionArgs;
pub use report::{CompareArgs, RenderArgs, ReportArgs, ReportVerb};
pub use shell::{CompletionsArgs, ManArgs, Shell};
pub use target::PeerArg;
pub use timing::TimingArgs;

/// Make this host lose, delay and cut network traffic for a while. The kernel ends every fault by itself: at its
/// deadline, and when the agent dies.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, after_help = EXAMPLES)]
pub struct Args {
    /// Where the agent is: unix:PATH, https://HOST:PORT or http://HOST:PORT
    #[arg(long, global = true, env = "PARTITION_AGENT", value_name = "ADDRESS")]
    pub agent: Option<AgentAddress>,
    #[command(flatten)]
    pub fleet: FleetArgs,
    /// File with the token of agents on TCP; with `serve`, of this one
    #[arg(long, global = true, env = "PARTITION_AGENT_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    #[command(flatten)]
    pub tls: TlsFiles,
    /// Answer in JSON
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub verb: Verb,
}

/// The variables that stand for arguments, of whichever verb.
pub fn variables() -> &'static [OsString] {
    fn of(command: &clap::Command) -> Vec<OsString> {
        let own = command.get_arguments().filter_map(|argument| argument.get_env()).map(OsStr::to_owned);
        own.chain(command.get_subcommands().flat_map(of)).collect()
    }
    static ALL: LazyLock<Vec<OsString>> = LazyLock::new(|| of(&Args::command()));
    &ALL
}

const EXAMPLES: &str = "\
Examples:
  partition-agent inject --loss 100% --peer redis             cut this host off from redis, for 60s
  partition-agent inject --loss 100% --peer redis --dry-run   only show what that would do
  partition-agent restore --all                               end everything now";

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run the agent
    Serve(ServeArgs),
    /// Put a fault into force; without an agent, in the foreground until Ctrl-C
    #[command(after_help = inject::EXAMPLES)]
    Inject(Box<InjectArgs>),
    /// Part the hosts of a fleet
    Partition(Box<PartitionArgs>),
    /// Show who reaches whom in a fleet, against what the faults in force say
    Matrix(MatrixArgs),
    /// End faults before their time
    Restore(RestoreArgs),
    /// Move a fault's deadline
    Change(ChangeArgs),
    /// Renew the lease of faults that nobody stays with
    Renew(RenewArgs),
    /// Show the faults
    Status(StatusArgs),
    /// Show faults and what happens to them as it happens, on a terminal; with --json a line for each event
    Watch(WatchArgs),
    /// Show the faults that are over
    History(HistoryArgs),
    /// Draw faults into Grafana, from their start to their end, until Ctrl-C
    Annotate(AnnotateArgs),
    /// Tell what this kernel can do, what is missing, and which package brings it
    Doctor,
    /// Show the fleet, or what is wrong with it
    Fleet(FleetVerbArgs),
    /// Run a game day: steady state, faults on a timeline, recovery, and a report
    Run(Box<RunArgs>),
    /// Write something down in the report of a game day that is running
    Note(NoteArgs),
    /// Make certificates for agents and for those who ask them over TLS
    Ca(CaArgs),
    /// Compare the reports of game days, or make their pages again
    Report(ReportArgs),
    /// List the links that `inject --profile` knows
    Profiles,
    /// Show it all on three hosts in network namespaces of their own; needs no root
    Demo(DemoArgs),
    /// Have the hosts of a fleet in network namespaces of this machine; needs no root
    Lab(LabArgs),
    /// Print the script by which a shell completes what is typed, with the faults in force and the hosts of the fleet
    Completions(CompletionsArgs),
    /// Print a manual page
    Man(ManArgs),
    #[command(hide = true)]
    LabHold(LabHoldArgs),
    #[command(hide = true)]
    LabHost(LabHostArgs),
    #[command(hide = true)]
    LabEnter(LabEnterArgs),
    #[command(hide = true)]
    LabInit(LabEnterArgs),
    #[command(hide = true)]
    LabSweep(LabSweepArgs),
    #[command(hide = true)]
    LabRespond(LabRespondArgs),
}

#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// Configuration [default: /etc/partition-agent/agent.toml, where it exists]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Unix socket of the API
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Also listen on TCP, for callers with a token or a certificate
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<SocketAddr>,
    /// On loopback let every program of this host in, without a token or a certificate
    #[arg(long)]
    pub insecure_loopback: bool,
    /// Directory of the journal
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Keep the privileges that faults in containers and other network namespaces take
    #[arg(long)]
    pub namespaces: bool,
    /// How the log is written [default: into systemd's journal under systemd, else for people]
    #[arg(long, value_enum, env = "PARTITION_AGENT_LOG", value_name = "FORMAT")]
    pub log: Option<Format>,
    /// Tell everything that is wrong with the configuration, and touch nothing
    #[arg(long)]
    pub check_config: bool,
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub struct RestoreArgs {
    /// The faults
    #[arg(group = "what", value_name = "ID", add = completion::faults())]
    pub ids: Vec<FaultId>,
    /// Every fault
    #[arg(long, group = "what")]
    pub all: bool,
    /// On a fleet: at one instant, instead of as soon as each host hears of it
    #[arg(long)]
    pub together: bool,
}

#[derive(Debug, clap::Args)]
pub struct ChangeArgs {
    /// The fault
    #[arg(value_name = "ID", add = completion::faults())]
    pub id: FaultId,
    /// How long from now
    #[arg(long = "for", value_name = "TIME", allow_hyphen_values = true)]
    pub duration: Span,
}

#[derive(Debug, clap::Args)]
pub struct RenewArgs {
    /// The faults
    #[arg(value_name = "ID", required = true, add = completion::faults())]
    pub ids: Vec<FaultId>,
}

#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    /// Only this fault, with its plan
    #[arg(value_name = "ID", add = completion::faults())]
    pub id: Option<FaultId>,
    /// Stay until the fault is over; without an id, until there is none left
    #[arg(long)]
    pub wait: bool,
}

#[derive(Debug, clap::Args)]
pub struct MatrixArgs {
    /// Look again and again, until Ctrl-C
    #[arg(long)]
    pub watch: bool,
    /// With --watch: how long from one look to the next
    #[arg(long, value_name = "TIME", default_value = "2s", requires = "watch")]
    pub every: Span,
}

#[derive(Debug, clap::Args)]
pub struct WatchArgs {
    /// How often hosts are asked for their faults; what happens to those is told at once
    #[arg(long, value_name = "TIME", default_value = "1s", conflicts_with = "json")]
    pub every: Span,
}

#[derive(Debug, clap::Args)]
pub struct HistoryArgs {
    /// At most this many, the newest
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub limit: usize,
    /// Who asked for what, and what became of it, instead
    #[arg(long)]
    pub audit: bool,
}

#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Use the built-in responder even where redis-server is installed
    #[arg(long)]
    pub no_redis: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn variables_are_those_of_the_arguments() {
        let mut all = variables().to_vec();
        all.sort_unstable();
        let known =
            ["", "_FLEET", "_GRAFANA_TOKEN_FILE", "_LOG", "_TLS_CA", "_TLS_CERT", "_TLS_KEY", "_TOKEN_FILE"];
        assert_eq!(all, known.map(|end| OsString::from(format!("PARTITION_AGENT{end}"))));
    }

    #[test]
    fn contradictions_are_usage_errors() {
        for line in [
            "inject --loss 100% --all-traffic --peer a",
            "inject --jitter 1ms --peer a",
            "inject --loss 101% --peer a",
            "inject --loss NaN --peer a",
            "inject --loss 1% --port 0",
            "inject --latency 1s --rtt 1s --peer a",
            "inject --rtt 1s --direction egress --peer a",
            "inject --profile 3g --latency 1s --peer a",
            "inject --loss 1%..5% --peer a",
            "inject --loss 1% --peer a --unit b --container c",
            "inject --loss 1% --peer a --flap 5s",
            "inject --dns-answer nxdomain --peer a",
            "inject --loss 1% --peer a --for -5s",
            "inject --loss 1% --peer a --lease 1s",
            "inject --loss 1% --peer a --lease 2m",
            "inject --loss 1% --peer a --no-wait",
            "inject --loss 1% --peer a --lease 10s --wait --no-wait",
            "renew",
            "restore",
            "restore a --all",
        ] {
            let words = std::iter::once("partition-agent").chain(line.split_whitespace());
            let refused = match Args::try_parse_from(words) {
                Err(_) => true,
                Ok(Args { verb: Verb::Inject(inject), .. }) => inject.spec().is_err(),
                Ok(_) => false,
            };
            assert!(refused, "{line}");
        }
    }
}
