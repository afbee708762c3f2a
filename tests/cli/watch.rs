//! `watch`, as somebody sits in front of it: in a terminal by tmux, with keys.

use std::io::{BufRead, BufReader};

use harness::fake_agent::FakeAgent;
use harness::fake_fleet::FakeFleet;
use harness::has_tool;
use harness::terminal::Terminal;
use nix::sys::signal::{Signal, kill};
use partition_agent_proto::FaultStatus;
use serde_json::Value;

use crate::run::{finish, pid, program, program_at, run, unix};

fn watch(words: &[&str], env: &[(&str, &str)], size: (u16, u16)) -> Terminal {
    let program = harness::binary();
    let mut line = vec![program.to_str().unwrap(), "watch"];
    line.extend(words);
    Terminal::start(size, &line, env)
}

fn has_tmux() -> bool {
    has_tool("tmux")
}

#[test]
fn faults_come_and_go_before_ones_eyes() {
    if !has_tmux() {
        return;
    }
    let agent = FakeAgent::start();
    let at = unix(&agent);
    let terminal = watch(&["--agent", &at], &[], (110, 24));
    terminal.wait("nothing yet", |screen| screen.contains("no faults"));
    run(&agent, "inject --loss 100% --peer 10.0.0.5 --id cut --for 10m").done();
    let seen = terminal.wait("a fault", |screen| screen.contains("1 fault") && screen.contains("injected"));
    let row = seen.lines().find(|line| line.starts_with("cut ")).unwrap_or_else(|| panic!("{seen}"));
    assert!(
        row.contains("active") && row.contains("confirmed") && row.contains("loss 100%, 10.0.0.5"),
        "{seen}"
    );
    // The clock runs. Ten minutes are shown as 10m, and after that with seconds.
    terminal.wait("time passes", |screen| screen.contains("9m5"));
    run(&agent, "restore cut").done();
    terminal.wait("it is gone", |screen| screen.contains("no faults") && screen.contains("restored"));
    terminal.press("q");
    terminal.wait("the end", |_| terminal.ended().is_some());
    assert_eq!(terminal.ended(), Some(0));
}

#[test]
fn keys_restore_one_fault_and_all_of_them() {
    if !has_tmux() {
        return;
    }
    let agent = FakeAgent::start();
    for id in ["a", "b", "c"] {
        run(&agent, &format!("inject --loss 100% --peer 10.0.0.5 --id {id} --for 10m")).done();
    }
    let ids = || {
        let faults = run(&agent, "status --json").json::<Vec<FaultStatus>>();
        faults.iter().map(|fault| fault.id.to_string()).collect::<Vec<_>>()
    };
    let at = unix(&agent);
    let terminal = watch(&["--agent", &at], &[], (110, 24));
    terminal.wait("three", |screen| screen.contains("3 faults"));
    terminal.press("Down");
    terminal.press("r");
    terminal.wait("a question", |screen| screen.contains("restore b? y"));
    // Anything else is a no.
    terminal.press("n");
    terminal.wait("no question", |screen| screen.contains("r restore it"));
    assert_eq!(ids(), ["a", "b", "c"]);
    terminal.press("r");
    terminal.wait("a question", |screen| screen.contains("restore b? y"));
    terminal.press("y");
    terminal.wait("two are left", |screen| screen.contains("2 faults") && screen.contains("restored: 1"));
    assert_eq!(ids(), ["a", "c"]);
    terminal.press("R");
    terminal.wait("a question", |screen| screen.contains("restore everything? y"));
    terminal.press("y");
    terminal.wait("none is left", |screen| screen.contains("no faults") && screen.contains("restored: 2"));
    assert!(ids().is_empty() && agent.world().is_clean());
    // The window may be pulled at.
    terminal.resize(40, 10);
    terminal.wait("narrow", |screen| screen.lines().count() <= 10 && screen.contains("no faults"));
    terminal.press("C-c");
    terminal.wait("the end", |_| terminal.ended().is_some());
    assert_eq!(terminal.ended(), Some(0));
}

#[test]
fn who_says_yes_and_leaves_at_once_has_restored() {
    if !has_tmux() {
        return;
    }
    let agent = FakeAgent::start();
    run(&agent, "inject --loss 100% --peer 10.0.0.5 --id cut --for 10m").done();
    let at = unix(&agent);
    let terminal = watch(&["--agent", &at], &[], (110, 24));
    terminal.wait("a fault", |screen| screen.contains("1 fault"));
    terminal.types("Ryq");
    // It says so on the terminal that it gives back.
    let seen = terminal.wait("the end", |_| terminal.ended().is_some());
    assert!(seen.contains("restored: 1"), "{seen}");
    assert_eq!(terminal.ended(), Some(0));
    assert!(run(&agent, "status --json").json::<Vec<FaultStatus>>().is_empty() && agent.world().is_clean());
}

