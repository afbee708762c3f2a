//! Real servers on the host `redis` of the lab, each on its usual port.

use std::process::Stdio;

use harness::has_tool;
use harness::lab::{Host, REDIS, Running};

/// Where Debian has those of PostgreSQL that are not for everybody.
const POSTGRESQL: &str = "/usr/lib/postgresql/15/bin";

/// PostgreSQL will not be root.
const NOBODY_IN_PARTICULAR: [&str; 3] = ["--user", "--map-user=1000", "--map-group=1000"];

pub fn are_installed() -> bool {
    let tools = ["redis-server", "redis-cli", "nats-server", "prometheus", "dnsmasq", "python3", "psql"];
    let postgres = format!("{POSTGRESQL}/postgres");
    tools.into_iter().chain([postgres.as_str()]).all(has_tool)
}

pub fn redis(host: &Host, port: &str, more: &[&str]) -> Running {
    let fixed = ["--bind", REDIS, "--port", port, "--save", "", "--dir", "/tmp", "--protected-mode", "no"];
    host.spawn("redis-server", &[&fixed, more].concat(), Stdio::null())
}

pub fn postgresql(host: &Host, dir: &tempfile::TempDir) -> Running {
    let (data, sockets) = (dir.path().join("data").display().to_string(), dir.path().display().to_string());
    let with = |program: &str, arguments: &[&str]| {
        let program = [format!("{POSTGRESQL}/{program}")];
        let program = program.each_ref().map(String::as_str);
        [&NOBODY_IN_PARTICULAR[..], &program, arguments]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let plain = |all: &[String]| all.iter().map(String::as_str).map(str::to_owned).collect::<Vec<_>>();
    let made = with("initdb", &["-D", &data, "-A", "trust", "-U", "admin", "--no-sync"]);
    let made = host.output("unshare", &plain(&made).iter().map(String::as_str).collect::<Vec<_>>());
    assert!(made.status.success(), "{}", harness::text(&made.stderr));
    // Passwords are asked for from elsewhere.
    std::fs::write(
        dir.path().join("data/pg_hba.conf"),
        "local all all trust\nhost all all all scram-sha-256\n",
    )
    .unwrap();
    let arguments = with("postgres", &["-D", &data, "-h", REDIS, "-k", &sockets, "-F"]);
    host.spawn("unshare", &arguments.iter().map(String::as_str).collect::<Vec<_>>(), Stdio::null())
}

pub fn nats(host: &Host) -> Running {
    host.spawn("nats-server", &["--addr", REDIS, "--port", "4222", "--name", "bus-1"], Stdio::null())
}

/// Any file below the directory.
pub fn http(host: &Host, dir: &tempfile::TempDir) -> Running {
    std::fs::write(dir.path().join("healthz"), r#"{"checks": {"redis": "up", "lag": 1.5}}"#).unwrap();
    let at = dir.path().display().to_string();
    host.spawn("python3", &["-m", "http.server", "8080", "--bind", REDIS, "--directory", &at], Stdio::null())
}

/// It scrapes itself.
pub fn prometheus(host: &Host, dir: &tempfile::TempDir) -> Running {
    let config = dir.path().join("prometheus.yml");
    let text = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: itself\n  static_configs: [{{targets: ['{REDIS}:9090']}}]\n"
    );
    std::fs::write(&config, text).unwrap();
    let arguments = [
        format!("--config.file={}", config.display()),
        format!("--storage.tsdb.path={}", dir.path().join("tsdb").display()),
        format!("--web.listen-address={REDIS}:9090"),
    ];
    host.spawn("prometheus", &arguments.each_ref().map(String::as_str), Stdio::null())
}

pub fn dnsmasq(host: &Host) -> Running {
    let listen = format!("--listen-address={REDIS}");
    let arguments = [
        "--keep-in-foreground",
        "--no-resolv",
        "--no-hosts",
        "--conf-file=/dev/null",
        "--pid-file",
        "--user=root",
        "--port=53",
        &listen,
        "--bind-interfaces",
        "--host-record=db.example.test,10.77.2.2,fd77:2::2",
    ];
    host.spawn("dnsmasq", &arguments, Stdio::null())
}
