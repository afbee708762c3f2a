//! The program of cargo-fuzz. One for all targets, since each would have to be linked: `PA_FUZZ_TARGET` names the target.

#![no_main]

mod targets;

use std::sync::LazyLock;

static TARGET: LazyLock<targets::Target> = LazyLock::new(|| {
    let name = std::env::var("PA_FUZZ_TARGET").expect("PA_FUZZ_TARGET names a target");
    let found = targets::TARGETS.iter().find(|(known, _)| *known == name);
    found.map(|(_, target)| *target).expect("a target of that name")
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| TARGET(bytes));
