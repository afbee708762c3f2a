//! What overlapping faults do to a packet, said without sets, chains and marks: straight from what was asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use partition_agent_proto::{Connection, ConnectionState, FaultSpec, Kind, Protocol, RejectWith};

use super::packet::{End, Far, Fate, Origin, Packet};
use crate::plan::{Address, Hook, Impairment, Sender};

/// A fault as it was asked for, with its names resolved.
#[derive(Debug, Clone)]
pub struct Fault {
    pub slot: u32,
    pub spec: FaultSpec,
    pub targets: Vec<Address>,
    pub except: Vec<Address>,
    pub keep: Vec<Connection>,
    pub sender: Option<Sender>,
    pub emulated: bool,
    pub natted: bool,
    pub interfaces: Vec<String>,
    /// Between its start and its end, and not in the pause of a flap.
    pub on: bool,
}

/// What of this host no fault touches.
pub const PROTECTED: [(Protocol, u16); 2] = [(Protocol::Tcp, 6), (Protocol::Udp, 5)];
/// And what of others: a port of TCP.
pub const PROTECTED_FAR: u16 = 4;
/// Neighbour discovery, multicast listeners, "packet too big".
const LINK_CONTROL: [u8; 10] = [133, 134, 135, 136, 137, 130, 131, 132, 143, 2];

/// The faults in order of injection, and what is known of the flows of processes and of service addresses.
#[derive(Debug, Clone, Default)]
pub struct Model {
    pub faults: Vec<Fault>,
    known: BTreeSet<Flow>,
    /// What the tables of rejects know of the flows of their processes; false: maybe.
    told: BTreeMap<Flow, bool>,
}

/// Of one fault: the far end, the port of this end, the protocol.
type Flow = (u32, Far, u16, Protocol);

fn flow(fault: &Fault, packet: &Packet, far: Far) -> Flow {
    (fault.slot, far, packet.near_port, packet.protocol)
}

impl Model {
    pub fn remove(&mut self, slot: u32) {
        self.faults.retain(|fault| fault.slot != slot);
    }

    /// Its possible fates: of several faults that reject, any may be the one.
    pub fn send(&mut self, packet: &Packet) -> Vec<Fate> {
        self.learn_what_is_sent(packet);
        let out = packet.hook == Hook::Egress;
        let told = |fault: &Fault| self.told.get(&flow(fault, packet, packet.far)).copied();
        let rejecting = |sure: bool| {
            let faults = self.faults.iter().filter(|fault| out || !sure || told(fault) != Some(false));
            faults.filter_map(|fault| fault.rejects(packet, told(fault).is_some())).collect::<Vec<_>>()
        };
        let (surely, maybe) = (rejecting(true), rejecting(false));
        if out && !packet.returned && !is_protected(packet, packet.far) && maybe.is_empty() {
            let flows = self.faults.iter().filter(|fault| fault.is_told_by_the_ip_stack(packet));
            self.known.extend(flows.map(|fault| flow(fault, packet, packet.far)));
        }
        let mut fates = self.fates(packet, &maybe);
        if surely.is_empty() {
            fates.extend(self.fates(packet, &surely));
        }
        fates
    }

    /// A reject of what comes in for a process goes by what that has sent. When another fault rejects that, it depends on
    /// which of the two saw it first.
    fn learn_what_is_sent(&mut self, packet: &Packet) {
        let local = packet.hook == Hook::Egress && packet.origin != Origin::Forwarded && !packet.returned;
        for fault in self.faults.iter().filter(|fault| local && fault.on && fault.sender.is_some()) {
            if !fault.is_of_its_sender(packet) || !fault.names(packet.meant, packet) {
                continue;
            }
            let mut others = self.faults.iter().filter(|other| other.slot != fault.slot);
            let lost = others.any(|other| other.rejects(packet, false).is_some());
            *self.told.entry(flow(fault, packet, packet.meant)).or_default() |= !lost;
        }
    }

