//! Our table: made with the first fault, deleted with the last, gone with our socket.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use super::message::{self, Act, add_table, delete_table};
use super::read::{self, RuleSeen};
use super::socket::NftSocket;
use crate::kernel::{Observed, Refusal};
use crate::plan::{Guard, Hook, Steering, TABLE, hooked_chain, mark};

/// The owner socket and what it holds. The socket is never closed or reopened while there is a fault: that would end
/// every one of them.
pub struct Table {
    socket: NftSocket,
    faults: BTreeMap<u32, Hooked>,
}

/// Where one fault is hooked.
struct Hooked {
    hooks: Vec<Hook>,
    interfaces: Vec<String>,
}

impl Hooked {
    fn pairs(&self) -> impl Iterator<Item = (Hook, &String)> {
        self.hooks.iter().flat_map(|hook| self.interfaces.iter().map(|interface| (*hook, interface)))
    }
}

impl Table {
    pub fn open() -> io::Result<Self> {
        Ok(Self { socket: NftSocket::open()?, faults: BTreeMap::new() })
    }

    /// One transaction: the table, if this is the first fault; the fault's own part; hooks that are not there yet.
    pub fn steer(
        &mut self,
        slot: u32,
        steering: &Steering,
        guard: &Guard,
        ifindex: &BTreeMap<String, u32>,
    ) -> Result<(), Refusal> {
        let timeout = steering.timeout;
        let mut acts = Vec::new();
        if self.faults.is_empty() {
            acts.push(add_table(TABLE));
            acts.extend(message::add(TABLE, &guard.skeleton(), timeout, ifindex));
        }
        acts.extend(message::add(TABLE, &steering.ruleset, timeout, ifindex));
        let wanted = Hooked { hooks: steering.hooks.clone(), interfaces: steering.interfaces.clone() };
        let hooked = self.pairs_except(slot);
        for (hook, interface) in
            wanted.pairs().filter(|(hook, interface)| !hooked.contains(&(*hook, interface)))
        {
            acts.extend(message::add(TABLE, &hooked_chain(hook, interface), timeout, ifindex));
        }
        self.socket.commit(acts)?;
        self.faults.insert(slot, wanted);
        Ok(())
    }

    /// One transaction: the fault's own part and the hooks that no other fault needs; with the last fault, the table.
    pub fn unsteer(&mut self, slot: u32, steering: &Steering) -> Result<(), Refusal> {
        let Some(fault) = self.faults.get(&slot) else { return Ok(()) };
        if self.faults.len() == 1 {
            match self.socket.commit(vec![delete_table(TABLE)]) {
                Ok(()) => {}
                Err(refusal) if refusal.is_absent() => {}
                Err(refusal) => return Err(refusal),
            }
        } else {
            match self.remove_own(slot, steering, fault) {
                // A chain went with its interface between the list and the transaction: list again.
                Err(refusal) if refusal.is_absent() => self.remove_own(slot, steering, fault)?,
                done => done?,
            }
        }
        self.faults.remove(&slot);
        Ok(())
    }

    fn remove_own(&self, slot: u32, steering: &Steering, fault: &Hooked) -> Result<(), Refusal> {
        let comment = mark(slot);
        let own = |chain: &String| steering.ruleset.chains.iter().any(|own| own.name == *chain);
        let rules = read::rules()?
            .into_iter()
            .filter(|rule| rule.comment.as_ref() == Some(&comment) && !own(&rule.chain))
            .map(|rule| (rule.chain, rule.handle))
            .collect::<Vec<_>>();
        let mut acts = message::remove(TABLE, &steering.ruleset, &rules);
        let others = self.pairs_except(slot);
        let there = read::hooked_chains()?.into_iter().map(|chain| chain.name).collect::<BTreeSet<_>>();
        let unused = fault.pairs().filter(|(hook, interface)| !others.contains(&(*hook, interface)));
        let chains = unused.flat_map(|(hook, interface)| hooked_chain(hook, interface).chains);
        acts.extend(
            chains.filter(|chain| there.contains(&chain.name)).map(|c| message::delete_chain(TABLE, &c.name)),
        );
        self.socket.commit(acts)
    }

    /// New timeouts, in one transaction.
    pub fn rearm(&mut self, steering: &Steering) -> Result<(), Refusal> {
        self.socket.commit(message::rearm(TABLE, &steering.ruleset, steering.timeout))
    }

    /// Hooks that are missing on interfaces that exist. Linux 6.1 deletes a chain along with its interface; 6.18 keeps
    /// it and hooks a new interface of the name by itself.
    pub fn reattach(&mut self, exists: &BTreeSet<String>) -> Result<Vec<(u32, String)>, Refusal> {
        if self.faults.is_empty() {
            return Ok(Vec::new());
        }
        let chains = read::hooked_chains()?;
        let missing = |hook: Hook, interface: &String| {
            exists.contains(interface)
                && !chains.iter().any(|chain| chain.on.as_ref() == Some(&(hook, interface.clone())))
        };
        let mut acts = Vec::<Act>::new();
        let mut added = BTreeSet::new();
        let mut back = BTreeSet::new();
        for (slot, fault) in &self.faults {
            for (hook, interface) in fault.pairs().filter(|(hook, interface)| missing(*hook, interface)) {
                back.insert((*slot, interface.clone()));
                if added.insert((hook, interface)) {
                    let chain = hooked_chain(hook, interface);
                    let stale =
                        chain.chains.iter().filter(|c| chains.iter().any(|there| there.name == c.name));
                    acts.extend(stale.map(|c| message::delete_chain(TABLE, &c.name)));
                    acts.extend(message::add(TABLE, &chain, Duration::ZERO, &BTreeMap::new()));
                }
            }
        }
        if acts.is_empty() {
            return Ok(Vec::new());
        }
        self.socket.commit(acts)?;
        Ok(back.into_iter().collect())
    }

    /// The table's part of what there is of a fault.
    pub fn read_back(&self, slot: u32, steering: &Steering) -> Result<Observed, Refusal> {
        let mut observed = Observed::default();
        for set in &steering.ruleset.sets {
            observed.sets.extend(read::set(&set.name)?.map(|seen| (set.name.clone(), seen)));
        }
        let comment = mark(slot);
        for rule in read::rules()?.into_iter().filter(|rule| rule.comment.as_ref() == Some(&comment)) {
            *observed.rules.entry(rule.chain).or_default() += 1;
        }
        observed.hooked = read::hooked_chains()?.into_iter().filter_map(|chain| chain.on).collect();
        Ok(observed)
    }

    /// Every rule, for its counter.
    pub fn rules(&self) -> Result<Vec<RuleSeen>, Refusal> {
        if self.faults.is_empty() { Ok(Vec::new()) } else { read::rules() }
    }

    /// Whether the table is there although no fault of ours is in it: another agent's, or somebody's by hand.
    pub fn is_foreign(&self) -> Result<bool, Refusal> {
        Ok(self.faults.is_empty() && read::table_exists()?)
    }

    fn pairs_except(&self, slot: u32) -> BTreeSet<(Hook, &String)> {
        self.faults.iter().filter(|(other, _)| **other != slot).flat_map(|(_, fault)| fault.pairs()).collect()
    }
}
