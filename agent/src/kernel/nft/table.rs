//! Our tables in one network namespace: the shared one, made with the first fault, deleted with the last; and those of
//! single faults. All of them are gone with our socket.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use partition_agent_proto::Hits;

use super::dispatch::Dispatch;
use super::message::{self, Act, In, add_table, delete_table};
use super::read::{self, RuleSeen};
use super::socket::NftSocket;
use super::{Bindings, replace};
use crate::kernel::{Observed, Refusal, Within};
use crate::plan::{Guard, Hook, OwnTable, Spot, Steering, TABLE, TableFamily, hooked_chain, mark};

/// The shared table.
pub const SHARED: In<'static> = In { family: TableFamily::Netdev, table: TABLE };

/// The owner socket and what it holds. The socket is never closed or reopened while there is a fault: that would end
/// every one of them.
pub struct Table {
    socket: NftSocket,
    within: Within,
    /// The faults in the shared table.
    faults: BTreeMap<u32, Hooked>,
}

/// Where one fault is hooked, and where among the others.
struct Hooked {
    hooks: Vec<Hook>,
    interfaces: Vec<String>,
    order: u32,
}

impl Hooked {
    fn of(steering: &Steering) -> Self {
        Self { hooks: steering.hooks.clone(), interfaces: steering.interfaces.clone(), order: steering.order }
    }

    fn pairs(&self) -> impl Iterator<Item = (Hook, &String)> {
        self.hooks.iter().flat_map(|hook| self.interfaces.iter().map(|interface| (*hook, interface)))
    }
}

/// A table of one fault.
fn of_fault(own: &OwnTable) -> In<'_> {
    In { family: own.family, table: &own.name }
}

impl Table {
    pub fn open(within: Within) -> io::Result<Self> {
        let socket = within.run(NftSocket::open)??;
        Ok(Self { socket, within, faults: BTreeMap::new() })
    }

    /// One transaction: the shared table, if this is the first fault in it; the fault's own part; hooks that are not there
    /// yet; the fault's own table.
    pub fn steer(
        &mut self,
        slot: u32,
        steering: &Steering,
        guard: &Guard,
        bindings: &Bindings,
    ) -> Result<(), Refusal> {
        let timeout = steering.timeout;
        let mut acts = Vec::new();
        let shared = !steering.ruleset.chains.is_empty();
        if shared {
            if self.faults.is_empty() {
                acts.push(add_table(SHARED));
                acts.extend(message::add(SHARED, &guard.skeleton(), timeout, bindings));
            }
            let by_age = steering.ruleset.rules.iter().any(|rule| rule.spot == Spot::ByAge);
            let dispatch = if by_age { self.dispatch(slot, steering)? } else { Dispatch::default() };
            acts.extend(message::add_among(SHARED, &steering.ruleset, timeout, bindings, &dispatch));
            acts.extend(self.hook(&Hooked::of(steering)));
        }
        if let Some(own) = &steering.own {
            acts.push(add_table(of_fault(own)));
            acts.extend(message::add(of_fault(own), &own.ruleset, timeout, bindings));
        }
        self.socket.commit(acts)?;
        if shared {
            self.faults.insert(slot, Hooked::of(steering));
        }
        Ok(())
    }

    /// A table that steers nothing; in the place of another, in one transaction.
    pub fn add(
        &mut self,
        instead_of: Option<&OwnTable>,
        table: &OwnTable,
        bindings: &Bindings,
    ) -> Result<(), Refusal> {
        let mut acts = instead_of.map(|was| delete_table(of_fault(was))).into_iter().collect::<Vec<_>>();
        acts.push(add_table(of_fault(table)));
        acts.extend(message::add(of_fault(table), &table.ruleset, None, bindings));
        self.socket.commit(acts)
    }

    /// What is already gone counts as deleted.
    pub fn delete(&mut self, table: &OwnTable) -> Result<(), Refusal> {
        match self.socket.commit(vec![delete_table(of_fault(table))]) {
            Err(refusal) if refusal.is_absent() => Ok(()),
            done => done,
        }
    }

