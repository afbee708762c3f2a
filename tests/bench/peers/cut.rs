//! To cut a host off, one way.

use std::net::Ipv4Addr;

use super::{Call, Peer, Replay, list};

pub fn replay(peer: Peer, targets: &[Ipv4Addr], device: &str) -> Result<Replay, String> {
    match peer {
        Peer::Nft => Ok(nft(targets)),
        Peer::Jepsen => Ok(jepsen(targets)),
        Peer::Chaosblade => Ok(chaosblade(targets)),
        Peer::Chaosd => Ok(chaosd(targets)),
        Peer::Pumba => Ok(pumba(targets, device)),
        Peer::Steadybit => Ok(steadybit(targets)),
        Peer::Comcast | Peer::Tcconfig => Err("does not cut".to_owned()),
    }
}

/// One transaction, with the addresses in a set.
fn nft(targets: &[Ipv4Addr]) -> Replay {
    let table = format!(
        "table inet cut {{
           set targets {{ type ipv4_addr; elements = {{ {} }}; }}
           chain output {{ type filter hook output priority filter; ip daddr @targets drop; }}
         }}\n",
        list(targets)
    );
    Replay {
        inject: vec![Call::words("nft", "-f -").reading(table)],
        restore: vec![Call::words("nft", "delete table inet cut")],
    }
}

/// `drop-all!`: one call with all addresses, which iptables makes a rule each of. `heal!` is the whole firewall.
fn jepsen(targets: &[Ipv4Addr]) -> Replay {
    let listed = ["-A", "INPUT", "-s", &list(targets), "-j", "DROP", "-w"].map(str::to_owned);
    Replay { inject: vec![Call::new("iptables", listed)], restore: vec![Call::words("iptables", "-F -w")] }
}

/// `network drop`: TCP and UDP by a call each, through a shell.
fn chaosblade(targets: &[Ipv4Addr]) -> Replay {
    let targets = list(targets);
    let both = |verb: &str| {
        let of = |protocol| format!("iptables {verb} OUTPUT -p {protocol} -d {targets} -j DROP");
        ["tcp", "udp"].map(|protocol| Call::shell(of(protocol))).to_vec()
    };
    Replay { inject: both("-A"), restore: both("-D") }
}

/// `network partition`, direction `to`: a set filled by a call for each address, then chains, each rule after a look whether it is
/// there. A recovery empties the chains that lead to it and leaves the rest.
fn chaosd(targets: &[Ipv4Addr]) -> Replay {
    let mut inject = chaosd_set(targets);
    inject.extend(["INPUT", "OUTPUT"].iter().flat_map(|hook| chaosd_entry(hook, true)));
    inject.extend(
        [
            "-w -N OUTPUT/1",
            "-w -F OUTPUT/1",
            "-w -S OUTPUT/1",
            "-w -A OUTPUT/1 -m set --match-set chaos-0123456789abcdef dst -j DROP -w 5",
            "-w -S CHAOS-OUTPUT",
            "-w -A CHAOS-OUTPUT -j OUTPUT/1",
        ]
        .map(|words| Call::words("iptables", words)),
    );
    let restore = ["INPUT", "OUTPUT"].iter().flat_map(|hook| chaosd_entry(hook, false)).collect();
    Replay { inject, restore }
}

/// The set of an attack.
pub fn chaosd_set(targets: &[Ipv4Addr]) -> Vec<Call> {
    let mut calls = vec![Call::words("ipset", "create chaos-0123456789abcdefold hash:net")];
    calls.extend(targets.iter().map(|target| {
        Call::new("ipset", ["add".to_owned(), "chaos-0123456789abcdefold".to_owned(), format!("{target}/32")])
    }));
    calls.push(Call::words("ipset", "rename chaos-0123456789abcdefold chaos-0123456789abcdef"));
    calls
}

/// Its chain of a hook, anew: the rule that leads there is only written where it is not there.
pub fn chaosd_entry(hook: &str, first: bool) -> Vec<Call> {
    let words = |words: String| Call::words("iptables", &words);
    let mut calls = vec![
        words(format!("-w -N CHAOS-{hook}")).or_not(),
        words(format!("-w -F CHAOS-{hook}")),
        words(format!("-w -S {hook}")),
    ];
    calls.extend(first.then(|| words(format!("-w -A {hook} -j CHAOS-{hook}"))));
    calls
}

/// `iptables loss` with a probability of 1: a call for each address, there and back.
fn pumba(targets: &[Ipv4Addr], device: &str) -> Replay {
    let each = |verb: &str| {
        let rule = |target: &Ipv4Addr| {
            format!(
                "{verb} INPUT -i {device} -s {target}/32 -m statistic --mode random --probability 1.00 -j DROP"
            )
        };
        targets.iter().map(|target| Call::words("iptables", &rule(target))).collect()
    };
    Replay { inject: each("-I"), restore: each("-D") }
}

/// Its black hole: after a look whether there is IPv6, two routing rules for each address, all by one call.
fn steadybit(targets: &[Ipv4Addr]) -> Replay {
    let rules = |verb: &str| {
        let both = |target: &Ipv4Addr| {
            format!("rule {verb} blackhole to {target}/32\nrule {verb} blackhole from {target}/32\n")
        };
        let all = targets.iter().map(both).collect::<String>();
        vec![
            Call::words("ip", "-family inet6 rule"),
            Call::words("ip", "-force -batch - -family inet").reading(all),
        ]
    };
    Replay { inject: rules("add"), restore: rules("del") }
}
