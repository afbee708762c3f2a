//! Decision 26 has a reason for every direct dependency, and for none that is not there.

use std::collections::BTreeSet;
use std::path::Path;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest = read("Cargo.toml").parse::<toml::Table>().expect("TOML");
    let taken = manifest["workspace"]["dependencies"].as_table().expect("a table").iter();
    // Those with a path are this project's own.
    let taken = taken.filter(|(_, from)| from.get("path").is_none()).map(|(name, _)| name.clone());
    let taken = taken.collect::<BTreeSet<_>>();

    let page = read("docs/decisions/0026-dependencies.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")).filter(|row| !row.starts_with("---"));
    let rows = rows.map(|row| row.split(" | ").collect::<Vec<_>>()).filter(|row| row[0] != "Crate");
    let mut told = BTreeSet::new();
    for row in rows {
        assert!(row[1].len() > 4, "no reason: {row:?}");
        told.extend(row[0].split(", ").map(str::to_owned));
    }
    assert_eq!(taken, told);
}
