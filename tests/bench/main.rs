//! The numbers behind the promise, in one run: `tests/run bench`, or some of them: `tests/run bench emulator heal`. Times are of
//! this machine, so what counts is the comparison within a line, and the ratio to doing without.

mod emulator;
mod fleet;
mod heal;
mod idle;
mod inject;
mod many;
mod measured;
mod ssh;

use std::process::ExitCode;
use std::time::Duration;

/// In the order in which they run.
const PARTS: [(&str, fn()); 6] = [
    ("inject", inject::run),
    ("heal", heal::run),
    ("emulator", emulator::run),
    ("many", many::run),
    ("idle", idle::run),
    ("fleet", fleet::run),
];

fn main() -> ExitCode {
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    match arguments.as_slice() {
        [verb, count] if verb == fleet::VERB => fleet::agents(count),
        [verb, rest @ ..] if verb == measured::VERB => return measured::between(rest),
        parts => return run(parts),
    }
    ExitCode::SUCCESS
}

fn run(parts: &[String]) -> ExitCode {
    let known = PARTS.map(|(name, _)| name);
    if let Some(unknown) = parts.iter().find(|part| !known.contains(&part.as_str())) {
        eprintln!("there is no part `{unknown}`: the benchmark has {}", known.join(", "));
        return ExitCode::from(2);
    }
    println!("kernel {}", nix::sys::utsname::uname().expect("uname").release().to_string_lossy());
    for (name, run) in PARTS {
        if parts.is_empty() || parts.iter().any(|part| part == name) {
            run();
        }
    }
    ExitCode::SUCCESS
}

/// The value that this share of the sorted values does not exceed.
fn percentile(sorted: &[Duration], share: usize) -> Duration {
    sorted[(sorted.len() * share / 100).min(sorted.len() - 1)]
}

fn millis(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1e3)
}
