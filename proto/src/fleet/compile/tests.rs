use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn set(names: &str) -> BTreeSet<String> {
    names.split_whitespace().map(str::to_owned).collect()
}

fn host(addresses: &[&str], agent: bool) -> Party {
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    Party { addresses, ports: vec![], agent }
}

fn service(address: &str, ports: &[&str]) -> Party {
    let ports = ports.iter().map(|ports| ports.parse().unwrap()).collect();
    Party { ports, ..host(&[address], false) }
}

fn parties(these: &[(&str, Party)]) -> BTreeMap<String, Party> {
    these.iter().map(|(name, party)| ((*name).to_owned(), party.clone())).collect()
}

/// One host a line, as people would say it.
fn text(cuts: &Cuts, parties: &BTreeMap<String, Party>, ends: Ends) -> String {
    match compile(cuts, parties, ends) {
        Ok(faults) => {
            let line = |(host, fault): (&String, &HostFault)| {
                let peers = fault.peers.iter().map(Peer::to_string).collect::<Vec<_>>().join(" ");
                format!("{host}: {}: {peers}", fault.direction)
            };
            faults.iter().map(line).collect::<Vec<_>>().join("\n")
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_cut_is_at_both_ends_and_anything_else_at_one() {
    let parties = parties(&[
        ("a", host(&["10.0.0.1", "fd00::1"], true)),
        ("b", host(&["::ffff:10.0.0.2"], true)),
        ("db", service("10.0.0.9", &["5432", "6000-6010"])),
    ]);
    let cuts = Cuts::between(&[set("a"), set("b db")]);
    assert_eq!(
        text(&cuts, &parties, Ends::Both),
        "a: egress and ingress: 10.0.0.2 10.0.0.9:5432 10.0.0.9:6000-6010\n\
         b: egress and ingress: 10.0.0.1 fd00::1"
    );
    assert_eq!(
        text(&cuts, &parties, Ends::One),
        "a: egress and ingress: 10.0.0.2 10.0.0.9:5432 10.0.0.9:6000-6010"
    );
    let one_way = Cuts::one_way(&set("b"), &set("a db")).unwrap();
    assert_eq!(
        text(&one_way, &parties, Ends::Both),
        "a: ingress: 10.0.0.2\nb: egress: 10.0.0.1 10.0.0.9:5432 10.0.0.9:6000-6010 fd00::1"
    );
    // The sender, though its name sorts last.
    assert_eq!(
        text(&one_way, &parties, Ends::One),
        "b: egress: 10.0.0.1 10.0.0.9:5432 10.0.0.9:6000-6010 fd00::1"
    );
    let answers = Cuts::one_way(&set("db"), &set("a")).unwrap();
    assert_eq!(text(&answers, &parties, Ends::One), "a: ingress: 10.0.0.9:5432 10.0.0.9:6000-6010");
}

#[test]
fn what_nobody_can_do_is_refused() {
    let parties = parties(&[
        ("a", host(&["10.0.0.1"], true)),
        ("b", host(&["10.0.0.2"], true)),
        ("mute", host(&["10.0.0.3"], false)),
        ("db", service("10.0.0.9", &["5432"])),
        ("nowhere", host(&[], false)),
    ]);
    let between = |one: &str, other: &str| Cuts::between(&[set(one), set(other)]);
    let through = Cuts::one_way(&set("a"), &set("b")).unwrap();
    let through = through.union(Cuts::one_way(&set("b"), &set("mute")).unwrap());
    for (cuts, reason) in [
        (between("mute", "a db"), "neither `db` nor `mute` has an agent"),
        (between("a", "nosuch"), "`nosuch` is not known"),
        (between("a", "nowhere"), "`nowhere` has no address"),
        (through, "`b` loses what goes to or comes from `a`, but others in another direction"),
    ] {
        let error = text(&cuts, &parties, Ends::Both);
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn parties_at_one_address_are_told_apart_by_ports_or_not_at_all() {
    let parties = parties(&[
        ("db-1", host(&["10.0.0.9"], true)),
        ("db", service("10.0.0.9", &["5432"])),
        ("pool", service("10.0.0.9", &["5000-5999"])),
        ("twin", host(&["10.0.0.9"], true)),
        ("web", host(&["10.0.0.1"], true)),
    ]);
    let web = |others: &str| Cuts::between(&[set("web"), set(others)]);
    // No more than the ports of the service.
    assert_eq!(
        text(&web("db pool"), &parties, Ends::Both),
        "web: egress and ingress: 10.0.0.9:5000-5999 10.0.0.9:5432"
    );
    for (others, ends, one, other) in [
        ("db-1", Ends::Both, "db-1", "db"),
        ("db", Ends::Both, "db", "pool"),
        ("db-1 db pool", Ends::Both, "db-1", "twin"),
        // At the end of `db-1`, and of `web` for the service: twice.
        ("db-1 db pool twin", Ends::One, "db", "db-1"),
    ] {
        let error = text(&web(others), &parties, ends);
        assert!(error.starts_with(&format!("`{one}` and `{other}` have 10.0.0.9 in common")), "{error}");
    }
    assert!(compile(&web("db-1 db pool twin"), &parties, Ends::Both).is_ok());
}

#[test]
fn only_what_lets_nothing_through_is_done_at_both_ends() {
    for (json, ends) in [
        (r#"{"kinds":[{"loss":{"percent":100}}]}"#, Ends::Both),
        (r#"{"kinds":[{"reject":{"with":"tcp_reset"}}]}"#, Ends::Both),
        (r#"{"kinds":[{"loss":{"percent":100}},{"reset":{}}],"flap":{"on":"1s","off":"1s"}}"#, Ends::Both),
        (r#"{"kinds":[{"loss":{"percent":99.9}}]}"#, Ends::One),
        (r#"{"kinds":[{"delay":{"latency":"1ms"}}]}"#, Ends::One),
        (r#"{"kinds":[{"reset":{}}]}"#, Ends::One),
        (r#"{"kinds":[{"loss":{"percent":100}}],"ingress_kinds":[{"loss":{"percent":1}}]}"#, Ends::One),
        (r#"{"kinds":[{"loss":{"percent":100}}],"ramp":{"over":"1s"}}"#, Ends::One),
        (r#"{"kinds":[{"loss":{"percent":100}}],"target":{"flows":30}}"#, Ends::One),
    ] {
        assert_eq!(Ends::of(&serde_json::from_str(json).unwrap()), ends, "{json}");
    }
}

#[test]
fn a_host_fault_is_the_whole_fault_with_other_peers() {
    let fault =
        r#"{"kinds":[{"loss":{"percent":100}}],"target":{"peers":["x"],"protocol":"tcp"},"for":"5m"}"#;
    let host = HostFault { direction: Direction::Egress, peers: vec!["10.0.0.1".parse().unwrap()] };
    let spec = host.like(&serde_json::from_str(fault).unwrap());
    assert_eq!(spec.to_string(), "loss 100%, 10.0.0.1, tcp, egress");
    assert_eq!(spec.duration.to_string(), "5m");
}

/// The ends of a packet.
#[derive(Debug, Clone, Copy)]
struct Packet {
    from: (IpAddr, u16),
    to: (IpAddr, u16),
}

/// How many faults a packet meets: on the sender's way out, and on the receiver's way in.
fn meets(faults: &BTreeMap<String, HostFault>, from: &str, to: &str, packet: Packet) -> usize {
    let aims = |fault: &HostFault, (address, port): (IpAddr, u16)| {
        fault.peers.iter().any(|peer| {
            let Host::Net(net) = &peer.host else { panic!("{peer} is a name") };
            net.contains(address)
                && peer.port.is_none_or(|ports| (ports.first()..=ports.last()).contains(&port))
        })
    };
    let out = faults.get(from).is_some_and(|fault| fault.direction.has_egress() && aims(fault, packet.to));
    let back = faults.get(to).is_some_and(|fault| fault.direction.has_ingress() && aims(fault, packet.from));
    usize::from(out) + usize::from(back)
}

/// Every packet that two parties can exchange: between addresses of one family, on a port of each; or beside its ports.
fn packets(from: &Party, to: &Party, beside: bool) -> Vec<Packet> {
    let port = |party: &Party| match party.ports.first() {
        None => 40_000,
        Some(ports) if beside => ports.last() + 1,
        Some(ports) => ports.first(),
    };
    let ends = |from: &IpAddr, to: &IpAddr| (*from, *to);
    let pairs = from.addresses.iter().flat_map(|one| to.addresses.iter().map(move |other| ends(one, other)));
    let exist = pairs.filter(|(one, other)| one.is_ipv4() == other.is_ipv4());
    exist.map(|(one, other)| Packet { from: (one, port(from)), to: (other, port(to)) }).collect()
}

/// Eight at most, of which some have no agent, some have IPv6 too, and some of those without agents are services.
fn some_parties() -> impl Strategy<Value = BTreeMap<String, Party>> {
    let party = (prop::bool::weighted(0.8), any::<bool>(), any::<bool>());
    vec(party, 2..=8).prop_map(|parties| {
        let party = |(nth, (agent, ipv6, ports)): (usize, (bool, bool, bool))| {
            let (v4, v6) = (format!("10.0.0.{nth}"), format!("fd00::{nth}"));
            let addresses = if ipv6 { vec![v4.as_str(), v6.as_str()] } else { vec![v4.as_str()] };
            let ports = if ports && !agent { vec!["80-89".parse().unwrap()] } else { vec![] };
            (format!("p{nth}"), Party { ports, ..host(&addresses, agent) })
        };
        parties.into_iter().enumerate().map(party).collect()
    })
}

/// What the random cuts are like.
#[derive(Debug, Clone, Copy)]
enum Shape {
    BothWays,
    FromSomeToOthers,
    Any,
}

fn some_cuts(parties: &BTreeMap<String, Party>, shape: Shape, dice: &[bool]) -> Cuts {
    let n = parties.len();
    let mut cuts = Cuts::default();
    let names = parties.keys().enumerate();
    for (one, from) in names.clone() {
        for (other, to) in names.clone().filter(|(other, _)| *other != one) {
            let die = match shape {
                Shape::BothWays => dice[one.min(other) * n + one.max(other)],
                Shape::FromSomeToOthers => dice[one * n + other] && dice[one] && !dice[other],
                Shape::Any => dice[one * n + other],
            };
            if die {
                cuts = cuts.union(Cuts::one_way(&set(from), &set(to)).unwrap());
            }
        }
    }
    cuts
}

fn case() -> impl Strategy<Value = (BTreeMap<String, Party>, Shape, Cuts)> {
    let shape = prop_oneof![Just(Shape::BothWays), Just(Shape::FromSomeToOthers), Just(Shape::Any)];
    (some_parties(), shape, vec(any::<bool>(), 64)).prop_map(|(parties, shape, dice)| {
        let cuts = some_cuts(&parties, shape, &dice);
        (parties, shape, cuts)
    })
}

/// Whether this error is the only thing that could be said.
fn justified(error: &CompileError, shape: Shape, cuts: &Cuts, parties: &BTreeMap<String, Party>) -> bool {
    match error {
        CompileError::NoAgent { from, to } => {
            cuts.blocks(from, to) && !parties[from].agent && !parties[to].agent
        }
        CompileError::TwoDirections { host, peer } => {
            matches!(shape, Shape::Any) && cuts.blocks(host, peer) != cuts.blocks(peer, host)
        }
        CompileError::Stranger(_) | CompileError::NoAddress(_) | CompileError::Shared { .. } => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn what_the_faults_do_is_exactly_the_cuts((parties, shape, cuts) in case(), both: bool) {
        let ends = if both { Ends::Both } else { Ends::One };
        let faults = match compile(&cuts, &parties, ends) {
            Ok(faults) => faults,
            Err(error) => {
                prop_assert!(justified(&error, shape, &cuts, &parties), "{}", error);
                return Ok(());
            }
        };
        prop_assert!(faults.keys().all(|host| parties[host].agent));
        for ((from, sender), (to, receiver)) in
            parties.iter().flat_map(|one| parties.iter().map(move |other| (one, other)))
        {
            let expected = match (cuts.blocks(from, to), ends) {
                (false, _) => 0,
                (true, Ends::One) => 1,
                (true, Ends::Both) => usize::from(sender.agent) + usize::from(receiver.agent),
            };
            for packet in packets(sender, receiver, false) {
                prop_assert_eq!(meets(&faults, from, to, packet), expected, "{} {} {:?}", from, to, packet);
            }
            // What is beside the ports of a service goes on.
            if !(sender.ports.is_empty() && receiver.ports.is_empty()) {
                for packet in packets(sender, receiver, true) {
                    prop_assert_eq!(meets(&faults, from, to, packet), 0, "{} {} {:?}", from, to, packet);
                }
            }
        }
    }

    #[test]
    fn a_cut_between_agents_outlives_each_of_them((parties, _, cuts) in case(), nth: usize) {
        let Ok(mut faults) = compile(&cuts, &parties, Ends::Both) else { return Ok(()) };
        let dead = parties.keys().nth(nth % parties.len()).unwrap();
        faults.remove(dead);
        for (from, to) in cuts.iter().filter(|(from, to)| parties[*from].agent && parties[*to].agent) {
            for packet in packets(&parties[from], &parties[to], false) {
                prop_assert!(meets(&faults, from, to, packet) > 0, "{} {}", from, to);
            }
        }
    }
}
