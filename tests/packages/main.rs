//! The packages, as an operator has them: a clean Debian with systemd as its first process installs the .deb, uses it, upgrades it while
//! a fault is in force and removes it. The .rpm is built, and looked into.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod ansible;
mod debian;
mod life;
mod orchestrators;
mod rpm;

use std::path::{Path, PathBuf};
use std::process::Command;

/// A package that was made there.
fn deb(dir: &Path, version: &str) -> String {
    let architecture = Command::new("dpkg").arg("--print-architecture").output().unwrap();
    let architecture = harness::text(&architecture.stdout);
    dir.join(format!("partition-agent_{version}_{}.deb", architecture.trim())).display().to_string()
}

/// Of this source tree.
fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Packages of the program under test, made as for a release; smaller, and packed in less time.
fn make(version: &str, out: &Path) {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join(".rpmmacros"), "%_binary_payload w1.gzdio\n").unwrap();
    let made = Command::new(top().join("systemd/package"))
        .args(["--version", version, "--binary"])
        .arg(harness::stripped(home.path()))
        .arg("--out")
        .arg(out)
        .env("HOME", home.path())
        .envs([("DPKG_DEB_COMPRESSOR_TYPE", "gzip"), ("DPKG_DEB_COMPRESSOR_LEVEL", "1")])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}{}", harness::text(&made.stdout), harness::text(&made.stderr));
}
