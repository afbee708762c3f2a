//! What is not run is at least understood, and the list of it has nothing that is not there any more.

use crate::elsewhere::ELSEWHERE;
use crate::links::pages;
use crate::page::Page;

const RUN: [&str; 4] = ["README.md", "docs/guide.md", "docs/getting-started.md", "docs/troubleshooting.md"];

#[test]
fn every_exception_is_still_there() {
    let commands = RUN.map(Page::read);
    for elsewhere in ELSEWHERE {
        let found = commands
            .iter()
            .flat_map(Page::commands)
            .any(|command| command.text.starts_with(elsewhere.begins));
        let (begins, why) = (elsewhere.begins, elsewhere.why);
        assert!(
            found,
            "no page has `{begins}` any more (not run because: {why}; run by {}): take it away",
            elsewhere.run_by
        );
    }
}

/// Made of the definitions themselves, and held against `--help`: its blocks are forms of commands.
const FORMS: &str = "docs/reference/cli.md";

/// Of all pages, also those whose blocks are not run.
#[test]
fn every_command_of_ours_is_understood() {
    let mut wrong = Vec::new();
    let mut understood = 0;
    for path in pages().into_iter().filter(|path| path != FORMS) {
        let page = Page::read(&path);
        for command in page.commands() {
            for words in commands_of_ours(&command.text) {
                match partition_agent_cli::understand(&words) {
                    Ok(()) => understood += 1,
                    Err(why) => wrong.push(format!("{path}:{}: {}\n{why}", command.line, command.text)),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(understood > 100, "only {understood} commands were found");
}

/// The words of each call of the program in a line of shell, up to what the shell takes for itself.
fn commands_of_ours(line: &str) -> Vec<Vec<String>> {
    let lines = line.replace("\\\n", " ");
    let words = lines.split([';', '|', '\n', '(', ')']).filter_map(|part| {
        let part = part.split("#").next().unwrap_or_default().trim();
        let call =
            part.strip_prefix("cargo run --release -- ").or_else(|| part.strip_prefix("partition-agent "))?;
        let call = call.split(['>', '<', '&']).next().unwrap_or_default().replace(['\'', '"'], "");
        Some(call.split_whitespace().map(str::to_owned).collect())
    });
    words.collect()
}
