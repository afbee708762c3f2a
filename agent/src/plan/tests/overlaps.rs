//! Random sets of overlapping faults: what the rules do to each packet is what the model says, while faults are switched on
//! and off and taken out from among the others.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;
use partition_agent_proto::{
    Connection, ConnectionState, Direction, FaultSpec, Host, Kind, Peer, Percent, Ports, Protocol,
    RejectWith, Span, Target,
};
use proptest::prelude::*;

use super::interpreter::Kernel;
use super::model::{Fault, Model, PROTECTED, PROTECTED_FAR};
use super::packet::{Far, Origin, Packet};
use crate::plan::guard::ProtectedPort;
use crate::plan::{Address, Draft, Family, Guard, Hook, MARK_BITS, Place, Plan, Sender};

const INTERFACES: [&str; 3] = ["eth0", "eth1", "lo"];

/// Small, so that nearly everything overlaps: eight addresses of each family, six ports.
fn address(family: Family, low: u8) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(10, 0, 0, low).into(),
        Family::V6 => Ipv6Addr::from((0xfd << 120) | u128::from(low)).into(),
    }
}

fn family() -> impl Strategy<Value = Family> {
    prop_oneof![3 => Just(Family::V4), 1 => Just(Family::V6)]
}

fn port() -> impl Strategy<Value = u16> {
    1_u16..=6
}

fn ports() -> impl Strategy<Value = Ports> {
    (port(), 0_u16..5).prop_map(|(first, more)| Ports::new(first, (first + more).min(6)).unwrap())
}

/// A host, one of the nets around it, or everybody.
fn net() -> impl Strategy<Value = IpNetwork> {
    let narrower = prop_oneof![2 => Just(0_u8), 5 => 1_u8..=4, 1 => Just(255)];
    (family(), 0_u8..8, narrower).prop_map(|(family, low, narrower)| {
        let address = address(family, low);
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let net = IpNetwork::new(address, whole_less(whole, narrower)).unwrap();
        IpNetwork::new(net.network(), net.prefix()).unwrap()
    })
}

fn interface() -> impl Strategy<Value = &'static str> {
    prop_oneof![4 => Just(INTERFACES[0]), 1 => Just(INTERFACES[1]), 1 => Just(INTERFACES[2])]
}

fn whole_less(whole: u8, narrower: u8) -> u8 {
    if narrower == 255 { 0 } else { whole - narrower }
}

fn percent() -> impl Strategy<Value = Percent> {
    prop_oneof![Just(100.0), Just(20.0), Just(40.0), Just(70.0)]
        .prop_map(|percent| Percent::new(percent).unwrap())
}

fn loss() -> impl Strategy<Value = Kind> {
    percent().prop_map(|percent| Kind::Loss { percent, correlation: None })
}

fn delay() -> Kind {
    let latency = Span::from_millis(10);
    Kind::Delay { latency, jitter: None, correlation: None, distribution: None, allow_reorder: false }
}

fn reject() -> impl Strategy<Value = Kind> {
    use RejectWith::{AdminProhibited, HostUnreachable, PortUnreachable, TcpReset};
    prop::sample::select(vec![TcpReset, PortUnreachable, HostUnreachable, AdminProhibited])
        .prop_map(|with| Kind::Reject { with })
}

fn kinds() -> impl Strategy<Value = Vec<Kind>> {
    prop_oneof![
        4 => loss().prop_map(|loss| vec![loss]),
        2 => Just(vec![delay()]),
        2 => loss().prop_map(|loss| vec![loss, delay()]),
        3 => reject().prop_map(|reject| vec![reject]),
    ]
}

fn targets() -> impl Strategy<Value = Vec<(IpNetwork, Option<Ports>)>> {
    prop::collection::vec((net(), prop::option::weighted(0.4, ports())), 1..5)
}

fn sender() -> impl Strategy<Value = Option<Sender>> {
    prop_oneof![
        6 => Just(None),
        1 => (0_u32..2).prop_map(|user| Some(Sender::User(user))),
        1 => (0_u64..2).prop_map(|id| Some(Sender::Cgroup { path: format!("/c{id}"), level: 1, id })),
    ]
}