    /// Two transactions, one whatever becomes of the other: what is refused must not keep the rest in force.
    pub fn unsteer(&mut self, slot: u32, steering: &Steering) -> Result<(), Refusal> {
        let shared = self.unsteer_shared(slot, steering);
        let own = steering.own.as_ref().map_or(Ok(()), |own| self.delete(own));
        shared.and(own)
    }

    /// One transaction: the fault's own part and the hooks that no other fault needs; with the last fault, the table.
    fn unsteer_shared(&mut self, slot: u32, steering: &Steering) -> Result<(), Refusal> {
        let Some(fault) = self.faults.get(&slot) else { return Ok(()) };
        if self.faults.len() == 1 {
            match self.socket.commit(vec![delete_table(SHARED)]) {
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
        let mut acts = message::remove(SHARED, &steering.ruleset, &self.dispatch(slot, steering)?.own);
        acts.extend(self.unhook(slot, fault, None)?);
        self.socket.commit(acts)
    }

    /// The rules that lead into the fault's chains, and those that lead into the chains of older ones.
    fn dispatch(&self, slot: u32, steering: &Steering) -> Result<Dispatch, Refusal> {
        let mut dispatch = Dispatch::default();
        let of = |slot: &u32| mark(*slot);
        let older = self.faults.iter().filter(|(_, fault)| fault.order < steering.order);
        let older = older.map(|(slot, _)| of(slot)).collect::<BTreeSet<_>>();
        let own = |chain: &String| steering.ruleset.chains.iter().any(|own| own.name == *chain);
        let there = if self.faults.is_empty() { Vec::new() } else { read::rules(&self.within, SHARED)? };
        for RuleSeen { chain, handle, comment, .. } in there {
            match comment {
                Some(comment) if comment == of(&slot) && !own(&chain) => dispatch.own.push((chain, handle)),
                Some(comment) if older.contains(&comment) => dispatch.older.push((chain, handle)),
                Some(_) | None => {}
            }
        }
        Ok(dispatch)
    }

    /// The hooks that a fault needs and none has.
    fn hook(&self, wanted: &Hooked) -> Vec<Act> {
        let hooked = self.pairs_except(None);
        let missing = wanted.pairs().filter(|(hook, interface)| !hooked.contains(&(*hook, interface)));
        missing
            .flat_map(|(hook, interface)| {
                message::add(SHARED, &hooked_chain(hook, interface), None, &Bindings::default())
            })
            .collect()
    }

    /// The hooks that a fault has and neither another one nor what comes in its place needs.
    fn unhook(&self, slot: u32, fault: &Hooked, next: Option<&Hooked>) -> Result<Vec<Act>, Refusal> {
        let others = self.pairs_except(Some(slot));
        let there =
            read::hooked_chains(&self.within)?.into_iter().map(|chain| chain.name).collect::<BTreeSet<_>>();
        let needed = |pair: &(Hook, &String)| {
            others.contains(pair) || next.is_some_and(|next| next.pairs().any(|needed| needed == *pair))
        };
        let unused = fault.pairs().filter(|pair| !needed(pair));
        let chains = unused.flat_map(|(hook, interface)| hooked_chain(hook, interface).chains);
        Ok(chains
            .filter(|chain| there.contains(&chain.name))
            .map(|chain| message::delete_chain(SHARED, &chain.name))
            .collect())
    }

    /// One transaction from one steering of a fault to another. Answers what counters that began anew had counted.
    pub fn replace(
        &mut self,
        slot: u32,
        (old, new): (&Steering, &Steering),
        guard: &Guard,
        bindings: &Bindings,
    ) -> Result<Hits, Refusal> {
        let counted = self.hits(old.own.iter().map(|own| (slot, own)))?.remove(&slot).unwrap_or_default();
        let fault = self.faults.get(&slot);
        if fault.is_some() == new.ruleset.chains.is_empty() {
            self.unsteer(slot, old)?;
            self.steer(slot, new, guard, bindings)?;
            return Ok(counted);
        }
        let (mut acts, mut anew) = (Vec::new(), [false; 2]);
        let retargeted = replace::is_retargeted(old, new);
        let wanted = Hooked::of(new);
        if let Some(fault) = fault {
            let (shared, began) = replace::acts(
                SHARED,
                retargeted,
                (&old.ruleset, old.timeout),
                (&new.ruleset, new.timeout),
                bindings,
                || self.dispatch(slot, old),
            )?;
            anew[0] = began;
            acts.extend(shared);
            acts.extend(self.hook(&wanted));
            acts.extend(self.unhook(slot, fault, Some(&wanted))?);
        }
        match (&old.own, &new.own) {
            (Some(was), Some(is)) if was.ruleset.chains == is.ruleset.chains => {
                let none = || Ok(Dispatch::default());
                let (was, is) = ((&was.ruleset, old.timeout), (&is.ruleset, new.timeout));
                let at = new.own.as_ref().map_or(SHARED, of_fault);
                let (own, began) = replace::acts(at, retargeted, was, is, bindings, none)?;
                anew[1] = began;
                acts.extend(own);
            }
            (was, is) => {
                anew[1] = true;
                acts.extend(was.as_ref().map(|own| delete_table(of_fault(own))));
                if let Some(own) = is {
                    acts.push(add_table(of_fault(own)));
                    acts.extend(message::add(of_fault(own), &own.ruleset, new.timeout, bindings));
                }
            }
        }
        self.socket.commit(acts)?;
        if fault.is_some() {
            self.faults.insert(slot, wanted);
        }
        let own = new.own.iter().map(|own| (slot, own));
        let still =
            if anew.contains(&true) { self.hits(own)?.remove(&slot).unwrap_or_default() } else { counted };
        Ok(counted.less(still))
    }

    /// In force from now on, in one transaction.
    pub fn arm(&mut self, steering: &Steering) -> Result<(), Refusal> {
        let Some(timeout) = steering.timeout else { return Ok(()) };
        let mut acts = message::arm(SHARED, &steering.ruleset, timeout);
        acts.extend(steering.own.iter().flat_map(|own| message::arm(of_fault(own), &own.ruleset, timeout)));
        self.socket.commit(acts)
    }

    /// New timeouts, in one transaction.
    pub fn rearm(&mut self, steering: &Steering) -> Result<(), Refusal> {
        let Some(timeout) = steering.timeout else { return Ok(()) };
        let mut acts = message::rearm(SHARED, &steering.ruleset, timeout);
        acts.extend(steering.own.iter().flat_map(|own| message::rearm(of_fault(own), &own.ruleset, timeout)));
        self.socket.commit(acts)
    }

    /// Hooks that are missing on interfaces that exist. Linux 6.1 deletes a chain along with its interface; 6.18 keeps
    /// it and hooks a new interface of the name by itself.
    pub fn reattach(&mut self, exists: &BTreeSet<String>) -> Result<Vec<(u32, String)>, Refusal> {
        if self.faults.is_empty() {
            return Ok(Vec::new());
        }
        let chains = read::hooked_chains(&self.within)?;
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
                    acts.extend(stale.map(|c| message::delete_chain(SHARED, &c.name)));
                    acts.extend(message::add(SHARED, &chain, None, &Bindings::default()));
                }
            }
        }
        if acts.is_empty() {
            return Ok(Vec::new());
        }
        self.socket.commit(acts)?;
        Ok(back.into_iter().collect())
    }

    /// The tables' part of what there is of a fault.
    pub fn read_back(&self, slot: u32, steering: &Steering) -> Result<Observed, Refusal> {
        let mut observed = Observed::default();
        for set in &steering.ruleset.sets {
            observed
                .sets
                .extend(read::set(&self.within, SHARED, &set.name)?.map(|seen| (set.name.clone(), seen)));
        }
        if !steering.ruleset.chains.is_empty() {
            let comment = mark(slot);
            for rule in read::rules(&self.within, SHARED)?
                .into_iter()
                .filter(|rule| rule.comment.as_ref() == Some(&comment))
            {
                *observed.rules.entry(rule.chain).or_default() += 1;
            }
            observed.hooked =
                read::hooked_chains(&self.within)?.into_iter().filter_map(|chain| chain.on).collect();
        }
        if let Some(own) = &steering.own {
            for set in &own.ruleset.sets {
                let seen = read::set(&self.within, of_fault(own), &set.name)?;
                observed.own_sets.extend(seen.map(|seen| (set.name.clone(), seen)));
            }
            for rule in read::rules(&self.within, of_fault(own))? {
                *observed.own_rules.entry(rule.chain).or_default() += 1;
            }
        }
        Ok(observed)
    }

    /// What the rules have counted, by slot; of the shared table, and of these tables of single faults.
    pub fn hits<'a>(
        &self,
        own: impl Iterator<Item = (u32, &'a OwnTable)>,
    ) -> Result<BTreeMap<u32, Hits>, Refusal> {
        let mut hits = BTreeMap::<u32, Hits>::new();
        let shared = if self.faults.is_empty() { Vec::new() } else { read::rules(&self.within, SHARED)? };
        for rule in shared {
            let slot = rule.comment.as_deref().and_then(|mark| mark.strip_prefix('f')?.parse().ok());
            if let Some(slot) = slot {
                count(hits.entry(slot).or_default(), &rule);
            }
        }
        for (slot, own) in own {
            for rule in read::rules(&self.within, of_fault(own))? {
                count(hits.entry(slot).or_default(), &rule);
            }
        }
        Ok(hits)
    }

    /// Whether the table is there although no fault of ours is in it: another agent's, or somebody's by hand.
    pub fn is_foreign(&self) -> Result<bool, Refusal> {
        Ok(self.faults.is_empty() && read::table_exists(&self.within)?)
    }

    fn pairs_except(&self, slot: Option<u32>) -> BTreeSet<(Hook, &String)> {
        let others = self.faults.iter().filter(|(other, _)| Some(**other) != slot);
        others.flat_map(|(_, fault)| fault.pairs()).collect()
    }
}

