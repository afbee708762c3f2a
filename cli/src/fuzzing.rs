//! The readers of fleet files and of what other programs know, for `tests/fuzz`. Empty without the feature `fuzz`: the program
//! is in `main.rs`.
#![cfg(feature = "fuzz")]
#![allow(dead_code, unused_imports, reason = "the rest of them is for the program")]

mod exit;
mod fleet;

pub use fleet::fuzzing::{fleet_file, hosts};
