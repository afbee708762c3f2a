//! The documentation, taken at its word: what its pages tell somebody to type is typed, and what they say that it prints is compared
//! with what is printed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod container;
mod dependencies;
mod elsewhere;
mod links;
mod listed;
mod page;
mod place;
mod printed;
mod run;
mod stand;
mod words;

use run::{Stage, Tour};

#[test]
fn the_readme_is_true() {
    let stages = &[
        ("partition-agent", Stage::Namespaces),
        ("Two commands", Stage::Nothing),
        ("Install", Stage::Nothing),
    ];
    Tour { page: "README.md", stages, fleet: true }.go();
}

#[test]
fn the_guide_is_true() {
    let stages = &[
        ("Doctor", Stage::WithoutNetem),
        ("Without an agent", Stage::Nothing),
        ("Over TCP", Stage::Nothing),
        ("TLS", Stage::Nothing),
    ];
    Tour { page: "docs/guide.md", stages, fleet: true }.go();
}

#[test]
fn who_gets_started_gets_there() {
    let stages = &[("Install", Stage::Nothing), ("A container", Stage::Namespaces)];
    Tour { page: "docs/getting-started.md", stages, fleet: false }.go();
}

#[test]
fn troubles_are_told_from_each_other_as_they_say() {
    Tour { page: "docs/troubleshooting.md", stages: &[], fleet: true }.go();
}
