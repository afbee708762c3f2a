//! Who loses whom: the flags, and the partition that they make.

use std::collections::BTreeSet;

use partition_agent_proto::fleet::Partition;

use crate::completion;

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("way").required(true), next_help_heading = "Who loses whom")]
pub struct PartingArgs {
    /// Two groups or more that lose each other; `rest` is everybody whom no other group names
    #[arg(group = "way", value_name = "SELECTOR", add = completion::hosts(), help_heading = None::<&str>)]
    pub groups: Vec<String>,
    /// Lose only what the first of two groups sends to the second
    // Not `requires`, which clap gives up where what is required conflicts with what is there.
    #[arg(long, conflicts_with_all = ["isolate", "halves", "majority", "minority_third", "ring", "bridge"])]
    pub one_way: bool,
    /// Part these hosts from everybody else
    #[arg(long, group = "way", value_name = "SELECTOR", add = completion::hosts())]
    pub isolate: Option<String>,
    /// Part the first half of the hosts from the others
    #[arg(long, group = "way")]
    pub halves: bool,
    /// Part the smallest majority from the others
    #[arg(long, group = "way")]
    pub majority: bool,
    /// Part the most hosts that are fewer than a third from the others
    #[arg(long, group = "way")]
    pub minority_third: bool,
    /// Let everybody see a majority, and no two the same one
    #[arg(long, group = "way")]
    pub ring: bool,
    /// Part two halves but for one host that sees both: the first of the second half, or this one
    #[arg(long, group = "way", value_name = "HOST", require_equals = true, num_args = 0..=1, add = completion::hosts())]
    pub bridge: Option<Option<String>>,
    /// Shuffle the hosts first; what comes out says by which seed
    #[arg(long, conflicts_with_all = ["groups", "isolate"])]
    pub random: bool,
    /// Shuffle the hosts first, as this seed did before
    #[arg(long, value_name = "N", conflicts_with_all = ["groups", "isolate"])]
    pub seed: Option<u64>,
}

/// A partition of hosts that are still to be looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parting {
    Groups(Vec<Group>),
    OneWay([Group; 2]),
    Isolate(String),
    /// By the order of the hosts.
    Ordered(Partition),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Group {
    /// By their selector.
    Hosts(String),
    /// Whoever is in no other group.
    Rest,
}

impl PartingArgs {
    /// Where a seed is wanted and none was given, it is drawn here: call it once.
    ///
    /// # Errors
    /// Groups that make no partition.
    pub fn parting(&self) -> Result<Parting, String> {
        if let Some(selector) = &self.isolate {
            return Ok(Parting::Isolate(selector.clone()));
        }
        // Of 32 bits: somebody may want to type it again.
        let seed = self.seed.or_else(|| self.random.then(|| u64::from(fastrand::u32(..))));
        // The parser lets only one through.
        let ordered = [
            self.halves.then_some(Partition::Halves { seed }),
            self.majority.then_some(Partition::Majority { seed }),
            self.minority_third.then_some(Partition::MinorityThird { seed }),
            self.ring.then_some(Partition::MajoritiesRing { seed }),
            self.bridge.clone().map(|over| Partition::Bridge { over, seed }),
        ];
        match ordered.into_iter().flatten().next() {
            Some(partition) => Ok(Parting::Ordered(partition)),
            None => self.between(),
        }
    }

    fn between(&self) -> Result<Parting, String> {
        let group = |text: &String| if text == "rest" { Group::Rest } else { Group::Hosts(text.clone()) };
        let groups = self.groups.iter().map(group).collect::<Vec<_>>();
        if groups.len() < 2 {
            return Err("one group has nobody to be parted from: name a second one, as `rest`".to_owned());
        }
        if groups.iter().filter(|group| **group == Group::Rest).count() > 1 {
            return Err("`rest` is everybody whom no other group names: write it once".to_owned());
        }
        if !self.one_way {
            return Ok(Parting::Groups(groups));
        }
        let two = <[Group; 2]>::try_from(groups).map_err(|groups| {
            format!(
                "--one-way goes from one group to another, and these are {}: join some with a comma",
                groups.len()
            )
        });
        Ok(Parting::OneWay(two?))
    }
}

impl Parting {
    /// Of every group that is named.
    pub fn selectors(&self) -> impl Iterator<Item = &str> {
        let groups = match self {
            Self::Groups(groups) => groups.as_slice(),
            Self::OneWay(groups) => groups.as_slice(),
            Self::Isolate(_) | Self::Ordered(_) => &[],
        };
        let isolated = match self {
            Self::Isolate(selector) => Some(selector.as_str()),
            Self::Groups(_) | Self::OneWay(_) | Self::Ordered(_) => None,
        };
        let named = groups.iter().filter_map(|group| match group {
            Group::Hosts(selector) => Some(selector.as_str()),
            Group::Rest => None,
        });
        named.chain(isolated)
    }

    /// With the hosts that `select` finds among the parties.
    ///
    /// # Errors
    /// What `select` says.
    pub fn partition<E>(
        self,
        parties: &[String],
        select: impl Fn(&str) -> Result<BTreeSet<String>, E>,
    ) -> Result<Partition, E> {
        let named = |group: &Group| match group {
            Group::Hosts(selector) => select(selector).map(Some),
            Group::Rest => Ok(None),
        };
        let rest = |groups: &[Option<BTreeSet<String>>]| {
            let taken = |party: &String| groups.iter().flatten().any(|group| group.contains(party));
            parties.iter().filter(|party| !taken(party)).cloned().collect::<BTreeSet<_>>()
        };
        match self {
            Self::Groups(groups) => {
                let groups = groups.iter().map(named).collect::<Result<Vec<_>, E>>()?;
                let rest = rest(&groups);
                let groups = groups.into_iter().map(|group| group.unwrap_or_else(|| rest.clone()));
                Ok(Partition::Groups(groups.collect()))
            }
            Self::OneWay([from, to]) => {
                let groups = [named(&from)?, named(&to)?];
                let rest = rest(&groups);
                let [from, to] = groups.map(|group| group.unwrap_or_else(|| rest.clone()));
                Ok(Partition::OneWay(from, to))
            }
            Self::Isolate(selector) => Ok(Partition::Isolate(select(&selector)?)),
            Self::Ordered(partition) => Ok(partition),
        }
    }
}