fn count(hits: &mut Hits, rule: &RuleSeen) {
    let (packets, bytes) = (rule.packets, rule.bytes);
    if rule.chain.ends_with("_shape") {
        hits.shaped_packets += packets;
        hits.shaped_bytes += bytes;
    } else if rule.chain.ends_with("_reject") {
        hits.rejected_packets += packets;
        hits.rejected_bytes += bytes;
    } else if rule.chain.ends_with("_loss") {
        hits.lost_packets += packets;
        hits.lost_bytes += bytes;
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use nix::sched::{CloneFlags, unshare};

    use super::*;
    use crate::plan::{Chain, Ruleset};

    fn tables() -> String {
        let output = Command::new("nft").args(["list", "tables"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn a_table_that_cannot_be_deleted_leaves_no_other_rule_in_force() {
        let test = || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            let mut table = Table::open(Within::Own).unwrap();
            let chain = Chain { name: "f1_egress_loss".to_owned(), base: None };
            let mut steering = Steering {
                ruleset: Ruleset { chains: vec![chain], ..Ruleset::default() },
                hooks: vec![Hook::Egress],
                interfaces: vec!["lo".to_owned()],
                own: None,
                order: 1,
                timeout: None,
            };
            table.steer(1, &steering, &Guard::new(&[], None), &Bindings::default()).unwrap();
            assert!(tables().contains("table netdev partition_agent"), "{}", tables());
            // The kernel takes no name that is this long.
            steering.own = Some(OwnTable {
                name: "x".repeat(300),
                family: TableFamily::Inet,
                ruleset: Ruleset::default(),
            });
            let refusal = table.unsteer(1, &steering).unwrap_err();
            assert!(!refusal.is_absent(), "{refusal}");
            assert_eq!(tables(), "");
            // The next try has nothing to do but that.
            assert_eq!(table.unsteer(1, &steering), Err(refusal));
            steering.own = None;
            assert_eq!(table.unsteer(1, &steering), Ok(()));
        };
        std::thread::spawn(test).join().unwrap();
    }
}
