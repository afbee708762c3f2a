//! What can be checked without a server: by promtool, by the reference parser of OpenMetrics, and against the page of a real agent.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use harness::agent::Agent;
use harness::exposition::{Sample, families};
use harness::lab::{DB, Lab};
use harness::{has_tool, skip, text};

use crate::shipped::{asked, dashboard_queries, path};

fn promtool(arguments: &[&str], file: &str) -> Output {
    Command::new("promtool").args(arguments).arg(path(file)).output().unwrap()
}

#[test]
fn promtool_finds_nothing_wrong() {
    if !has_tool("promtool") {
        return;
    }
    for (arguments, file) in [
        (&["check", "rules", "--lint-fatal"][..], "alerts.yml"),
        (&["test", "rules"], "alerts.test.yml"),
        (&["check", "config", "--syntax-only"], "prometheus.yml"),
    ] {
        let checked = promtool(arguments, file);
        assert!(checked.status.success(), "{file}: {}{}", text(&checked.stdout), text(&checked.stderr));
    }
}

/// A rule without a test is one that nobody has seen firing.
#[test]
fn every_rule_has_a_test() {
    let [rules, tests] = ["alerts.yml", "alerts.test.yml"].map(crate::shipped::text);
    let names = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect::<Vec<_>>();
    assert!(names.len() >= 5, "{names:?}");
    for name in names {
        let fires = tests.split("alertname: ").any(|test| {
            let (tested, rest) = test.split_once('\n').unwrap_or_default();
            tested == name && rest.trim_start().starts_with("exp_alerts:\n")
        });
        assert!(fires, "no test of {name} in which it fires");
    }
}

/// Of an agent with a fault in force.
fn page() -> String {
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, "");
    agent.inject(
        "cut",
        &format!(r#"{{"kinds":[{{"loss":{{"percent":100}}}}],"target":{{"peers":["{DB}"]}}}}"#),
    );
    agent.metrics()
}

fn fed(program: &str, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// In the older format, which is all that `promtool check metrics` reads: a counter has the name of its series, and there is no info.
fn older(page: &str) -> String {
    let suffix = |kind: &str| match kind {
        "counter" => "_total",
        "info" => "_info",
        _ => "",
    };
    let mut older = String::new();
    for family in families(page) {
        let name = format!("{}{}", family.name, suffix(&family.kind));
        let kind = if family.kind == "info" { "gauge" } else { &family.kind };
        older += &format!("# HELP {name} {}\n# TYPE {name} {kind}\n", family.help);
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        let own = lines.filter(|line| {
            let series = line.split(['{', ' ']).next().unwrap_or_default();
            family.samples.iter().any(|sample| sample.name == series)
        });
        own.for_each(|line| older += &format!("{line}\n"));
    }
    older
}

#[test]
fn promtool_has_nothing_to_say_of_the_metrics() {
    if !has_tool("promtool") {
        return;
    }
    let page = older(&page());
    let checked = fed("promtool", &["check", "metrics"], &page);
    let said = format!("{}{}", text(&checked.stdout), text(&checked.stderr));
    assert!(checked.status.success() && said.is_empty(), "{said}\n{page}");
    let wrong = page.replace("partition_agent_lease_renewals_total", "partition_agent_leaseRenewals");
    assert!(!fed("promtool", &["check", "metrics"], &wrong).status.success());
}

/// By the reference implementation, which is stricter than Prometheus. Debian's package is for Debian's own Python.
#[test]
fn the_reference_parser_reads_the_page() {
    const PYTHON: &str = "/usr/bin/python3";
    const READ: &str = "import sys\n\
        from prometheus_client.openmetrics.parser import text_string_to_metric_families as read\n\
        print('\\n'.join(sorted(f'{f.name} {f.type} {f.unit} {len(f.samples)}' for f in read(sys.stdin.read()))))";
    let has = Command::new(PYTHON).args(["-c", "import prometheus_client.openmetrics.parser"]).output();
    if !has.is_ok_and(|tried| tried.status.success()) {
        assert!(std::env::var_os("CI").is_none(), "python3-prometheus-client is not installed");
        return skip("python3-prometheus-client is not installed");
    }
    let page = page();
    let read = fed(PYTHON, &["-c", READ], &page);
    assert!(read.status.success(), "{}\n{page}", text(&read.stderr));
    let mut expected = families(&page)
        .iter()
        .map(|family| {
            let unit = family.unit.as_deref().unwrap_or_default();
            format!("{} {} {unit} {}", family.name, family.kind, family.samples.len())
        })
        .collect::<Vec<_>>();
    expected.sort_unstable();
    assert_eq!(text(&read.stdout).lines().collect::<Vec<_>>(), expected);
    let wrong =
        page.replace("# UNIT partition_agent_hit_bytes bytes", "# UNIT partition_agent_hit_bytes octets");
    assert!(!fed(PYTHON, &["-c", READ], &wrong).status.success());
}

#[test]
fn what_the_rules_and_the_dashboard_ask_for_is_there() {
    let samples = families(&page()).into_iter().flat_map(|family| family.samples).collect::<Vec<_>>();
    let texts = [crate::shipped::text("alerts.yml"), dashboard_queries().join("\n")];
    for (text, least) in texts.iter().zip([6, 20]) {
        let all = asked(text);
        assert!(all.len() >= least, "{all:?}");
        for asked in all {
            let named = samples.iter().filter(|sample| sample.name == asked.name).collect::<Vec<&Sample>>();
            assert!(!named.is_empty(), "an agent has no {}", asked.name);
            // Prometheus itself adds these two.
            for (label, value) in
                asked.labels.iter().filter(|(label, _)| !["job", "instance"].contains(&label.as_str()))
            {
                let has = |sample: &&Sample| {
                    sample
                        .labels
                        .get(label)
                        .is_some_and(|found| value.as_ref().is_none_or(|value| value == found))
                };
                assert!(named.iter().any(has), "{} has no {label} {value:?}", asked.name);
            }
        }
    }
}
