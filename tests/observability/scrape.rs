//! The real Prometheus with the shipped configuration, rules and dashboard, and a real agent behind TLS and a token.

use std::net::UdpSocket;
use std::path::Path;

use harness::agent::Agent;
use harness::fake_agent::write_token;
use harness::lab::{APP_TO_REDIS, DB, Lab};
use harness::prometheus::Prometheus;
use harness::{binary, has_tool, text};
use serde_json::Value;

use crate::shipped::{self, dashboard_queries};

/// As README.md there says, made by `ca`: what the agent needs, and what Prometheus does.
fn agent_config(lab: &Lab, dir: &Path) -> String {
    let ca = dir.join("ca").display().to_string();
    for words in [&["init"][..], &["issue", "app", "--host", APP_TO_REDIS]] {
        let program = binary().display().to_string();
        let made = lab.app.output(&program, &[&["ca"], words, &["--dir", &ca]].concat());
        assert!(made.status.success(), "{words:?}: {}", text(&made.stderr));
    }
    let token = dir.join("token");
    write_token(&token, "0123456789abcdef");
    format!(
        "listen = '{APP_TO_REDIS}:7433'\n[tls]\ncert = '{ca}/app.crt'\nkey = '{ca}/app.key'\n\
         [[tokens]]\nname = 'prometheus'\nfile = '{}'\nrole = 'observe'\nfrom = ['10.77.1.0/24']\n",
        token.display()
    )
}

/// What is shipped, with each of these otherwise.
fn but(name: &str, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(shipped::text(name), |text, (from, to)| {
        assert!(text.contains(from), "{name} has no {from}");
        text.replace(from, to)
    })
}

fn prometheus<'a>(lab: &'a Lab, dir: &Path) -> Prometheus<'a> {
    // Its account may not be root's, and rules wait for a minute.
    std::fs::write(dir.join("alerts.yml"), but("alerts.yml", &[("for: 1m", "for: 1s")])).unwrap();
    let [token, ca] = ["token", "ca/ca.crt"].map(|name| dir.join(name).display().to_string());
    let config = but(
        "prometheus.yml",
        &[
            ("15s", "1s"),
            ("/etc/prometheus/partition-agent.token", &token),
            ("/etc/prometheus/partition-agent-ca.crt", &ca),
            (r#"["10.0.0.11:7433", "10.0.0.12:7433"]"#, &format!("['{APP_TO_REDIS}:7433']")),
        ],
    );
    Prometheus::start(&lab.redis, dir, &config)
}

/// The value of the one series that a query finds.
fn one(server: &Prometheus, query: &str) -> Option<f64> {
    let found = server.query(query);
    let [series] = &found.as_array()?[..] else { return None };
    series["value"][1].as_str()?.parse().ok()
}

/// Whether an alert about this agent is firing.
fn fires(data: &Value, name: &str) -> bool {
    let alerts = data["alerts"].as_array().into_iter().flatten();
    let mut ours = alerts.filter(|alert| alert["labels"]["instance"] == format!("{APP_TO_REDIS}:7433"));
    ours.any(|alert| alert["labels"]["alertname"] == name && alert["state"] == "firing")
}

#[test]
fn prometheus_scrapes_an_agent_and_says_when_it_has_died() {
    if !has_tool("prometheus") {
        return;
    }
    let lab = Lab::new();
    let dir = tempfile::tempdir().unwrap();
    let config = agent_config(&lab, dir.path());
    let agent = Agent::start(&lab.app, &config);
    let cut = r#"{"kinds":[{"loss":{"percent":100}}],"direction":"egress","for":"10m","target":"#;
    agent.inject("cut", &format!(r#"{cut}{{"peers":["{DB}:9000"],"protocol":"udp"}}}}"#));
    lab.app.run(|| {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        for _ in 0..10 {
            socket.send_to(b"gone", (DB, 9000)).unwrap();
        }
    });
    let mut server = prometheus(&lab, dir.path());
    let lost = r#"partition_agent_hit_packets_total{job="partition-agent", sink="lost"}"#;
    server.until("scrape", "query?query=up", |data| (data["result"][0]["value"][1] == "1").then_some(()));
    assert_eq!(one(&server, lost), Some(10.0));
    // As nft counts them.
    let counted = lab
        .app
        .sh("nft list chain netdev partition_agent f1_egress_loss | grep -o 'packets [0-9]* bytes [0-9]*'");
    let bytes = one(&server, r#"partition_agent_hit_bytes_total{sink="lost"}"#).unwrap();
    assert_eq!(counted.trim(), format!("packets 10 bytes {bytes}"));
    assert_eq!(one(&server, r#"partition_agent_active_faults{kind="loss"}"#), Some(1.0));
    let left =
        one(&server, r#"partition_agent_fault_deadline_timestamp_seconds{id="cut"} - time()"#).unwrap();
    assert!((500.0..=600.0).contains(&left), "{left}");
    // Units are in OpenMetrics alone: it was taken for what it is.
    let metadata = "targets/metadata?metric=partition_agent_restore_lateness_seconds";
    let told = server.until("metadata", metadata, |data| data.get(0).cloned());
    assert_eq!((&told["type"], &told["unit"]), (&"histogram".into(), &"seconds".into()));
    the_dashboard_shows_something(&mut server);

    let killed = agent.kill_9();
    server.until("alert", "alerts", |data| fires(data, "PartitionAgentGone").then_some(()));
    let agent = Agent::start_in(&lab.app, &config, killed);
    server.until("alert", "alerts", |data| {
        (fires(data, "PartitionAgentDied") && !fires(data, "PartitionAgentGone")).then_some(())
    });
    assert_eq!(agent.history()[0].end.to_string(), "agent died");
}

/// Every query of it, as Grafana asks it.
fn the_dashboard_shows_something(server: &mut Prometheus) {
    // Rates take two scrapes.
    server.until("rate", "query?query=rate(partition_agent_leases%5B1m%5D)", |data| {
        data["result"].get(0).map(drop)
    });
    let queries = dashboard_queries();
    assert!(queries.len() >= 20, "{queries:?}");
    for query in queries {
        let asked =
            ["$job", "$instance"].iter().fold(query.replace("$__rate_interval", "1m"), |query, variable| {
                assert!(
                    !query.contains("partition_agent_") || query.contains(variable),
                    "{query} is of every agent"
                );
                query.replace(variable, ".*")
            });
        // Where it leaves out what is nothing, that is there, too.
        let all = asked.strip_suffix(" > 0").unwrap_or(&asked);
        assert_ne!(server.query(all).as_array().unwrap().len(), 0, "{query} finds nothing");
        server.query(&asked);
    }
}
