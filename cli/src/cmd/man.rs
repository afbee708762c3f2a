//! `man`: the manual pages, made of the definitions that --help is made of.

use std::path::Path;
use std::process::ExitCode;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::args::ManArgs;
use crate::exit::{Failure, STATUSES};
use crate::{reference, render};

/// What no definition of an argument tells.
const SECTIONS: [(&str, &[(&str, &str)]); 2] = [
    ("EXIT STATUS", &STATUSES),
    (
        "FILES",
        &[
            ("/run/partition-agent/agent.sock", "The socket of the agent."),
            ("/etc/partition-agent/agent.toml", "Its configuration."),
            ("/var/lib/partition-agent", "Its journal and its audit log."),
            ("fleet.toml, /etc/partition-agent/fleet.toml", "The fleet."),
        ],
    ),
];

pub fn run(args: &ManArgs) -> Result<ExitCode, Failure> {
    let program = reference::command();
    if let Some(dir) = &args.dir {
        write_all(&program, dir)?;
        return Ok(ExitCode::SUCCESS);
    }
    let command = args.verb.iter().try_fold(&program, |command, verb| {
        let found = command.get_subcommands().find(|found| found.get_name() == verb && !found.is_hide_set());
        found.ok_or_else(|| {
            let verbs = verbs(command).map(Command::get_name).collect::<Vec<_>>();
            let of = command.get_name();
            Failure::Usage(match verbs.as_slice() {
                [] => format!("{of} has no verbs, so there is no `{of} {verb}`"),
                verbs => format!("{of} has no verb `{verb}`: it has {}", verbs.join(", ")),
            })
        })
    })?;
    render::write(&page(command)?)?;
    Ok(ExitCode::SUCCESS)
}

fn verbs(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|verb| !verb.is_hide_set())
}

fn write_all(command: &Command, dir: &Path) -> Result<(), Failure> {
    let file = dir.join(Man::new(command.clone()).get_filename());
    let failed = |error| Failure::Failed(format!("{}: {error}", file.display()));
    std::fs::create_dir_all(dir).map_err(failed)?;
    std::fs::write(&file, page(command)?).map_err(failed)?;
    verbs(command).try_for_each(|verb| write_all(verb, dir))
}

fn page(command: &Command) -> Result<String, Failure> {
    let examples = command.get_after_help().map(ToString::to_string);
    let without = command.clone().after_help(None::<&str>);
    let version = command.get_version().unwrap_or_default();
    let mut page = Vec::new();
    Man::new(without)
        .source(format!("partition-agent {version}"))
        .manual("partition-agent")
        .render(&mut page)?;
    let mut rest = Roff::new();
    if let Some(examples) = examples {
        // As they are, one on a line.
        rest.control("SH", ["EXAMPLES"]).control("nf", []);
        for line in examples.lines().skip(1) {
            rest.text([roman(line)]);
        }
        rest.control("fi", []);
    }
    for (title, entries) in SECTIONS {
        rest.control("SH", [title]);
        for (name, what) in entries {
            rest.control("TP", []).text([bold(*name)]).text([roman(*what)]);
        }
    }
    rest.to_writer(&mut page)?;
    String::from_utf8(page).map_err(|error| Failure::Failed(error.to_string()))
}
