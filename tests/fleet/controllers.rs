//! A controller that is killed, and two of them at once.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use harness::fleet::{Fleet, HOSTS};
use harness::text;
use nix::sys::signal::Signal;

use crate::{SLACK, logged, until_clean};

const CUT: [&str; 9] =
    ["inject", "--loss", "100%", "--peer", "10.78.0.100:9", "--max-share", "100%", "--on", "*"];

/// Before anybody has prepared, between prepare and commit, between commit and start, and after the start.
#[test]
fn a_controller_that_is_killed_leaves_faults_that_end_by_themselves() {
    let fleet = Fleet::start();
    let slow = fleet.agents[9].as_ref().unwrap();
    for (point, (words, start_in)) in
        [("kind=prepared", "1ms"), ("kind=committed", "5s"), ("kind=started", "1ms")].into_iter().enumerate()
    {
        let hold = words == "kind=prepared";
        if hold {
            slow.signal(Signal::SIGSTOP);
        }
        let before = fleet.agents[0].as_ref().unwrap().log().matches(words).count();
        let mut running =
            fleet.cli_running(&[&CUT, ["--for=6s", "--start-in", start_in].as_slice()].concat());
        for (_, agent) in fleet.running().filter(|(nth, _)| !hold || *nth != 9) {
            logged(agent, words, before + 1);
        }
        running.kill().unwrap();
        running.wait().unwrap();
        let killed = Instant::now();
        if hold {
            slow.signal(Signal::SIGCONT);
        }
        // What is prepared expires after 30 s, what is committed ends 6 s after its start.
        let longest = Duration::from_secs(if hold { 30 } else { 11 });
        until_clean(&fleet, longest + SLACK);
        println!("killed at point {point} ({words}): nothing is left after {:?}", killed.elapsed());
        for (nth, agent) in fleet.running() {
            let ends =
                agent.history().into_iter().take(1).map(|over| over.end.to_string()).collect::<Vec<_>>();
            let expected = if hold { "never committed" } else { "deadline" };
            // The slow one may have been asked in vain.
            assert!(ends == [expected] || (hold && nth == 9), "h{nth}: {ends:?}");
        }
    }
}

#[test]
fn two_controllers_at_once_lose_nothing_of_each_other() {
    let fleet = Fleet::start();
    // Hosts 2 to 7 are in both.
    let commands = [("h0,h1,h2,h3,h4,h5,h6,h7", "11"), ("h2,h3,h4,h5,h6,h7,h8,h9", "12")];
    let inject = |on: &str, port: &str, id: &str| {
        let peer = format!("10.78.0.100:{port}");
        let words =
            ["inject", "--loss", "100%", "--peer", &peer, "--on", on, "--max-share", "100%", "--for", "10m"];
        let named = if id.is_empty() { vec![] } else { vec!["--id", id] };
        let (code, report) = fleet.json(&[&words, named.as_slice()].concat());
        (code, report["id"].as_str().unwrap().to_owned())
    };
    let mut ids = BTreeSet::new();
    for _ in 0..5 {
        let both = std::thread::scope(|scope| {
            let running = commands.map(|(on, port)| scope.spawn(move || inject(on, port, "")));
            running.map(|thread| thread.join().unwrap())
        });
        for (code, id) in both {
            assert_eq!(code, Some(0));
            assert!(ids.insert(id), "an id came twice");
        }
    }
    for (nth, agent) in fleet.running() {
        let there = agent.faults().into_iter().map(|fault| fault.id.to_string()).collect::<BTreeSet<_>>();
        let expected = if (2..8).contains(&nth) { 10 } else { 5 };
        assert_eq!(there.len(), expected, "h{nth} has lost some: {there:?}");
        assert!(there.is_subset(&ids));
    }
    // Each sees the faults of the other.
    let (_, status) = fleet.json(&["status", "--on", "h2"]);
    assert_eq!(status["h2"].as_array().unwrap().len(), 10);
    fleet.cli_ok(&["restore", "--all"]);

    // The same name for different things: one of them at most, and never some of each.
    for round in 0..5 {
        let id = format!("same-{round}");
        let both = std::thread::scope(|scope| {
            let running = commands.map(|(on, port)| {
                let id = id.as_str();
                scope.spawn(move || inject(on, port, id).0)
            });
            running.map(|thread| thread.join().unwrap())
        });
        let winners = both.iter().filter(|code| **code == Some(0)).count();
        let targets = fleet.running().flat_map(|(_, agent)| agent.faults());
        let targets = targets.map(|fault| fault.first_addresses.join(",")).collect::<Vec<_>>();
        println!("round {round}: exit statuses {both:?}, in force on {} hosts", targets.len());
        assert!(winners <= 1, "{both:?}");
        assert_eq!(targets.len(), 8 * winners, "all of the winner's hosts, and no other");
        assert!(targets.windows(2).all(|pair| pair[0] == pair[1]), "{targets:?}");
        let _ = fleet.cli(&["restore", "--all"]);
        until_clean(&fleet, SLACK);
    }
}

#[test]
fn the_same_command_again_is_harmless() {
    let fleet = Fleet::start();
    let again = [&CUT, ["--for=10m", "--id", "again"].as_slice()].concat();
    for _ in 0..3 {
        let said = fleet.cli_ok(&again);
        assert!(said.contains("confirmed on all of them"), "{said}");
    }
    for (_, agent) in fleet.running() {
        assert_eq!(agent.faults().len(), 1);
        assert_eq!(agent.log().matches("kind=started").count(), 1, "{}", agent.log());
    }
    // Another fault of that name is refused, and takes nothing away.
    let mut other = again.clone();
    other[2] = "50%";
    let done = fleet.cli(&other);
    assert_eq!(done.status.code(), Some(1));
    assert!(text(&done.stderr).contains("the id again is taken by another fault"), "{}", text(&done.stderr));
    assert_eq!(fleet.running().filter(|(_, agent)| agent.faults().len() == 1).count(), HOSTS);
}

/// One host hangs while somebody repeats the command, and gives up: what was there stays there, on that host too.
#[test]
fn a_command_that_gives_up_takes_nothing_away_from_another() {
    let fleet = Fleet::start();
    let command = [&CUT, ["--for=10m", "--id", "game-day"].as_slice()].concat();
    fleet.cli_ok(&command);
    let slow = fleet.agents[3].as_ref().unwrap();
    slow.signal(Signal::SIGSTOP);
    let mut again = fleet.cli_running(&command);
    std::thread::sleep(Duration::from_secs(1));
    let pid = nix::unistd::Pid::from_raw(i32::try_from(again.id()).unwrap());
    nix::sys::signal::kill(pid, Signal::SIGINT).unwrap();
    // It tells the slow one to forget, too, and waits for it.
    std::thread::sleep(Duration::from_secs(1));
    slow.signal(Signal::SIGCONT);
    again.wait().unwrap();
    for (nth, agent) in fleet.running() {
        let there = agent.faults();
        assert_eq!(there.len(), 1, "h{nth}: {}", agent.log());
        assert_eq!(there[0].state, partition_agent_proto::State::Active, "h{nth}");
    }
}
