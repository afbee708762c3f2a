//! What a fault does to packets between this host and one other end, as far as that can be known of a packet before it is sent.
//! Pure.

use std::net::SocketAddr;

use partition_agent_proto::{Effect, Kind, Meets, Percent, Ports, Protocol};

use super::fault::{Fault, Next, Phase};
use crate::clock::BootTime;
use crate::plan::{Address, Guard, Hook, LOOPBACK};

/// Packets from here to there, and those that come back. The port at this end is one that the kernel chooses.
#[derive(Debug, Clone, Copy)]
pub struct Question {
    pub to: SocketAddr,
    /// An address of this very host: its packets pass loopback only.
    pub here: bool,
    pub protocols: &'static [Protocol],
    /// What the kernel chooses that port from, first and last: `ip_local_port_range` (ip(7)).
    pub chosen: (u16, u16),
}

/// Whether a packet is hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Hit {
    Never,
    /// It depends on what is not known of the packet.
    Maybe,
    Always,
}

/// Nothing, if the fault leaves these packets alone.
pub fn meets(fault: &Fault, guard: &Guard, question: &Question, now: BootTime) -> Option<Meets> {
    let of = |hook| {
        let each =
            question.protocols.iter().map(|protocol| effect(fault, guard, question, *protocol, hook, now));
        let each = each.collect::<Vec<_>>();
        match (each.iter().min(), each.iter().max()) {
            (Some(least), Some(most)) if least == most => *least,
            // Some of them get through.
            (Some(_), Some(_)) => Effect::Impaired,
            (None, _) | (_, None) => Effect::None,
        }
    };
    let (egress, ingress) = (of(Hook::Egress), of(Hook::Ingress));
    let some = egress.max(ingress) > Effect::None;
    some.then(|| Meets { id: fault.id.clone(), egress, ingress })
}

fn effect(
    fault: &Fault,
    guard: &Guard,
    question: &Question,
    protocol: Protocol,
    hook: Hook,
    now: BootTime,
) -> Effect {
    let kinds = match hook {
        Hook::Egress => fault.spec.egress_kinds(),
        Hook::Ingress => fault.spec.ingress_kinds(),
    };
    let most = kinds.iter().map(at_most).max().unwrap_or_default();
    let hits = [
        in_force(fault, now),
        on_the_way(fault, question, hook),
        spared(guard, question, protocol),
        aimed(fault, question, protocol),
        narrowed(fault, protocol),
    ];
    match hits.into_iter().min() {
        Some(Hit::Always) => most,
        Some(Hit::Maybe) => most.min(Effect::Impaired),
        Some(Hit::Never) | None => Effect::None,
    }
}

/// What a kind does to the packets that it hits.
fn at_most(kind: &Kind) -> Effect {
    match kind {
        kind if kind.cuts() => Effect::Cut,
        Kind::Loss { .. }
        | Kind::Reject { .. }
        | Kind::LossGemodel { .. }
        | Kind::LossState { .. }
        | Kind::Delay { .. }
        | Kind::Duplicate { .. }
        | Kind::Corrupt { .. }
        | Kind::Reorder { .. }
        | Kind::Rate { .. }
        | Kind::Slot { .. } => Effect::Impaired,
        Kind::Reset {} | Kind::Dns { .. } => Effect::None,
    }
}

fn in_force(fault: &Fault, now: BootTime) -> Hit {
    if fault.parts.is_empty() || fault.timing.on_for(now).is_none() {
        return Hit::Never;
    }
    // It is about to be armed, or that was refused somewhere; or it has not grown to what was asked for.
    let to_be_armed = fault.retry_arm.is_some() || fault.next_on.is_some_and(|on| on <= now);
    let on_its_way = to_be_armed || fault.next_step.is_some();
    match &fault.phase {
        Phase::Active if on_its_way => Hit::Maybe,
        Phase::Active => Hit::Always,
        // Its rules may be there still, until the deadline.
        Phase::Stuck { next: Next::Unsteer, .. } => Hit::Maybe,
        Phase::Prepared { .. } | Phase::Stuck { next: Next::Remove, .. } | Phase::Draining { .. } => {
            Hit::Never
        }
    }
}

/// By direction and interface.
fn on_the_way(fault: &Fault, question: &Question, hook: Hook) -> Hit {
    let direction = match hook {
        Hook::Egress => fault.spec.direction.has_egress(),
        Hook::Ingress => fault.spec.direction.has_ingress(),
    };
    let mut interfaces = fault.parts.iter().flat_map(|part| &part.survey.interfaces);
    let on_loopback = interfaces.any(|name| name == LOOPBACK);
    match (direction, question.here, &fault.spec.interface) {
        (false, _, _) => Hit::Never,
        (true, true, _) if !on_loopback => Hit::Never,
        (true, _, Some(_)) => Hit::Maybe,
        (true, _, None) => Hit::Always,
    }
}

/// By the guard, as far as it goes by the other end.
fn spared(guard: &Guard, question: &Question, protocol: Protocol) -> Hit {
    let port = question.to.port();
    let by_port = protocol == Protocol::Tcp
        && (guard.protects_far_tcp(port) || (question.here && guard.protects_tcp(port)));
    if by_port || guard.protects_address(question.to.ip()) { Hit::Never } else { Hit::Always }
}

/// By address, protocol and port.
fn aimed(fault: &Fault, question: &Question, protocol: Protocol) -> Hit {
    let target = &fault.spec.target;
    if target.protocol.is_some_and(|only| only != protocol) {
        return Hit::Never;
    }
    let to = question.to;
    let is_named = |address: &&Address| address.net.contains(to.ip());
    let far = |ports: Ports| (ports.first()..=ports.last()).contains(&to.port());
    let mut excepted = fault.sources.except.iter().filter(is_named);
    if excepted.any(|address| address.ports.is_none_or(far)) {
        return Hit::Never;
    }
    let named = fault.sources.targets.iter().filter(is_named);
    let hit = named.map(|address| match address.ports {
        None => Hit::Always,
        Some(ports) if !target.local_ports.is_empty() => near(ports, question.chosen),
        Some(ports) if far(ports) => Hit::Always,
        Some(_) => Hit::Never,
    });
    hit.max().unwrap_or(Hit::Never)
}

/// By the port of this end.
fn near(ports: Ports, (first, last): (u16, u16)) -> Hit {
    let all = ports.first() <= first && ports.last() >= last;
    let none = ports.last() < first || ports.first() > last;
    match (all, none) {
        (true, _) => Hit::Always,
        (false, true) => Hit::Never,
        (false, false) => Hit::Maybe,
    }
}

/// By what can be told of some packets only.
fn narrowed(fault: &Fault, protocol: Protocol) -> Hit {
    let target = &fault.spec.target;
    // Only TCP has states.
    if target.state.is_some() && protocol != Protocol::Tcp {
        return Hit::Never;
    }
    let some = target.state.is_some() || target.flows.is_some_and(|share| share < Percent::ALL);
    let elsewhere =
        !fault.spec.scope.is_host() || fault.sources.sites.iter().any(|site| site.sender.is_some());
    if some || elsewhere { Hit::Maybe } else { Hit::Always }
}

#[cfg(test)]
mod tests;