#[test]
fn what_the_kernel_refuses_to_remove_is_not_called_restored() {
    if !has_tmux() {
        return;
    }
    let agent = FakeAgent::start();
    run(&agent, "inject --loss 100% --peer 10.0.0.5 --id cut --for 10m").done();
    let at = unix(&agent);
    let terminal = watch(&["--agent", &at], &[], (150, 24));
    terminal.wait("a fault", |screen| screen.contains("1 fault"));
    agent.world().refuse_undo = usize::MAX;
    terminal.types("Ry");
    terminal.wait("it is stuck", |screen| {
        screen.contains("restored: 0")
            && screen.contains("not restored, the agent keeps trying: ")
            && screen.lines().any(|line| line.starts_with("cut  stuck  ") && line.contains("loss 100%"))
    });
    agent.world().refuse_undo = 0;
    terminal.wait("it has tried again", |screen| screen.contains("no faults"));
}

#[test]
fn an_agent_that_is_gone_is_said_and_found_again() {
    if !has_tmux() {
        return;
    }
    let fleet = FakeFleet::start(2);
    let file = fleet.file().display().to_string();
    let here = ["--fleet", file.as_str()];
    let terminal = watch(&here, &[], (110, 24));
    terminal.wait("two hosts", |screen| screen.contains("2 hosts  no faults"));
    let inject = "inject --on * --max-share 100% --loss 100% --peer 10.0.0.5 --id cut --for 10m --fleet";
    let mut inject = program(inject);
    finish(inject.arg(&file).spawn().unwrap());
    let seen = terminal.wait("two faults", |screen| screen.contains("2 faults"));
    for host in ["h0", "h1"] {
        assert!(seen.lines().any(|line| line.starts_with(host) && line.contains("cut")), "{seen}");
    }
    terminal.press("R");
    terminal.press("y");
    terminal.wait("all are gone", |screen| screen.contains("no faults") && screen.contains("restored: 2"));
    // Their kernels are in memory, and nobody is in reach of anybody.
    terminal.press("m");
    terminal.wait("a matrix", |screen| {
        screen.contains("Who reaches whom") && screen.contains("rows send to columns")
    });
    drop(fleet);
    terminal.wait("they are gone", |screen| screen.contains("! h0 does not answer"));
    terminal.press("q");
    terminal.wait("the end", |_| terminal.ended().is_some());
}

#[test]
fn colours_are_for_those_who_want_them() {
    if !has_tmux() {
        return;
    }
    let agent = FakeAgent::start();
    run(&agent, "inject --loss 100% --peer 10.0.0.5 --id cut --for 10m").done();
    let at = unix(&agent);
    for (env, coloured) in [(&[][..], true), (&[("NO_COLOR", "1")][..], false)] {
        let terminal = watch(&["--agent", &at], env, (110, 24));
        terminal.wait("a fault", |screen| screen.contains("1 fault") && screen.contains("confirmed"));
        let colours = terminal.colours();
        // Red of the eight, or of 256.
        let is_red = ["[31m", ";31m", "[38;5;1m"].iter().any(|red| colours.contains(red));
        assert_eq!(is_red, coloured, "{env:?}: {colours:?}");
    }
}

#[test]
fn without_a_terminal_there_are_lines_of_json_or_an_error() {
    let agent = FakeAgent::start();
    let refused = run(&agent, "watch").failed(2);
    assert!(refused.contains("watch --json") && refused.contains("status"), "{refused}");

    let mut child = program_at(&agent, "watch --json").spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // Only what happens after it has begun to listen is told, and nothing says when that is.
    let (sender, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let mut first = None;
    for nth in 0..50 {
        run(&agent, &format!("inject --loss 100% --peer 10.0.0.5 --id cut-{nth}")).done();
        first = told.recv_timeout(std::time::Duration::from_millis(300)).ok();
        if first.is_some() {
            break;
        }
    }
    let event: Value = serde_json::from_str(&first.expect("an event")).unwrap();
    let host = nix::unistd::gethostname().unwrap().into_string().unwrap();
    assert_eq!((&event["kind"], &event["host"]), (&"injected".into(), &host.into()));
    assert!(
        event["id"].as_str().unwrap().starts_with("cut-") && event["at"].as_str().unwrap().ends_with('Z')
    );
    kill(pid(&child), Signal::SIGINT).unwrap();
    assert_eq!(finish(child).code, Some(0));

    // Whoever read it has had enough.
    let mut child = program_at(&agent, "watch --json").spawn().unwrap();
    drop(child.stdout.take());
    for nth in 50..600 {
        if child.try_wait().unwrap().is_some() {
            break;
        }
        run(&agent, &format!("inject --loss 100% --peer 10.0.0.5 --for 5s --id cut-{nth}"));
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(finish(child).code, Some(0));
}

#[test]
fn nobody_to_watch_is_an_error() {
    let gone = finish(program("watch --agent unix:/nonexistent/agent.sock").spawn().unwrap()).failed(3);
    assert!(gone.contains("no agent answers"), "{gone}");
}
