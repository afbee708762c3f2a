//! What must be so: every fault that was asked for, from when to when, and what it is to be in the kernel. It knows the
//! words of the API and nothing of the agent.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use partition_agent_proto::{FaultSpec, Hits, Host, Kind, Peer, Ports, Protocol, Scope};

use crate::clock::Window;
use crate::flaps::within_flap;
use crate::region::Block;

/// The network namespaces that faults are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Room {
    App,
    Redis,
    Extra,
    Container,
}

/// Where a fault is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Built; it is over then, unless it is committed.
    Prepared { expires: Window },
    /// It starts and it ends: at its deadline, or with its lease.
    Timed { start: Window, deadline: Window, lease_end: Option<Window> },
    /// It ended then, and what it delayed may still be on its way.
    Over { ended: Window },
}

/// Whether something is so while it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Is {
    So,
    Not,
    /// It begins or ends about now.
    Either,
}

#[derive(Debug, Clone)]
pub struct Fault {
    pub id: String,
    pub spec: FaultSpec,
    pub room: Room,
    pub phase: Phase,
    /// Restored at an instant to come: no more changes are taken.
    pub is_settled: bool,
    /// What names its parts in the kernel, once it was seen there.
    pub slot: Option<u32>,
    /// Whether its targets were seen in the kernel.
    pub was_on: bool,
    /// Committed to an instant, which an agent that is too slow may miss.
    pub is_committed: bool,
    /// What it has hit, as the API last said.
    pub hits: Hits,
    /// The periods, by number, in which a flap was seen on.
    pub seen_on: BTreeSet<u128>,
}

/// How late the agent may put a fault into force whose start has come, on a busy machine.
pub const ARMED_WITHIN: Duration = Duration::from_secs(3);

impl Fault {
    /// Of what was asked for, in this phase.
    pub fn new(id: String, spec: FaultSpec, room: Room, phase: Phase) -> Self {
        let (hits, seen_on) = (Hits::default(), BTreeSet::new());
        Self {
            id,
            spec,
            room,
            phase,
            is_settled: false,
            slot: None,
            was_on: false,
            is_committed: false,
            hits,
            seen_on,
        }
    }

    /// In force from then on, for as long as was asked for.
    pub fn timed(spec: &FaultSpec, start: Window) -> Phase {
        let lease_end = spec.lease.map(|lease| start.plus(lease.duration()));
        Phase::Timed { start, deadline: start.plus(spec.duration.duration()), lease_end }
    }

