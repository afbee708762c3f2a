//! `status`, `history`, `doctor`, `change` and `restore` on a fleet: one question to all, and the answers side by side.

use std::process::ExitCode;
use std::time::Duration;

use partition_agent_proto::{Check, FaultStatus, ProblemCode, State};

use super::Team;
use super::fan_out::{Answers, fan_out};
use super::heal::{self, What};
use super::matrix::look;
use super::members::Member;
use super::progress::{Progress, Step};
use crate::args::{ChangeArgs, HistoryArgs, MatrixArgs, RestoreArgs, StatusArgs};
use crate::exit::Failure;
use crate::render;

/// How long a host may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often `--wait` asks.
const ASK: Duration = Duration::from_millis(500);

fn progress(team: &Team, quiet: bool) -> Progress {
    Progress::new(team.members.iter().map(|member| member.name.clone()), quiet)
}

/// 0 where all answered, 3 where none did, else 1.
pub fn code<T>(answers: &Answers<T>) -> ExitCode {
    if answers.values().all(Result::is_ok) {
        ExitCode::SUCCESS
    } else if answers.values().all(|answer| matches!(answer, Err(Failure::Unreachable { .. }))) {
        ExitCode::from(3)
    } else {
        ExitCode::FAILURE
    }
}

pub async fn status(team: &Team, json: bool, args: StatusArgs) -> Result<ExitCode, Failure> {
    let answers = loop {
        let answers = fan_out(&team.members, PATIENCE, &progress(team, true), Step::Asked, |member| {
            let id = args.id.clone();
            async move {
                let Some(id) = id else { return member.client.faults().await };
                match member.client.fault(&id).await {
                    Err(Failure::Refused(problem)) if problem.code == ProblemCode::NotFound => Ok(Vec::new()),
                    answer => answer.map(|fault| vec![fault]),
                }
            }
        })
        .await;
        // Who does not answer is left to its kernel.
        let over = answers.values().flatten().all(Vec::is_empty);
        if !args.wait || over {
            break answers;
        }
        tokio::time::sleep(ASK).await;
    };
    if json {
        render::team::by_host(&answers)?;
    } else {
        render::team::faults(&answers)?;
    }
    Ok(code(&answers))
}

/// The faults of each host that answers so soon. Nobody is told how far that is.
pub async fn faults(members: &[Member], patience: Duration) -> Answers<Vec<FaultStatus>> {
    let progress = Progress::nobody();
    fan_out(members, patience, &progress, Step::Asked, |member| async move { member.client.faults().await })
        .await
}

pub async fn history(team: &Team, json: bool, args: HistoryArgs) -> Result<ExitCode, Failure> {
    if args.audit {
        let answers =
            fan_out(&team.members, PATIENCE, &progress(team, true), Step::Asked, |member| async move {
                member.client.audit(args.limit).await
            })
            .await;
        if json {
            render::team::by_host(&answers)?
        } else {
            render::audit::of_hosts(&answers)?
        }
        return Ok(code(&answers));
    }
    let answers = fan_out(&team.members, PATIENCE, &progress(team, true), Step::Asked, |member| async move {
        member.client.history(args.limit).await
    })
    .await;
    if json {
        render::team::by_host(&answers)?;
    } else {
        render::team::history(&answers)?;
    }
    Ok(code(&answers))
}

/// A line for each host: its kernel, and what is missing there.
pub async fn doctor(team: &Team, json: bool) -> Result<ExitCode, Failure> {
    let answers = fan_out(&team.members, PATIENCE, &progress(team, json), Step::Asked, |member| async move {
        member.client.info().await
    })
    .await;
    if json {
        render::team::by_host(&answers)?;
        return Ok(code(&answers));
    }
    for (name, info) in answers.iter().filter_map(|(name, answer)| Some((name, answer.as_ref().ok()?))) {
        let missing = info.features.iter().filter(|feature| feature.check != Check::Works);
        let missing = missing.map(|feature| feature.name.as_str()).collect::<Vec<_>>().join(", ");
        let what =
            if missing.is_empty() { "everything works".to_owned() } else { format!("without {missing}") };
        render::line(&format!("{name}: {} on kernel {}, {what}", info.version, info.kernel))?;
    }
    render::team::failures(&answers);
    Ok(code(&answers))
}

pub async fn change(team: &Team, json: bool, args: ChangeArgs) -> Result<ExitCode, Failure> {
    let answers = fan_out(&team.members, PATIENCE, &progress(team, json), Step::Asked, |member| {
        let id = args.id.clone();
        async move {
            match member.client.change(&id, args.duration).await {
                // It is on other hosts only.
                Err(Failure::Refused(problem)) if problem.code == ProblemCode::NotFound => Ok(Vec::new()),
                answer => answer.map(|fault| vec![fault]),
            }
        }
    })
    .await;
    if json {
        render::team::by_host(&answers)?;
    } else {
        render::team::faults(&answers)?;
    }
    if answers.values().flatten().all(Vec::is_empty) && answers.values().any(Result::is_ok) {
        return Err(Failure::Failed(format!("no host that answers has a fault {}", args.id)));
    }
    Ok(code(&answers))
}

/// Who reaches whom; 1 where somebody is not as expected.
pub async fn matrix(team: &Team, json: bool, args: MatrixArgs) -> Result<ExitCode, Failure> {
    loop {
        let found = look(team, json || args.watch).await?;
        if json {
            render::json(&render::matrix::Told::new(&found))?;
        } else {
            render::matrix::found(&found)?;
        }
        if !args.watch {
            return Ok(found.code());
        }
        tokio::time::sleep(args.every.duration()).await;
    }
}

pub async fn restore(team: &Team, json: bool, args: RestoreArgs) -> Result<ExitCode, Failure> {
    let what = if args.all { What::All } else { What::Ids(args.ids) };
    let progress = progress(team, json);
    let healed = if args.together {
        heal::together(&team.members, &what, &progress).await
    } else {
        heal::now(&team.members, &what, &progress).await
    };
    drop(progress);
    if json {
        render::team::by_host(&healed.answers)?;
    } else {
        render::team::healed(&healed)?;
    }
    let restored = || healed.answers.values().filter_map(|answer| answer.as_ref().ok()).flatten();
    if restored().any(|fault| fault.state == State::Stuck) {
        return Ok(ExitCode::FAILURE);
    }
    if let What::Ids(ids) = &what {
        let unknown = ids.iter().filter(|id| !restored().any(|fault| fault.id == **id));
        let unknown = unknown.map(ToString::to_string).collect::<Vec<_>>();
        if !unknown.is_empty() && healed.answers.values().any(Result::is_ok) {
            return Err(Failure::Failed(format!("no host that answers has a fault {}", unknown.join(", "))));
        }
    }
    Ok(code(&healed.answers))
}
