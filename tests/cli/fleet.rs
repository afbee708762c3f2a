//! `fleet check` and `fleet show`: where the fleet is looked for, what is told of it, and what is wrong with it.

use std::path::Path;

use serde_json::{Value, json};

use crate::run::{Run, finish, program};

const FLEET: &str = r#"token_file = "token"

[hosts.gateway]
address = ["10.0.0.10", "fd00::10"]
labels = { region = "eu" }
[hosts.web-1]
address = "10.0.0.11"
agent = "http://10.1.0.11:7433"
labels = { region = "eu", role = "web" }
[hosts.web-2]
address = "10.0.0.12"
labels = { region = "us", role = "web" }
[hosts.db]
address = "10.0.0.13"
agent = false

[groups]
app = "gateway,@web"

[services.redis]
address = "10.0.0.5"
ports = [6379, "7000-7010"]
[services.postgres]
hosts = "db"
ports = 5432
http = "/healthz"

[links.gateway-redis]
from = "gateway"
to = "redis"
[links.web-db]
from = "@web"
to = "db"
"#;

/// In a directory with this `fleet.toml`, without any in `/etc`.
fn in_directory_with(fleet: &str, words: &str) -> Run {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("fleet.toml"), fleet).unwrap();
    finish(program(words).current_dir(dir.path()).spawn().unwrap())
}

/// The lines of a table as words.
fn rows(text: &str) -> Vec<Vec<&str>> {
    text.lines()
        .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect()
}

#[test]
fn check_counts() {
    let told = "fleet.toml: 4 hosts, 3 agents, 4 groups, 2 services, 2 links\n";
    assert_eq!(in_directory_with(FLEET, "fleet check").done(), told);
    let one = in_directory_with("[hosts.a]\naddress = '10.0.0.1'", "fleet check").done();
    assert_eq!(one, "fleet.toml: 1 host, 1 agent, 0 groups, 0 services, 0 links\n");
    let with_servers = format!("{FLEET}[lab.redis]\ncommand = 'redis-server'\n");
    let told = in_directory_with(&with_servers, "fleet check").done();
    assert!(told.ends_with(", 2 links, 1 server of a lab\n"), "{told}");
    let counts: Value = in_directory_with(FLEET, "fleet check --json --on @web").json();
    assert_eq!(
        counts,
        json!({"from": "fleet.toml", "hosts": 2, "agents": 2, "groups": 4, "services": 2, "links": 2, "servers": 0})
    );
}

#[test]
fn show_has_hosts_then_groups_services_and_links() {
    let text = in_directory_with(FLEET, "fleet show").done();
    assert_eq!(
        rows(&text),
        [
            vec!["NAME", "AGENT", "ADDRESS", "LABELS"],
            vec!["db", "none", "10.0.0.13"],
            vec!["gateway", "http://10.0.0.10:7433", "10.0.0.10, fd00::10", "region=eu"],
            vec!["web-1", "http://10.1.0.11:7433", "10.0.0.11", "region=eu, role=web"],
            vec!["web-2", "http://10.0.0.12:7433", "10.0.0.12", "region=us, role=web"],
            vec![],
            vec!["GROUP", "HOSTS"],
            vec!["@app", "3", "gateway, web-1, web-2"],
            vec!["@region=eu", "2", "gateway, web-1"],
            vec!["@region=us", "1", "web-2"],
            vec!["@role=web", "2", "web-1, web-2"],
            vec![],
            vec!["SERVICE", "AT", "PORTS", "HTTP"],
            vec!["postgres", "db", "5432", "/healthz"],
            vec!["redis", "10.0.0.5", "6379, 7000-7010"],
            vec![],
            vec!["LINK", "FROM", "TO"],
            vec!["gateway-redis", "gateway", "service redis"],
            vec!["web-db", "@web", "db"],
        ]
    );
}

