//! `renew` on a fleet.

use std::process::ExitCode;
use std::time::Duration;

use partition_agent_proto::{End, FaultId, FaultStatus, ProblemCode};

use super::Team;
use super::fan_out::{Answers, fan_out};
use super::hold::how_it_ended;
use super::members::Member;
use super::progress::{Progress, Step};
use crate::args::RenewArgs;
use crate::exit::Failure;
use crate::render;

/// How long a host may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Every fault on every host that has it. 1 where one was lost, or nobody has it.
pub async fn run(team: &Team, json: bool, args: RenewArgs) -> Result<ExitCode, Failure> {
    let progress = Progress::new(team.members.iter().map(|member| member.name.clone()), json);
    let answers: Answers<Vec<FaultStatus>> =
        fan_out(&team.members, PATIENCE, &progress, Step::Asked, |member| {
            let ids = args.ids.clone();
            async move {
                let mut renewed = Vec::new();
                let mut failed = None;
                for id in ids {
                    match member.client.renew(&id).await {
                        Ok(fault) => renewed.push(fault),
                        Err(failure) => match elsewhere(member, &id, failure).await {
                            Ok(()) => {}
                            // The others are renewed all the same.
                            Err(failure) => drop(failed.get_or_insert(failure)),
                        },
                    }
                }
                failed.map_or(Ok(renewed), Err)
            }
        })
        .await;
    drop(progress);
    if json {
        render::team::by_host(&answers)?;
    } else {
        render::team::faults(&answers)?;
    }
    let renewed = || answers.values().filter_map(|answer| answer.as_ref().ok()).flatten();
    let unknown = args.ids.iter().filter(|id| !renewed().any(|fault| fault.id == **id));
    let unknown = unknown.map(ToString::to_string).collect::<Vec<_>>();
    if !unknown.is_empty() && answers.values().all(Result::is_ok) {
        return Err(Failure::Failed(format!("no host has a fault {}", unknown.join(", "))));
    }
    Ok(super::look::code(&answers))
}

/// Whether a fault that is not here is on other hosts only; one whose lease was lost here was here.
async fn elsewhere(member: &Member, id: &FaultId, failure: Failure) -> Result<(), Failure> {
    if !matches!(&failure, Failure::Refused(problem) if problem.code == ProblemCode::NotFound) {
        return Err(failure);
    }
    match how_it_ended(&member.client, id).await? {
        Some(end @ (End::LeaseLost | End::AgentDied)) => Err(Failure::Failed(format!("{id} is over: {end}"))),
        Some(_) | None => Ok(()),
    }
}
