//! No trace: what other tools see of a host is the same before and after, over random sequences.

use std::time::Duration;

use harness::agent::Agent;
use harness::lab::{DB, Lab, REDIS, REDIS6};
use harness::snapshot::Snapshot;
use harness::{has_netem, rounds, text};

use crate::SLACK;

/// A small generator with a printed seed: the sequence of a failure can be run again.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        // Marsaglia's xorshift64.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        let nth = self.below(from.len() as u64);
        from.iter().zip(0..).find(|(_, n)| *n == nth).map_or("", |(picked, _)| picked)
    }
}

fn spec(random: &mut Random, netem: bool) -> String {
    let loss = random.pick(&[r#"{"loss":{"percent":100}}"#, r#"{"loss":{"percent":0.5}}"#]);
    let delay =
        random.pick(&[r#"{"delay":{"latency":"20ms"}}"#, r#"{"delay":{"latency":"20ms","jitter":"5ms"}}"#]);
    let kinds = match random.below(if netem { 3 } else { 1 }) {
        0 => loss.to_owned(),
        1 => delay.to_owned(),
        _ => format!("{loss},{delay}"),
    };
    let peers =
        format!(r#""peers":["{}"]"#, random.pick(&[REDIS, DB, REDIS6, "10.77.0.0/16:80", "192.0.2.0/24"]));
    let target =
        random.pick(&[&peers, r#""ports":[80,443]"#, r#""all_traffic":true,"except":["10.77.2.2"]"#]);
    let direction = random.pick(&["egress", "ingress", "both"]);
    let duration = random.pick(&["10m", "10m", "200ms"]);
    format!(r#"{{"kinds":[{kinds}],"target":{{{target}}},"direction":"{direction}","for":"{duration}"}}"#)
}

/// Things that belong to others, and must stay: a tuned root qdisc, an ingress qdisc with a filter, tables, an IFB.
fn furnish(lab: &Lab, root: &str) {
    lab.app.sh(&format!(
        "tc qdisc add dev to-redis root handle 7: {root} && tc qdisc add dev to-redis clsact && \
         tc filter add dev to-redis ingress protocol ip pref 9 u32 match ip dst 192.0.2.9/32 action mirred egress redirect dev to-db && \
         nft add table inet theirs && nft add chain inet theirs c '{{ type filter hook input priority 0; }}' && \
         nft add rule inet theirs c tcp dport 9 counter drop && \
         nft add table netdev theirs && nft add chain netdev theirs i '{{ type filter hook ingress device to-db priority 0; }}' && \
         ip link add theirs type ifb"
    ));
}

fn sequences(lab: &Lab, count: usize, netem: bool) {
    let given = std::env::var("PA_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| u64::from(std::process::id()) * 0x9e37_79b9);
    println!("PA_SEED={seed} runs this sequence again");
    let mut random = Random(seed.max(1));
    let mut agent = Agent::start(&lab.app, "");
    let before = Snapshot::take(&lab.app);
    let mut ways = [0; 4];
    for sequence in 0..count {
        for nth in 0..=random.below(3) {
            let spec = spec(&mut random, netem);
            let (status, body) = agent.ask("PUT", &format!("/v1/faults/f{nth}"), Some(&spec));
            // 409: a short one of that name has not quite gone.
            assert!(matches!(status, 201 | 409), "{spec}: {body}");
        }
        let way = random.below(8);
        match way {
            0..=3 => {
                for nth in 0..3 {
                    agent.ask("DELETE", &format!("/v1/faults/f{nth}"), None);
                }
                ways[0] += 1;
            }
            4 | 5 => {
                for nth in 0..3 {
                    agent.ask("PATCH", &format!("/v1/faults/f{nth}"), Some(r#"{"for":"50ms"}"#));
                }
                ways[1] += 1;
            }
            6 => {
                agent = Agent::start_in(&lab.app, "", agent.kill_9());
                ways[2] += 1;
            }
            _ => {
                agent = Agent::start_in(&lab.app, "", agent.terminate());
                ways[3] += 1;
            }
        }
        agent.until_idle(SLACK);
        before.assert_same(&Snapshot::take(&lab.app), &format!("sequence {sequence}, way {way}"));
    }
    println!(
        "{count} sequences: {} restored, {} expired, {} killed, {} terminated",
        ways[0], ways[1], ways[2], ways[3]
    );
}

#[test]
fn random_sequences_leave_no_trace() {
    let lab = Lab::new();
    furnish(&lab, "tbf rate 1gbit burst 100k latency 10ms");
    let netem = has_netem(&lab);
    sequences(&lab, rounds(200), netem);
}

/// The root qdisc of a device that carries a delay is the one that it had, tuned as it was, and it goes on working.
#[test]
fn a_tuned_fq_stays_tuned() {
    let lab = Lab::new();
    if !has_netem(&lab) {
        return;
    }
    let fq = "fq limit 20000 flow_limit 200 quantum 9000";
    furnish(&lab, fq);
    let root = || lab.app.sh("tc qdisc show dev to-redis root");
    let before = root();
    let agent = Agent::start(&lab.app, "");
    let spec = format!(
        r#"{{"kinds":[{{"delay":{{"latency":"20ms"}}}}],"target":{{"peers":["{REDIS}"]}},"for":"10m"}}"#
    );
    for _ in 0..rounds(20).max(3) {
        agent.inject("f", &spec);
        assert_eq!(root(), before, "during the fault");
        lab.app.sh(&format!("ping -c 1 -W 3 {REDIS}"));
        agent.restore("f");
        agent.until_idle(Duration::from_secs(10));
        assert_eq!(root(), before, "after the fault");
    }
    let counted = text(&lab.app.output("tc", &["-s", "qdisc", "show", "dev", "to-redis", "root"]).stdout);
    assert!(counted.contains("dropped 0"), "{counted}");
    drop(agent);
    sequences(&lab, rounds(40), true);
}

/// What somebody does while a fault is in force, and all that the agent then says of it, but for hashes and how many
/// there are of a thing: that is the kernel's business.
const CHANGES: [(&str, &str); 9] = [
    ("true", "all else is as it was before"),
    (
        "tc qdisc change dev to-redis root handle 7: tbf rate 2gbit burst 100k latency 10ms",
        "qdisc of to-redis at ffff:ffff was tbf 7: with hash and is tbf 7: with hash",
    ),
    ("tc filter del dev to-redis ingress", "the number of filters on ingress of to-redis was N and is N"),
    (
        "nft add rule inet theirs c tcp dport 10 counter drop",
        "table inet theirs was N rules with hash and is N rules with hash",
    ),
    (
        "nft replace rule inet theirs c handle 2 tcp dport 11 counter drop",
        "table inet theirs was N rules with hash and is N rules with hash",
    ),
    ("nft delete table netdev theirs", "table netdev theirs is gone"),
    ("ip addr add 10.79.0.1/32 dev to-db noprefixroute", "address 10.79.0.1/32 of to-db is new"),
    ("ip route add 10.80.0.0/16 dev to-db", "the number of IPv4 routes was N and is N"),
    ("ip link add more type ifb", "link more is new"),
];

#[test]
fn what_others_change_meanwhile_is_told_and_what_runs_by_itself_is_not() {
    let lab = Lab::new();
    furnish(&lab, "tbf rate 1gbit burst 100k latency 10ms");
    let agent = Agent::start(&lab.app, "");
    let cut = format!(
        r#"{{"kinds":[{{"loss":{{"percent":100}}}}],"target":{{"peers":["{REDIS}:10"]}},"for":"10m"}}"#
    );
    let slow = format!(
        r#"{{"kinds":[{{"delay":{{"latency":"20ms"}}}}],"target":{{"peers":["{DB}"]}},"engine":"emulator","for":"10m"}}"#
    );
    for (change, told) in CHANGES {
        // Another fault, with links of its own, is there before and not after.
        agent.inject("slow", &slow);
        agent.inject("cut", &cut);
        // Counters run: of the qdisc, and of the rule.
        lab.app.sh(&format!("ping -c 3 -i 0.01 -W 3 {REDIS}"));
        lab.redis
            .sh("echo > /dev/udp/10.77.1.1/9; timeout 0.2 bash -c 'echo > /dev/tcp/10.77.1.1/9' || true");
        lab.app.sh(change);
        agent.restore("slow");
        let begun = std::time::Instant::now();
        while agent.faults().len() > 1 {
            assert!(begun.elapsed() < SLACK, "{:?}", agent.faults());
        }
        let said = agent.cli_ok(&lab.app, &["restore", "cut"]);
        let found = said.trim().strip_prefix("cut: restored; nothing of it is left; ").expect(&said);
        let found = found.trim_start_matches("what else changed meanwhile: in host: ");
        let mut words = found.split(' ');
        let mut steady = Vec::new();
        while let Some(word) = words.next() {
            let bare = word.trim_end_matches(';');
            steady.push(if bare.parse::<u32>().is_ok() { word.replace(bare, "N") } else { word.to_owned() });
            if word == "hash" {
                let _runs = words.next();
            }
        }
        assert_eq!(steady.join(" "), told, "{change}");
    }
}
