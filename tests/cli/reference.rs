//! `docs/reference/cli.md`: made of the definitions of the command line, and true of the program.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use clap::builder::{PossibleValue, StyledStr};
use clap::{Arg, Command};
use partition_agent_cli::reference::{STATUSES, command};

use crate::run::{finish, program};

/// Variables that stand for no flag.
const VARIABLES: [(&str, &str); 9] = [
    ("CONSUL_CACERT", "With `--fleet consul:`: the file with the authorities of Consul"),
    ("CONSUL_HTTP_TOKEN", "With `--fleet consul:`: the token for Consul"),
    (
        "DOCKER_HOST",
        "Where `engines` of the configuration names no socket: a container engine, if it is `unix://PATH`",
    ),
    ("JOURNAL_STREAM", "Set by systemd: the log goes into its journal where standard error does"),
    ("NO_COLOR", "With anything in it: the log has no colours"),
    ("RUST_LOG", "How much `serve` and `inject` without an agent log; `info` without it"),
    ("SSH_CONNECTION", "Set by sshd: no fault touches the connection that you came by"),
    ("SSL_CERT_FILE", "The file with the authorities of the system, where they are not in a usual place"),
    ("XDG_RUNTIME_DIR", "Where labs are kept; `/run` without it"),
];

const HEAD: &str = "\
# The command line

Every verb and every flag, as `--help` and the manual pages have them. This page is made of the program: see
[testing.md](../testing.md) before you change it. How to use it all is in the [guide](../guide.md).
";

/// Verbs that people type, with those below them, as `lab up`.
fn verbs(command: &Command) -> Vec<(String, &Command)> {
    let mut all = Vec::new();
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        let name = verb.get_name().to_owned();
        let below = verbs(verb).into_iter().map(|(more, verb)| (format!("{name} {more}"), verb));
        let below = below.collect::<Vec<_>>();
        all.push((name, verb));
        all.extend(below);
    }
    all
}

fn anchor(name: &str) -> String {
    name.replace(' ', "-")
}

/// What Markdown would take for its own, outside of code.
fn escaped(text: &str) -> String {
    let parts = text.split('`').enumerate().map(|(nth, part)| {
        let part = part.replace('|', "\\|");
        if nth % 2 == 1 { part } else { part.replace('<', "\\<").replace('*', "\\*") }
    });
    parts.collect::<Vec<_>>().join("`")
}

fn code(text: &str) -> String {
    format!("`{}`", text.replace('|', "\\|"))
}

