//! What is in the kernel of one network namespace, told by `nft`, `ip` and `tc`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::process::{Command, Output};
use std::time::Duration;

use harness::text;
use nix::sched::{CloneFlags, setns};
use serde_json::Value;

use crate::clock::Window;

/// A network namespace, held open.
pub struct Netns(File);

impl Netns {
    pub fn open(path: &str) -> std::io::Result<Self> {
        File::open(path).map(Self)
    }

    pub fn output(&self, program: &str, arguments: &[&str]) -> Output {
        let run = || {
            setns(&self.0, CloneFlags::CLONE_NEWNET).expect("root may enter");
            Command::new(program)
                .args(arguments)
                .output()
                .unwrap_or_else(|error| panic!("{program}: {error}"))
        };
        std::thread::scope(|scope| scope.spawn(run).join().expect("the thread ends well"))
    }

    fn json(&self, program: &str, arguments: &[&str]) -> Value {
        let done = self.output(program, arguments);
        assert!(done.status.success(), "{program} {arguments:?}: {}", text(&done.stderr));
        let said = text(&done.stdout);
        let said = if said.trim().is_empty() { "[]" } else { said.as_str() };
        serde_json::from_str(said).unwrap_or_else(|error| panic!("{program} {arguments:?}: {error}: {said}"))
    }

    /// A shell command that must work.
    pub fn sh(&self, script: &str) -> String {
        let done = self.output("bash", &["-c", script]);
        assert!(done.status.success(), "{script}: {}", text(&done.stderr));
        text(&done.stdout)
    }
}

/// An element of a set, and how long the kernel keeps it, if it does not keep it for good.
#[derive(Debug, Clone)]
pub struct Element {
    pub text: String,
    pub expires: Option<Duration>,
}

#[derive(Debug, Clone)]
pub struct Rule {
    pub chain: String,
    pub comment: String,
    pub text: String,
}

/// A table of the agent.
#[derive(Debug, Clone, Default)]
pub struct Table {
    pub sets: BTreeMap<String, Vec<Element>>,
    /// And whether they are hooked anywhere.
    pub chains: BTreeMap<String, bool>,
    pub rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
pub struct Route {
    pub net: String,
    pub interface: String,
    pub v6: bool,
}

/// All of it, read between two instants.
#[derive(Debug, Clone)]
pub struct Seen {
    pub at: Window,
    /// By name.
    pub tables: BTreeMap<String, Table>,
    /// `pa-f1-e` and the like, with the kind of their root qdisc.
    pub links: BTreeMap<String, String>,
    /// Interfaces of others that have an address, but for loopback, in the kernel's order.
    pub addressed: Vec<String>,
    pub interfaces: BTreeSet<String>,
    pub routes: Vec<Route>,
    /// Everything of others, in lines.
    pub foreign: BTreeSet<String>,
}

/// The names of what is the agent's.
const TABLES: &str = "partition_agent";
const LINKS: &str = "pa-";

impl Seen {
    pub fn look(netns: &Netns) -> Self {
        let ((nft, [links, routes, qdiscs]), at) = Window::around(|| {
            // Not as JSON: nft 1.0.6 reads freed memory where it writes the flags of an owned table, and JSON has whole
            // seconds only.
            let nft = netns.output("nft", &["list", "ruleset"]);
            assert!(nft.status.success(), "{}", text(&nft.stderr));
            let rest = [
                netns.json("ip", &["-j", "addr", "show"]),
                // Of both families.
                netns.json("ip", &["-j", "route", "show", "table", "all"]),
                netns.json("tc", &["-j", "qdisc", "show"]),
            ];
            (text(&nft.stdout), rest)
        });
        let mut seen = Self {
            at,
            tables: BTreeMap::new(),
            links: BTreeMap::new(),
            addressed: Vec::new(),
            interfaces: BTreeSet::new(),
            routes: Vec::new(),
            foreign: BTreeSet::new(),
        };
        seen.ruleset(&nft);
        for link in links.as_array().into_iter().flatten() {
            seen.link(link);
        }
        for qdisc in qdiscs.as_array().into_iter().flatten() {
            seen.qdisc(qdisc);
        }
        for route in routes.as_array().into_iter().flatten() {
            seen.route(route);
        }
        seen
    }

