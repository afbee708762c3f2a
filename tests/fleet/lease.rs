//! A lease on three hosts: whoever cannot be renewed heals by itself, and so do all when the controller is gone.

use std::time::{Duration, Instant};

use harness::fleet::Fleet;
use harness::text;
use nix::sys::signal::Signal;

use crate::{SLACK, is_clean, until_clean};

const CUT: [&str; 9] =
    ["inject", "--loss", "100%", "--peer", "10.78.0.100:9", "--max-share", "100%", "--id", "cut"];
const LEASE: Duration = Duration::from_secs(6);

fn three() -> Fleet {
    let mut fleet = Fleet::without_agents();
    (0..3).for_each(|nth| fleet.start_agent(nth, ""));
    fleet
}

fn until_in_force(fleet: &Fleet) {
    let begun = Instant::now();
    while !fleet
        .running()
        .all(|(_, agent)| agent.faults().iter().any(|fault| fault.started_boot_ns.is_some()))
    {
        assert!(begun.elapsed() < Duration::from_secs(30), "it never starts");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Until the command has seen that it is in force, too, and renews: then more is left of a lease than a moment earlier.
fn until_renewed(fleet: &Fleet) {
    for (nth, agent) in fleet.running() {
        let left = || agent.faults().iter().find_map(|fault| fault.lease_remaining_ms).unwrap_or_default();
        let (begun, mut before) = (Instant::now(), left());
        loop {
            std::thread::sleep(Duration::from_millis(50));
            let now = left();
            if now > before {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "h{nth}: nobody renews it, {now} ms are left");
            before = now;
        }
    }
}

#[test]
fn a_controller_that_is_killed_heals_three_hosts_within_the_lease() {
    let fleet = three();
    let mut running =
        fleet.cli_running(&[&CUT, ["--on=h0,h1,h2", "--for=10m", "--lease=6s"].as_slice()].concat());
    until_in_force(&fleet);
    std::thread::sleep(LEASE + Duration::from_secs(2));
    assert!(fleet.running().all(|(_, agent)| agent.faults().len() == 1), "it was not renewed");
    running.kill().unwrap();
    running.wait().unwrap();
    let killed = Instant::now();
    until_clean(&fleet, LEASE + SLACK);
    println!("killed: nothing is left after {:?} of a lease of {LEASE:?}", killed.elapsed());
    for (nth, agent) in fleet.running() {
        assert_eq!(agent.history()[0].end.to_string(), "lease lost", "h{nth}");
    }
}

#[test]
fn a_host_that_cannot_be_renewed_is_lost_and_the_others_are_held() {
    let fleet = three();
    let slow = fleet.agents[2].as_ref().unwrap();
    let done = std::thread::scope(|scope| {
        let arguments = [&CUT, ["--on=h0,h1,h2", "--for=40s", "--lease=6s"].as_slice()].concat();
        let fleet = &fleet;
        let cli = scope.spawn(move || fleet.cli(&arguments));
        until_in_force(fleet);
        until_renewed(fleet);
        slow.signal(Signal::SIGSTOP);
        std::thread::sleep(LEASE + SLACK);
        assert!(
            !fleet.hosts[2].sh("nft list ruleset").contains("expires"),
            "a stopped agent's lease goes on"
        );
        for nth in [0, 1] {
            assert!(fleet.hosts[nth].sh("nft list ruleset").contains("expires"), "h{nth} is not held");
        }
        slow.signal(Signal::SIGCONT);
        cli.join().unwrap()
    });
    assert_eq!(done.status.code(), Some(1), "{}", text(&done.stderr));
    let said = text(&done.stderr);
    assert!(said.contains("h2: cut cannot be renewed, trying for another "), "{said}");
    assert!(said.contains("cut: over: deadline, on 2 hosts: h0, h1"), "{said}");
    assert!(said.contains("cut: over: lease lost"), "{said}");
    until_clean(&fleet, SLACK);
}

#[test]
fn ctrl_c_restores_on_all_hosts_and_renew_serves_scripts() {
    let fleet = three();
    let mut running =
        fleet.cli_running(&[&CUT, ["--on=h0,h1,h2", "--for=10m", "--lease=30s"].as_slice()].concat());
    until_in_force(&fleet);
    std::thread::sleep(Duration::from_secs(1));
    let pid = nix::unistd::Pid::from_raw(i32::try_from(running.id()).unwrap());
    nix::sys::signal::kill(pid, Signal::SIGINT).unwrap();
    assert!(running.wait().unwrap().success());
    assert!(is_clean(&fleet));
    fleet.cli_ok(&[&CUT, ["--on=h0,h1", "--for=10m", "--lease=5s", "--no-wait"].as_slice()].concat());
    let table = fleet.cli_ok(&["renew", "cut", "--on", "h0,h1,h2"]);
    assert_eq!(table.matches("(lease ").count(), 2, "{table}");
    until_clean(&fleet, Duration::from_secs(5) + SLACK);
    let late = fleet.cli(&["renew", "cut", "--on", "h0"]);
    assert_eq!(late.status.code(), Some(1));
    assert!(text(&late.stderr).contains("lease lost"), "{}", text(&late.stderr));
}
