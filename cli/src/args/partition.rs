//! `partition`: every flag, and the fault that each host gets.

use partition_agent_proto::{Direction, Engine, FaultId, FaultSpec, Kind, Peer, Percent, Scope, Target};

use super::inject::TogetherArgs;
use super::kinds::KindArgs;
use super::parting::PartingArgs;
use super::timing::TimingArgs;

#[derive(Debug, clap::Args)]
pub struct PartitionArgs {
    // Before those that have a heading, which clap would go on with.
    /// Name of the fault on all hosts; repeating a command with its name is harmless
    #[arg(long, value_name = "ID")]
    pub id: Option<FaultId>,
    /// Only show who would lose whom
    #[arg(long)]
    pub dry_run: bool,
    /// Stay until the fault is over; Ctrl-C ends it
    #[arg(long, conflicts_with = "dry_run")]
    pub wait: bool,

    #[command(flatten)]
    pub who: PartingArgs,
    #[command(flatten)]
    pub kinds: KindArgs,
    #[command(flatten)]
    pub timing: TimingArgs,
    #[command(flatten)]
    pub together: TogetherArgs,
}

impl PartitionArgs {
    /// What each host gets, but for its peers and its direction. A cut, if nothing else was asked for.
    ///
    /// # Errors
    /// Flags that make no fault together, or none between hosts.
    pub fn fault(&self) -> Result<FaultSpec, String> {
        if self.who.one_way && self.kinds.rtt.is_some() {
            return Err("--rtt is there and back: with --one-way, write --latency".to_owned());
        }
        if !self.kinds.dns_fail.is_empty() {
            return Err("--dns-fail acts on names, not between hosts: write `inject`".to_owned());
        }
        // A profile has two sides. Of one way there is only the one of those who send, at whichever end it is put into force.
        let direction = if self.who.one_way { Direction::Egress } else { Direction::Both };
        let (mut kinds, ingress_kinds) = self.kinds.kinds(direction)?;
        if kinds.is_empty() {
            kinds.push(Kind::Loss { percent: Percent::ALL, correlation: None });
        }
        let fault = FaultSpec {
            kinds,
            ingress_kinds,
            target: Target::default(),
            scope: Scope::Host,
            direction: Direction::Both,
            interface: None,
            engine: Engine::Auto,
            start_in: self.timing.start_in,
            flap: self.timing.flap,
            ramp: self.kinds.ramp(self.timing.ramp)?,
            duration: self.timing.duration,
            lease: self.timing.lease,
        };
        // What does not go together is said before anybody is asked, and before the peers are known: any would do.
        let peers = "host".parse::<Peer>().into_iter().collect();
        let aimed = FaultSpec { target: Target { peers, ..Target::default() }, ..fault.clone() };
        aimed.validate().map_err(|error| error.to_string())?;
        Ok(fault)
    }
}

#[cfg(test)]
mod tests;
