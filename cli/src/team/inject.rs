//! `inject` and `partition` on a fleet: the orders, all or none at one instant, and what became of them.

use std::process::ExitCode;
use std::time::Duration;

use partition_agent_proto::FaultId;

use super::Team;
use super::command::Command;
use super::fan_out::fan_out;
use super::hold::Held;
use super::members::Order;
use super::progress::{Progress, Step};
use super::start::{How, Outcome, Start};
use super::stay::stay;
use crate::args::InjectArgs;
use crate::exit::Failure;
use crate::interrupt::Interrupt;
use crate::render;

/// How long an agent may take to plan.
const PLAN: Duration = Duration::from_secs(20);

/// How often `--wait` asks whether it is over.
const ASK: Duration = Duration::from_secs(1);

pub async fn run(team: &Team, json: bool, args: InjectArgs) -> Result<ExitCode, Failure> {
    let command = Command::inject(&team.chosen(), &args).map_err(Failure::Usage)?;
    if args.dry_run {
        plans(&team.orders(command.specs), json).await
    } else {
        begin(team, json, command).await
    }
}

/// Puts it into force everywhere, or nowhere.
pub async fn begin(team: &Team, json: bool, command: Command) -> Result<ExitCode, Failure> {
    command.check(&team.fleet).map_err(Failure::Usage)?;
    let first = command.first().map_err(Failure::Usage)?;
    let id = command.id.clone().unwrap_or_else(|| FaultId::unique(first, fastrand::u64(..)));
    let orders = team.orders(command.specs);
    let how = How { id, best_effort: command.together.best_effort, start_in: command.start_in };
    let mut interrupt = Interrupt::listen()?;
    let progress = Progress::new(orders.iter().map(|order| order.member.name.clone()), json);
    let start = Start::new(&orders, &how, &progress);
    let outcome = tokio::select! {
        outcome = start.run() => outcome,
        () = interrupt.comes() => {
            let left = start.withdraw().await;
            drop(progress);
            render::team::withdrawn(&how.id, &left)?;
            return Ok(ExitCode::FAILURE);
        }
    };
    if json {
        render::json(&render::team::Report::new(&how.id, &outcome))?;
    } else {
        render::team::outcome(&how.id, &command.what, orders.len(), &outcome, &team.flags)?;
    }
    if let Some(lease) = command.hold
        && !outcome.started.is_empty()
    {
        if !json {
            render::renewing(lease)?;
        }
        let started = team.members.iter().filter(|member| outcome.started.contains_key(&member.name));
        let members = started.cloned().collect();
        match stay(members, &how.id, lease, &mut interrupt, json).await? {
            Held::Over => {}
            Held::Lost => return Ok(ExitCode::FAILURE),
            Held::Interrupted => withdraw(&start, json).await?,
        }
    } else if command.wait && !outcome.started.is_empty() {
        wait(&start, interrupt, json).await?
    }
    Ok(outcome.code(orders.len()))
}

impl Outcome {
    /// 0 everywhere, 3 where nobody could be reached, else 1.
    fn code(&self, asked: usize) -> ExitCode {
        let unreachable = |failure: &Failure| matches!(failure, Failure::Unreachable { .. });
        if self.failed.is_empty() {
            ExitCode::SUCCESS
        } else if self.failed.values().filter(|failure| unreachable(failure)).count() == asked {
            ExitCode::from(3)
        } else {
            ExitCode::FAILURE
        }
    }
}

/// What every agent would do; nothing is touched.
async fn plans(orders: &[Order], json: bool) -> Result<ExitCode, Failure> {
    let progress = Progress::new(orders.iter().map(|order| order.member.name.clone()), json);
    let answers = fan_out(orders, PLAN, &progress, Step::Asked, |Order { member, spec }| async move {
        member.client.inject(None, spec, true).await
    })
    .await;
    drop(progress);
    render::team::plans(&answers, json)?;
    let failed = answers.values().any(Result::is_err);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn withdraw(start: &Start<'_>, json: bool) -> Result<(), Failure> {
    let left = start.withdraw().await;
    if json { Ok(()) } else { render::team::withdrawn(start.id(), &left) }
}

/// Until it is over on every host; an interrupt ends it.
async fn wait(start: &Start<'_>, mut interrupt: Interrupt, json: bool) -> Result<(), Failure> {
    loop {
        tokio::select! {
            () = interrupt.comes() => return withdraw(start, json).await,
            () = tokio::time::sleep(ASK) => {}
        }
        // Who does not answer is left to its kernel.
        if !start.stands().await {
            return Ok(());
        }
    }
}
