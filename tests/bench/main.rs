//! The numbers behind the promise, in one run: `tests/run bench`, or some of them: `tests/run bench emulator heal`. Times are of
//! this machine, so what counts is the comparison within a line, and the ratio to doing without.

mod emulator;
mod heal;
mod idle;
mod inject;
mod many;

use std::time::Duration;

/// In the order in which they run.
const PARTS: [(&str, fn()); 5] = [
    ("inject", inject::run),
    ("heal", heal::run),
    ("emulator", emulator::run),
    ("many", many::run),
    ("idle", idle::run),
];

fn main() {
    let asked = std::env::args().skip(1).collect::<Vec<_>>();
    if let Some(unknown) = asked.iter().find(|asked| PARTS.iter().all(|(name, _)| name != asked)) {
        panic!("there is no part {unknown}: there are {}", PARTS.map(|(name, _)| name).join(", "));
    }
    println!("kernel {}", nix::sys::utsname::uname().expect("uname").release().to_string_lossy());
    for (_, run) in
        PARTS.iter().filter(|(name, _)| asked.is_empty() || asked.iter().any(|asked| asked == name))
    {
        run();
    }
}

/// The value that this share of the sorted values does not exceed.
fn percentile(sorted: &[Duration], share: usize) -> Duration {
    sorted[(sorted.len() * share / 100).min(sorted.len() - 1)]
}

fn millis(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1e3)
}
