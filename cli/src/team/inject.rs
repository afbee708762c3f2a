//! `inject` and `partition` on a fleet: the orders, all or none at one instant, and what became of them.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::Duration;

use partition_agent_proto::{FaultId, FaultSpec, Percent, Span};

use super::Team;
use super::fan_out::fan_out;
use super::hold::Held;
use super::members::Order;
use super::orders::{link_orders, orders};
use super::progress::{Progress, Step};
use super::start::{How, Outcome, Start};
use super::stay::stay;
use crate::args::{InjectArgs, TogetherArgs};
use crate::exit::Failure;
use crate::interrupt::Interrupt;
use crate::render;

/// How long an agent may take to plan.
const PLAN: Duration = Duration::from_secs(20);

/// What is over sooner could not be told from what never started.
pub const SHORTEST: Span = Span::from_secs(5);

/// How often `--wait` asks whether it is over.
const ASK: Duration = Duration::from_secs(1);

/// A command, ready for all of its hosts.
pub struct Command {
    pub id: Option<FaultId>,
    /// In a few words, for people.
    pub what: String,
    pub specs: BTreeMap<String, FaultSpec>,
    /// The hosts that count as hit.
    pub hit: BTreeSet<String>,
    pub together: TogetherArgs,
    pub start_in: Option<Span>,
    pub wait: bool,
    /// The lease that this command renews until it is over.
    pub hold: Option<Span>,
}

pub async fn run(team: &Team, json: bool, args: InjectArgs) -> Result<ExitCode, Failure> {
    let dry_run = args.dry_run;
    let command = command(team, &args)?;
    if dry_run { plans(&team.orders(command.specs), json).await } else { begin(team, json, command).await }
}

/// What was typed, for each of the hosts that were chosen.
pub fn command(team: &Team, args: &InjectArgs) -> Result<Command, Failure> {
    let usage = |error: super::orders::OrderError| Failure::Usage(error.to_string());
    let names = team.hosts.iter().cloned().collect::<BTreeSet<_>>();
    let mut specs = match &args.link {
        Some(link) => link_orders(&team.fleet, link, args).map_err(usage)?,
        None if team.chosen => orders(&team.fleet, &names, args).map_err(usage)?,
        None => {
            let why = "on which hosts? --on '*' is all of them, and --link NAME those at its end";
            return Err(Failure::Usage(why.to_owned()));
        }
    };
    let without = specs.keys().filter(|name| team.members.iter().all(|member| member.name != **name));
    let without = without.cloned().collect::<Vec<_>>().join(", ");
    if !without.is_empty() {
        return Err(Failure::Usage(format!("{without}: not among the chosen hosts with an agent")));
    }
    // The instant is everybody's, so the way to it is not the agents' business.
    for spec in specs.values_mut() {
        spec.start_in = None;
    }
    let what = specs.values().next().map(ToString::to_string).unwrap_or_default();
    let hit = specs.keys().cloned().collect();
    let hold = args.timing.held();
    let (id, together, start_in, wait) = (args.id.clone(), args.together, args.timing.start_in, args.wait);
    Ok(Command { id, what, specs, hit, together, start_in, wait, hold })
}

/// Puts it into force everywhere, or nowhere.
pub async fn begin(team: &Team, json: bool, command: Command) -> Result<ExitCode, Failure> {
    check(team, &command)?;
    let orders = team.orders(command.specs);
    let first = orders.first().ok_or_else(|| Failure::Usage("there is no host to tell".to_owned()))?;
    let id = command.id.clone().unwrap_or_else(|| FaultId::unique(&first.spec, fastrand::u64(..)));
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

/// Refuses what would hit too many at once, or be over before everybody could tell that it has started.
pub fn check(team: &Team, command: &Command) -> Result<(), Failure> {
    let most = command.together.max_share.unwrap_or(team.fleet.max_share);
    if most != Percent::ALL {
        let share = team.fleet.check_share(&command.hit, most);
        share.map_err(|error| Failure::Usage(error.to_string()))?;
    }
    if let Some(spec) = command.specs.values().find(|spec| spec.duration < SHORTEST) {
        let asked = spec.duration;
        return Err(Failure::Usage(format!(
            "{asked} is over before every host could tell that it has started: --for 5s at least"
        )));
    }
    if let Some(lease) = command.specs.values().find_map(|spec| spec.lease.filter(|lease| *lease < SHORTEST))
    {
        return Err(Failure::Usage(format!(
            "a lease of {lease} may be over before every host has told that it has started: --lease 5s at least"
        )));
    }
    Ok(())
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