    fn fates(&self, packet: &Packet, rejecting: &[End]) -> Vec<Fate> {
        let rejected = |thrown: &[u32]| {
            rejecting.iter().map(|end| Fate { thrown: thrown.to_vec(), end: end.clone() }).collect::<Vec<_>>()
        };
        let out = packet.hook == Hook::Egress;
        let passes = packet.returned || is_protected(packet, packet.far);
        if (passes && rejecting.is_empty()) || (packet.returned && out) {
            return vec![Fate { thrown: Vec::new(), end: End::Passes }];
        }
        // What goes out is rejected before it comes to an interface, what comes in after it has.
        if !rejecting.is_empty() && (out || packet.returned) {
            return rejected(&[]);
        }
        let known = |fault: &Fault| self.known.contains(&flow(fault, packet, packet.far));
        let hitting = self.faults.iter().filter(|fault| fault.hits(packet, known(fault))).collect::<Vec<_>>();
        let mut thrown = Vec::new();
        // Every loss, the oldest first; each throws its dice once.
        for fault in &hitting {
            for kind in fault.kinds(packet.hook) {
                let Kind::Loss { percent, .. } = kind else { continue };
                let certain = percent.millionths() == 1_000_000;
                if !certain {
                    thrown.push(fault.slot);
                }
                if certain || packet.draw(fault.slot) < percent.millionths() {
                    let end = match packet.hook {
                        Hook::Egress => End::Vanishes(fault.slot),
                        Hook::Ingress => End::Dropped(fault.slot),
                    };
                    return vec![Fate { thrown, end }];
                }
            }
        }
        // What is left is shaped once, by the newest.
        let end = match hitting.iter().rev().find(|fault| Impairment::new(fault.kinds(packet.hook)).is_some())
        {
            Some(fault) => End::Queued(fault.slot, fault.queue(packet)),
            None if !rejecting.is_empty() => return rejected(&thrown),
            None => End::Passes,
        };
        vec![Fate { thrown, end }]
    }
}

/// As the far end is known where it is asked: as the program meant it, or as it is on the wire.
fn is_protected(packet: &Packet, far: Far) -> bool {
    let protects = |port: u16| PROTECTED.contains(&(packet.protocol, port));
    // On loopback the far end is this host, too.
    protects(packet.near_port)
        || (packet.interface == "lo" && protects(far.port))
        || (packet.protocol, far.port) == (Protocol::Tcp, PROTECTED_FAR)
        || (packet.protocol == Protocol::Icmp
            && packet.far.address.is_ipv6()
            && LINK_CONTROL.contains(&packet.icmp_type))
}

/// Only TCP has resets.
fn answer(with: RejectWith, packet: &Packet) -> RejectWith {
    match with {
        RejectWith::TcpReset if packet.protocol != Protocol::Tcp => RejectWith::PortUnreachable,
        with => with,
    }
}

/// For the message of a failure.
impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in &self.faults {
            let Fault { slot, spec, targets, except, keep, sender, emulated, natted, interfaces, on } = fault;
            let list = |addresses: &[Address]| {
                addresses.iter().map(|address| format!("{address} ")).collect::<String>()
            };
            let [targets, except] = [targets, except].map(|addresses| list(addresses));
            writeln!(f, "f{slot}: {spec}; on={on} natted={natted} emulated={emulated} on {interfaces:?}")?;
            writeln!(f, "    targets {targets} except {except} keep {keep:?} sender {sender:?}")?;
        }
        Ok(())
    }
}

impl Fault {
    fn kinds(&self, hook: Hook) -> &[Kind] {
        match hook {
            Hook::Egress => self.spec.egress_kinds(),
            Hook::Ingress => self.spec.ingress_kinds(),
        }
    }

    fn is_on_the_way(&self, packet: &Packet) -> bool {
        let direction = match packet.hook {
            Hook::Egress => self.spec.direction.has_egress(),
            Hook::Ingress => self.spec.direction.has_ingress(),
        };
        self.on && direction && self.is_on(packet.interface)
    }

    fn is_on(&self, interface: &str) -> bool {
        self.interfaces.iter().any(|name| name == interface)
    }

    /// The far end is a target.
    fn names(&self, far: Far, packet: &Packet) -> bool {
        let near = !self.spec.target.local_ports.is_empty();
        let port = if near { packet.near_port } else { far.port };
        self.spec.target.protocol.is_none_or(|protocol| protocol == packet.protocol)
            && self.targets.iter().any(|target| is(target, far, port, self.spec.target.protocol, packet))
    }

