//! `partition-agent`: the daemon and every verb that talks to it.

mod annotate;
mod args;
mod ca;
mod client;
mod cmd;
mod completion;
mod demo;
mod events;
mod exit;
mod fleet;
mod fleet_view;
mod foreground;
mod gameday;
mod http;
mod interrupt;
mod lab;
mod log;
mod mistakes;
mod render;
mod resolver;
mod schema;
mod team;
mod tls;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, FleetArgs, Verb};
use client::Access;
use exit::Failure;
use team::Team;

/// Readers of outside bytes, for `tests/fuzz`.
#[cfg(feature = "fuzz")]
pub mod fuzzing {
    pub use crate::fleet::fuzzing::*;
    pub use crate::gameday::file::fuzzing::*;
    pub use crate::gameday::probe::fuzzing::*;
}

/// Probes without a game day around them, for `tests/gameday`.
#[cfg(feature = "fuzz")]
pub mod probing {
    pub use crate::gameday::file::{Ask, Comparison, Probe};
    pub use crate::gameday::probe::{Answer, Place, Prober};
}

/// The client of an agent that shows others, for agents without a process of their own in tests.
#[cfg(feature = "fuzz")]
pub use fleet_view::client as fleet_client;

/// Whether these words after the program's name are a command of it, for `tests/docs`: nothing is done.
///
/// # Errors
/// What it would complain of.
#[cfg(feature = "fuzz")]
pub fn understand(words: &[String]) -> Result<(), String> {
    let name = std::iter::once("partition-agent");
    match Args::try_parse_from(name.chain(words.iter().map(String::as_str))) {
        // `--help` and `--version` are understood, too.
        Err(error) if error.use_stderr() => Err(error.to_string()),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// What can be typed and written, and what comes of it, for the reference.
pub mod reference {
    use partition_agent_core::config::Config;
    use serde_json::Value;

    pub use crate::exit::STATUSES;
    pub use crate::fleet::file_schema;

    /// Of `agent.toml`, as a JSON schema.
    #[must_use]
    pub fn agent_schema() -> Value {
        crate::schema::document::<Config>("Configuration of partition-agent", |_, schema| {
            // TOML has no null: such a key is left out.
            let keys = schema.get_mut("properties").and_then(Value::as_object_mut);
            let keys = keys.into_iter().flat_map(|keys| keys.values_mut()).filter_map(Value::as_object_mut);
            keys.filter(|key| key.get("default").is_some_and(Value::is_null)).for_each(|key| {
                key.remove("default");
            });
        })
    }

    /// Every verb and flag, as `--help` knows them.
    #[must_use]
    pub fn command() -> clap::Command {
        let mut program =
            <crate::args::Args as clap::CommandFactory>::command().disable_help_subcommand(true);
        program.build();
        program
    }
}

/// The whole program.
#[must_use]
pub fn main() -> ExitCode {
    let done = completion::answered()
        .and_then(|answered| if answered { Ok(ExitCode::SUCCESS) } else { run(Args::parse()) });
    match done {
        Ok(code) => code,
        Err(failure) => {
            render::complain(&failure);
            failure.code()
        }
    }
}

fn run(args: Args) -> Result<ExitCode, Failure> {
    let Args { agent, token_file, tls, fleet, json, verb } = args;
    let access = Access { agent, token_file, tls };
    match verb {
        Verb::Serve(serve) => cmd::serve::run(&serve, access.token_file, access.tls),
        Verb::Demo(demo) => demo::run(&demo),
        Verb::Lab(args) => cmd::lab::run(args, &fleet, json),
        Verb::LabHold(args) => cmd::lab::hold(&args),
        Verb::LabHost(host) => lab::host::hold(&host),
        Verb::LabEnter(args) => Err(lab::host::become_program(&args)),
        Verb::LabInit(args) => lab::offspring::init(&args),
        Verb::LabSweep(args) => lab::sweeper::sweep(&args),
        Verb::LabRespond(respond) => demo::redis::respond(&respond),
        Verb::Profiles => cmd::profiles::run(json),
        Verb::Completions(args) => cmd::completions::run(&args),
        Verb::Man(args) => cmd::man::run(&args),
        Verb::Fleet(args) => block_on(cmd::fleet::run(fleet, &access.tls, json, args.verb)),
        Verb::Run(args) => gameday::run(&args, access, fleet, json),
        Verb::Note(args) => block_on(gameday::note(args)),
        Verb::Ca(args) => cmd::ca::run(&args.verb, json),
        Verb::Report(args) => cmd::report::run(&args.verb, json),
        Verb::Partition(_) | Verb::Matrix(_) if access.is_named() => Err(one_or_many()),
        Verb::Partition(args) => {
            block_on(async { team::partition::run(&Team::gather(&fleet, &access).await?, json, *args).await })
        }
        Verb::Matrix(args) => {
            block_on(async { team::matrix(&Team::gather(&fleet, &access).await?, json, args).await })
        }
        Verb::Inject(args) => block_on(async {
            if let Some(usage) = args.usage() {
                return Err(Failure::Usage(usage));
            }
            // A link is one of a fleet's.
            if args.link.is_some() && access.is_named() {
                return Err(one_or_many());
            }
            if args.link.is_some() {
                return team::inject::run(&Team::gather(&fleet, &access).await?, json, *args).await;
            }
            match whom(access, &fleet).await? {
                Whom::One(access) => cmd::inject::run(access, json, *args).await,
                Whom::Many(team) => team::inject::run(&team, json, *args).await,
            }
        }),
        Verb::Restore(args) => block_on(async {
            match whom(access, &fleet).await? {
                Whom::One(access) => cmd::restore::run(access, json, args).await,
                Whom::Many(team) => team::restore(&team, json, args).await,
            }
        }),
        Verb::Change(args) => block_on(async {
            match whom(access, &fleet).await? {
                Whom::One(access) => cmd::change::run(access, json, args).await,
                Whom::Many(team) => team::change(&team, json, args).await,
            }
        }),
        Verb::Renew(args) => block_on(async {
            match whom(access, &fleet).await? {
                Whom::One(access) => cmd::renew::run(access, json, args).await,
                Whom::Many(team) => team::renew(&team, json, args).await,
            }
        }),
        Verb::Status(args) => block_on(async {
            match whom(access, &fleet).await? {
                Whom::One(access) => cmd::status::run(access, json, args).await,
                Whom::Many(team) => team::status(&team, json, args).await,
            }
        }),
        Verb::Watch(args) => block_on(async {
            match whom(access, &fleet).await? {
                Whom::One(access) => watch::one(&access, json, &args).await,
                Whom::Many(team) => watch::many(&team, json, &args).await,
            }
        }),
        Verb::History(args) => block_on(async {
            match whom(access, &fleet).await? {
                Whom::One(access) => cmd::history::run(access, json, args).await,
                Whom::Many(team) => team::history(&team, json, args).await,
            }
        }),
        Verb::Annotate(args) => block_on(async {
            let team = match whom(access, &fleet).await? {
                Whom::One(access) => Team::alone(access.client()?),
                Whom::Many(team) => *team,
            };
            annotate::run(&team, json, &args).await
        }),
        Verb::Doctor => block_on(async {
            match whom(access, &fleet).await? {
                Whom::One(access) => cmd::doctor::run(access, json).await,
                Whom::Many(team) => team::doctor(&team, json).await,
            }
        }),
    }
}

/// Whom a verb is for.
enum Whom {
    /// The agent that was named, or the one of this host.
    One(Access),
    Many(Box<Team>),
}

/// Hosts of a fleet, where one was named or some of its hosts were.
async fn whom(access: Access, fleet: &FleetArgs) -> Result<Whom, Failure> {
    match (access.is_named(), fleet.is_named()) {
        (_, false) => Ok(Whom::One(access)),
        (false, true) => Ok(Whom::Many(Box::new(Team::gather(fleet, &access).await?))),
        (true, true) => Err(one_or_many()),
    }
}

fn one_or_many() -> Failure {
    Failure::Usage(
        "--agent is one agent, and a fleet is many: leave --agent (or PARTITION_AGENT) out".to_owned(),
    )
}

pub fn block_on(verb: impl Future<Output = Result<ExitCode, Failure>>) -> Result<ExitCode, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(verb)
}
