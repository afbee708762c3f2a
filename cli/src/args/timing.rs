//! When: the flags.

use partition_agent_proto::{FaultSpec, Flap, Span};

use super::values;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "When")]
pub struct TimingArgs {
    /// How long
    #[arg(long = "for", value_name = "TIME", allow_hyphen_values = true, default_value_t = FaultSpec::default_duration())]
    pub duration: Span,
    /// Build it now, start it this much later
    #[arg(long, value_name = "TIME")]
    pub start_in: Option<Span>,
    /// Off and on again: ON/OFF, as 30s/10s
    #[arg(long, value_name = "TIMES", value_parser = values::flap)]
    pub flap: Option<Flap>,
    /// Let it grow over this time, from nothing or from the first of two values: --loss 5%..50% --ramp 1m
    #[arg(long, value_name = "TIME")]
    pub ramp: Option<Span>,
    /// End it this long after it was last renewed, and stay to renew it until it is over: it ends soon after this command does,
    /// whatever ends the command
    #[arg(long, value_name = "TIME")]
    pub lease: Option<Span>,
    /// With --lease: do not stay; `partition-agent renew` renews it
    #[arg(long, requires = "lease", conflicts_with = "wait")]
    pub no_wait: bool,
}

impl TimingArgs {
    /// The lease that the command renews until the fault is over.
    pub fn held(&self) -> Option<Span> {
        self.lease.filter(|_| !self.no_wait)
    }
}
