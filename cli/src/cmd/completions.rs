//! `completions`: the script by which a shell completes what is typed.

use std::process::ExitCode;

use crate::args::CompletionsArgs;
use crate::completion::script;
use crate::exit::Failure;
use crate::render;

pub fn run(args: &CompletionsArgs) -> Result<ExitCode, Failure> {
    render::write(&script(args.shell)?)?;
    Ok(ExitCode::SUCCESS)
}
