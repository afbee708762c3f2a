use std::time::Duration;

use super::super::ledger::tests::fault;
use super::super::timing::Timing;
use super::*;
use crate::plan::Sender;
use partition_agent_proto::{FaultSpec, Peer};

const HOST: &[Protocol] = &[Protocol::Udp, Protocol::Tcp];
const TCP: &[Protocol] = &[Protocol::Tcp];
const UDP: &[Protocol] = &[Protocol::Udp];

const CUT: &str = r#"{"loss":{"percent":100}}"#;

fn at(seconds: u64) -> BootTime {
    BootTime::after_boot(Duration::from_secs(seconds))
}

/// Injected at 1000 s, on `eth0`.
fn injected(json: &str) -> Fault {
    let spec = serde_json::from_str::<FaultSpec>(json).unwrap_or_else(|error| panic!("{json}: {error}"));
    spec.validate().unwrap_or_else(|error| panic!("{json}: {error}"));
    let ports =
        if spec.target.local_ports.is_empty() { &spec.target.ports } else { &spec.target.local_ports };
    let addresses = |peers: &[Peer], ports: &[Ports]| {
        let one = |peer: &Peer| match (&peer.host, peer.port, ports) {
            (partition_agent_proto::Host::Net(net), None, [_, ..]) => {
                ports.iter().map(|ports| Address { net: *net, ports: Some(*ports) }).collect::<Vec<_>>()
            }
            (partition_agent_proto::Host::Net(net), own, _) => vec![Address { net: *net, ports: own }],
            (host, ..) => panic!("{host} is no address"),
        };
        peers.iter().flat_map(one).collect::<Vec<_>>()
    };
    let everybody = ["0.0.0.0/0", "::/0"].map(|net| net.parse().unwrap());
    let peers = if spec.target.peers.is_empty() { &everybody[..] } else { &spec.target.peers };
    let (targets, except) = (addresses(peers, ports), addresses(&spec.target.except, &[]));
    let now = at(1_000);
    let timing = Timing::new(&spec, now);
    let mut fault = fault("f", 1, false, now, timing.deadline);
    fault.sources.targets = targets;
    fault.sources.except = except;
    fault.parts.iter_mut().for_each(|part| part.survey.interfaces = vec!["eth0".to_owned()]);
    (fault.next_on, fault.next_step) = (timing.next_on(now), timing.next_step(now));
    Fault { spec, timing, ..fault }
}

