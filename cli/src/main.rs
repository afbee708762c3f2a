//! `partition-agent`: the daemon and every verb that talks to it.

mod args;
mod client;
mod cmd;
mod demo;
mod exit;
mod fleet;
mod foreground;
mod interrupt;
mod render;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Verb};
use exit::Failure;

fn main() -> ExitCode {
    let args = Args::parse();
    match run(args) {
        Ok(code) => code,
        Err(failure) => {
            render::complain(&failure);
            failure.code()
        }
    }
}

fn run(args: Args) -> Result<ExitCode, Failure> {
    let Args { agent, fleet, json, verb } = args;
    match verb {
        Verb::Serve(serve) => cmd::serve::run(&serve),
        Verb::Demo(demo) => demo::run(&demo),
        Verb::LabHost(host) => demo::lab::host(&host),
        Verb::LabExec(exec) => Err(demo::lab::exec(&exec)),
        Verb::LabRespond(respond) => demo::lab::respond(&respond),
        Verb::Inject(inject) => block_on(cmd::inject::run(agent, json, *inject)),
        Verb::Restore(restore) => block_on(cmd::restore::run(agent, json, restore)),
        Verb::Change(change) => block_on(cmd::change::run(agent, json, change)),
        Verb::Status(status) => block_on(cmd::status::run(agent, json, status)),
        Verb::History(history) => block_on(cmd::history::run(agent, json, history)),
        Verb::Fleet(args) => block_on(cmd::fleet::run(fleet, json, args.verb)),
        Verb::Profiles => cmd::profiles::run(json),
        Verb::Doctor => block_on(cmd::doctor::run(agent, json)),
    }
}

fn block_on(verb: impl Future<Output = Result<ExitCode, Failure>>) -> Result<ExitCode, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(verb)
}