fn sentence(text: Option<&StyledStr>) -> String {
    text.map(ToString::to_string).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What an argument does, without the default that some tell in words at their end.
fn told(argument: &Arg) -> (String, Option<String>) {
    let help = sentence(argument.get_help());
    match help.strip_suffix(']').and_then(|help| help.rsplit_once(" [default: ")) {
        Some((help, default)) => (help.to_owned(), Some(default.to_owned())),
        None => (help, None),
    }
}

fn takes_value(argument: &Arg) -> bool {
    argument.get_action().takes_values()
}

fn choices(argument: &Arg) -> Vec<PossibleValue> {
    let all = if takes_value(argument) { argument.get_possible_values() } else { Vec::new() };
    all.into_iter().filter(|choice| !choice.is_hide_set()).collect()
}

fn row(argument: &Arg) -> String {
    let names = argument.get_value_names().unwrap_or_default().join(" ");
    let several = argument.get_value_delimiter().map(|with| format!("{with}...")).unwrap_or_default();
    let may_be_left_out =
        takes_value(argument) && argument.get_num_args().is_some_and(|count| count.min_values() == 0);
    let value = if may_be_left_out { format!("[={names}]") } else { format!("{names}{several}") };
    let short = argument.get_short().map(|short| format!("`-{short}` ")).unwrap_or_default();
    let (name, value) = match argument.get_long() {
        Some(long) if takes_value(argument) => (format!("{short}`--{long}`"), code(&value)),
        Some(long) => (format!("{short}`--{long}`"), String::new()),
        None => (code(&value), String::new()),
    };
    let (mut what, words) = told(argument);
    let choices = choices(argument);
    if !choices.is_empty() {
        let choices = choices.iter().map(|choice| {
            let help =
                choice.get_help().map(|help| format!(" ({})", sentence(Some(help)))).unwrap_or_default();
            format!("`{}`{help}", choice.get_name())
        });
        write!(what, ": {}", choices.collect::<Vec<_>>().join(", ")).unwrap();
    }
    let values = argument.get_default_values().iter().map(|value| code(value.to_str().unwrap()));
    let values = if takes_value(argument) { values.collect::<Vec<_>>() } else { Vec::new() };
    let default = match words {
        Some(words) => escaped(&words),
        None if argument.is_required_set() => "*required*".to_owned(),
        None => values.join(", "),
    };
    let variable = argument.get_env().map(|name| code(name.to_str().unwrap())).unwrap_or_default();
    format!("| {name} | {value} | {default} | {variable} | {} |\n", escaped(&what))
}

/// A table for each heading, in the order in which `--help` has them.
fn tables(page: &mut String, arguments: &[&Arg]) {
    let mut headings = Vec::<(&str, String)>::new();
    for argument in arguments {
        let usual = if argument.is_positional() { "Arguments" } else { "Flags" };
        let heading = argument.get_help_heading().unwrap_or(usual);
        match headings.iter_mut().find(|(known, _)| *known == heading) {
            Some((_, rows)) => rows.push_str(&row(argument)),
            None => headings.push((heading, row(argument))),
        }
    }
    for (heading, rows) in headings {
        write!(page, "\n**{heading}**\n\n").unwrap();
        write!(
            page,
            "| | Value | Default | Variable | What it does |\n| --- | --- | --- | --- | --- |\n{rows}"
        )
        .unwrap();
    }
}

/// Those that only this verb has; `--help` and `--version` are everybody's.
fn own(verb: &Command) -> Vec<&Arg> {
    let is_own = |argument: &&Arg| {
        !argument.is_global_set()
            && !argument.is_hide_set()
            && !matches!(argument.get_id().as_str(), "help" | "version")
    };
    let (mut positional, flags) =
        verb.get_arguments().filter(is_own).partition::<Vec<_>, _>(|argument| argument.is_positional());
    positional.extend(flags);
    positional
}

fn usage(verb: &Command) -> String {
    let usage = verb.clone().render_usage().to_string();
    usage.trim_start_matches("Usage:").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn section(page: &mut String, name: &str, verb: &Command) {
    let level = "#".repeat(2 + name.split(' ').count());
    write!(page, "\n{level} {name}\n\n{}.\n\n    {}\n", escaped(&sentence(verb.get_about())), usage(verb))
        .unwrap();
    tables(page, &own(verb));
    examples(page, verb);
}

fn examples(page: &mut String, command: &Command) {
    let Some(examples) = command.get_after_help() else { return };
    page.push_str("\nExamples:\n\n");
    for line in examples.to_string().lines().skip(1) {
        writeln!(page, "    {}", line.trim()).unwrap();
    }
}

/// Every variable, with what it does.
fn variables(command: &Command) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for verb in std::iter::once(command).chain(verbs(command).into_iter().map(|(_, verb)| verb)) {
        for argument in verb.get_arguments() {
            let (Some(name), Some(long)) = (argument.get_env(), argument.get_long()) else { continue };
            all.insert(
                name.to_str().unwrap().to_owned(),
                format!("`--{long}`: {}", escaped(&told(argument).0)),
            );
        }
    }
    all.extend(VARIABLES.map(|(name, what)| (name.to_owned(), what.to_owned())));
    all
}

fn generated() -> String {
    let command = command();
    let mut page = HEAD.to_owned();
    let verbs = verbs(&command);
    page.push_str("\n| Verb | |\n| --- | --- |\n");
    for (name, verb) in &verbs {
        let about = escaped(&sentence(verb.get_about()));
        writeln!(page, "| [`{name}`](#{}) | {about} |", anchor(name)).unwrap();
    }
    page.push_str("| [variables](#environment-variables) | What the environment says |\n");
    page.push_str("| [exit statuses](#exit-statuses) | What a script goes by |\n");
    write!(page, "\n## Every verb\n\n    {}\n", usage(&command)).unwrap();
    page.push_str("\nThese go with every verb, before it or after it. So does `--help`, and `--version`.\n");
    tables(
        &mut page,
        &command.get_arguments().filter(|argument| argument.is_global_set()).collect::<Vec<_>>(),
    );
    examples(&mut page, &command);
    page.push_str("\n## Verbs\n");
    for (name, verb) in &verbs {
        section(&mut page, name, verb);
    }
    page.push_str("\n## Environment variables\n\nA flag wins over its variable.\n\n| Variable | What it does |\n| --- | --- |\n");
    for (name, what) in variables(&command) {
        writeln!(page, "| `{name}` | {what} |").unwrap();
    }
    page.push_str("\n## Exit statuses\n\n| Status | |\n| --- | --- |\n");
    for (status, what) in STATUSES {
        writeln!(page, "| {status} | {what} |").unwrap();
    }
    page.push_str("\n`lab exec` ends with the status of the command that it runs.\n");
    page
}

#[test]
fn the_published_reference_is_the_generated_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/cli.md");
    if std::env::var_os("UPDATE_REFERENCE").is_some_and(|value| value == "1") {
        std::fs::write(&path, generated()).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).unwrap_or_default() == generated(),
        "docs/reference/cli.md is out of date: UPDATE_REFERENCE=1 cargo test -p partition-agent-tests --test cli reference"
    );
}

