//! Clocks that have nothing to do with each other, and starts and ends at one instant all the same.

use harness::fleet::{Fleet, HOSTS};
use partition_agent_proto::FaultId;

const ROUNDS: usize = 11;

/// Each of these hosts was booted at another time, by minutes: its agent keeps its deadlines on a clock of its own, in a time
/// namespace. The wall clock is not asked by anybody.
#[test]
fn hosts_whose_clocks_differ_by_minutes_start_and_end_together() {
    let mut fleet = Fleet::without_agents();
    let ahead = |nth: usize| 37 + 97 * u32::try_from(nth).unwrap();
    for nth in 0..HOSTS {
        fleet.start_agent_booted_earlier(nth, ahead(nth));
    }
    // This machine has one clock, and what each of them is ahead is known: so what they say can be compared.
    let real = |nth: usize, boot_ns: u64| boot_ns - u64::from(ahead(nth)) * 1_000_000_000;
    let (mut starts, mut ends) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let id = format!("round-{round}");
        let command = ["inject", "--loss", "100%", "--peer", "10.78.0.100:9", "--on", "*", "--id", &id];
        let (code, report) = fleet.json(&[&command, ["--max-share", "100%"].as_slice()].concat());
        assert_eq!(code, Some(0), "{report}");
        let id = id.parse::<FaultId>().unwrap();
        let started = fleet.running().map(|(nth, agent)| {
            let fault = agent.faults().into_iter().find(|fault| fault.id == id).unwrap();
            real(nth, fault.started_boot_ns.unwrap())
        });
        starts.push(compare(started.collect(), &report["spread"]));
        let said = fleet.cli_ok(&["restore", "--all", "--together"]);
        assert!(said.contains("ended within "), "{said}");
        let ended = fleet.running().map(|(nth, agent)| {
            agent.until_idle(crate::SLACK);
            let over = agent.history().into_iter().find(|over| over.id == id).unwrap();
            real(nth, over.ended_boot_ns.unwrap())
        });
        ends.push(spread(&ended.collect::<Vec<_>>()));
    }
    for (what, spreads) in [("starts", &mut starts), ("ends", &mut ends)] {
        spreads.sort_unstable();
        let median = spreads[ROUNDS / 2];
        println!(
            "{what} of ten hosts are {} us apart, from {} to {}",
            median,
            spreads[0],
            spreads[ROUNDS - 1]
        );
        // An instant that was not translated would be off by 97 s. How exact it is, the benchmark says.
        assert!(median < 500_000, "{what}: {spreads:?}");
    }
}

/// In microseconds.
fn spread(instants: &[u64]) -> u64 {
    (instants.iter().max().expect("ten hosts") - instants.iter().min().expect("ten hosts")) / 1_000
}

/// What was printed is what it was, but for how well the clocks are known.
fn compare(started: Vec<u64>, printed: &serde_json::Value) -> u64 {
    let real = spread(&started);
    let [printed, bound] =
        ["micros", "bound_micros"].map(|field| printed[field].as_u64().expect("as it is in the answer"));
    assert!(
        real.abs_diff(printed) <= 2 * bound + 2,
        "printed {printed} us, and it was {real} us, +- {bound}"
    );
    real
}
