//! Which fleet, and which of its hosts: for every verb.

use clap::Subcommand;
use partition_agent_proto::fleet::Selector;

use crate::completion;
use crate::fleet::Source;

#[derive(Debug, clap::Args)]
pub struct FleetArgs {
    /// Where the hosts of a fleet are from: PATH.toml, file_sd:PATH, http_sd:URL, ansible:PATH, consul:URL/SERVICE,
    /// srv:NAME[@SERVER[:PORT]], docker:LABEL[=VALUE] or kubernetes:NAMESPACE/SERVICE[@URL] [default: ./fleet.toml, then
    /// /etc/partition-agent/fleet.toml]
    #[arg(
        long = "fleet",
        global = true,
        env = "PARTITION_AGENT_FLEET",
        value_name = "SOURCE",
        help_heading = "Fleet"
    )]
    pub source: Option<Source>,
    /// On which hosts of the fleet: names, patterns such as web-*, @GROUP, @LABEL=VALUE, after a ! those to leave out; with
    /// commas in between
    #[arg(long, global = true, value_name = "SELECTOR", add = completion::hosts(), help_heading = "Fleet")]
    pub on: Option<Selector>,
}

impl FleetArgs {
    /// Whether a command is for many hosts.
    pub fn is_named(&self) -> bool {
        self.source.is_some() || self.on.is_some()
    }
}

#[derive(Debug, clap::Args)]
pub struct FleetVerbArgs {
    #[command(subcommand)]
    pub verb: FleetVerb,
}

#[derive(Debug, Clone, Copy, Subcommand)]
pub enum FleetVerb {
    /// Tell what is wrong with the fleet, or how large it is
    Check,
    /// Show its hosts, groups, services and links
    Show,
}
