//! Labs: what can be typed, and what this program tells itself.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};

use clap::Subcommand;

use crate::fleet::Source;

#[derive(Debug, clap::Args)]
pub struct LabArgs {
    #[command(subcommand)]
    pub verb: LabVerb,
}

#[derive(Debug, Subcommand)]
pub enum LabVerb {
    /// Raise a lab, and come back when all of it is ready; it stays until `lab down`
    Up(LabUpArgs),
    /// Run a command on a host of a lab
    Exec(LabExecArgs),
    /// Take a lab down, with all that runs in it
    Down(LabNameArgs),
    /// Show the labs that are up
    List,
}

#[derive(Debug, clap::Args)]
pub struct LabNameArgs {
    /// Which lab
    #[arg(long, value_name = "NAME", default_value = "lab")]
    pub name: String,
}

#[derive(Debug, clap::Args)]
pub struct LabUpArgs {
    /// The fleet, as for --fleet
    #[arg(value_name = "FILE")]
    pub file: Option<Source>,
    #[command(flatten)]
    pub lab: LabNameArgs,
}

#[derive(Debug, clap::Args)]
pub struct LabExecArgs {
    #[command(flatten)]
    pub lab: LabNameArgs,
    /// A host or service of the fleet, or `controller`, from which all of them are reached
    #[arg(value_name = "HOST")]
    pub host: String,
    /// The command
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    pub command: Vec<OsString>,
}

/// Of the process that holds a lab.
#[derive(Debug, clap::Args)]
pub struct LabHoldArgs {
    /// Whoever waits for it to be ready.
    pub parent: u32,
    pub file: Option<Source>,
}

#[derive(Debug, clap::Args)]
pub struct LabHostArgs {
    pub parent: u32,
    pub name: String,
    pub addresses: Vec<IpAddr>,
}

#[derive(Debug, clap::Args)]
pub struct LabEnterArgs {
    pub parent: u32,
    /// The process that holds it.
    pub host: u32,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    pub command: Vec<OsString>,
}

#[derive(Debug, clap::Args)]
pub struct LabSweepArgs {
    /// The process that made the lab.
    pub parent: u32,
    /// The processes that hold its hosts.
    pub hosts: Vec<u32>,
}

#[derive(Debug, clap::Args)]
pub struct LabRespondArgs {
    pub at: SocketAddr,
}