    /// What the history may say of its end, if it ends by itself.
    pub fn own_ends(&self) -> Vec<&'static str> {
        let in_time = if self.is_settled { "restored" } else { "deadline" };
        let mut ends = match self.phase {
            Phase::Prepared { .. } => vec!["never committed"],
            Phase::Timed { deadline, lease_end: Some(lease_end), .. } if lease_end.is_before(deadline) => {
                vec!["lease lost"]
            }
            Phase::Timed { deadline, lease_end: Some(lease_end), .. } if !deadline.is_before(lease_end) => {
                vec![in_time, "lease lost"]
            }
            Phase::Timed { .. } => vec![in_time],
            Phase::Over { .. } => vec![],
        };
        ends.extend(self.is_committed.then_some("missed"));
        ends
    }

    /// Its lease is as long as ever, from then on.
    pub fn renew(&mut self, at: Window) {
        if let Phase::Timed { start, lease_end: Some(end), .. } = &mut self.phase
            && let Some(lease) = self.spec.lease
        {
            *end = at.or_later(*start).plus(lease.duration());
        }
    }

    /// Whether its ramp is at its end for good.
    pub fn is_grown(&self, seen: Window) -> bool {
        let Some(ramp) = &self.spec.ramp else { return true };
        let Phase::Timed { start, .. } = self.phase else { return false };
        start.latest + ramp.over.duration() + ARMED_WITHIN < seen.earliest
    }

    pub fn kind(&self) -> &Kind {
        &self.spec.kinds[0]
    }

    pub fn is_dns(&self) -> bool {
        matches!(self.kind(), Kind::Dns { .. })
    }

    pub fn is_reject(&self) -> bool {
        matches!(self.kind(), Kind::Reject { .. })
    }

    /// Of a million packets.
    pub fn loses(&self) -> Option<u32> {
        self.spec.kinds.iter().find_map(|kind| match kind {
            Kind::Loss { percent, .. } => Some(percent.millionths()),
            _ => None,
        })
    }

    pub fn shapes(&self) -> bool {
        self.spec.kinds.iter().any(|kind| matches!(kind, Kind::Delay { .. }))
    }

    /// Those of one user: packets are marked where the IP stack knows the user.
    pub fn is_of_user(&self) -> bool {
        matches!(self.spec.scope, Scope::User(_))
    }

    /// How long what it delayed may be on its way, with the agent's own margin: docs/safety.md.
    pub fn drains(&self) -> Duration {
        match (self.is_dns(), self.shapes()) {
            (true, _) => Duration::from_secs(2),
            (false, true) => Duration::from_millis(110),
            (false, false) => Duration::ZERO,
        }
    }

    /// When nothing of it is in force any more.
    pub fn end(&self) -> Option<Window> {
        match self.phase {
            Phase::Prepared { .. } => None,
            Phase::Timed { deadline, lease_end, .. } => {
                Some(lease_end.map_or(deadline, |lease_end| lease_end.or_sooner(deadline)))
            }
            Phase::Over { ended } => Some(ended),
        }
    }

    /// When it is next over or in force by itself.
    pub fn next(&self, now: Duration) -> Option<Window> {
        let at = match self.phase {
            Phase::Prepared { expires } => expires,
            Phase::Timed { start, .. } if start.earliest > now => start,
            Phase::Timed { .. } => self.end()?,
            Phase::Over { .. } => return None,
        };
        (at.latest > now).then_some(at)
    }

    /// Whether it is there, in force or about to be: what is built for it stands.
    pub fn is_there(&self, seen: Window) -> Is {
        let end = match self.phase {
            Phase::Prepared { expires } => Some(expires),
            Phase::Timed { .. } => self.end(),
            Phase::Over { .. } => None,
        };
        end.map_or(Is::Not, |end| before(seen, end))
    }

    /// Whether the kernel holds its targets.
    pub fn is_on(&self, seen: Window, late: Duration) -> Is {
        let (Phase::Timed { start, .. }, Some(end)) = (self.phase, self.end()) else { return Is::Not };
        let end = Window { earliest: end.earliest, latest: end.latest + late };
        match before(seen, end) {
            Is::Not => return Is::Not,
            Is::Either => return Is::Either,
            Is::So => {}
        }
        // What was in force from the beginning is so when the answer is there.
        let at_once = self.spec.start_in.is_none() && start.earliest != start.latest;
        match before(seen, start) {
            Is::So => return Is::Not,
            Is::Either => return Is::Either,
            Is::Not => {}
        }
        let armed = at_once || start.latest + ARMED_WITHIN < seen.earliest;
        match self.spec.flap {
            None if armed => Is::So,
            None => Is::Either,
            Some(flap) => within_flap(flap, start, seen, late),
        }
    }

    /// How long the kernel may keep its targets from now: least and most.
    pub fn left(&self, seen: Window, late: Duration) -> Option<(Duration, Duration)> {
        let (Phase::Timed { .. }, Some(end)) = (self.phase, self.end()) else { return None };
        let most = (end.latest + late).saturating_sub(seen.earliest);
        match self.spec.flap {
            Some(flap) => Some((Duration::ZERO, most.min(flap.on.duration() + late))),
            None => Some((end.earliest.saturating_sub(seen.latest + late), most)),
        }
    }

    /// Whose packets, by their far end.
    pub fn targets(&self) -> Vec<Block> {
        let target = &self.spec.target;
        let ports = if target.local_ports.is_empty() { &target.ports } else { &target.local_ports };
        let everybody = target.peers.is_empty();
        let nets = target.peers.iter().map(|peer| (net(peer), peer.port));
        let nets = nets
            .chain(["0.0.0.0/0", "::/0"].into_iter().filter(|_| everybody).map(|net| (net.to_owned(), None)));
        let blocks = |(net, own): (String, Option<Ports>)| match own {
            Some(own) => on(&net, &[own], target.protocol),
            None => on(&net, ports, target.protocol),
        };
        nets.flat_map(blocks).collect()
    }

    /// Whose packets it leaves alone.
    pub fn except(&self) -> Vec<Block> {
        let spared = |peer: &Peer| match peer.port {
            Some(own) => on(&net(peer), &[own], None),
            None => vec![Block::net(&net(peer))],
        };
        self.spec.target.except.iter().flat_map(spared).collect()
    }

    /// The networks of its targets, as they are looked up among the routes.
    pub fn nets(&self) -> Vec<String> {
        let peers = self.spec.target.peers.iter().map(net).collect::<Vec<_>>();
        if peers.is_empty() { vec!["0.0.0.0/0".to_owned(), "::/0".to_owned()] } else { peers }
    }
}

fn net(peer: &Peer) -> String {
    match &peer.host {
        Host::Net(net) => net.to_string(),
        Host::Name(_) | Host::Compose(_) => panic!("addresses only"),
    }
}

fn on(net: &str, ports: &[Ports], protocol: Option<Protocol>) -> Vec<Block> {
    let net = Block::net(net);
    let name = |protocol: Protocol| if protocol == Protocol::Udp { "udp" } else { "tcp" };
    match (ports.is_empty(), protocol) {
        (true, None) => vec![net],
        (true, Some(protocol)) => vec![net.service(name(protocol), 0, u16::MAX)],
        (false, protocol) => {
            let protocols = protocol.map_or(vec!["tcp", "udp"], |protocol| vec![name(protocol)]);
            let each = |ports: &Ports| {
                let own = |protocol: &&str| net.clone().service(protocol, ports.first(), ports.last());
                protocols.iter().map(own).collect::<Vec<_>>()
            };
            ports.iter().flat_map(each).collect()
        }
    }
}

fn before(seen: Window, end: Window) -> Is {
    if seen.is_before(end) {
        Is::So
    } else if end.is_before(seen) {
        Is::Not
    } else {
        Is::Either
    }
}

/// All of them, by id.
pub type Faults = BTreeMap<String, Fault>;
