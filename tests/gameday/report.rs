//! `report`: the program makes pages again, compares game days, and refuses what is no report.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The report whose picture is in the documentation.
pub fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/gamedays/report.json")
}

pub fn example_value() -> Value {
    serde_json::from_str(&std::fs::read_to_string(example()).unwrap()).unwrap()
}

fn report(words: &[&str]) -> Output {
    Command::new(harness::binary()).arg("report").args(words).output().unwrap()
}

/// Makes the pages of a report in a directory.
pub fn render(report_value: &Value, dir: &Path) -> PathBuf {
    let file = dir.join("report.json");
    std::fs::write(&file, report_value.to_string()).unwrap();
    let made = report(&["render", &file.display().to_string()]);
    assert!(made.status.success(), "{made:?}");
    dir.join("report.html")
}

fn with(change: impl Fn(&mut Value), dir: &Path, name: &str) -> String {
    let mut value = example_value();
    change(&mut value);
    let path = dir.join(name);
    std::fs::write(&path, value.to_string()).unwrap();
    path.display().to_string()
}

#[test]
fn pages_are_made_beside_the_report_or_where_it_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let page = render(&example_value(), dir.path());
    let elsewhere = dir.path().join("else/where");
    let file = dir.path().join("report.json").display().to_string();
    let made = report(&["render", &file, "--dir", &elsewhere.display().to_string()]);
    assert_eq!(
        harness::text(&made.stdout),
        format!("{0}/report.md\n{0}/report.html\n", elsewhere.display()),
        "{made:?}"
    );
    let [here, there] =
        [page, elsewhere.join("report.html")].map(|page| std::fs::read_to_string(page).unwrap());
    assert_eq!(here, there);
    assert!(!elsewhere.join("report.json").exists());
}

#[test]
fn game_days_are_compared_in_the_order_of_their_time() {
    let dir = tempfile::tempdir().unwrap();
    let later = |value: &mut Value| {
        value["run"] = "later".into();
        value["started_at"] = "2026-12-01T00:00:00Z".into();
        for (what, millis) in [("RTO", 500_000), ("time to detect", 9_000)] {
            let checks = value["rounds"][0]["checks"].as_array_mut().unwrap();
            let check = checks.iter_mut().find(|check| check["what"] == what).unwrap();
            check["measured_ms"] = millis.into();
        }
    };
    let later = with(later, dir.path(), "later.json");
    let first = example().display().to_string();
    let html = dir.path().join("trend.html");
    let text = report(&["compare", &later, &first, "--html", &html.display().to_string()]);
    assert!(text.status.success(), "{text:?}");
    let text = harness::text(&text.stdout);
    let line = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    let words = |line: String| {
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(words(line("MEASURE")), ["MEASURE", "2026-11-22 14:02:10 UTC", "2026-12-01 00:00:00 UTC"]);
    assert_eq!(words(line("RTO")), ["RTO", "11m4s", "8m20s (-2m44s, better)"]);
    assert_eq!(words(line("time to detect")), ["time to detect", "4.2s", "9s (+4.8s, worse)"]);
    assert!(std::fs::read_to_string(html).unwrap().contains("-2m44s better"));

    let json = report(&["compare", &later, &first, "--json"]);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    let row = json["rows"].as_array().unwrap().iter().find(|row| row["measure"] == "RTO").unwrap();
    assert_eq!(row["cells"][1]["verdict"], "better");
}

#[test]
fn what_is_no_report_of_this_format_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let other = with(|value| value["format"] = 2.into(), dir.path(), "other.json");
    let first = example().display().to_string();
    for words in [vec!["compare", &first, &other], vec!["render", &other]] {
        let refused = report(&words);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        let why = harness::text(&refused.stderr);
        assert!(why.contains("other.json") && why.contains("its format is 2"), "{why}");
    }
    assert_eq!(report(&["compare", &first, &first]).status.code(), Some(1));
    assert_eq!(report(&["compare", &first]).status.code(), Some(2));
    assert_eq!(report(&["render", "/nonexistent/report.json"]).status.code(), Some(1));
}

/// By another reader of schemas than our own.
#[test]
fn a_report_fits_the_published_schema() {
    let has = Command::new("python3")
        .args(["-c", "import jsonschema"])
        .output()
        .is_ok_and(|tried| tried.status.success());
    if !has {
        assert!(std::env::var_os("CI").is_none(), "python3-jsonschema is not installed");
        return harness::skip("python3-jsonschema is not installed");
    }
    let schema = example().with_file_name("report.schema.json").display().to_string();
    let check = |file: &str| {
        let program = "import json,sys,jsonschema\n\
                       schema,report=[json.load(open(path)) for path in sys.argv[1:]]\n\
                       jsonschema.Draft202012Validator.check_schema(schema)\n\
                       jsonschema.Draft202012Validator(schema).validate(report)";
        Command::new("python3").args(["-c", program, &schema, file]).output().unwrap()
    };
    let fits = check(&example().display().to_string());
    assert!(fits.status.success(), "{}", harness::text(&fits.stderr));
    let dir = tempfile::tempdir().unwrap();
    let wrong = with(|value| value["rounds"][0]["outcome"] = "so-so".into(), dir.path(), "wrong.json");
    let misfit = check(&wrong);
    assert!(!misfit.status.success() && harness::text(&misfit.stderr).contains("so-so"));
}
