//! `ca`: an authority, and what it issues. No agent is asked.

use std::path::Path;
use std::process::ExitCode;

use jiff::Timestamp;

use crate::args::{CaVerb, InitArgs, IssueArgs};
use crate::ca::{Authority, Directory, Subject, USUAL};
use crate::exit::Failure;
use crate::render;

/// What the authority's own files are called.
const CA: &str = "ca";

pub fn run(verb: &CaVerb, json: bool) -> Result<ExitCode, Failure> {
    match verb {
        CaVerb::Init(args) => init(args, json),
        CaVerb::Issue(args) => issue(args, json),
    }
}

fn init(args: &InitArgs, json: bool) -> Result<ExitCode, Failure> {
    let directory = Directory::at(&args.dir);
    directory.make().map_err(Failure::Failed)?;
    let made = Authority::make(&args.name, args.days, Timestamp::now()).map_err(Failure::Failed)?;
    let written = directory
        .write(CA, &made, "issue from it, or name another directory with --dir")
        .map_err(Failure::Failed)?;
    let is_usual = args.dir == Path::new(USUAL);
    render::ca::authority(&args.name, &written, made.until, (!is_usual).then_some(args.dir.as_path()), json)?;
    Ok(ExitCode::SUCCESS)
}

fn issue(args: &IssueArgs, json: bool) -> Result<ExitCode, Failure> {
    let whose = match args.role {
        Some(role) => Subject::Caller(role),
        None => Subject::Agent(args.hosts.clone()),
    };
    let directory = Directory::at(&args.dir);
    directory.judge().map_err(Failure::Failed)?;
    let ca = directory.files_of(CA);
    let authority = Authority::read(&ca.certificate, &ca.key).map_err(Failure::Failed)?;
    let issued = authority.issue(&args.name, &whose, args.days, Timestamp::now()).map_err(Failure::Failed)?;
    let instead = "choose another name, or move both of its files away if nobody uses them any more";
    let written = directory.write(args.name.as_str(), &issued, instead).map_err(Failure::Failed)?;
    render::ca::issued(&args.name, &whose, &written, &ca.certificate, issued.until, json)?;
    Ok(ExitCode::SUCCESS)
}
