//! To delay what goes to a host. All of them put a queueing discipline of theirs in the place of the interface's own, and send the
//! targets to a netem in it.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::cut::{chaosd_entry, chaosd_set};
use super::{Call, Peer, Replay};

/// What steadybit refuses to go beyond.
const STEADYBIT_MOST: usize = 2048;

pub fn replay(peer: Peer, targets: &[Ipv4Addr], by: Duration, device: &str) -> Result<Replay, String> {
    let millis = by.as_millis();
    match peer {
        Peer::Nft => Err("does not delay".to_owned()),
        Peer::Jepsen => Ok(jepsen(targets, millis, device)),
        Peer::Chaosblade => Ok(chaosblade(targets, millis, device)),
        Peer::Chaosd => Ok(chaosd(targets, millis, device)),
        Peer::Pumba => Ok(pumba(targets, millis, device)),
        Peer::Steadybit => steadybit(targets, millis, device),
        Peer::Comcast => Ok(comcast(targets, millis, device)),
        Peer::Tcconfig => Ok(tcconfig(targets, millis, device)),
    }
}

fn tc(words: &str) -> Call {
    Call::words("tc", words)
}

/// `shape!`: a filter by a call for each address.
fn jepsen(targets: &[Ipv4Addr], millis: u128, device: &str) -> Replay {
    let mut inject = vec![
        tc(&format!("qdisc del dev {device} root")).or_not(),
        tc(&format!(
            "qdisc add dev {device} root handle 1: prio bands 4 priomap 1 2 2 2 1 2 0 0 1 1 1 1 1 1 1 1"
        )),
        tc(&format!("qdisc add dev {device} parent 1:4 handle 40: netem delay {millis}ms")),
    ];
    inject.extend(targets.iter().map(|target| {
        tc(&format!(
            "filter add dev {device} parent 1:0 protocol ip prio 3 u32 match ip dst {target} flowid 1:4"
        ))
    }));
    Replay { inject, restore: vec![tc(&format!("qdisc del dev {device} root"))] }
}

/// `network delay --destination-ip`: one shell that runs `tc` for each address. It looks at the length of the interface's queue first,
/// and for filters before it takes all away.
fn chaosblade(targets: &[Ipv4Addr], millis: u128, device: &str) -> Replay {
    let mut script = format!("tc qdisc add dev {device} parent 1:4 handle 40: netem delay {millis}ms");
    for target in targets {
        script.push_str(&format!(
            " && tc filter add dev {device} parent 1: prio 4 protocol ip u32 match ip dst {target} flowid 1:4"
        ));
    }
    Replay {
        inject: vec![
            Call::shell(format!("head -1 /sys/class/net/{device}/tx_queue_len")).or_not(),
            Call::shell(format!("tc qdisc add dev {device} root handle 1: prio bands 4")),
            Call::shell(script),
        ],
        restore: vec![
            Call::shell(format!("tc filter show dev {device} parent 1: prio 4")),
            Call::shell(format!("tc filter del dev {device} parent 1: prio 4")),
            Call::shell(format!("tc qdisc del dev {device} root")),
        ],
    }
}

/// `network delay`: the set and the chains of a cut, and a class for what is in the set. A recovery deletes the root and leaves the
/// rest.
fn chaosd(targets: &[Ipv4Addr], millis: u128, device: &str) -> Replay {
    let mut inject = chaosd_set(targets);
    inject.extend(["INPUT", "OUTPUT"].iter().flat_map(|hook| chaosd_entry(hook, true)));
    inject.push(tc(&format!("qdisc del dev {device} root")).or_not());
    let qdiscs = [
        "root handle 1: prio bands 4 priomap 1 2 2 2 1 2 0 0 1 1 1 1 1 1 1 1".to_owned(),
        "parent 1:1 handle 2: sfq".to_owned(),
        "parent 1:2 handle 3: sfq".to_owned(),
        "parent 1:3 handle 4: sfq".to_owned(),
        format!("parent 1:4 handle 5: netem delay {}", millis * 1000),
    ];
    inject.extend(qdiscs.map(|qdisc| tc(&format!("qdisc add dev {device} {qdisc}"))));
    inject.extend(
        [
            "-w -N TC-TABLES-0",
            "-w -F TC-TABLES-0",
            "-w -S TC-TABLES-0",
            "-w -A TC-TABLES-0 -m set --match-set chaos-0123456789abcdef dst -j CLASSIFY --set-class 1:4 -w 5",
            "-w -S CHAOS-OUTPUT",
            "-w -A CHAOS-OUTPUT -j TC-TABLES-0",
        ]
        .map(|words| Call::words("iptables", words)),
    );
    let mut restore =
        ["INPUT", "OUTPUT"].iter().flat_map(|hook| chaosd_entry(hook, false)).collect::<Vec<_>>();
    restore.push(tc(&format!("qdisc del dev {device} root")));
    Replay { inject, restore }
}

