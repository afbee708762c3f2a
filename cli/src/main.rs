//! `partition-agent`: the daemon and every verb that talks to it.

mod args;
mod client;
mod cmd;
mod demo;
mod exit;
mod foreground;
mod render;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Verb};
use client::Access;
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
    let Args { agent, token_file, json, verb } = args;
    let access = Access { agent, token_file };
    match verb {
        Verb::Serve(serve) => cmd::serve::run(&serve, access.token_file),
        Verb::Demo(demo) => demo::run(&demo),
        Verb::LabHost(host) => demo::lab::host(&host),
        Verb::LabExec(exec) => Err(demo::lab::exec(&exec)),
        Verb::LabRespond(respond) => demo::lab::respond(&respond),
        Verb::Inject(inject) => block_on(cmd::inject::run(access, json, *inject)),
        Verb::Restore(restore) => block_on(cmd::restore::run(access, json, restore)),
        Verb::Change(change) => block_on(cmd::change::run(access, json, change)),
        Verb::Status(status) => block_on(cmd::status::run(access, json, status)),
        Verb::History(history) => block_on(cmd::history::run(access, json, history)),
        Verb::Profiles => cmd::profiles::run(args.json),
        Verb::Doctor => block_on(cmd::doctor::run(access, json)),
    }
}

fn block_on(verb: impl Future<Output = Result<ExitCode, Failure>>) -> Result<ExitCode, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(verb)
}
