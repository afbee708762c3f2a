//! Certificates: of the authority, of agents and of those who ask them.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

use crate::ca::{Host, Name, USUAL};

/// As long as the machines that it is for.
const YEARS: u32 = 3650;

#[derive(Debug, clap::Args)]
pub struct CaArgs {
    #[command(subcommand)]
    pub verb: CaVerb,
}

#[derive(Debug, Subcommand)]
pub enum CaVerb {
    /// Make an authority: ca.crt, which everybody gets, and ca.key, which nobody gets
    Init(InitArgs),
    /// Make the certificate and key of an agent (--host) or of somebody who asks agents (--role)
    Issue(IssueArgs),
}

#[derive(Debug, clap::Args)]
pub struct InitArgs {
    /// Directory of the authority
    #[arg(long, value_name = "DIR", default_value = USUAL)]
    pub dir: PathBuf,
    /// What it is called in its certificate
    #[arg(long, value_name = "NAME", default_value = "partition-agent CA", value_parser = crate::ca::common_name)]
    pub name: String,
    /// How long it is good for
    #[arg(long, value_name = "DAYS", default_value_t = YEARS, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub days: u32,
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("whose").required(true))]
pub struct IssueArgs {
    /// Whose it is; its files are NAME.crt and NAME.key
    #[arg(value_name = "NAME")]
    pub name: Name,
    /// What its owner may do on agents
    #[arg(long, group = "whose", value_name = "ROLE")]
    pub role: Option<Role>,
    /// By which names and addresses the agent is asked, with commas in between
    #[arg(long = "host", group = "whose", value_name = "DNS_OR_IP", value_delimiter = ',')]
    pub hosts: Vec<Host>,
    /// Directory of the authority
    #[arg(long, value_name = "DIR", default_value = USUAL)]
    pub dir: PathBuf,
    /// How long it is good for [default: 365, or as long as the authority]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub days: Option<u32>,
}

/// What a caller may do; each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Look at faults and hosts
    Observe,
    /// Put faults into force and end them
    Inject,
    /// Everything
    Admin,
}

impl Role {
    /// As it is in a certificate.
    pub fn name(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Inject => "inject",
            Self::Admin => "admin",
        }
    }
}
