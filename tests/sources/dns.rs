//! SRV records of a real dnsmasq, in a network namespace of the test's own.

use std::process::{Output, Stdio};

use harness::lab::{Host, Lab, Running};
use harness::{binary, has_tool};

use crate::fleet::{Fleet, refused};

const AGENTS: &str = "_partition-agent._tcp.example.test";

/// dnsmasq on this port of the loopback address, with these records and no others.
fn dnsmasq(host: &Host, port: &str, records: &[String]) -> Running {
    let port = format!("--port={port}");
    let fixed = [
        "--keep-in-foreground",
        "--no-resolv",
        "--no-hosts",
        "--conf-file=/dev/null",
        "--pid-file",
        "--user=root",
    ];
    let on = [port.as_str(), "--listen-address=127.0.0.1", "--bind-interfaces"];
    let records = records.iter().map(String::as_str);
    let arguments = fixed.into_iter().chain(on).chain(records).collect::<Vec<_>>();
    let server = host.spawn("dnsmasq", &arguments, Stdio::null());
    // It answers once it has its socket.
    let asked = format!(
        "for i in $(seq 1000); do \
             dig +short +tries=1 +time=1 @127.0.0.1 -p {} ready.example.test | grep -q 192.0.2.1 && exit; sleep 0.01; \
         done; exit 1",
        port.trim_start_matches("--port=")
    );
    host.sh(&asked);
    server
}

fn records() -> Vec<String> {
    let other = "--srv-host=_http._tcp.example.test,web-2.example.test,8080";
    let nobody = "--srv-host=_gone._tcp.example.test,nobody.example.test,80";
    let fixed = [
        "--host-record=ready.example.test,192.0.2.1",
        "--host-record=web-1.example.test,10.0.0.1,fd00::1",
        "--host-record=web-2.example.test,10.0.0.2",
        other,
        nobody,
    ];
    let agents = ["web-1.example.test,7000,10,60", "Web-2.Example.test,7001,20,0"];
    let agents = agents.map(|agent| format!("--srv-host={AGENTS},{agent}"));
    fixed.map(str::to_owned).into_iter().chain(agents).collect()
}

fn show(host: &Host, source: &str) -> Output {
    host.output(&binary().display().to_string(), &["fleet", "show", "--json", "--fleet", source])
}

fn has_tools() -> bool {
    ["dnsmasq", "dig"].iter().all(|tool| has_tool(tool))
}

#[test]
fn targets_of_all_priorities_are_hosts_and_the_port_is_that_of_the_agents() {
    if !has_tools() {
        return;
    }
    let lab = Lab::new();
    let _server = dnsmasq(&lab.app, "5353", &records());
    let fleet = Fleet::of(&show(&lab.app, &format!("srv:{AGENTS}@127.0.0.1:5353")));
    assert_eq!(
        fleet.lines(),
        [
            "web-1.example.test http://10.0.0.1:7000 10.0.0.1,fd00::1",
            "web-2.example.test http://10.0.0.2:7001 10.0.0.2",
        ]
    );
    // Of another service, the port is not that of the agents.
    let fleet = Fleet::of(&show(&lab.app, "srv:_http._tcp.example.test@127.0.0.1:5353"));
    assert_eq!(fleet.lines(), ["web-2.example.test http://10.0.0.2:7433 10.0.0.2"]);
}

#[test]
fn a_name_without_records_and_a_target_without_address_are_refused() {
    if !has_tools() {
        return;
    }
    let lab = Lab::new();
    let _server = dnsmasq(&lab.app, "5353", &records());
    for (name, reason) in [
        ("_nosuch._tcp.example.test", "no SRV records"),
        ("_gone._tcp.example.test", "`nobody.example.test.` stands for no address"),
    ] {
        let error = refused(&show(&lab.app, &format!("srv:{name}@127.0.0.1:5353")));
        assert!(error.contains(reason), "{error}");
    }
    // Nobody listens there.
    let error = refused(&show(&lab.app, &format!("srv:{AGENTS}@127.0.0.1:5354")));
    assert!(error.contains("no SRV records"), "{error}");
}

/// 100 records of some 40 bytes do not fit into a datagram; the resolver must ask again by TCP.
#[test]
fn an_answer_that_is_too_long_for_a_datagram_is_complete() {
    if !has_tools() {
        return;
    }
    let lab = Lab::new();
    let many = (1..=100).flat_map(|number| {
        let name = format!("a-rather-long-name-{number}.example.test");
        [format!("--srv-host={AGENTS},{name},7433"), format!("--host-record={name},10.0.1.{number}")]
    });
    let ready = "--host-record=ready.example.test,192.0.2.1".to_owned();
    let _server = dnsmasq(&lab.app, "5353", &many.chain([ready]).collect::<Vec<_>>());
    let fleet = Fleet::of(&show(&lab.app, &format!("srv:{AGENTS}@127.0.0.1:5353")));
    assert_eq!(fleet.hosts.len(), 100);
}

/// `ip netns exec` puts the files of `/etc/netns/NAME` over those of `/etc`.
#[test]
fn without_a_server_those_of_resolv_conf_are_asked() {
    if !has_tools() {
        return;
    }
    let lab = Lab::new();
    let etc = Etc::with_resolv_conf(&lab.app.namespace, "nameserver 127.0.0.1\n");
    let _server = dnsmasq(&lab.app, "53", &records());
    let program = binary().display().to_string();
    let source = format!("srv:{AGENTS}");
    let arguments =
        ["netns", "exec", &lab.app.namespace, &program, "fleet", "show", "--json", "--fleet", &source];
    let shown = lab.app.output("ip", &arguments);
    assert_eq!(Fleet::of(&shown).hosts.len(), 2);
    drop(etc);
}

struct Etc(std::path::PathBuf);

impl Etc {
    fn with_resolv_conf(namespace: &str, text: &str) -> Self {
        let dir = std::path::Path::new("/etc/netns").join(namespace);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("resolv.conf"), text).unwrap();
        Self(dir)
    }
}

impl Drop for Etc {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
        // Only if nobody else has something there.
        let _ = std::fs::remove_dir("/etc/netns");
    }
}
