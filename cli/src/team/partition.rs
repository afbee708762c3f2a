//! `partition`: from the hosts that take part to one fault for each of them.

use std::process::ExitCode;

use partition_agent_proto::FaultId;

use super::Team;
use super::command::Command;
use super::inject::begin;
use super::parted::{Parted, parted};
use crate::args::PartitionArgs;
use crate::exit::Failure;
use crate::render;

pub async fn run(team: &Team, json: bool, args: PartitionArgs) -> Result<ExitCode, Failure> {
    let chosen = team.chosen();
    if !args.dry_run {
        let mut command = Command::partition(&chosen, &args).map_err(Failure::Usage)?;
        command.id.get_or_insert_with(|| FaultId::partition(fastrand::u64(..)));
        return begin(team, json, command).await;
    }
    let parted = parted(chosen.fleet, &chosen.hosts, &args).map_err(Failure::Usage)?;
    let what = parted.what();
    let Parted { parties, partition, cuts, specs, .. } = parted;
    if json {
        let (partition, cuts) = (partition.to_string(), cuts.iter().collect::<Vec<_>>());
        let plan = serde_json::json!({ "partition": partition, "cuts": cuts, "faults": specs });
        render::json(&plan)?;
    } else {
        render::line(&format!("# {what}: nothing was changed"))?;
        render::write(&render::cuts::matrix(&parties, &cuts))?;
    }
    Ok(ExitCode::SUCCESS)
}
