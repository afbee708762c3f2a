//! The systemd unit, by the judgement of systemd itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use harness::has_tool;

/// In tenths, 0 is best. What is left is what the agent is for: the host's network, and CAP_NET_ADMIN in it.
const EXPOSURE: &str = "20";
/// With the drop-in for other namespaces, which is as good as root.
const EXPOSURE_WITH_NAMESPACES: &str = "30";

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd").join(name)
}

/// Whether systemd rates the unit in this directory no worse than that, and what it says.
fn rated(dir: &Path, threshold: &str) -> (bool, String) {
    let unit = dir.join("partition-agent.service");
    let done = Command::new("systemd-analyze")
        .args(["security", "--no-pager", "--offline=yes", &format!("--threshold={threshold}")])
        .arg(unit)
        .env("SYSTEMD_UNIT_PATH", format!("{}:", dir.display()))
        .output()
        .unwrap();
    (done.status.success(), format!("{}{}", harness::text(&done.stdout), harness::text(&done.stderr)))
}

/// A copy of the unit, with drop-ins.
fn unit(drop_ins: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(shipped("partition-agent.service"), dir.path().join("partition-agent.service")).unwrap();
    let inner = dir.path().join("partition-agent.service.d");
    std::fs::create_dir(&inner).unwrap();
    for (name, text) in drop_ins {
        std::fs::write(inner.join(name), text).unwrap();
    }
    dir
}

#[test]
fn systemd_rates_the_unit_2_0_or_better() {
    if !has_tool("systemd-analyze") {
        return;
    }
    let (fine, said) = rated(unit(&[]).path(), EXPOSURE);
    assert!(fine, "{said}");
    assert!(!said.contains("Unknown") && !said.contains("Failed to parse"), "{said}");
}

#[test]
fn a_worse_unit_would_be_noticed() {
    if !has_tool("systemd-analyze") {
        return;
    }
    let open = "[Service]\nUser=root\nNoNewPrivileges=no\nProtectSystem=no\n";
    let (fine, said) = rated(unit(&[("worse.conf", open)]).path(), EXPOSURE);
    assert!(!fine, "{said}");
}

#[test]
fn the_drop_in_for_other_namespaces_costs_no_more_than_is_said() {
    if !has_tool("systemd-analyze") {
        return;
    }
    let text = std::fs::read_to_string(shipped("namespaces.conf")).unwrap();
    let (fine, said) = rated(unit(&[("namespaces.conf", &text)]).path(), EXPOSURE_WITH_NAMESPACES);
    assert!(fine, "{said}");
}