prop_compose! {
    fn target()(
        targets in targets(),
        near in prop::bool::weighted(0.25),
        protocol in prop::option::weighted(
            0.3, prop::sample::select(vec![Protocol::Tcp, Protocol::Udp, Protocol::Sctp, Protocol::Icmp])),
        state in prop::option::weighted(
            0.15, prop::sample::select(vec![ConnectionState::New, ConnectionState::Established])),
        flows in prop::option::weighted(0.15, percent()),
    ) -> (Target, Vec<Address>) {
        let near = near && protocol != Some(Protocol::Icmp);
        let ports_of = |ports: Option<Ports>| match protocol {
            Some(Protocol::Icmp) => None,
            // Local ports are for every peer.
            Some(_) | None if near => Some(targets[0].1.unwrap_or(Ports::new(2, 4).unwrap())),
            Some(_) | None => ports,
        };
        let addresses = targets.iter().map(|(net, ports)| Address { net: *net, ports: ports_of(*ports) });
        let addresses = addresses.collect::<Vec<_>>();
        let peer = |address: &Address| Peer { host: Host::Net(address.net), port: address.ports.filter(|_| !near) };
        let target = Target {
            peers: addresses.iter().map(peer).collect(),
            local_ports: addresses[0].ports.filter(|_| near).into_iter().collect(),
            protocol,
            state: state.filter(|_| protocol.is_none_or(|protocol| protocol == Protocol::Tcp)),
            flows,
            ..Target::default()
        };
        (target, addresses)
    }
}

prop_compose! {
    pub fn fault()(
        (target, targets) in target(),
        kinds in kinds(),
        ingress_kinds in prop::option::weighted(0.2, kinds()),
        direction in prop_oneof![1 => Just(Direction::Egress), 1 => Just(Direction::Ingress), 3 => Just(Direction::Both)],
        except in prop::collection::vec((net(), prop::option::weighted(0.7, ports())), 0..2),
        keep in prop::option::weighted(0.2, (family(), 0_u8..8, port(), port())),
        only in prop::option::weighted(0.25, interface()),
        loopback in any::<bool>(),
        sender in sender(),
        emulated in any::<bool>(),
        on in prop::bool::weighted(0.9),
    ) -> Fault {
        let spec = FaultSpec {
            kinds,
            ingress_kinds: ingress_kinds.filter(|_| direction == Direction::Both).unwrap_or_default(),
            target,
            direction,
            interface: only.map(str::to_owned),
            ..serde_json::from_str(r#"{"kinds":[]}"#).unwrap()
        };
        spec.validate().unwrap();
        let everywhere = if loopback { &INTERFACES[..] } else { &INTERFACES[..2] };
        let interfaces = only.map_or(everywhere.to_vec(), |only| vec![only]);
        let emulated = emulated && !interfaces.contains(&"lo");
        Fault {
            slot: 0,
            spec,
            targets,
            except: except.into_iter().map(|(net, ports)| Address { net, ports }).collect(),
            keep: keep.into_iter().map(|(family, low, peer_port, local_port)| {
                Connection { peer: (address(family, low), peer_port).into(), local_port }
            }).collect(),
            sender,
            emulated,
            natted: false,
            interfaces: interfaces.into_iter().map(str::to_owned).collect(),
            on,
        }
    }
}

prop_compose! {
    fn packet()(
        hook in prop::sample::select(Hook::BOTH.to_vec()),
        interface in interface(),
        protocol in prop::sample::select(
            vec![Protocol::Tcp, Protocol::Tcp, Protocol::Tcp, Protocol::Udp, Protocol::Udp, Protocol::Icmp, Protocol::Sctp]),
        family in family(),
        (low, far_port, near_port) in (0_u8..8, port(), port()),
        meant in prop::option::of((0_u8..8, port())),
        (syn, icmp_type) in (any::<bool>(), prop::sample::select(vec![8_u8, 128, 2, 135, 143, 1])),
        origin in prop::option::weighted(0.8, (0_u32..2, 0_u64..2)),
        returned in prop::bool::weighted(0.03),
        draws in prop::array::uniform5(0_u32..1_000_000),
    ) -> Packet {
        let far = Far { address: address(family, low), port: far_port };
        let rewritten = meant.filter(|_| hook == Hook::Egress && interface != "lo" && !returned);
        Packet {
            hook,
            interface,
            protocol,
            far,
            meant: rewritten.map_or(far, |(low, port)| Far { address: address(family, low), port }),
            near_port,
            syn,
            icmp_type,
            origin: origin.map_or(Origin::Forwarded, |(user, cgroup)| Origin::Local { user, cgroup }),
            returned,
            draws,
        }
    }
}

#[derive(Debug, Clone)]
enum Op {
    Send(Packet),
    /// The answer to the last one that went out.
    Answer,
    /// On or off: a start, an end, a flap.
    Switch(usize),
    Remove(usize),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        30 => packet().prop_map(Op::Send),
        4 => Just(Op::Answer),
        2 => any::<usize>().prop_map(Op::Switch),
        1 => any::<usize>().prop_map(Op::Remove),
    ];
    prop::collection::vec(op, 1..60)
}

pub fn guard() -> Guard {
    let ports = PROTECTED.map(|(protocol, port)| ProtectedPort { protocol, port });
    Guard::new(&ports, None).and_far(Some(PROTECTED_FAR))
}

