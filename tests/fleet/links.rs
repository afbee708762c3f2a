//! Links and services by name, groups as peers, what is unexpected, and the limit on what is hit at once.

use std::net::SocketAddr;

use harness::fleet::{Fleet, address_of};
use harness::lab::address;
use harness::text;
use harness::traffic::serve_tcp;

use crate::SLACK;

const NAMES: &str = "
[services.store]
hosts = 'h9'
ports = [6379]

[links.app-store]
from = '@zone=a'
to = 'store'

[links.a-b]
from = '@zone=a'
to = '@zone=b'
";

fn cell<'a>(matrix: &'a serde_json::Value, from: &str, to: &str) -> &'a serde_json::Value {
    let pairs = matrix["pairs"].as_array().expect("as it is in the answer");
    pairs.iter().find(|pair| pair["from"] == from && pair["to"] == to).expect("as it is in the answer")
}

#[test]
fn a_link_and_its_service_are_cut_for_those_at_its_end_only() {
    let fleet = Fleet::start();
    fleet.add(NAMES);
    serve_tcp(&fleet.hosts[9], SocketAddr::new(address(&address_of(9)), 6379));
    let (code, matrix) = fleet.json(&["matrix"]);
    assert_eq!((code, &cell(&matrix, "h0", "store")["found"]), (Some(0), &"open".into()), "{matrix}");

    let said = fleet.cli_ok(&["inject", "--link", "app-store", "--loss", "100%", "--max-share", "100%"]);
    assert!(said.contains("5 hosts: h0, h1, h2, h3, h4"), "{said}");
    let (code, matrix) = fleet.json(&["matrix"]);
    assert_eq!(code, Some(0), "as the fault says: {matrix}");
    for (from, found) in [("h0", "cut"), ("h4", "cut"), ("h5", "open")] {
        assert_eq!(cell(&matrix, from, "store")["found"], found, "{from}");
    }
    // The port is cut, not the host.
    assert_eq!(cell(&matrix, "h0", "h9")["found"], "open");

    // The server goes, and nobody has said so.
    fleet.cli_ok(&["restore", "--all"]);
    let said = fleet.cli_ok(&["inject", "--loss", "100%", "--local-port", "6379", "--on", "h9"]);
    assert!(said.contains("1 host: h9"), "{said}");
    let done = fleet.cli(&["matrix"]);
    let said = text(&done.stdout);
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("h5 -> store: unexpectedly cut"), "{said}");
    fleet.cli_ok(&["restore", "--all"]);
    assert_eq!(fleet.json(&["matrix"]).0, Some(0));
}

#[test]
fn a_latency_on_a_link_is_there_once_in_each_direction() {
    let fleet = Fleet::start();
    fleet.add(NAMES);
    let ping = |from: usize, to: usize| {
        let said = fleet.hosts[from].sh(&format!("ping -c 5 -i 0.2 -W 3 {}", address_of(to)));
        let times = said.rsplit("= ").next().and_then(|times| times.split('/').next().map(str::to_owned));
        times.unwrap().parse::<f64>().unwrap()
    };
    fleet.cli_ok(&["inject", "--link", "a-b", "--latency", "50ms", "--max-share", "100%"]);
    let (there, back, beside) = (ping(0, 9), ping(9, 0), ping(0, 1));
    println!("through the link {there} ms and {back} ms, beside it {beside} ms");
    // Both directions at one end: 100 ms, and not 200. A timer is late by what the machine adds.
    assert!((100.0..150.0).contains(&there) && (100.0..150.0).contains(&back) && beside < 50.0);
    fleet.cli_ok(&["restore", "--all"]);
    fleet.agents[0].as_ref().unwrap().until_idle(SLACK);
    fleet.cli_ok(&["inject", "--link", "a-b", "--one-way", "--latency", "50ms", "--max-share", "100%"]);
    let one_way = ping(0, 9);
    assert!((50.0..100.0).contains(&one_way), "{one_way}");
}

#[test]
fn somebody_elses_rule_is_unexpected_both_ways_round() {
    let fleet = Fleet::start();
    fleet.hosts[7]
        .sh("nft 'add table inet other; add chain inet other in { type filter hook input priority 0; }; \
         add rule inet other in ip saddr 10.78.0.1 udp dport 7434 drop'");
    let done = fleet.cli(&["matrix"]);
    let said = text(&done.stdout);
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("h0 -> h7: unexpectedly cut: 0 of 5 datagrams arrived"), "{said}");
    assert_eq!(said.matches("unexpectedly").count(), 3, "one line beside the legend's two: {said}");
}

#[test]
fn no_more_than_a_share_of_a_group_is_hit_without_saying_so() {
    let fleet = Fleet::start();
    let cut = ["inject", "--loss", "1%", "--peer", "10.78.0.100:9", "--on"];
    let done = fleet.cli(&[&cut, ["@zone=a"].as_slice()].concat());
    let said = text(&done.stderr);
    assert_eq!(done.status.code(), Some(2), "{said}");
    assert!(said.contains("5 of the 5 hosts of `@zone=a`") && said.contains("--max-share 100%"), "{said}");
    for (nth, agent) in fleet.running() {
        assert!(!agent.log().contains("kind=prepared"), "h{nth} was asked");
    }
    fleet.cli_ok(&[&cut, ["h0,h1,h2"].as_slice()].concat());
    fleet.cli_ok(&["restore", "--all"]);
    // Groups are peers too, and nobody is its own.
    fleet.cli_ok(&["inject", "--loss", "100%", "--peer", "@zone=a", "--on", "h0,h1"]);
    let (code, matrix) = fleet.json(&["matrix"]);
    assert_eq!(code, Some(0));
    for (from, to, found) in
        [("h0", "h1", "cut"), ("h0", "h4", "cut"), ("h2", "h3", "open"), ("h0", "h5", "open")]
    {
        assert_eq!(cell(&matrix, from, to)["found"], found, "{from} -> {to}");
    }
}
