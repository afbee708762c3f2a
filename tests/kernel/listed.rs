//! A plan prints itself in nft's words, and the kernel is told in bytes. Here both meet: what nft lists of the tables is what
//! the plan said.

use std::path::PathBuf;

use harness::agent::Agent;
use harness::lab::Lab;

/// The lines of rules and hooks, each as a plan and `nft list` both would have it.
fn rules(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim);
    // What goes into chains of others.
    let lines = lines.map(|line| match line.split_once(" rule ") {
        Some(("# add" | "# insert", rest)) => rest.splitn(4, ' ').nth(3).unwrap_or_default(),
        Some(_) | None => line,
    });
    let is_rule = |line: &&str| {
        ["counter", "return", "jump", "goto", "accept", "mark set", "update", "fwd", "hook"]
            .iter()
            .any(|word| line.contains(word))
    };
    lines.filter(is_rule).map(normal).collect()
}

fn normal(line: &str) -> String {
    let mut words = Vec::<String>::new();
    let mut rest = line.split_whitespace();
    while let Some(word) = rest.next() {
        match word {
            // Counts are not in a plan.
            "packets" | "bytes" if words.last().is_some_and(|last| last == "counter") => drop(rest.next()),
            word => {
                let digits = word.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
                words.push(digits.map_or(word.to_owned(), |number| number.to_string()));
            }
        }
    }
    let mut line = words.join(" ");
    for (nft, plan) in [
        // Names of numbers, and ranges of one.
        ("priority filter;", "priority 0;"),
        ("priority dstnat - 1;", "priority -101;"),
        ("timeout 5m", "timeout 300s"),
        ("icmpv6 type 143-143", "icmpv6 type 143"),
        ("icmpv6 type 2-2", "icmpv6 type 2"),
        // Bits of the header of what an earlier rule has found to be TCP.
        ("@th,104,8 & 2 != 0", "tcp flags & syn == syn"),
        ("@th,104,8 & 2 == 0", "tcp flags & syn == 0"),
        ("meta protocol ip update @f2_flow4 { @nh,128,32", "update @f2_flow4 { ip daddr"),
        ("meta protocol ip6 update @f2_flow6 { @nh,192,128", "update @f2_flow6 { ip6 daddr"),
        // By the way from where nft looks for the hierarchy.
        ("\"unified/", "\""),
        // In the IP stack nft names headers after `meta nfproto` only.
        ("meta protocol ip @nh,128,32", "ip daddr"),
        ("meta protocol ip6 @nh,192,128", "ip6 daddr"),
        ("meta protocol ip @nh,96,32", "ip saddr"),
        ("meta protocol ip6 @nh,64,128", "ip6 saddr"),
    ] {
        line = line.replace(nft, plan);
    }
    // The answer that nft takes for granted.
    let unsaid = "counter reject";
    if line == unsaid || line.starts_with(&format!("{unsaid} comment")) {
        line = line.replace(unsaid, "counter reject with icmpx port-unreachable");
    }
    line
}

/// Every rule and every hook of the plan is listed.
fn assert_listed(lab: &Lab, agent: &Agent, id: &str) {
    let (status, body) = agent.ask("GET", &format!("/v1/faults/{id}"), None);
    assert_eq!((status, &body["verdict"]["is"]), (200, &"confirmed".into()), "{body}");
    let plan = body["plan"].as_str().expect("a plan");
    let listed = lab.app.sh("nft list ruleset");
    let there = rules(&listed);
    for rule in rules(plan) {
        assert!(there.contains(&rule), "not listed: {rule}\n{plan}\n{listed}");
    }
}

/// A control group that is removed with the test.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new(name: &str) -> Option<Self> {
        // The second one beside a hierarchy of version 1.
        let mounts = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(PathBuf::from);
        let Some(mount) = mounts.into_iter().find(|mount| mount.join("cgroup.controllers").exists()) else {
            harness::skip("there is no hierarchy of version 2");
            return None;
        };
        let path = mount.join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir(&path).expect("root may");
        Some(Self(path))
    }

    fn name(&self) -> String {
        format!("/{}", self.0.file_name().expect("a name").to_string_lossy())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

const LOSS: &str = r#"{"loss":{"percent":30}}"#;

fn check(lab: &Lab, agent: &Agent, kind: &str, target: &str, more: &str) {
    let spec = format!(r#"{{"kinds":[{kind}],"target":{{{target}}}{more},"for":"10m"}}"#);
    agent.inject("f", &spec);
    assert_listed(lab, agent, "f");
    agent.restore("f");
    agent.until_idle(std::time::Duration::from_secs(10));
}

#[test]
fn nft_lists_every_rule_as_the_plan_says_it() {
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, "");
    let both = r#""peers":["10.77.1.2","[fd77:1::2]:80"],"except":["10.77.1.3:9"]"#;
    check(&lab, &agent, LOSS, both, "");
    check(&lab, &agent, LOSS, &format!(r#"{both},"state":"new""#), "");
    check(&lab, &agent, LOSS, &format!(r#"{both},"state":"established","flows":25"#), "");
    check(&lab, &agent, LOSS, r#""local_ports":["80-90"],"protocol":"sctp""#, "");
    check(
        &lab,
        &agent,
        LOSS,
        r#""peers":["10.77.1.2","fd77:1::2"],"protocol":"icmp""#,
        r#","interface":"to-redis""#,
    );
    for with in ["tcp_reset", "port_unreachable", "host_unreachable", "admin_prohibited"] {
        check(&lab, &agent, &format!(r#"{{"reject":{{"with":"{with}"}}}}"#), both, "");
    }
    // The emulator's TAPs, the way back and its mark.
    check(&lab, &agent, r#"{"delay":{"latency":"10ms"}}"#, both, r#","engine":"emulator""#);
}

#[test]
fn nft_lists_what_is_told_by_processes_and_behind_nat() {
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, "");
    let both = r#""peers":["10.77.1.2","[fd77:1::2]:80"],"except":["10.77.1.3:9"]"#;
    let reject = r#"{"reject":{"with":"tcp_reset"}}"#;
    for kind in [LOSS, reject] {
        check(&lab, &agent, kind, both, r#","scope":{"user":"1234"}"#);
    }
    if let Some(cgroup) = Cgroup::new("pa-test-listed") {
        check(&lab, &agent, LOSS, both, &format!(r#","scope":{{"cgroup":"{}"}}"#, cgroup.name()));
    }
    lab.app.sh("nft 'add table ip n; add chain ip n c { type nat hook output priority -100; }'");
    for kind in [LOSS, reject] {
        check(&lab, &agent, kind, both, "");
    }
}