pub fn plan(fault: &Fault, guard: &Guard) -> Plan {
    let plan = Plan::new(&Draft {
        spec: &fault.spec,
        egress: fault.spec.egress_kinds(),
        ingress: fault.spec.ingress_kinds(),
        targets: &fault.targets,
        except: &fault.except,
        keep: &fault.keep,
        place: &Place::host(),
        sender: fault.sender.as_ref(),
        interfaces: &fault.interfaces,
        which: &std::collections::BTreeMap::new(),
        taps: &[],
        left_out: &[],
        not_ethernet: &[],
        emulated: fault.emulated,
        natted: fault.natted,
        bit: Some(MARK_BITS[fault.slot as usize]),
        servers: &[],
        guard,
        slot: fault.slot,
        order: fault.slot,
        timeout: None,
    });
    plan.unwrap()
}

/// What a run has seen, so that a property which never meets anything would show.
#[derive(Debug, Default)]
struct Seen(std::collections::BTreeMap<&'static str, u32>);

fn run(mut faults: Vec<Fault>, natted: bool, ops: Vec<Op>) -> Result<Seen, TestCaseError> {
    let guard = guard();
    let (mut kernel, mut model) = (Kernel::new(&guard), Model::default());
    let mut seen = Seen::default();
    for (slot, fault) in (1..).zip(&mut faults) {
        (fault.slot, fault.natted) = (slot, natted);
        kernel.inject(&plan(fault, &guard));
        if fault.on {
            kernel.on.insert(slot);
        }
    }
    model.faults = faults;
    let mut last = None;
    for op in ops {
        match op {
            Op::Send(packet) => {
                let packet = Packet { meant: if natted { packet.meant } else { packet.far }, ..packet };
                agree(&mut kernel, &mut model, &packet, &mut seen)?;
                last = Some(packet);
            }
            Op::Answer => {
                let Some(packet) = last.clone().filter(|packet| packet.hook == Hook::Egress) else {
                    continue;
                };
                let answer = Packet { hook: Hook::Ingress, meant: packet.far, ..packet };
                agree(&mut kernel, &mut model, &answer, &mut seen)?;
            }
            Op::Switch(nth) => {
                let Some(count) = std::num::NonZero::new(model.faults.len()) else { continue };
                let fault = &mut model.faults[nth % count];
                fault.on = !fault.on;
                if fault.on {
                    kernel.on.insert(fault.slot)
                } else {
                    kernel.on.remove(&fault.slot)
                };
            }
            Op::Remove(nth) => {
                let Some(count) = std::num::NonZero::new(model.faults.len()) else { continue };
                let gone = model.faults[nth % count].clone();
                kernel.remove(&plan(&gone, &guard));
                model.remove(gone.slot);
                // The others are as if it had never been there.
                let mut others = Kernel::new(&guard);
                model.faults.iter().for_each(|fault| others.inject(&plan(fault, &guard)));
                prop_assert_eq!(&kernel.shared, &others.shared);
            }
        }
    }
    Ok(seen)
}

fn agree(
    kernel: &mut Kernel,
    model: &mut Model,
    packet: &Packet,
    seen: &mut Seen,
) -> Result<(), TestCaseError> {
    use super::packet::End;
    let (met, should) = (kernel.send(packet), model.send(packet));
    prop_assert!(should.contains(&met), "{:?}\nmet    {:?}\nshould {:?}\n{}", packet, met, should, model);
    let end = match met.end {
        End::Passes => "passes",
        End::Vanishes(_) => "vanishes",
        End::Dropped(_) => "dropped",
        End::Queued(..) => "queued",
        End::Rejected(..) => "rejected",
    };
    *seen.0.entry(end).or_default() += 1;
    if met.thrown.len() > 1 {
        *seen.0.entry("met two losses and more").or_default() += 1;
    }
    Ok(())
}

/// `PA_CASES` for more than the few thousand that every run takes.
fn cases(default: u32) -> u32 {
    std::env::var("PA_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn the_rules_of_overlapping_faults_do_what_the_model_says() {
    let config =
        ProptestConfig { cases: cases(2_000), failure_persistence: None, ..ProptestConfig::default() };
    let mut all = Seen::default();
    let case = (prop::collection::vec(fault(), 1..6), any::<bool>(), ops());
    let all_seen = std::cell::RefCell::new(&mut all);
    let outcome = proptest::test_runner::TestRunner::new(config).run(&case, |(faults, natted, ops)| {
        let seen = run(faults, natted, ops)?;
        for (what, count) in seen.0 {
            *all_seen.borrow_mut().0.entry(what).or_default() += count;
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    println!("{all:?}");
    // Every end is met, and not by accident only.
    for what in ["passes", "vanishes", "dropped", "queued", "rejected", "met two losses and more"] {
        assert!(all.0.get(what).is_some_and(|count| *count >= 30), "{what}: {all:?}");
    }
}
