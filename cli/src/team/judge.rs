//! What was found between two hosts, against what their faults say. Pure.

use std::collections::BTreeMap;

use partition_agent_proto::{Effect, FaultId, Reach};
use serde::Serialize;

/// What one agent answered in a round.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// By number of the other end. None: it did not answer.
    pub reach: Option<BTreeMap<u32, Reach>>,
    /// How many datagrams of whom it heard.
    pub heard: Option<BTreeMap<u32, u32>>,
}

/// From one host to another, or to a service.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cell {
    pub verdict: Verdict,
    /// What was found.
    pub found: Found,
    /// What the faults in force say.
    pub expected: Effect,
    /// Those that have a say.
    pub faults: Vec<FaultId>,
    /// Datagrams that were sent, and how many of them arrived; of a service none.
    pub sent: u32,
    pub arrived: u32,
    /// Whether a TCP connection was opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connected: Option<bool>,
    /// The status that a `GET` was answered with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// There and back, the median.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_micros: Option<u64>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What was found of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// All of it arrives.
    Open,
    /// Some of it.
    Lossy,
    /// None of it.
    Cut,
    /// Nobody could tell.
    Unknown,
}

/// The better comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    AsExpected,
    /// Nobody could tell.
    Unknown,
    UnexpectedlyOpen,
    UnexpectedlyCut,
}

/// What a direction is found to be, against what it should be.
fn verdict(found: Found, expected: Effect) -> Verdict {
    match (found, expected) {
        (Found::Unknown, _) => Verdict::Unknown,
        // Of a fault that lets some through, anything may be found.
        (Found::Open | Found::Lossy | Found::Cut, Effect::Impaired) => Verdict::AsExpected,
        // A datagram may be lost on any network.
        (Found::Open | Found::Lossy, Effect::None) | (Found::Cut, Effect::Cut) => Verdict::AsExpected,
        (Found::Open | Found::Lossy, Effect::Cut) => Verdict::UnexpectedlyOpen,
        (Found::Cut, Effect::None) => Verdict::UnexpectedlyCut,
    }
}

/// What these two hosts' own faults say about what the first sends to the second.
fn expected(seen: &[Seen], from: usize, to: usize) -> (Effect, Vec<FaultId>) {
    let faults = |here: usize, there: usize| {
        let reach = seen.get(here)?.reach.as_ref()?;
        Some(reach.get(&u32::try_from(there).ok()?)?.faults.clone())
    };
    let out = faults(from, to).unwrap_or_default().into_iter().map(|meets| (meets.egress, meets.id));
    let into = faults(to, from).unwrap_or_default().into_iter().map(|meets| (meets.ingress, meets.id));
    let mut ids = Vec::new();
    let mut most = Effect::None;
    for (effect, id) in out.chain(into).filter(|(effect, _)| *effect > Effect::None) {
        most = most.max(effect);
        ids.push(id);
    }
    ids.sort();
    ids.dedup();
    (most, ids)
}

/// What the first sends to the second. None: it was not tried.
pub fn cell(seen: &[Seen], from: usize, to: usize) -> Option<Cell> {
    let [here, there] = [seen.get(from)?, seen.get(to)?];
    let [from_number, to_number] = [from, to].map(|nth| u32::try_from(nth).unwrap_or(u32::MAX));
    let reach = here.reach.as_ref().and_then(|reach| reach.get(&to_number));
    // One whose agent is silent is an unknown, unless nobody else has an address for it either.
    let tried = reach.is_some() || here.reach.is_none();
    if !tried {
        return None;
    }
    let (expected, faults) = expected(seen, from, to);
    let sent = reach.map_or(0, |reach| u32::from(reach.sent));
    let heard = there.heard.as_ref().map(|heard| heard.get(&from_number).copied().unwrap_or_default());
    // What was answered has arrived, whether or not the other can be asked.
    let answered = reach.map_or(0, |reach| u32::from(reach.answered));
    let arrived = heard.unwrap_or_default().max(answered);
    let found = match (reach, arrived, heard) {
        // Refused by this host itself: no datagram left it.
        (Some(reach), 0, _) if reach.sent == 0 => Found::Cut,
        (None, _, _) | (_, 0, None) => Found::Unknown,
        (Some(_), arrived, _) if arrived >= sent => Found::Open,
        (_, 0, Some(_)) => Found::Cut,
        (_, _, _) => Found::Lossy,
    };
    let (back, _) = self::expected(seen, to, from);
    let mut verdict = verdict(found, expected);
    // A connection takes both directions: it cannot be there where one is cut, and has to be where nothing is.
    match (reach.and_then(|reach| reach.connected), expected.max(back)) {
        (Some(true), Effect::Cut) => verdict = Verdict::UnexpectedlyOpen,
        (Some(false), Effect::None) => verdict = Verdict::UnexpectedlyCut,
        (Some(true), Effect::None | Effect::Impaired) | (Some(false), Effect::Impaired | Effect::Cut) => {}
        (None, Effect::None | Effect::Impaired | Effect::Cut) => {}
    }
    Some(Cell {
        verdict,
        found,
        expected,
        faults,
        sent,
        arrived,
        connected: reach.and_then(|reach| reach.connected),
        status: None,
        rtt_micros: reach.and_then(|reach| reach.rtt_micros).map(|rtt| rtt.median),
        error: reach.and_then(|reach| reach.error.clone()),
    })
}

/// From a host to a service; with the number of the host that offers it, where that is one of them.
pub fn service_cell(seen: &[Seen], from: usize, service: u32, offered_by: Option<usize>) -> Option<Cell> {
    let reach = seen.get(from)?.reach.as_ref()?.get(&service)?;
    if offered_by == Some(from) {
        return None;
    }
    let mut most = Effect::None;
    let mut faults = Vec::new();
    for meets in reach.faults.iter().filter(|meets| meets.egress.max(meets.ingress) > Effect::None) {
        most = most.max(meets.egress.max(meets.ingress));
        faults.push(meets.id.clone());
    }
    // A host that is cut off takes its services with it.
    for (one, other) in offered_by.into_iter().flat_map(|host| [(from, host), (host, from)]) {
        let (effect, ids) = expected(seen, one, other);
        most = most.max(effect);
        faults.extend(ids);
    }
    faults.sort();
    faults.dedup();
    let found = match (reach.connected, reach.status) {
        (_, Some(status)) if !(200..400).contains(&status) => Found::Lossy,
        (Some(true), _) => Found::Open,
        (Some(false), _) => Found::Cut,
        (None, Some(_)) => Found::Open,
        (None, None) => Found::Unknown,
    };
    Some(Cell {
        verdict: verdict(found, most),
        found,
        expected: most,
        faults,
        sent: 0,
        arrived: 0,
        connected: reach.connected,
        status: reach.status,
        rtt_micros: reach.rtt_micros.map(|rtt| rtt.median),
        error: reach.error.clone(),
    })
}

#[cfg(test)]
mod tests;