/// `netem --target delay`: a filter by a call for each address.
fn pumba(targets: &[Ipv4Addr], millis: u128, device: &str) -> Replay {
    let mut inject = vec![
        tc(&format!("qdisc add dev {device} root handle 1: prio")),
        tc(&format!("qdisc add dev {device} parent 1:1 handle 10: sfq")),
        tc(&format!("qdisc add dev {device} parent 1:2 handle 20: sfq")),
        tc(&format!("qdisc add dev {device} parent 1:3 handle 30: netem delay {millis}ms")),
    ];
    inject.extend(targets.iter().map(|target| {
        tc(&format!(
            "filter add dev {device} protocol ip parent 1:0 prio 1 u32 match ip dst {target}/32 flowid 1:3"
        ))
    }));
    let restore =
        ["parent 1:1 handle 10:", "parent 1:2 handle 20:", "parent 1:3 handle 30:", "root handle 1: prio"];
    Replay { inject, restore: restore.map(|which| tc(&format!("qdisc del dev {device} {which}"))).to_vec() }
}

/// After a look whether there is IPv6, all by one call: two filters for each address, each with a preference of its own. It tries no
/// more than so many.
fn steadybit(targets: &[Ipv4Addr], millis: u128, device: &str) -> Result<Replay, String> {
    let batch = |verb: &str| {
        let mut lines = vec![
            format!("qdisc {verb} dev {device} root handle 1: prio priomap 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0"),
            format!("qdisc {verb} dev {device} parent 1:3 handle 30: netem delay {millis}ms 0ms"),
        ];
        let ways = targets.iter().flat_map(|target| [("src", "sport", target), ("dst", "dport", target)]);
        for (nth, (address, port, target)) in ways.enumerate() {
            lines.push(format!(
                "filter {verb} dev {device} protocol ip parent 1: prio {} u32 match ip {address} {target}/32 match ip {port} 0 0x0000 flowid 1:3",
                nth + 1
            ));
        }
        lines
    };
    let (add, mut del) = (batch("add"), batch("del"));
    if add.len() > STEADYBIT_MOST {
        return Err(format!("refuses more than {STEADYBIT_MOST} commands"));
    }
    del.reverse();
    let call = |lines: Vec<String>| {
        let look = Call::words("ip", "-family inet6 rule");
        // With -force it goes on after a line that fails, and tells so at its end.
        vec![look, tc("-force -batch -").reading(lines.join("\n") + "\n")]
    };
    Ok(Replay { inject: call(add), restore: call(del) })
}

/// A class by iptables for each address, each call by a shell; without its `sudo`. To stop, it lists its rules and deletes them one by
/// one.
fn comcast(targets: &[Ipv4Addr], millis: u128, device: &str) -> Replay {
    let sh = |script: &str| Call::shell(script.to_owned());
    let mut inject = vec![
        sh("tc qdisc show | grep netem").or_not(),
        sh(&format!("tc qdisc add dev {device} handle 10: root htb default 1")),
        sh(&format!("tc class add dev {device} parent 10: classid 10:1 htb rate 1000000kbit")),
        sh(&format!("tc class add dev {device} parent 10: classid 10:10 htb rate 1000000kbit")),
        sh(&format!("tc qdisc add dev {device} parent 10:10 handle 100: netem delay {millis}ms")),
    ];
    let class = "POSTROUTING -t mangle -j CLASSIFY --set-class 10:10";
    inject.extend(targets.iter().map(|target| Call::shell(format!("iptables -A {class} -d {target}"))));
    let mut restore = vec![sh("tc qdisc show | grep netem").or_not(), sh("iptables -S -t mangle")];
    restore.extend(targets.iter().map(|target| {
        Call::shell(format!(
            "iptables -t mangle -D POSTROUTING -d {target}/32 -j CLASSIFY --set-class 0010:0010"
        ))
    }));
    restore.push(sh("ip6tables -S -t mangle").or_not());
    restore.push(sh(&format!("tc qdisc del dev {device} handle 10: root")));
    Replay { inject, restore }
}

/// Not a replay: the program, once for each address.
fn tcconfig(targets: &[Ipv4Addr], millis: u128, device: &str) -> Replay {
    let tool = |program: &str, arguments: String| {
        let tools = crate::python_tools().display().to_string();
        Call::shell(format!(
            "PYTHONPATH={tools} PYTHONDONTWRITEBYTECODE=1 exec {tools}/bin/{program} {arguments}"
        ))
    };
    let set = |(nth, target): (usize, &Ipv4Addr)| {
        let more = if nth == 0 { "" } else { " --add" };
        tool("tcset", format!("{device} --delay {millis}ms --network {target}{more}"))
    };
    Replay {
        inject: targets.iter().enumerate().map(set).collect(),
        restore: vec![tool("tcdel", format!("{device} --all"))],
    }
}
