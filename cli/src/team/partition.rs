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
    let Parted { parties, partition, cuts, fault, specs } =
        parted(&team.fleet, &team.hosts, &args).map_err(Failure::Usage)?;
    let kinds = fault.kinds.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
    let what = format!("{partition}: {kinds}");
    if args.dry_run {
        if json {
            let cuts = cuts.iter().collect::<Vec<_>>();
            let plan =
                serde_json::json!({ "partition": partition.to_string(), "cuts": cuts, "faults": specs });
            render::json(&plan)?;
        } else {
            render::line(&format!("# {what}: nothing was changed"))?;
            render::write(&render::cuts::matrix(&parties, &cuts))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let id = match args.id {
        Some(id) => id,
        None => FaultId::partition(fastrand::u64(..)),
    };
    let command = Command {
        id: Some(id),
        what,
        specs,
        hit: cuts.hit(&parties),
        together: args.together,
        start_in: fault.start_in,
        wait: args.wait,
        hold: args.timing.held(),
    };
    begin(team, json, command).await
}
