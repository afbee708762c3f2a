use std::path::PathBuf;

use partition_agent_proto::Span;
use partition_agent_proto::fleet::{FleetHost, Service};

use super::*;
use crate::tls::TlsFiles;

fn addresses(text: &str) -> Vec<IpAddr> {
    text.split_whitespace().map(|address| address.parse().unwrap()).collect()
}

/// Hosts as `name agent address...`, with `-` for no agent; services as `name selector address...`, with `-` for none.
fn loaded(hosts: &[&str], services: &[&str], servers: &[(&str, LinkEnd)]) -> Loaded {
    let mut fleet = Fleet::default();
    for line in hosts {
        let (name, rest) = line.split_once(' ').unwrap();
        let (agent, rest) = rest.split_once(' ').unwrap();
        let agent = (agent != "-").then(|| agent.to_owned());
        let host = FleetHost { agent, addresses: addresses(rest), ..FleetHost::default() };
        fleet.hosts.insert(name.to_owned(), host);
    }
    for line in services {
        let (name, rest) = line.split_once(' ').unwrap();
        let (hosts, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let hosts = (hosts != "-").then(|| hosts.parse().unwrap());
        let service = Service { addresses: addresses(rest), hosts, ..Service::default() };
        fleet.services.insert(name.to_owned(), service);
    }
    let server = |on: &LinkEnd| LabServer {
        on: on.clone(),
        command: "true".to_owned(),
        ready: None,
        patience: Span::from_secs(30),
    };
    Loaded {
        fleet,
        token_file: None,
        tls: TlsFiles::default(),
        described: "a test".to_owned(),
        servers: servers.iter().map(|(name, on)| ((*name).to_owned(), server(on))).collect(),
        directory: PathBuf::new(),
    }
}

fn nodes(blueprint: &Blueprint) -> Vec<String> {
    let told = |node: &Node| {
        let addresses = node.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        format!(
            "{} {addresses} {}",
            node.name,
            node.agent.map_or_else(|| "-".to_owned(), |at| at.to_string())
        )
    };
    blueprint.nodes.iter().map(told).collect()
}

#[test]
fn agents_are_at_an_address_of_their_host() {
    let fleet = loaded(
        &[
            "a http://10.0.0.1:7433 10.0.0.1 fd00::1",
            "b https://[fd00::2]:9000 10.0.0.2 fd00::2",
            "c http://192.0.2.9:7433 10.0.0.3",
            "d https://d.example.com 10.0.0.4",
            "e - 10.0.0.5",
        ],
        &[],
        &[],
    );
    let blueprint = Blueprint::draw(&fleet, "").unwrap();
    assert_eq!(
        nodes(&blueprint),
        [
            "a 10.0.0.1 fd00::1 10.0.0.1:7433",
            "b 10.0.0.2 fd00::2 [fd00::2]:9000",
            "c 10.0.0.3 10.0.0.3:7433",
            "d 10.0.0.4 10.0.0.4:443",
            "e 10.0.0.5 -",
        ]
    );
    assert_eq!(blueprint.fleet.hosts["b"].agent.as_deref(), Some("http://[fd00::2]:9000"));
    assert_eq!(blueprint.fleet.hosts["e"].agent, None);
}

#[test]
fn services_are_hosts_of_their_own_where_nobody_else_has_their_address() {
    let fleet = loaded(
        &["a - 10.0.0.1", "b - 10.0.0.2"],
        &[
            "alone - 10.1.0.1 fd01::1",
            "also-alone - 10.1.0.1 10.1.0.9",
            "on-hosts a,b",
            "on-an-address - 10.0.0.2",
            "both a 10.1.0.3",
        ],
        &[],
    );
    let blueprint = Blueprint::draw(&fleet, "").unwrap();
    let names = blueprint.nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>();
    assert_eq!(names, ["a", "b", "alone", "also-alone", "both"]);
    let behind =
        |name: &str| blueprint.places[name].iter().map(|node| names[*node]).collect::<Vec<_>>().join(" ");
    assert_eq!(behind("alone"), "alone");
    assert_eq!(behind("also-alone"), "also-alone alone");
    assert_eq!(nodes(&blueprint)[3], "also-alone 10.1.0.9 -");
    assert_eq!(behind("on-hosts"), "a b");
    assert_eq!(behind("on-an-address"), "b");
    assert_eq!(behind("both"), "both a");
}

#[test]
fn servers_run_where_they_are_looked_for() {
    let fleet = loaded(
        &["a - 10.0.0.1 fd00::1", "b - 10.0.0.2"],
        &["redis - 10.1.0.1", "pg a,b", "second - fd00::1"],
        &[
            ("one", LinkEnd::Hosts("*".parse().unwrap())),
            ("redis", LinkEnd::Service("redis".to_owned())),
            ("pg", LinkEnd::Service("pg".to_owned())),
            ("second", LinkEnd::Service("second".to_owned())),
        ],
    );
    let blueprint = Blueprint::draw(&fleet, "").unwrap();
    let told = |run: &Run| format!("{}@{} {}", run.name, blueprint.nodes[run.node].name, run.address);
    assert_eq!(
        blueprint.runs.iter().map(told).collect::<Vec<_>>(),
        [
            "one@a 10.0.0.1",
            "one@b 10.0.0.2",
            "pg@a 10.0.0.1",
            "pg@b 10.0.0.2",
            "redis@redis 10.1.0.1",
            "second@a fd00::1"
        ]
    );
}

#[test]
fn names_are_those_of_the_lab_and_of_this_machine_for_itself() {
    let system = "127.0.0.1 localhost # us\n127.0.1.1 a.example.com A\n::1 localhost ip6-localhost\n\
                  10.9.9.9 vm b\nfe00::0 ip6-localnet\nnonsense\n";
    let fleet = loaded(&["a - 10.0.0.1 fd00::1", "b - 10.0.0.2"], &["db a,b 10.1.0.1"], &[]);
    let names = Blueprint::draw(&fleet, system).unwrap().names;
    assert_eq!(
        names,
        "127.0.0.1 localhost\n127.0.1.1 a.example.com\n::1 localhost ip6-localhost\n\
         198.18.0.1 controller\nfd70:6167::1 controller\n10.0.0.1 a\nfd00::1 a\n10.0.0.2 b\n\
         10.1.0.1 db\n10.0.0.1 db\nfd00::1 db\n10.0.0.2 db\n"
    );
    let names = Blueprint::draw(&fleet, "").unwrap().names;
    assert!(names.starts_with("127.0.0.1 localhost\n::1 localhost\n"), "{names}");
}

#[test]
fn what_cannot_be_in_a_lab_is_said() {
    let long = format!("{} - 10.0.0.1", "a".repeat(61));
    for (host, reason) in [
        ("a - 127.0.0.2", "a cannot be in a lab with the address 127.0.0.2: it is that of every host itself"),
        ("a - fe80::1", "it is that of one link only"),
        ("a - 198.18.0.1", "it is that of the controller of the lab"),
        ("a - fd70:6167::1", "it is that of the controller of the lab"),
        ("a - 255.255.255.255", "it is that of no host"),
        ("controller - 10.0.0.1", "`controller` is taken in a lab"),
        ("localhost - 10.0.0.1", "`localhost` is taken in a lab"),
        (&long, "is longer than 60 characters"),
    ] {
        let error = Blueprint::draw(&loaded(&[host], &[], &[]), "").unwrap_err();
        assert!(error.contains(reason), "{error}");
        let service = Blueprint::draw(&loaded(&["b - 10.0.0.99"], &[host], &[]), "").unwrap_err();
        assert!(service.contains(reason), "{service}");
    }
    let many = (0..1_100).map(|n| format!("h{n} - 10.0.{}.{}", n / 200, n % 200 + 1)).collect::<Vec<_>>();
    let many = many.iter().map(String::as_str).collect::<Vec<_>>();
    assert!(
        Blueprint::draw(&loaded(&many, &[], &[]), "").unwrap_err().contains("1100 hosts: a lab has 1022")
    );
}