#[test]
fn every_argument_says_what_it_does() {
    let command = command();
    for (name, verb) in verbs(&command) {
        assert!(verb.get_about().is_some(), "{name}");
        for argument in own(verb) {
            assert!(!told(argument).0.is_empty(), "{name}: {}", argument.get_id());
        }
    }
}

/// The flags that begin a line of what a verb's `--help` prints.
fn helped(verb: &str) -> BTreeSet<String> {
    let run = finish(program(&format!("{verb} --help")).spawn().unwrap());
    assert_eq!(run.code, Some(0), "{verb}: {}", run.stderr);
    // What they do is told further in, and may name others.
    let flag = |line: &str| {
        let line =
            line.strip_prefix("      ").or_else(|| line.get(6..).filter(|_| line.starts_with("  -")))?;
        line.starts_with("--").then(|| line.split(['=', ' ', '[']).next().unwrap().to_owned())
    };
    run.stdout.lines().filter_map(flag).collect()
}

#[test]
fn the_reference_has_the_flags_that_the_program_tells() {
    let page = generated();
    let command = command();
    let sections = |title: &str| {
        let start = page.find(title).unwrap_or_else(|| panic!("no {title}"));
        let rest = &page[start + title.len()..];
        rest[..rest.find("\n#").unwrap_or(rest.len())].to_owned()
    };
    let flags = |text: &str| {
        let rows = text.lines().filter_map(|line| line.strip_prefix("| `--"));
        rows.map(|row| format!("--{}", row.split('`').next().unwrap())).collect::<BTreeSet<_>>()
    };
    let mut everybody = flags(&sections("\n## Every verb\n"));
    everybody.extend(["--help".to_owned(), "--version".to_owned()]);
    for (name, _) in verbs(&command) {
        let level = "#".repeat(2 + name.split(' ').count());
        let mut known = flags(&sections(&format!("\n{level} {name}\n")));
        known.extend(everybody.clone());
        assert_eq!(helped(&name), known, "{name}");
    }
}
