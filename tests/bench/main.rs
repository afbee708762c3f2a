//! The numbers behind the promise, in one run: `tests/run bench`. Times are of this machine, so what counts is the
//! comparison within a line, and the ratio to doing without.

mod emulator;
mod heal;
mod idle;
mod inject;
mod many;

use std::time::Duration;

fn main() {
    println!("kernel {}", nix::sys::utsname::uname().expect("uname").release().to_string_lossy());
    inject::run();
    heal::run();
    emulator::run();
    many::run();
    idle::run();
}

/// The value that this share of the sorted values does not exceed.
fn percentile(sorted: &[Duration], share: usize) -> Duration {
    sorted[(sorted.len() * share / 100).min(sorted.len() - 1)]
}

fn millis(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1e3)
}
