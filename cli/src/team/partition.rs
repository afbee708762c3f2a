//! `partition`: from the hosts that take part to one fault for each of them.

use std::process::ExitCode;

use partition_agent_proto::FaultId;

use super::Team;
use super::inject::{Command, begin};
use super::parted::{Parted, parted};
use crate::args::PartitionArgs;
use crate::exit::Failure;
use crate::render;

pub async fn run(team: &Team, json: bool, args: PartitionArgs) -> Result<ExitCode, Failure> {
    let parted = parted(&team.fleet, &team.hosts, &args).map_err(Failure::Usage)?;
    if !args.dry_run {
        return begin(team, json, command_of(parted, &args)).await;
    }
    let Parted { parties, partition, cuts, fault, specs } = parted;
    if json {
        let (partition, cuts) = (partition.to_string(), cuts.iter().collect::<Vec<_>>());
        let plan = serde_json::json!({ "partition": partition, "cuts": cuts, "faults": specs });
        render::json(&plan)?;
    } else {
        render::line(&format!("# {}: nothing was changed", what(&partition.to_string(), &fault)))?;
        render::write(&render::cuts::matrix(&parties, &cuts))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What was typed, for each of the hosts that have a part in it.
pub fn command(team: &Team, args: &PartitionArgs) -> Result<Command, Failure> {
    let parted = parted(&team.fleet, &team.hosts, args).map_err(Failure::Usage)?;
    Ok(command_of(parted, args))
}

fn command_of(parted: Parted, args: &PartitionArgs) -> Command {
    let Parted { parties, partition, cuts, fault, specs } = parted;
    let id = args.id.clone().unwrap_or_else(|| FaultId::partition(fastrand::u64(..)));
    Command {
        id: Some(id),
        what: what(&partition.to_string(), &fault),
        specs,
        hit: cuts.hit(&parties),
        together: args.together,
        start_in: fault.start_in,
        wait: args.wait,
        hold: args.timing.held(),
    }
}

fn what(partition: &str, fault: &partition_agent_proto::FaultSpec) -> String {
    let kinds = fault.kinds.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
    format!("{partition}: {kinds}")
}