#[test]
fn on_selects_hosts_before_or_after_the_verb() {
    for words in ["fleet show --on @app,!web-2", "--on @app,!web-2 fleet show", "fleet --on @app,!web-2 show"]
    {
        let text = in_directory_with(FLEET, words).done();
        let rows = rows(&text);
        let hosts = rows[1..].iter().take_while(|row| !row.is_empty()).map(|row| row[0]).collect::<Vec<_>>();
        assert_eq!(hosts, ["gateway", "web-1"], "{words}");
    }
    let error = in_directory_with(FLEET, "fleet show --on @wbe").failed(1);
    assert_eq!(
        error,
        "partition-agent: `@wbe` selects no host: there is no such group, and no label of this value; did you mean `@web`?\n"
    );
    let error = in_directory_with(FLEET, "fleet show --on web-1,!web-*").failed(1);
    assert!(error.contains("it leaves out all that it names"), "{error}");
    let error = in_directory_with(FLEET, "fleet show --on a,,b").failed(2);
    assert!(error.contains("`a,,b` selects no hosts: write names (web-1)"), "{error}");
}

#[test]
fn in_json_all_of_it_is_there() {
    let fleet: Value = in_directory_with(FLEET, "fleet show --json --on web-1").json();
    assert_eq!(
        fleet,
        json!({
            "from": "fleet.toml",
            "token_file": "token",
            "tls": null,
            "max_share": 66,
            "hosts": [{
                "name": "web-1", "agent": "http://10.1.0.11:7433", "addresses": ["10.0.0.11"],
                "labels": {"region": "eu", "role": "web"},
            }],
            "groups": {
                "app": ["gateway", "web-1", "web-2"], "region=eu": ["gateway", "web-1"], "region=us": ["web-2"],
                "role=web": ["web-1", "web-2"],
            },
            "services": {
                "redis": {"addresses": ["10.0.0.5"], "hosts": null, "ports": [6379, "7000-7010"], "http": null},
                "postgres": {"addresses": [], "hosts": "db", "ports": [5432], "http": "/healthz"},
            },
            "links": {
                "gateway-redis": {"from": "gateway", "to": {"service": "redis"}},
                "web-db": {"from": "@web", "to": {"hosts": "db"}},
            },
        })
    );
}

#[test]
fn every_mistake_is_told_with_its_line() {
    let wrong = r#"max_shares = "50%"
[hosts.web-1]
address = "10.0.0.300"
[hosts.web-2]
address = "10.0.0.12"
labels = { rack = 7 }
[hosts.web-3]
addres = "10.0.0.13"
[groups]
app = "web-*,"
"#;
    for words in ["fleet check", "fleet show"] {
        let error = in_directory_with(wrong, words).failed(1);
        let lines = error.lines().collect::<Vec<_>>();
        assert_eq!(lines[0], "partition-agent: fleet.toml has mistakes:");
        for (line, begin) in lines[1..].iter().zip([
            "fleet.toml:1: unknown key `max_shares`: a fleet file has token_file, max_share,",
            "fleet.toml:3: hosts.web-1: `10.0.0.300` is no address",
            "fleet.toml:6: hosts.web-2: invalid type: integer `7`, expected a string",
            "fleet.toml:8: hosts.web-3: unknown field `addres`",
            "fleet.toml:10: groups.app: `web-*,` selects no hosts",
        ]) {
            assert!(line.starts_with(begin), "{line}");
        }
        assert_eq!(lines.len(), 6, "{error}");
    }
    // What is well-formed and makes no sense.
    let senseless = FLEET
        .replace("to = \"redis\"", "to = \"redsi\"")
        .replace("10.0.0.12", "10.0.0.11")
        .replace("from = \"@web\"", "from = \"db\"")
        .replace("gateway,@web", "@app");
    assert_eq!(
        in_directory_with(&senseless, "fleet check").failed(1),
        "partition-agent: fleet.toml has mistakes:\n\
         fleet.toml:11: hosts.web-2.address: 10.0.0.11 is the address of web-1 already: one host has one name\n\
         fleet.toml:18: groups.app: the group `app` is made of itself: app -> app\n\
         fleet.toml:30: links.gateway-redis.to: `redsi` is neither a service nor a host; did you mean `redis`?\n\
         fleet.toml:32: links.web-db.from: db has no agent, so nothing can be done to what it sends\n"
    );
    let no_toml = in_directory_with("[hosts.a\naddress = '10.0.0.1'\n", "fleet check").failed(1);
    assert!(no_toml.contains("fleet.toml has a mistake:\nfleet.toml:1: "), "{no_toml}");
}

