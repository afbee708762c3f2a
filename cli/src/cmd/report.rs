//! `report`: what became of game days. No agent is asked.

use std::path::Path;
use std::process::ExitCode;

use crate::args::{CompareArgs, RenderArgs, ReportVerb};
use crate::exit::Failure;
use crate::gameday::report;
use crate::render;

pub fn run(verb: &ReportVerb, json: bool) -> Result<ExitCode, Failure> {
    match verb {
        ReportVerb::Render(args) => again(args, json),
        ReportVerb::Compare(args) => compare(args, json),
    }
}

fn again(args: &RenderArgs, json: bool) -> Result<ExitCode, Failure> {
    let report = report::read(&args.file).map_err(Failure::Failed)?;
    let beside = args.file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (markdown, html) = report::write_for_people(args.dir.as_deref().unwrap_or(beside), &report)?;
    render::report::written(&[markdown, html], json)?;
    Ok(ExitCode::SUCCESS)
}

fn compare(args: &CompareArgs, json: bool) -> Result<ExitCode, Failure> {
    let reports = args.files.iter().map(|file| report::read(file)).collect::<Result<Vec<_>, _>>();
    let trend = report::compare::trend(&reports.map_err(Failure::Failed)?).map_err(Failure::Failed)?;
    if let Some(html) = &args.html {
        report::write_trend(html, &trend)?;
    }
    if json {
        render::json(&trend)?
    } else {
        render::report::trend(&trend)?
    }
    Ok(ExitCode::SUCCESS)
}
