//! Long runs on the real kernel. Root needed.
//!
//! The soak does thousands of random things to an agent and to the network that it works on, and after each of them compares
//! what `nft`, `ip` and `tc` show of the kernel, and what the API lists, with a model.

mod clients;
mod clock;
mod closely;
mod container;
mod dice;
mod flaps;
mod foreign;
mod judge;
mod model;
mod observe;
mod operations;
mod places;
mod process;
mod region;
mod requests;
mod routing;
mod rules;
mod soak;
mod traffic;
mod wishes;

use std::time::{Duration, Instant};

use harness::snapshot::Snapshot;

use crate::process::Process;
use crate::soak::Soak;

/// What fits into an ordinary run of all tests. `tests/run soak` does more.
const OPERATIONS: usize = 500;

/// Every so many operations real traffic is tried.
const TRAFFIC: usize = 50;

fn number(name: &str) -> Option<usize> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn random_operations_leave_in_the_kernel_what_a_model_says() {
    let seed = number("PA_SEED").unwrap_or_else(|| {
        let seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0);
        usize::try_from(seed >> 16).expect("48 bits")
    });
    let operations = harness::rounds(number("PA_SOAK_OPERATIONS").unwrap_or(OPERATIONS));
    println!("PA_SEED={seed} PA_SOAK_OPERATIONS={operations} repeats this");
    let mut soak = Soak::new(seed as u64);
    soak.serve();
    let before = Snapshot::take(&soak.lab.app);
    let at_start = Process::of(soak.agent());
    let begun = Instant::now();
    // The agent that lives from here on is watched for what it keeps.
    let last_restart = operations * 2 / 5;
    let mut early = None;
    let (mut passed, mut cut) = (0, 0);
    for nth in 0..operations {
        soak.step(nth < last_restart);
        if nth % TRAFFIC == 0 {
            let (more, less) = soak.sample_traffic();
            (passed, cut) = (passed + more, cut + less);
            soak.judge_history();
        }
        if nth == last_restart + (operations / 10).min(500) {
            early = Some(Process::of(soak.agent()));
        }
        if nth % 500 == 0 {
            println!(
                "{nth} after {:.0?}: {:?}, {:?}",
                begun.elapsed(),
                soak.looks,
                Process::of(soak.agent())
            );
        }
    }
    println!(
        "{operations} after {:.0?}: {:?}; {passed} connections passed, {cut} were cut",
        begun.elapsed(),
        soak.looks
    );
    soak.end();
    println!("they ended so: {:?}", soak.ended);
    before.assert_same(&Snapshot::take(&soak.lab.app), "at the end");
    let early = early.unwrap_or_else(|| at_start.clone());
    let most = early.resident_kib + process::more_kib(operations - last_restart);
    process::assert_nothing_is_kept(soak.agent(), &at_start, most, Duration::from_secs(30));
}