#[test]
fn the_source_comes_from_the_option_or_the_environment() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("other.toml");
    std::fs::write(&file, FLEET).unwrap();
    let told = format!("{}: 4 hosts, 3 agents, 4 groups, 2 services, 2 links\n", file.display());
    let option = format!("fleet check --fleet {}", file.display());
    assert_eq!(finish(program(&option).spawn().unwrap()).done(), told);
    let mut environment = program("fleet check");
    environment.env("PARTITION_AGENT_FLEET", &file);
    assert_eq!(finish(environment.spawn().unwrap()).done(), told);
    // Beside the file, wherever the program runs.
    let shown: Value = finish(program(&option.replace("check", "show --json")).spawn().unwrap()).json();
    assert_eq!(shown["token_file"], json!(dir.path().join("token")));
}

#[test]
fn targets_of_prometheus_are_a_fleet_beside_a_file_or_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let targets = r#"[{"targets": ["10.0.0.1:9100", "10.0.0.2:9100"], "labels": {"region": "eu"}}]"#;
    std::fs::write(dir.path().join("targets.json"), targets).unwrap();
    let check = |words: &str| finish(program(words).current_dir(dir.path()).spawn().unwrap());
    assert_eq!(
        check("fleet check --fleet file_sd:targets.json").done(),
        "file_sd:targets.json: 2 hosts, 2 agents, 1 group, 0 services, 0 links\n"
    );
    std::fs::create_dir(dir.path().join("etc")).unwrap();
    let fleet = dir.path().join("etc/fleet.toml");
    std::fs::write(&fleet, "from = 'file_sd:../targets.json'\n[groups]\nall = '@eu'\n").unwrap();
    let told = check("fleet check --fleet etc/fleet.toml").done();
    assert_eq!(
        told,
        "etc/fleet.toml, file_sd:etc/../targets.json: 2 hosts, 2 agents, 2 groups, 0 services, 0 links\n"
    );
    std::fs::remove_file(dir.path().join("targets.json")).unwrap();
    let error = check("fleet check --fleet etc/fleet.toml").failed(1);
    assert_eq!(
        error,
        "partition-agent: etc/fleet.toml has a mistake:\n\
         etc/fleet.toml:1: file_sd:etc/../targets.json: cannot read it: No such file or directory (os error 2)\n"
    );
}

#[test]
fn without_a_fleet_it_says_where_it_looked() {
    assert!(!Path::new("/etc/partition-agent/fleet.toml").exists(), "this machine has a fleet of its own");
    let dir = tempfile::tempdir().unwrap();
    let nothing = finish(program("fleet check").current_dir(dir.path()).spawn().unwrap()).failed(1);
    assert!(
        nothing.contains("no ./fleet.toml and no /etc/partition-agent/fleet.toml; write one"),
        "{nothing}"
    );
    let named = finish(program("fleet check --fleet /nonexistent/fleet.toml").spawn().unwrap()).failed(1);
    assert!(named.contains("/nonexistent/fleet.toml: cannot read it: No such file"), "{named}");
    let unknown = finish(program("fleet check --fleet etcd:a").spawn().unwrap()).failed(2);
    assert!(unknown.contains("`etcd:a` is no source of hosts: write PATH.toml, file_sd:PATH"), "{unknown}");
}
