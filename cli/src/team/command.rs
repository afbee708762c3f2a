//! What was typed, as the faults that it is on each host of a fleet, and whether they may be put into force. Pure.

use std::collections::{BTreeMap, BTreeSet};

use partition_agent_proto::fleet::{Fleet, Selector};
use partition_agent_proto::{FaultId, FaultSpec, Percent, Span};

use super::orders::{link_orders, orders};
use super::parted::parted;
use crate::args::{InjectArgs, PartitionArgs, TogetherArgs};

/// What is over sooner could not be told from what never started.
pub const SHORTEST: Span = Span::from_secs(5);

/// The hosts that a command is for.
pub struct Chosen<'a> {
    pub fleet: &'a Fleet,
    pub hosts: BTreeSet<String>,
    /// Whether somebody chose them, or it is simply everybody.
    pub by_somebody: bool,
}

impl<'a> Chosen<'a> {
    pub fn everybody(fleet: &'a Fleet) -> Self {
        Self { fleet, hosts: fleet.hosts.keys().cloned().collect(), by_somebody: false }
    }

    /// Those of them that somebody chose; without a choice all of them.
    ///
    /// # Errors
    /// A selector that selects nobody.
    pub fn on(self, on: Option<&Selector>) -> Result<Self, String> {
        let Some(on) = on else { return Ok(self) };
        let named = self.fleet.select(on).map_err(|error| error.to_string())?;
        let hosts = self.hosts.intersection(&named).cloned().collect();
        Ok(Self { hosts, by_somebody: true, ..self })
    }
}

/// A command, ready for all of its hosts.
pub struct Command {
    /// As it was typed.
    pub id: Option<FaultId>,
    /// In a few words, for people.
    pub what: String,
    pub specs: BTreeMap<String, FaultSpec>,
    /// The hosts that count as hit.
    pub hit: BTreeSet<String>,
    pub together: TogetherArgs,
    pub start_in: Option<Span>,
    pub wait: bool,
    /// The lease that this command renews until it is over.
    pub hold: Option<Span>,
}

impl Command {
    /// # Errors
    /// Flags that make no fault on these hosts, or hosts that cannot be told.
    pub fn inject(chosen: &Chosen<'_>, args: &InjectArgs) -> Result<Self, String> {
        let Chosen { fleet, hosts, by_somebody } = chosen;
        let specs = match &args.link {
            Some(link) => link_orders(fleet, link, args),
            None if *by_somebody => orders(fleet, hosts, args),
            None => {
                let why = "on which hosts? --on '*' is all of them, and --link NAME those at its end";
                return Err(why.to_owned());
            }
        };
        let mut specs = specs.map_err(|error| error.to_string())?;
        let list = |is_one: &dyn Fn(&str) -> bool| {
            let all = specs.keys().map(String::as_str).filter(|host| is_one(host)).collect::<Vec<_>>();
            (!all.is_empty()).then(|| all.join(", "))
        };
        if let Some(others) = list(&|host| !hosts.contains(host)) {
            return Err(format!("{others}: not among the hosts of --on"));
        }
        // One agent by itself is in no fleet.
        if let Some(without) = list(&|host| fleet.hosts.get(host).is_some_and(|host| host.agent.is_none())) {
            return Err(format!("{without}: no agent there that could be told: leave it out"));
        }
        // The instant is everybody's, so the way to it is not the agents' business.
        for spec in specs.values_mut() {
            spec.start_in = None;
        }
        Ok(Self {
            id: args.id.clone(),
            what: specs.values().next().map(ToString::to_string).unwrap_or_default(),
            hit: specs.keys().cloned().collect(),
            specs,
            together: args.together,
            start_in: args.timing.start_in,
            wait: args.wait,
            hold: args.timing.held(),
        })
    }

    /// # Errors
    /// Flags that make no partition, or none of these hosts.
    pub fn partition(chosen: &Chosen<'_>, args: &PartitionArgs) -> Result<Self, String> {
        let parted = parted(chosen.fleet, &chosen.hosts, args)?;
        Ok(Self {
            id: args.id.clone(),
            what: parted.what(),
            hit: parted.cuts.hit(&parted.parties),
            specs: parted.specs,
            together: args.together,
            start_in: parted.fault.start_in,
            wait: args.wait,
            hold: args.timing.held(),
        })
    }

    /// One of its faults, which are alike.
    ///
    /// # Errors
    /// There is none.
    pub fn first(&self) -> Result<&FaultSpec, String> {
        self.specs.values().next().ok_or_else(|| "there is no host to tell".to_owned())
    }

    /// Refuses what would hit too many at once, or be over before everybody could tell that it has started.
    ///
    /// # Errors
    /// Why, and what to do.
    pub fn check(&self, fleet: &Fleet) -> Result<(), String> {
        self.first()?;
        let most = self.together.max_share.unwrap_or(fleet.max_share);
        if most != Percent::ALL {
            fleet.check_share(&self.hit, most).map_err(|error| error.to_string())?;
        }
        if let Some(spec) = self.specs.values().find(|spec| spec.duration < SHORTEST) {
            let asked = spec.duration;
            return Err(format!(
                "{asked} is over before every host could tell that it has started: --for {SHORTEST} at least"
            ));
        }
        let lease = |spec: &FaultSpec| spec.lease.filter(|lease| *lease < SHORTEST);
        if let Some(lease) = self.specs.values().find_map(lease) {
            return Err(format!(
                "a lease of {lease} may be over before every host has told that it has started: --lease {SHORTEST} at least"
            ));
        }
        Ok(())
    }
}
