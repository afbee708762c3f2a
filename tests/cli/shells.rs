//! `completions` and `man`: in the shells that people have, at a terminal, and as `man` shows pages.

use std::path::Path;
use std::process::{Command, Stdio};

use harness::fake_agent::FakeAgent;
use harness::has_tool;
use harness::terminal::Terminal;

use crate::run::{finish, program, run, unix};

const FLEET: &str = r#"
[hosts.web-1]
address = "10.0.0.11"
labels = { region = "eu" }
[hosts.web-2]
address = "10.0.0.12"
labels = { region = "us" }
[services.redis]
address = "10.0.0.5"
[links.web-redis]
from = "web-1"
to = "redis"
"#;

/// How each shell is started without anybody's files, and what it needs before it reads a script.
const SHELLS: [(&str, &[&str], &str); 3] = [
    ("bash", &["bash", "--norc", "--noprofile", "-i"], "source <(partition-agent completions bash)"),
    (
        "zsh",
        &["zsh", "-f", "-i"],
        "autoload -U compinit; compinit -u -D; source <(partition-agent completions zsh)",
    ),
    ("fish", &["fish", "--no-config", "-i"], "partition-agent completions fish | source"),
];

/// The program by its name, as it is when it is installed.
fn path() -> String {
    let beside = harness::binary();
    let own = beside.parent().unwrap().display().to_string();
    format!("{own}:{}", std::env::var("PATH").unwrap())
}

/// What a line becomes by pressing Tab at its end, in each shell.
fn completed(agent: &str, dir: &Path, typed: &str, becomes: &str) {
    for (shell, words, setup) in SHELLS {
        if !has_tool(shell) || !has_tool("tmux") {
            continue;
        }
        let path = path();
        let env = [
            ("PATH", path.as_str()),
            ("PARTITION_AGENT", agent),
            ("HOME", dir.to_str().unwrap()),
            ("XDG_CONFIG_HOME", dir.to_str().unwrap()),
            ("PS1", "$ "),
        ];
        let terminal = Terminal::start((120, 30), words, &env);
        terminal.types(&format!("cd {}; {setup}; printf 'ready-%s\\n' 2", dir.display()));
        terminal.press("Enter");
        terminal.wait(shell, |screen| screen.contains("ready-2"));
        terminal.types(&format!("partition-agent {typed}"));
        terminal.wait(shell, |screen| screen.contains(&format!("partition-agent {typed}")));
        terminal.press("Tab");
        // What is not known soon is not offered; on a busy machine somebody presses it again.
        let mut looks = 0;
        terminal.wait(&format!("{shell}: {typed}"), |screen| {
            looks += 1;
            if looks % 100 == 0 {
                terminal.press("Tab");
            }
            screen.lines().any(|line| line.contains(&format!("partition-agent {becomes}")))
        });
    }
}

#[test]
fn a_tab_knows_verbs_faults_hosts_groups_and_links() {
    let agent = FakeAgent::start();
    for id in ["cut-redis", "slow-db"] {
        run(&agent, &format!("inject --loss 100% --peer 10.0.0.5 --id {id}")).done();
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("fleet.toml"), FLEET).unwrap();
    let at = unix(&agent);
    for (typed, becomes) in [
        ("inj", "inject"),
        ("inject --all-t", "inject --all-traffic"),
        ("restore cu", "restore cut-redis"),
        ("status sl", "status slow-db"),
        ("inject --profile st", "inject --profile starlink"),
    ] {
        completed(&at, dir.path(), typed, becomes);
    }
    // With one agent named in the environment a fleet is a contradiction, but what there is of it can be told.
    for (typed, becomes) in [
        ("inject --loss 1% --on=@region=u", "inject --loss 1% --on=@region=us"),
        ("inject --loss 1% --on web-1,@u", "inject --loss 1% --on web-1,@us"),
        ("inject --loss 1% --peer re", "inject --loss 1% --peer redis"),
        ("inject --loss 1% --link w", "inject --loss 1% --link web-redis"),
        ("partition @e", "partition @eu"),
    ] {
        completed(&at, dir.path(), typed, becomes);
    }
}

/// What the program offers, by the way that fish asks.
fn offered(line: &[&str], env: &[(&str, &str)], dir: &Path) -> Vec<String> {
    let mut asked = program("");
    asked.env("PARTITION_AGENT_COMPLETE", "fish").args(["--", "partition-agent"]).args(line);
    asked.envs(env.iter().copied()).current_dir(dir);
    let told = finish(asked.spawn().unwrap()).done();
    told.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
}

#[test]
fn what_cannot_be_known_is_not_offered_and_nobody_hears_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let gone = [("PARTITION_AGENT", "unix:/nonexistent/agent.sock")];
    // Flags are no faults.
    assert_eq!(offered(&["restore", "c"], &gone, dir.path()), Vec::<String>::new());
    assert_eq!(offered(&["inject", "--on", ""], &gone, dir.path()), Vec::<String>::new());
    std::fs::write(dir.path().join("fleet.toml"), "hosts = 3").unwrap();
    assert_eq!(offered(&["inject", "--on", ""], &gone, dir.path()), Vec::<String>::new());
    // Somebody who takes connections, and says nothing.
    let silent = std::os::unix::net::UnixListener::bind(dir.path().join("silent.sock")).unwrap();
    let at = format!("unix:{}", dir.path().join("silent.sock").display());
    assert_eq!(offered(&["restore", "c"], &[("PARTITION_AGENT", &at)], dir.path()), Vec::<String>::new());
    drop(silent);
}

