//! The ways to part hosts. Their names and definitions are those of Jepsen's nemesis, where it has them; what differs is
//! said with each.

use std::collections::BTreeSet;
use std::fmt;

use fastrand::Rng;

use super::{Cuts, OverlapError};
use crate::target::list;

/// A way to part those who take part. What has a seed goes by their order: as given, or shuffled by the seed. The same seed
/// shuffles the same parties alike, in every version and on every machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Partition {
    /// Groups lose each other: A|B|C. Who is in two of them sees both, which Jepsen's `complete-grudge` does not allow for;
    /// who is in none keeps everybody.
    Groups(Vec<BTreeSet<String>>),
    /// The first cannot send to the second, and still hears it.
    OneWay(BTreeSet<String>, BTreeSet<String>),
    /// These and everybody else lose each other; among themselves they go on.
    Isolate(BTreeSet<String>),
    /// The first half and the rest, which has one more of an odd number.
    Halves {
        /// For a shuffle.
        seed: Option<u64>,
    },
    /// The smallest majority, the first n/2 + 1, and the rest. Jepsen's halves an even number, so that nobody has a majority;
    /// here that is [`Self::Halves`].
    Majority {
        /// For a shuffle, without which Jepsen has none.
        seed: Option<u64>,
    },
    /// The first ones, as many as are strictly fewer than a third, and the rest: what a Byzantine quorum must survive. Below
    /// four parties that is nobody, and refused.
    MinorityThird {
        /// For a shuffle, without which Jepsen has none.
        seed: Option<u64>,
    },
    /// Everybody reaches a majority, itself included, and no two reach the same one. Jepsen's has links of one direction for
    /// three parties and is random above five; here it is the same graph every time, whoever reaches somebody is reached
    /// by it, and no link could be spared.
    MajoritiesRing {
        /// For a shuffle of who stands where.
        seed: Option<u64>,
    },
    /// Two halves that lose each other, but for one party that sees both: the first of the second half, as in Jepsen.
    Bridge {
        /// Who it is instead. The halves are then those of the others, so that none is empty.
        over: Option<String>,
        /// For a shuffle.
        seed: Option<u64>,
    },
}

/// Why a [`Partition`] cannot be made of those who take part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PartitionError {
    /// There would be an empty side, or nothing cut.
    #[error("too few hosts for {of}: it takes at least {needed}, and only {there} would take part")]
    TooFew {
        /// In words.
        of: &'static str,
        /// At least.
        needed: usize,
        /// That take part.
        there: usize,
    },
    /// Named, and not among the parties.
    #[error("`{0}` does not take part: let it (--on), or leave it away")]
    Stranger(String),
    /// Nobody to part it from.
    #[error("one group has nobody to be parted from: name a second one, or `rest`")]
    OneGroup,
    /// By its number, from 1.
    #[error("group {0} has no hosts: select some; for `rest`, let the other groups leave some over")]
    Empty(usize),
    /// Nobody is left to be isolated from.
    #[error("nobody is left for these {0} hosts to be isolated from: select fewer")]
    Everybody(usize),
    /// Groups that overlap too much.
    #[error("nothing would be cut: every two of these hosts share a group")]
    NothingCut,
    /// Of a one-way partition.
    #[error("{0}")]
    Overlap(#[from] OverlapError),
}

impl Partition {
    /// Who cannot send to whom, among these parties, each named once.
    ///
    /// # Errors
    /// Says what is missing; never makes nothing of a partition.
    pub fn cuts(&self, parties: &[String]) -> Result<Cuts, PartitionError> {
        match self {
            Self::Groups(groups) => {
                let cuts = Cuts::between(known(groups, parties)?);
                if cuts.is_empty() { Err(PartitionError::NothingCut) } else { Ok(cuts) }
            }
            Self::OneWay(from, to) => {
                let groups = [from.clone(), to.clone()];
                known(&groups, parties)?;
                Ok(Cuts::one_way(from, to)?)
            }
            Self::Isolate(these) => {
                let others = parties.iter().filter(|party| !these.contains(*party)).cloned().collect();
                let groups = [these.clone(), others];
                match known(&groups, parties) {
                    Err(PartitionError::Empty(2)) => Err(PartitionError::Everybody(these.len())),
                    checked => Ok(Cuts::between(checked?)),
                }
            }
            Self::Halves { seed } => {
                let order = order(parties, *seed, "halves", 2)?;
                Ok(split(&order, order.len() / 2))
            }
            Self::Majority { seed } => {
                let order = order(parties, *seed, "a majority", 3)?;
                Ok(split(&order, order.len() / 2 + 1))
            }
            Self::MinorityThird { seed } => {
                let order = order(parties, *seed, "a minority of less than a third", 4)?;
                Ok(split(&order, (order.len() - 1) / 3))
            }
            Self::MajoritiesRing { seed } => {
                let order = order(parties, *seed, "a ring of majorities", 3)?;
                let places = order.iter().enumerate().map(|(place, name)| (*name, place));
                Ok(Cuts::unless(places, |one, other| linked(*one, *other, order.len())))
            }
            Self::Bridge { over, seed } => {
                let mut order = order(parties, *seed, "a bridge", 3)?;
                let half = order.len() / 2;
                let place = match over {
                    Some(over) => {
                        let place = order.iter().position(|name| name == over);
                        place.ok_or_else(|| PartitionError::Stranger(over.clone()))?
                    }
                    None => half,
                };
                let over = order.remove(place);
                let (one, other) = order.split_at(half);
                let side = |names: &[&str]| set(names).into_iter().chain([over.to_owned()]).collect();
                Ok(Cuts::between(&[side(one), side(other)]))
            }
        }
    }