    /// The far end is an exception, or the connection is the caller's own.
    fn spares(&self, far: Far, packet: &Packet) -> bool {
        let kept = |keep: &Connection| {
            packet.protocol == Protocol::Tcp
                && (keep.peer.ip(), keep.peer.port(), keep.local_port)
                    == (far.address, far.port, packet.near_port)
        };
        self.except.iter().any(|except| is(except, far, far.port, None, packet)) || self.keep.iter().any(kept)
    }

    /// In the right state, and of the share of the flows that it takes.
    fn takes(&self, far: Far, packet: &Packet) -> bool {
        let state = self.spec.target.state.is_none_or(|state| {
            packet.protocol == Protocol::Tcp && (state == ConnectionState::New) == packet.syn
        });
        state && self.spec.target.flows.is_none_or(|share| packet.flow_draw(far) < share.millionths())
    }

    fn is_of_its_sender(&self, packet: &Packet) -> bool {
        match (&self.sender, packet.origin) {
            (None, _) => true,
            (Some(Sender::User(id)), Origin::Local { user, .. }) => *id == user,
            (Some(Sender::Cgroup { id, .. }), Origin::Local { cgroup, .. }) => *id == cgroup,
            (Some(_), Origin::Forwarded) => false,
        }
    }

    /// What goes out to whom the program meant: all that is known of a process's packets, and of service addresses.
    fn is_meant(&self, packet: &Packet) -> bool {
        let asks = self.sender.is_some() || self.natted;
        asks && self.is_of_its_sender(packet)
            && self.names(packet.meant, packet)
            && !self.spares(packet.meant, packet)
    }

    /// Whether what comes back on this flow is hit, too.
    fn is_told_by_the_ip_stack(&self, packet: &Packet) -> bool {
        self.on && self.is_on(packet.interface) && self.is_meant(packet)
    }

    /// Whether a loss or a shaping is for the packet. Behind NAT the address on the wire counts beside the
    /// one that was meant, so an exception there has to name the server itself, as docs/safety.md says of targets.
    fn hits(&self, packet: &Packet, known: bool) -> bool {
        let by_address = self.sender.is_none() && self.names(packet.far, packet);
        let by_flow = match packet.hook {
            Hook::Egress => self.is_meant(packet),
            Hook::Ingress => known,
        };
        self.is_on_the_way(packet)
            && (by_address || by_flow)
            && !self.spares(packet.far, packet)
            && self.takes(packet.far, packet)
    }

    /// In the IP stack: what goes out for the address that a program here meant and for that on the wire, what comes in for
    /// the latter. Refusals pass.
    fn rejects(&self, packet: &Packet, told: bool) -> Option<End> {
        let with = self.kinds(packet.hook).iter().find_map(|kind| match kind {
            Kind::Reject { with } => Some(*with),
            _ => None,
        })?;
        let spares = |far: Far| self.spares(far, packet) || is_protected(packet, far);
        let for_its = |far: Far| self.names(far, packet) && !spares(far) && self.takes(far, packet);
        let local = packet.origin != Origin::Forwarded;
        let meant = match packet.hook {
            Hook::Egress => {
                self.is_of_its_sender(packet)
                    && ((local && for_its(packet.meant)) || ((self.natted || !local) && for_its(packet.far)))
            }
            Hook::Ingress if self.sender.is_some() => {
                let far = packet.far;
                local && told && !spares(far) && self.takes(far, packet)
            }
            Hook::Ingress => for_its(packet.far),
        };
        let rejected = self.is_on_the_way(packet) && meant && !packet.is_refusal(packet.far);
        rejected.then(|| End::Rejected(self.slot, answer(with, packet)))
    }

    fn queue(&self, packet: &Packet) -> String {
        let direction = match packet.hook {
            Hook::Egress => 'e',
            Hook::Ingress => 'i',
        };
        let nth = self.interfaces.iter().position(|name| name == packet.interface).unwrap();
        let nth = if self.emulated { nth.to_string() } else { String::new() };
        format!("pa-f{}-{direction}{nth}", self.slot)
    }
}

/// Without ports an address is hit on all of them, and without a protocol by every one; ports are those of TCP and UDP,
/// or of the protocol.
fn is(address: &Address, far: Far, port: u16, protocol: Option<Protocol>, packet: &Packet) -> bool {
    let ports = address.ports.is_none_or(|ports| {
        (protocol.is_some() || matches!(packet.protocol, Protocol::Tcp | Protocol::Udp))
            && (ports.first()..=ports.last()).contains(&port)
    });
    address.net.contains(far.address) && ports
}