#[test]
fn every_fault_and_host_is_offered_and_lists_are_gone_on_with() {
    let agent = FakeAgent::start();
    for id in ["cut-redis", "slow-db"] {
        run(&agent, &format!("inject --loss 100% --peer 10.0.0.5 --id {id}")).done();
    }
    let at = unix(&agent);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("fleet.toml"), FLEET).unwrap();
    // Without the agent in the environment: it is named in the line.
    assert_eq!(
        offered(&["--agent", &at, "change", ""], &[], dir.path()).first_chunk(),
        Some(&["cut-redis".to_owned(), "slow-db".to_owned()])
    );
    assert_eq!(
        offered(&["inject", "--on", "@"], &[], dir.path()),
        ["@eu", "@region=eu", "@region=us", "@us"]
    );
    assert_eq!(offered(&["matrix", "--on", "web-1,!we"], &[], dir.path()), ["web-1,!web-1", "web-1,!web-2"]);
    assert_eq!(offered(&["inject", "--peer", "red"], &[], dir.path()), ["redis"]);
}

#[test]
fn an_unknown_shell_is_refused_with_those_that_are_known() {
    let refused = finish(program("completions powershell").spawn().unwrap()).failed(2);
    assert!(refused.contains("bash, zsh, fish"), "{refused}");
}

#[test]
fn man_has_a_page_for_every_verb_that_help_lists() {
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("man1");
    let mut written = program("man --dir");
    finish(written.arg(&pages).spawn().unwrap()).done();
    let help = finish(program("--help").spawn().unwrap()).done();
    let verbs = help.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    let verbs = verbs.lines().filter(|line| line.starts_with("  ") && !line.starts_with("    "));
    let verbs = verbs.filter_map(|line| line.split_whitespace().next()).filter(|verb| *verb != "help");
    let verbs = verbs.collect::<Vec<_>>();
    assert!(verbs.contains(&"inject") && verbs.contains(&"man"), "{verbs:?}");
    for verb in verbs {
        let page = std::fs::read_to_string(pages.join(format!("partition-agent-{verb}.1"))).unwrap();
        assert_eq!(finish(program(&format!("man {verb}")).spawn().unwrap()).done(), page, "{verb}");
    }
    assert!(pages.join("partition-agent-ca-issue.1").exists());
    assert!(
        !std::fs::read_dir(&pages)
            .unwrap()
            .any(|page| { page.unwrap().file_name().to_string_lossy().contains("lab-hold") })
    );
    let refused = finish(program("man ca sign").spawn().unwrap()).failed(2);
    assert!(refused.contains("ca has no verb `sign`: it has init, issue"), "{refused}");
}

/// By another reader of manual pages than the one that made them.
#[test]
fn man_pages_are_shown_as_they_are_meant() {
    if !has_tool("mandoc") {
        return;
    }
    let page = finish(program("man inject").spawn().unwrap()).done();
    let mut mandoc = Command::new("mandoc");
    mandoc.args(["-T", "ascii", "-O", "width=200"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = mandoc.spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), page.as_bytes()).unwrap();
    let shown = harness::text(&child.wait_with_output().unwrap().stdout);
    // Bold and underlined are a character over itself.
    let mut plain = String::new();
    for each in shown.chars() {
        if each == '\u{8}' {
            plain.pop();
        } else {
            plain.push(each);
        }
    }
    for part in [
        "\nEXAMPLES\n         partition-agent inject --loss 100% --peer redis ",
        "  cut this host off from redis, for 60s\n         partition-agent inject --latency",
        "\nEXIT STATUS\n       0      It was done",
        "\nFILES\n       /run/partition-agent/agent.sock\n",
        "--loss <PERCENT>",
        "May also be specified with the PARTITION_AGENT environment variable",
    ] {
        assert!(plain.contains(part), "{part} is not in\n{plain}");
    }
}

#[test]
fn inject_without_anything_explains_itself() {
    let told = finish(program("inject").spawn().unwrap()).failed(2);
    assert!(told.contains("say what happens") && told.contains("--peer") && told.contains("--for"), "{told}");
    let examples = told.lines().filter_map(|line| line.strip_prefix("  partition-agent "));
    let examples = examples.map(|line| line.split("   ").next().unwrap()).collect::<Vec<_>>();
    assert_eq!(examples.len(), 3, "{told}");
    // Each is a fault.
    let agent = FakeAgent::start();
    for example in examples {
        let example = example.replace("redis", "10.0.0.5");
        assert!(run(&agent, &example).done().contains("ends      in"), "{example}");
    }
}

#[test]
fn what_was_meant_is_guessed() {
    for (typed, meant) in [
        ("injct --loss 1%", "'inject'"),
        ("restore --al", "'--all'"),
        ("inject --loss 1% --per redis", "'--peer'"),
    ] {
        let refused = finish(program(typed).spawn().unwrap()).failed(2);
        assert!(refused.contains("similar") && refused.contains(meant), "{refused}");
    }
}