    /// What the parties are shuffled by.
    #[must_use]
    pub fn seed(&self) -> Option<u64> {
        match self {
            Self::Groups(_) | Self::OneWay(..) | Self::Isolate(_) => None,
            Self::Halves { seed }
            | Self::Majority { seed }
            | Self::MinorityThird { seed }
            | Self::MajoritiesRing { seed }
            | Self::Bridge { seed, .. } => *seed,
        }
    }
}

/// Two or more groups, all of whose members take part.
fn known<'a>(
    groups: &'a [BTreeSet<String>],
    parties: &[String],
) -> Result<&'a [BTreeSet<String>], PartitionError> {
    let parties = parties.iter().collect::<BTreeSet<_>>();
    if let Some(stranger) = groups.iter().flatten().find(|name| !parties.contains(name)) {
        return Err(PartitionError::Stranger(stranger.clone()));
    }
    match groups.iter().position(BTreeSet::is_empty) {
        Some(nth) => Err(PartitionError::Empty(nth + 1)),
        None if groups.len() < 2 => Err(PartitionError::OneGroup),
        None => Ok(groups),
    }
}

fn order<'a>(
    parties: &'a [String],
    seed: Option<u64>,
    of: &'static str,
    needed: usize,
) -> Result<Vec<&'a str>, PartitionError> {
    if parties.len() < needed {
        return Err(PartitionError::TooFew { of, needed, there: parties.len() });
    }
    let Some(seed) = seed else { return Ok(parties.iter().map(String::as_str).collect()) };
    let mut rng = Rng::with_seed(seed);
    // Sorted by numbers of 64 bits that were drawn for them: `Rng::shuffle` draws as many bits as the machine has.
    let mut drawn = parties.iter().map(|party| (rng.u64(..), party.as_str())).collect::<Vec<_>>();
    drawn.sort_unstable();
    Ok(drawn.into_iter().map(|(_, party)| party).collect())
}

fn split(order: &[&str], first: usize) -> Cuts {
    let (one, other) = order.split_at(first);
    Cuts::between(&[set(one), set(other)])
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Whether these two places of a ring of `n` see each other.
fn linked(one: usize, other: usize, n: usize) -> bool {
    // For a majority each needs this many others: half of them to its right, and as many to its left.
    let needed = n / 2;
    let step = one.abs_diff(other);
    if step.min(n - step) <= needed / 2 {
        return true;
    }
    // Where that leaves one over, whoever is opposite. Of an odd number nobody is, and the chords from the first half of
    // the ring, as long as they can be, reach everybody once and the one in the middle twice: the ends of the links of
    // a graph are even in number.
    needed % 2 == 1 && step == n / 2
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |group: &BTreeSet<String>| list(&group.iter().collect::<Vec<_>>());
        match self {
            Self::Groups(groups) => f.write_str(&groups.iter().map(names).collect::<Vec<_>>().join(" | "))?,
            Self::OneWay(from, to) => write!(f, "one way, from {} to {}", names(from), names(to))?,
            Self::Isolate(these) => write!(f, "isolate {}", names(these))?,
            Self::Halves { .. } => f.write_str("halves")?,
            Self::Majority { .. } => f.write_str("majority")?,
            Self::MinorityThird { .. } => f.write_str("minority third")?,
            Self::MajoritiesRing { .. } => f.write_str("majorities ring")?,
            Self::Bridge { over: None, .. } => f.write_str("bridge")?,
            Self::Bridge { over: Some(over), .. } => write!(f, "bridge over {over}")?,
        }
        self.seed().map_or(Ok(()), |seed| write!(f, ", random by seed {seed}"))
    }
}

#[cfg(test)]
mod tests;
