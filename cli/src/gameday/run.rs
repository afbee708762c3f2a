//! The whole run: the file and its fleet are checked, every agent is asked whether it would do its part, then come the rounds and the
//! report.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use partition_agent_core::clock::{BootTime, wall};
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::LocalSet;

use super::desk::Desk;
use super::faults;
use super::file::{self, GameDay, Ground, HookEvent};
use super::hook::Hooks;
use super::log::Log;
use super::markers::Markers;
use super::outline::outline;
use super::questions::Questions;
use super::report;
use super::report::model::{Check, HostReport, Outcome, Report};
use super::round;
use super::stage::{Places, Stage};
use super::view::View;
use super::watch::millis;
use crate::args::{FleetArgs, RunArgs};
use crate::client::Access;
use crate::exit::Failure;
use crate::fleet::{self, Source};
use crate::interrupt::Interrupt;
use crate::lab::{self, Lab};
use crate::render;
use crate::team::Team;
use crate::team::fan_out::fan_out;
use crate::team::progress::{Progress, Step as Reached};

/// How long a host may take to say who it is.
const GREETING: Duration = Duration::from_secs(10);

pub fn run(args: &RunArgs, access: Access, fleet: FleetArgs, json: bool) -> Result<ExitCode, Failure> {
    if args.schema {
        render::json(&file::schema())?;
        return Ok(ExitCode::SUCCESS);
    }
    let path = args.file.as_deref().unwrap_or(Path::new(""));
    let day = read(path, args)?;
    if args.lab {
        return in_lab(args, day, access, fleet, json);
    }
    crate::block_on(async {
        let fleet = fleet_of(&day, fleet)?;
        let alone = fleet.source.is_none() && (access.is_named() || !fleet::is_there());
        if alone {
            check(&day, Ground::Agent)?;
            if args.validate_only {
                return validated(&day);
            }
            return go(args, day, Team::alone(access.client()?), None, json).await;
        }
        let loaded = fleet::load(fleet.source.as_ref(), access.tls.is_named()).await?;
        check(&day, Ground::Fleet(&loaded.fleet))?;
        if args.validate_only {
            return validated(&day);
        }
        go(args, day, Team::of(loaded, &fleet, &access)?, None, json).await
    })
}

/// Its own network namespaces have to be there before the first thread.
fn in_lab(
    args: &RunArgs,
    day: GameDay,
    access: Access,
    fleet: FleetArgs,
    json: bool,
) -> Result<ExitCode, Failure> {
    let fleet = fleet_of(&day, fleet)?;
    if fleet.source.is_none() {
        return Err(Failure::Usage(
            "a lab has the hosts of a fleet file: name one in the game day (fleet:), or with --fleet"
                .to_owned(),
        ));
    }
    if !args.validate_only {
        lab::isolate()?;
    }
    crate::block_on(async {
        let loaded = fleet::load(fleet.source.as_ref(), false).await?;
        check(&day, Ground::Lab(&loaded.fleet))?;
        if args.validate_only {
            return validated(&day);
        }
        let (lab, loaded) = Lab::raise(loaded, &|what| render::progress(what)).await?;
        let access = Access { agent: None, token_file: None, tls: access.tls };
        go(args, day, Team::of(loaded, &fleet, &access)?, Some(Rc::new(lab)), json).await
    })
}

fn read(path: &Path, args: &RunArgs) -> Result<GameDay, Failure> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|error| Failure::Failed(format!("{}: {error}", path.display())))?;
    let environment = |name: &str| std::env::var(name).ok();
    let day = file::read(path, &text, args.severity, &environment);
    let mut day = day.map_err(|mistakes| mistaken(path, &mistakes))?;
    if !args.scenario.is_empty() {
        day.keep(&args.scenario).map_err(Failure::Usage)?;
    }
    if let Some(faster) = args.faster {
        day.hurry(faster);
    }
    Ok(day)
}

fn mistaken(path: &Path, mistakes: &[String]) -> Failure {
    let many = if let [_] = mistakes { "a mistake" } else { "mistakes" };
    Failure::Usage(format!("{} has {many}:\n{}", path.display(), mistakes.join("\n")))
}