    /// `nft list ruleset`: tables, in them sets and chains, a line for each rule.
    fn ruleset(&mut self, text: &str) {
        let (mut table, mut block) = (String::new(), (String::new(), String::new()));
        let mut elements = None::<String>;
        // iptables has a remark above its tables.
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let depth = line.len() - line.trim_start_matches('\t').len();
            let words = line.split_whitespace().collect::<Vec<_>>();
            if let (0, ["table", _, name, ..]) = (depth, words.as_slice()) {
                (*name).clone_into(&mut table);
            }
            if !table.starts_with(TABLES) {
                self.foreign.extend(lasting(line).map(|line| format!("nft {table} {line}")));
                continue;
            }
            let ours = self.tables.entry(table.clone()).or_default();
            if let Some(rest) = elements.take() {
                elements = ours.elements(&block.1, format!("{rest} {}", line.trim()));
                continue;
            }
            match (depth, words.as_slice()) {
                (1, [kind @ ("set" | "chain"), name, "{"]) => {
                    block = ((*kind).to_owned(), (*name).to_owned());
                    match *kind {
                        "set" => drop(ours.sets.insert(block.1.clone(), Vec::new())),
                        _ => drop(ours.chains.insert(block.1.clone(), false)),
                    }
                }
                (2, ["elements", "=", ..]) => elements = ours.elements(&block.1, line.trim().to_owned()),
                (2, ["type", _, "hook", ..]) => drop(ours.chains.insert(block.1.clone(), true)),
                (2, _) if block.0 == "chain" => {
                    let (rule, comment) = line.trim().split_once(" comment ").unwrap_or((line.trim(), ""));
                    ours.rules.push(Rule {
                        chain: block.1.clone(),
                        comment: comment.trim_matches('"').to_owned(),
                        text: rule.to_owned(),
                    });
                }
                _ => {}
            }
        }
    }

    fn link(&mut self, link: &Value) {
        let name = link["ifname"].as_str().unwrap_or_default().to_owned();
        if name.starts_with(LINKS) {
            self.links.entry(name).or_default();
            return;
        }
        let up = link["flags"].as_array().is_some_and(|flags| flags.iter().any(|flag| flag == "UP"));
        let addresses = link["addr_info"].as_array().into_iter().flatten();
        let lasting =
            addresses.clone().filter(|address| address["scope"] != "link" || address["family"] == "inet");
        let lasting = lasting.map(|address| format!("{}/{}", address["local"], address["prefixlen"]));
        let lasting = lasting.collect::<Vec<_>>().join(" ");
        let (index, mtu, mac) = (&link["ifindex"], &link["mtu"], &link["address"]);
        self.foreign.insert(format!("link {name} {index} {mtu} {mac} up {up}: {lasting}"));
        if name != "lo" && addresses.count() > 0 {
            self.addressed.push(name.clone());
        }
        self.interfaces.insert(name);
    }

    fn qdisc(&mut self, qdisc: &Value) {
        let device = qdisc["dev"].as_str().unwrap_or_default();
        let kind = qdisc["kind"].as_str().unwrap_or_default();
        if !device.starts_with(LINKS) {
            self.foreign.insert(format!(
                "qdisc {device} {kind} {} {} {}",
                qdisc["handle"], qdisc["parent"], qdisc["options"]
            ));
        } else if qdisc["root"] == true {
            self.links.insert(device.to_owned(), format!("{kind} {}", qdisc["options"]));
        }
    }

    fn route(&mut self, route: &Value) {
        let word = |key: &str| route[key].as_str().unwrap_or_default();
        let (net, interface) = (word("dst"), word("dev"));
        if interface.starts_with(LINKS) || matches!(word("type"), "broadcast" | "multicast" | "anycast") {
            return;
        }
        // Only those of IPv6 have a preference.
        let v6 = route.get("pref").is_some();
        // Those of IPv6 that the kernel makes by itself come some time after their addresses.
        if !(v6 && word("protocol") == "kernel") {
            let table = word("table");
            self.foreign.insert(format!(
                "route {net} {interface} {} {table} {}",
                word("type"),
                word("gateway")
            ));
        }
        let net = if net == "default" { if v6 { "::/0" } else { "0.0.0.0/0" } } else { net };
        self.routes.push(Route { net: net.to_owned(), interface: interface.to_owned(), v6 });
    }
}

impl Table {
    /// `elements = { ... }`, once it is whole: else what there is of it.
    fn elements(&mut self, set: &str, text: String) -> Option<String> {
        let Some(inner) = text.strip_prefix("elements = {").and_then(|rest| rest.strip_suffix('}')) else {
            return Some(text);
        };
        let parse = |element: &str| {
            let (text, rest) = element.split_once(" timeout ").unwrap_or((element, ""));
            let expires = rest.split_once(" expires ").map(|(_, expires)| span(expires));
            Element { text: text.trim().to_owned(), expires }
        };
        self.sets.insert(set.to_owned(), inner.split(',').map(|element| parse(element.trim())).collect());
        None
    }
}

/// `9m59s608ms`.
fn span(text: &str) -> Duration {
    let mut total = Duration::ZERO;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, unit) = rest.split_at(digits);
        let letters = unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len());
        let (unit, more) = unit.split_at(letters);
        let millis = match unit {
            "d" => 86_400_000,
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1_000,
            "ms" => 1,
            _ => panic!("{text} is no time"),
        };
        total += Duration::from_millis(
            number.parse::<u64>().unwrap_or_else(|_| panic!("{text} is no time")) * millis,
        );
        rest = more;
    }
    total
}

/// What of a line does not change by itself, as counters and what is left of a timeout do.
fn lasting(line: &str) -> Option<String> {
    let mut words = line.split_whitespace().peekable();
    let mut kept = Vec::new();
    while let Some(word) = words.next() {
        match word {
            "packets" | "bytes" | "expires" => drop(words.next()),
            _ => kept.push(word),
        }
    }
    (!kept.is_empty()).then(|| kept.join(" "))
}