fn kinds(kinds: &str) -> Fault {
    injected(&format!(r#"{{"kinds":[{kinds}],"target":{{"peers":["10.0.0.5"]}},"for":"60s"}}"#))
}

fn target(target: &str) -> Fault {
    injected(&format!(r#"{{"kinds":[{CUT}],"target":{target},"for":"60s"}}"#))
}

fn more(more: &str) -> Fault {
    injected(&format!(r#"{{"kinds":[{CUT}],"target":{{"peers":["10.0.0.5"]}},"for":"60s",{more}}}"#))
}

/// Both effects, in the words of the API.
fn asked(fault: &Fault, to: &str, protocols: &'static [Protocol], here: bool, now: u64) -> String {
    let guard = Guard::new(&["tcp/22".parse().unwrap()], Some(7433)).and_far(Some(7433));
    let question = Question { to: to.parse().unwrap(), here, protocols, chosen: (32_768, 60_999) };
    let word = |effect: Effect| serde_json::to_string(&effect).unwrap().replace('"', "");
    meets(fault, &guard, &question, at(now))
        .map_or("nothing".to_owned(), |meets| format!("{} {}", word(meets.egress), word(meets.ingress)))
}

fn says(fault: &Fault) -> String {
    asked(fault, "10.0.0.5:7434", HOST, false, 1_001)
}

#[test]
fn what_happens_decides_how_much_of_it() {
    for (json, expected) in [
        (CUT, "cut cut"),
        (r#"{"reject":{"with":"tcp_reset"}}"#, "cut cut"),
        (r#"{"reject":{"with":"port_unreachable"}}"#, "cut cut"),
        (r#"{"loss":{"percent":99.9999}}"#, "impaired impaired"),
        (r#"{"loss":{"percent":100,"correlation":1}}"#, "cut cut"),
        (r#"{"loss_gemodel":{"p":100}}"#, "impaired impaired"),
        (r#"{"loss_state":{"p13":100}}"#, "impaired impaired"),
        (r#"{"delay":{"latency":"60s"}}"#, "impaired impaired"),
        (r#"{"duplicate":{"percent":100}}"#, "impaired impaired"),
        (r#"{"corrupt":{"percent":100}}"#, "impaired impaired"),
        (r#"{"delay":{"latency":"1s"}},{"reorder":{"percent":100}}"#, "impaired impaired"),
        (r#"{"rate":{"rate":"1kbit"}}"#, "impaired impaired"),
        (r#"{"slot":{"min":"2s"}}"#, "impaired impaired"),
        (r#"{"delay":{"latency":"1s"}},{"loss":{"percent":100}}"#, "cut cut"),
        (r#"{"reset":{}}"#, "nothing"),
        (r#"{"reset":{}},{"reject":{"with":"tcp_reset"}}"#, "cut cut"),
        (r#"{"dns":{"names":["a.b"],"answer":"timeout"}}"#, "nothing"),
    ] {
        assert_eq!(says(&kinds(json)), expected, "{json}");
    }
}

#[test]
fn each_direction_has_its_own() {
    let other = r#""ingress_kinds":[{"delay":{"latency":"1s"}}]"#;
    for (json, expected) in [
        (r#""direction":"egress""#, "cut none"),
        (r#""direction":"ingress""#, "none cut"),
        (r#""direction":"both""#, "cut cut"),
        (other, "cut impaired"),
    ] {
        assert_eq!(says(&more(json)), expected, "{json}");
    }
}

#[test]
fn addresses_protocols_and_ports_decide_whose() {
    let host = ("10.0.0.5:7434", HOST);
    let tcp = ("10.0.0.5:7434", TCP);
    for (json, (to, protocols), expected) in [
        (r#"{"peers":["10.0.0.6"]}"#, host, "nothing"),
        (r#"{"peers":["10.0.0.0/24"]}"#, host, "cut cut"),
        (r#"{"peers":["10.0.0.6","10.0.0.4/31"]}"#, host, "cut cut"),
        (r#"{"peers":["fd00::/8"]}"#, host, "nothing"),
        (r#"{"peers":["fd00::/8"]}"#, ("[fd00::5]:1", HOST), "cut cut"),
        (r#"{"all_traffic":true}"#, host, "cut cut"),
        (r#"{"all_traffic":true}"#, ("[fd00::5]:1", HOST), "cut cut"),
        (r#"{"peers":["10.0.0.5:7434"]}"#, host, "cut cut"),
        (r#"{"peers":["10.0.0.5:7000-7999"]}"#, host, "cut cut"),
        (r#"{"peers":["10.0.0.5:7435"]}"#, host, "nothing"),
        (r#"{"ports":[7434]}"#, host, "cut cut"),
        (r#"{"peers":["10.0.0.5"],"ports":[80,"7000-7433"]}"#, host, "nothing"),
        (r#"{"peers":["10.0.0.5"],"protocol":"tcp"}"#, host, "impaired impaired"),
        (r#"{"peers":["10.0.0.5"],"protocol":"tcp"}"#, tcp, "cut cut"),
        (r#"{"peers":["10.0.0.5"],"protocol":"udp"}"#, tcp, "nothing"),
        (r#"{"peers":["10.0.0.5"],"protocol":"icmp"}"#, host, "nothing"),
        (r#"{"peers":["10.0.0.5"],"local_ports":[80]}"#, host, "nothing"),
        (r#"{"peers":["10.0.0.5"],"local_ports":["1000-40000"]}"#, host, "impaired impaired"),
        (r#"{"peers":["10.0.0.5"],"local_ports":["32768-60999"]}"#, host, "cut cut"),
        (r#"{"peers":["10.0.0.5"],"local_ports":["61000-65535"]}"#, host, "nothing"),
        (r#"{"peers":["10.0.0.6"],"local_ports":["1-65535"]}"#, host, "nothing"),
        (r#"{"all_traffic":true,"except":["10.0.0.5"]}"#, host, "nothing"),
        (r#"{"all_traffic":true,"except":["10.0.0.0/8:7434"]}"#, host, "nothing"),
        (r#"{"all_traffic":true,"except":["10.0.0.5:80"]}"#, host, "cut cut"),
    ] {
        assert_eq!(asked(&target(json), to, protocols, false, 1_001), expected, "{json} {to}");
    }
}

#[test]
fn what_the_guard_spares_is_left_alone() {
    let all = target(r#"{"all_traffic":true}"#);
    assert_eq!(asked(&all, "10.0.0.5:7433", TCP, false, 1_001), "nothing", "the API of another agent");
    assert_eq!(asked(&all, "10.0.0.5:7433", UDP, false, 1_001), "cut cut");
    assert_eq!(asked(&all, "10.0.0.5:22", TCP, false, 1_001), "cut cut", "the ssh of another host");
}

#[test]
fn packets_within_the_host_are_hit_on_loopback_only() {
    let mut all = target(r#"{"all_traffic":true}"#);
    assert_eq!(asked(&all, "10.0.0.1:80", TCP, true, 1_001), "nothing");
    all.parts[0].survey.interfaces.push("lo".to_owned());
    assert_eq!(asked(&all, "10.0.0.1:80", TCP, true, 1_001), "cut cut");
    assert_eq!(asked(&all, "10.0.0.1:22", TCP, true, 1_001), "nothing", "our own ssh");
}

#[test]
fn what_cannot_be_known_of_a_packet_is_no_cut() {
    for json in [
        r#""interface":"eth0""#,
        r#""scope":{"netns":"blue"}"#,
        r#""scope":{"container":"web"}"#,
        r#""scope":{"user":"nobody"}"#,
        r#""scope":{"unit":"redis"}"#,
    ] {
        assert_eq!(says(&more(json)), "impaired impaired", "{json}");
    }
    let of_a_user = Fault { sources: sent_by(7), ..kinds(CUT) };
    assert_eq!(says(&of_a_user), "impaired impaired");
    assert_eq!(says(&target(r#"{"peers":["10.0.0.5"],"flows":99}"#)), "impaired impaired");
    assert_eq!(says(&target(r#"{"peers":["10.0.0.5"],"flows":100}"#)), "cut cut", "all of them");
    for state in ["new", "established"] {
        let fault = target(&format!(r#"{{"peers":["10.0.0.5"],"state":"{state}"}}"#));
        assert_eq!(asked(&fault, "10.0.0.5:80", TCP, false, 1_001), "impaired impaired");
        assert_eq!(asked(&fault, "10.0.0.5:80", UDP, false, 1_001), "nothing", "only TCP has states");
    }
}

fn sent_by(user: u32) -> super::super::Sources {
    let site = super::super::Site { sender: Some(Sender::User(user)), ..super::super::Site::host() };
    super::super::Sources { sites: vec![site], ..kinds(CUT).sources }
}

#[test]
fn only_what_is_in_force_now_counts() {
    let at = |fault: &Fault, now| asked(fault, "10.0.0.5:7434", HOST, false, now);
    let plain = kinds(CUT);
    assert_eq!((at(&plain, 1_059), at(&plain, 1_060)), ("cut cut".to_owned(), "nothing".to_owned()));

    let later = more(r#""start_in":"10s""#);
    assert_eq!(at(&later, 1_009), "nothing");
    assert_eq!(at(&later, 1_010), "impaired impaired", "it is about to be armed");
    let armed = Fault { next_on: None, ..later };
    assert_eq!((at(&armed, 1_010), at(&armed, 1_070)), ("cut cut".to_owned(), "nothing".to_owned()));

    let flap = more(r#""flap":{"on":"20s","off":"15s"}"#);
    assert_eq!((at(&flap, 1_019), at(&flap, 1_020)), ("cut cut".to_owned(), "nothing".to_owned()));

    let growing = more(r#""ramp":{"over":"20s"}"#);
    assert_eq!(at(&growing, 1_001), "impaired impaired");
    let grown = Fault { next_step: None, ..growing };
    assert_eq!(at(&grown, 1_021), "cut cut");

    let away = Fault { parts: Vec::new(), ..kinds(CUT) };
    assert_eq!(at(&away, 1_001), "nothing");
}

#[test]
fn what_is_over_does_nothing_but_for_rules_that_the_kernel_kept() {
    let end = partition_agent_proto::End::Deadline;
    let phase = |phase| says(&Fault { phase, ..kinds(CUT) });
    let stuck = |next| Phase::Stuck { next, retry_at: at(2_000), wait: Duration::ZERO, end: end.clone() };
    assert_eq!(phase(Phase::Draining { until: at(2_000), end: end.clone() }), "nothing");
    assert_eq!(phase(stuck(Next::Remove)), "nothing");
    assert_eq!(phase(stuck(Next::Unsteer)), "impaired impaired");
}