/// What was typed goes before what the file says.
fn fleet_of(day: &GameDay, fleet: FleetArgs) -> Result<FleetArgs, Failure> {
    if fleet.source.is_none() {
        day.check_fleet().map_err(|missing| mistaken(&day.path, &[missing]))?;
    }
    let source = fleet.source.or_else(|| day.fleet.clone().map(Source::File));
    Ok(FleetArgs { source, on: fleet.on })
}

fn check(day: &GameDay, ground: Ground<'_>) -> Result<(), Failure> {
    let mistakes = day.check_against(ground);
    if mistakes.is_empty() { Ok(()) } else { Err(mistaken(&day.path, &mistakes)) }
}

fn validated(day: &GameDay) -> Result<ExitCode, Failure> {
    render::line(&format!("{}: nothing is wrong with it", day.path.display()))?;
    Ok(ExitCode::SUCCESS)
}

async fn go(
    args: &RunArgs,
    day: GameDay,
    team: Team,
    lab: Option<Rc<Lab>>,
    json: bool,
) -> Result<ExitCode, Failure> {
    let (day, team) = (Rc::new(day), Rc::new(team));
    let hosts = greet(&team).await?;
    let refused = rehearse(&day, &team).await;
    if !refused.is_empty() {
        return Err(mistaken(&day.path, &refused));
    }
    if args.dry_run {
        render::write(&outline(&day))?;
        return Ok(ExitCode::SUCCESS);
    }
    if lab.is_none() {
        agree(args, &day, &team)?;
    }
    let dir = report_dir(args, &day)?;
    let run = format!("{:08x}", fastrand::u32(..));
    let log = Rc::new(Log::new(BootTime::now(), View::new(json)));
    let (warn, mut warnings) = unbounded_channel();
    let places = Places { lab: lab.clone(), team: Rc::clone(&team) };
    let mut stage = Stage {
        places,
        questions: Rc::new(Questions::of(&day)),
        log: Rc::clone(&log),
        desk: Desk::open(&dir)?,
        hooks: Hooks::start(&day.hooks, &day.name, &day.directory(), &warn),
        markers: Markers::default(),
        interrupt: Interrupt::listen()?,
        yes: args.yes,
        run: run.clone(),
        ends_ms: millis(day.longest),
        day: Rc::clone(&day),
        team,
    };
    let started_at = wall(Duration::ZERO);
    stage.hooks.tell(HookEvent::Started, &format!("the game day {} begins", day.name));
    let asked = Rc::clone(&stage.questions);
    let (mut rounds, mut why, mut broken) = (Vec::new(), Vec::new(), false);
    let local = LocalSet::new();
    for (nth, round) in (1..).zip(&day.rounds) {
        // What one round wrote is nothing that another finds.
        if day.rounds.len() > 1 {
            stage.run = format!("{run}-{nth}");
        }
        let gone = match local.run_until(round::run(&mut stage, round)).await {
            Ok(gone) => gone,
            // What the rounds before it have found is told all the same.
            Err(what) => {
                why.push(what);
                broken = true;
                break;
            }
        };
        let over = matches!(gone.report.outcome, Outcome::Aborted | Outcome::NotStarted);
        rounds.push(gone.report);
        why.extend(gone.why);
        if over {
            break;
        }
    }
    log.view.clear();
    let outcome = rounds.iter().map(|round| round.outcome).max_by_key(|outcome| gravity(*outcome));
    let outcome = if broken { Outcome::Aborted } else { outcome.unwrap_or(Outcome::NotStarted) };
    stage.hooks.tell(HookEvent::Finished, &format!("the game day {} is over: {}", day.name, told(outcome)));
    stage.hooks.finish(&warn).await;
    while let Ok(warning) = warnings.try_recv() {
        log.warn(warning);
    }
    let report = Report {
        format: Report::FORMAT,
        name: day.name.clone(),
        about: day.about.clone(),
        file: day.path.display().to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        run,
        started_at,
        lasted_ms: log.now(),
        participants: day.participants.clone(),
        severity: day.severity.to_string(),
        lab: lab.is_some(),
        faster: args.faster.map_or(1, std::num::NonZero::get),
        outcome,
        why,
        hosts,
        rounds,
        questions: asked.answered(&log.notes()),
        notes: log.notes(),
        warnings: log.warnings(),
    };
    let paths = report::write(&dir, &report)?;
    if json {
        render::json(&report)?;
    } else {
        summary(&report, &paths)?;
    }
    Ok(if outcome == Outcome::Passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Who takes part. A host that does not answer now would not heal either.
async fn greet(team: &Team) -> Result<BTreeMap<String, HostReport>, Failure> {
    let quiet = Progress::new([], true);
    let answers = fan_out(&team.members, GREETING, &quiet, Reached::Asked, |member| async move {
        member.client.info().await
    })
    .await;
    let mut hosts = BTreeMap::new();
    for (name, answer) in answers {
        let info = answer?;
        let agent = team.members.iter().find(|member| member.name == name);
        let agent = agent.map(|member| member.client.address()).unwrap_or_default();
        hosts.insert(name, HostReport { agent, version: info.version, kernel: info.kernel });
    }
    Ok(hosts)
}

/// Every fault as a dry run on its agents: what one of them refuses, with its line.
async fn rehearse(day: &GameDay, team: &Team) -> Vec<String> {
    let mut refused = Vec::new();
    for step in day.rounds.iter().flat_map(|round| &round.steps) {
        let whys = match step.action.as_ref().and_then(|action| action.command(team.chosen())) {
            None => continue,
            Some(Err(why)) => vec![why],
            Some(Ok(command)) => faults::ask(team, command).await,
        };
        let at = format!("{}:{}: {}", day.path.display(), step.line, step.name);
        refused.extend(whys.into_iter().map(|why| format!("{at}: {why}")));
    }
    refused
}

/// Real hosts are cut on purpose only.
fn agree(args: &RunArgs, day: &GameDay, team: &Team) -> Result<(), Failure> {
    if args.yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        let why =
            "a run on real hosts asks before it begins: say --yes, as nobody sits here who could answer";
        return Err(Failure::Usage(why.to_owned()));
    }
    render::progress(&outline(day));
    let hosts = team.members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>().join(", ");
    render::progress(&format!("faults will be put into force on {hosts}; type `yes` to begin:"));
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    if line.trim().eq_ignore_ascii_case("yes") {
        return Ok(());
    }
    Err(Failure::Failed("nothing was done".to_owned()))
}

/// A new one, unless somebody chose one that has no report yet.
fn report_dir(args: &RunArgs, day: &GameDay) -> Result<PathBuf, Failure> {
    let dir = args.report.clone().unwrap_or_else(|| {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let name = day.name.chars().map(plain).take(40).collect::<String>();
        let digits = |c: &char| c.is_ascii_digit() || *c == 'T';
        let at = wall(Duration::ZERO).chars().take(19).filter(digits).collect::<String>();
        PathBuf::from(format!("gameday-{}-{at}", name.trim_matches('-')))
    });
    if dir.join("report.json").exists() {
        return Err(Failure::Usage(format!(
            "{} has a report already: choose another directory",
            dir.display()
        )));
    }
    let made = std::fs::create_dir_all(&dir);
    made.map_err(|error| Failure::Failed(format!("{}: {error}", dir.display())))?;
    Ok(dir)
}

/// The worse the higher.
fn gravity(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Passed => 0,
        Outcome::Failed => 1,
        Outcome::NotStarted => 2,
        Outcome::Aborted => 3,
    }
}

/// `aborted. It was broken off, ...`.
fn told(outcome: Outcome) -> String {
    format!("{}. {}", outcome.word().to_lowercase(), outcome.meaning())
}

fn summary(report: &Report, paths: &report::Paths) -> Result<(), Failure> {
    let mut text = format!("{}: {}\n", report.name, told(report.outcome));
    for why in &report.why {
        text.push_str(&format!("  {why}\n"));
    }
    for round in &report.rounds {
        let name = round.scenario.as_ref().map(|scenario| format!("{scenario}: ")).unwrap_or_default();
        // What a step expected, and is so, is in the report.
        let told = |check: &&Check| !check.expectation || check.met == Some(false);
        for check in round.checks.iter().filter(told) {
            let met = match check.met {
                Some(true) => "met     ",
                Some(false) => "NOT MET ",
                None => "measured",
            };
            let target = if check.target.is_empty() { String::new() } else { format!(" ({})", check.target) };
            text.push_str(&format!("  {met}  {name}{}: {}{target}\n", check.what, check.measured));
        }
    }
    for path in [&paths.json, &paths.markdown, &paths.html] {
        text.push_str(&format!("  {}\n", path.display()));
    }
    render::write(&text)
}
