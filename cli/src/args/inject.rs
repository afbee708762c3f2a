//! `inject`: every flag, and the fault that they make.

use clap::ValueEnum;
use partition_agent_proto::{Direction, Engine, FaultId, FaultSpec, Percent, Target};

use super::kinds::KindArgs;
use super::scope::ScopeArgs;
use super::target::TargetArgs;
use super::timing::TimingArgs;
use crate::completion;

pub const EXAMPLES: &str = "\
Examples:
  partition-agent inject --loss 100% --peer redis                 cut this host off from redis, for 60s
  partition-agent inject --latency 200ms --port 443 --for 5m      slow to answer, and slow to be answered
  partition-agent inject --reject --state new --local-port 8080   take no more clients";

#[derive(Debug, clap::Args)]
pub struct InjectArgs {
    // Before those that have a heading, which clap would go on with.
    /// Name of the fault; repeating a command with its name is harmless
    #[arg(long, value_name = "ID")]
    pub id: Option<FaultId>,
    /// Only show the plan
    #[arg(long)]
    pub dry_run: bool,
    /// Stay until the fault is over; Ctrl-C ends it
    #[arg(long, conflicts_with = "dry_run")]
    pub wait: bool,

    #[command(flatten)]
    pub kinds: KindArgs,
    #[command(flatten)]
    pub target: TargetArgs,
    /// Which way, seen from this host
    #[arg(long, value_enum, default_value_t = Way::Both, help_heading = "Whose packets")]
    pub direction: Way,
    #[command(flatten)]
    pub scope: ScopeArgs,
    /// Only on this interface [default: those of the routes to the target]
    #[arg(long, value_name = "NAME", add = completion::interfaces(), help_heading = "Where")]
    pub interface: Option<String>,
    /// What shapes packets [default: netem, or the emulator where the kernel has none]
    #[arg(long, value_enum, value_name = "ENGINE", help_heading = "Where")]
    pub engine: Option<EngineArg>,
    #[command(flatten)]
    pub timing: TimingArgs,
    #[command(flatten)]
    pub together: TogetherArgs,
    /// On a fleet: between the two ends of this link
    #[arg(long, value_name = "LINK", add = completion::links(), conflicts_with_all = ["peer", "port", "local_port", "all_traffic", "direction"], help_heading = "Whose packets")]
    pub link: Option<String>,
    /// With --link: only from its first end to the other
    #[arg(long, requires = "link", help_heading = "Whose packets")]
    pub one_way: bool,
}

/// How a fleet starts.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
#[command(next_help_heading = "On a fleet")]
pub struct TogetherArgs {
    /// Go ahead with the hosts that agree
    #[arg(long)]
    pub best_effort: bool,
    /// No more than this share of a group at once [default: that of the fleet, 66% if it says none]
    #[arg(long, value_name = "PERCENT")]
    pub max_share: Option<Percent>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Way {
    Egress,
    Ingress,
    Both,
}

impl From<Way> for Direction {
    fn from(way: Way) -> Self {
        match way {
            Way::Egress => Self::Egress,
            Way::Ingress => Self::Ingress,
            Way::Both => Self::Both,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum EngineArg {
    Auto,
    Netem,
    Emulator,
}

impl InjectArgs {
    /// How it is used, for whoever has not said what is to happen.
    pub fn usage(&self) -> Option<String> {
        let nothing = self.kinds.kinds(self.direction.into()).is_ok_and(|(kinds, _)| kinds.is_empty());
        nothing.then(|| {
            format!(
                "inject: nothing to do: say what happens (--loss, --latency, --rate, --reject, ...), to whose packets \
                 (--peer, --port, --all-traffic), and for how long (--for; 60s without it)\n\n{EXAMPLES}\n\nEvery flag: \
                 partition-agent inject --help"
            )
        })
    }

    /// # Errors
    /// Flags that make no fault together.
    pub fn spec(&self) -> Result<FaultSpec, String> {
        self.spec_of(self.target.target()?, self.direction.into())
    }

    /// Of this target and direction, and everything else as it was typed.
    ///
    /// # Errors
    /// Flags that make no fault together.
    pub fn spec_of(&self, target: Target, direction: Direction) -> Result<FaultSpec, String> {
        let (kinds, ingress_kinds) = self.kinds.kinds(direction)?;
        let spec = FaultSpec {
            kinds,
            ingress_kinds,
            target,
            scope: self.scope.scope(),
            direction,
            interface: self.interface.clone(),
            engine: match self.engine {
                None | Some(EngineArg::Auto) => Engine::Auto,
                Some(EngineArg::Netem) => Engine::Netem,
                Some(EngineArg::Emulator) => Engine::Emulator,
            },
            start_in: self.timing.start_in,
            flap: self.timing.flap,
            ramp: self.kinds.ramp(self.timing.ramp)?,
            duration: self.timing.duration,
            lease: self.timing.lease,
        };
        spec.validate().map_err(|error| error.to_string())?;
        Ok(spec)
    }
}

#[cfg(test)]
mod tests;
