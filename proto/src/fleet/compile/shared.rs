//! Parties that the network cannot tell apart.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{CompileError, Party};
use crate::Ports;

/// Parties that have an address in common, by name. A service on a host of the fleet has, and no more than its ports.
pub(super) struct Shared<'a> {
    parties: &'a BTreeMap<String, Party>,
    with: BTreeMap<&'a str, Vec<(&'a str, IpAddr)>>,
}

impl<'a> Shared<'a> {
    pub(super) fn among(parties: &'a BTreeMap<String, Party>) -> Self {
        let mut at = BTreeMap::<IpAddr, Vec<&str>>::new();
        for (name, party) in parties {
            party
                .addresses
                .iter()
                .for_each(|address| at.entry(address.to_canonical()).or_default().push(name));
        }
        let mut with = BTreeMap::<&str, Vec<_>>::new();
        for (address, names) in at.iter().filter(|(_, names)| names.len() > 1) {
            for one in names {
                let others = names.iter().filter(|other| *other != one);
                with.entry(one).or_default().extend(others.map(|other| (*other, *address)));
            }
        }
        Self { parties, with }
    }

    /// Refuses a fault against these names if it hits others: some that are to be left alone, or some whose own end
    /// does it, so that it would be done twice.
    pub(super) fn refuse(
        &self,
        host: &str,
        names: &BTreeSet<&str>,
        cut: impl Fn(&str) -> bool,
    ) -> Result<(), CompileError> {
        let covers = |one: &str, other: &str| match (self.parties.get(one), self.parties.get(other)) {
            (Some(one), Some(other)) => one.covers(other),
            (None, _) | (_, None) => false,
        };
        for one in names {
            let others = self.with.get(one).into_iter().flatten().filter(|(other, _)| !names.contains(other));
            let mut hit = others.filter(|(other, _)| covers(one, other) || cut(other) && covers(other, one));
            if let Some((other, address)) = hit.next() {
                let [host, one, other] = [host, one, other].map(str::to_owned);
                return Err(CompileError::Shared { host, one, other, address: *address });
            }
        }
        Ok(())
    }
}

impl Party {
    /// Whether what is addressed to this one there may be meant for the other one.
    fn covers(&self, other: &Self) -> bool {
        let overlap = |one: &Ports| {
            other.ports.iter().any(|other| one.first() <= other.last() && other.first() <= one.last())
        };
        self.ports.is_empty() || self.ports.iter().any(overlap)
    }
}
