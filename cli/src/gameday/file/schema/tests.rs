use std::path::{Path, PathBuf};

use boon::{Compiler, SchemaIndex, Schemas};

use super::*;
use crate::gameday::file::read;
use crate::schema::assert_published;

/// Somebody else's reading of what the schema means.
struct Judge(Schemas, SchemaIndex);

impl Judge {
    fn new() -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("gameday.schema.json", schema()).unwrap();
        let compiled = compiler.compile("gameday.schema.json", &mut schemas).unwrap();
        Self(schemas, compiled)
    }

    /// Why this does not fit, if it does not.
    fn misfit(&self, text: &str) -> Option<String> {
        let document = serde_saphyr::from_str::<Value>(text).unwrap();
        self.0.validate(&document, self.1).err().map(|error| format!("{error:#}"))
    }
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/gamedays")
}

fn days(dir: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    let mut days = files
        .filter(|file| file.extension().is_some_and(|extension| extension == "yaml"))
        .collect::<Vec<_>>();
    days.sort_unstable();
    days
}

#[test]
fn the_published_schema_is_the_generated_one() {
    assert_published("gameday.schema.json", &schema());
}

#[test]
fn every_game_day_fits_the_schema_and_is_read() {
    let mut all = days(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/gameday/file/tests/days"));
    assert!(all.len() >= 2, "{all:?}");
    let shipped = std::fs::read_dir(docs()).unwrap().map(|dir| dir.unwrap().path());
    for dir in shipped.filter(|dir| dir.is_dir()) {
        let days = days(&dir);
        // What is there for a fleet is there for a game day.
        let has_fleet = std::fs::read_dir(&dir)
            .unwrap()
            .any(|file| file.unwrap().path().extension().is_some_and(|it| it == "toml"));
        assert!(!days.is_empty() || !has_fleet, "{} has no game day", dir.display());
        all.extend(days);
    }
    let judge = Judge::new();
    for path in all {
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(judge.misfit(&text), None, "{}", path.display());
        // Whatever it takes from the environment may be in a URL.
        let environment = |_: &str| Some("http://host".to_owned());
        read(&path, &text, None, &environment).unwrap_or_else(|mistakes| panic!("{}", mistakes.join("\n")));
    }
}

#[test]
fn what_the_reader_refuses_the_schema_does_not_fit() {
    let judge = Judge::new();
    let file = |probe: &str, step: &str, rest: &str| {
        format!(
            "name: a\nprobes:\n  p: {{{probe}}}\ntimeline:\n  - at: T+0\n    inject: --loss 1% --peer a --for 5m\n  - {{{step}}}\n{rest}\n"
        )
    };
    let (probe, step) = ("tcp: \"a:1\"", "at: 5m, restore: all");
    let right = file(probe, step, "");
    assert_eq!(judge.misfit(&right), None);
    assert!(read(Path::new("f"), &right, None, &|_| None).is_ok(), "{right}");
    let (probes, steps, rests) = (
        [
            "",
            "every: 1s",
            "tcp: \"a:1\", http: \"http://a\"",
            "tcp: \"a:1\", status: 200",
            "tcp: \"a:1\", headers: {a: b}",
            "tcp: \"a:1\", every: soon",
            "tcp: \"a:1\", evry: 1s",
            "http: \"http://a\", status: 99",
            "http: \"http://a\", json: {path: a}",
            "http: \"http://a\", json: {equals: a}",
            "command: x, stdout: {equals: a, contains: b}",
            "prometheus: \"http://a\", above: 1",
            "redis: \"a:1\", query: x",
        ],
        [
            "at: 5m",
            "restore: all",
            "at: 5m, restore: all, run: x",
            "at: 5m, expect: p, run: x, observe: y",
            "at: 5m, timeout: 1s, observe: y",
            "at: noon!, observe: y",
            "at: 5m, matrix: later",
            "at: 5m, observe: y, name: Cut",
            "at: 5m, expect: not not p",
        ],
        [
            "scenarios: {}",
            "severity: worst",
            "nmae: a",
            "targets: {lost: -1}",
            "guards: [{for: 5s}]",
            "markers: {m: {write: x}}",
            "hooks: [{on: started}]",
            "hooks: [{on: sometime, command: x}]",
            "hooks: [{on: started, command: x, slack: \"http://a\"}]",
            "longest: [2h]",
            "recovery: {hold: p}",
        ],
    );
    let probes = probes.map(|probe| file(probe, step, ""));
    let steps = steps.map(|step| file(probe, step, ""));
    let rests = rests.map(|rest| file(probe, "at: 5m, restore: all", rest));
    for text in probes.into_iter().chain(steps).chain(rests) {
        assert!(judge.misfit(&text).is_some(), "{text}");
        assert!(read(Path::new("f"), &text, None, &|_| None).is_err(), "{text}");
    }
}

#[test]
fn the_reference_has_every_key_and_a_file_that_is_read() {
    let reference = std::fs::read_to_string(docs().join("reference.md")).unwrap();
    let schema = schema();
    let types = schema["$defs"].as_object().unwrap().values().chain([&schema]);
    let keys = types.filter_map(|of| of["properties"].as_object()).flat_map(|properties| properties.keys());
    // Alone in a cell, with others there, or with what it takes.
    let known = |key: &String| ["`", ": "].iter().any(|end| reference.contains(&format!("`{key}{end}")));
    assert_eq!(keys.filter(|key| !known(key)).collect::<Vec<_>>(), Vec::<&String>::new());
    let example = reference
        .lines()
        .skip_while(|line| !line.starts_with("    "))
        .take_while(|line| line.starts_with("    "));
    let example = example.collect::<Vec<_>>().join("\n");
    assert_eq!(Judge::new().misfit(&example), None, "{example}");
    assert!(read(Path::new("f"), &example, None, &|_| None).is_ok(), "{example}");
}
