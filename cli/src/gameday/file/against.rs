//! A game day with the hosts that it is for: everything is computed that would be sent, and nothing is.

use std::collections::{BTreeMap, BTreeSet};

use partition_agent_proto::fleet::{Fleet, Selector, hint};
use partition_agent_proto::{FaultSpec, Percent};

use super::model::{Action, GameDay, Probe, Step};
use crate::args::{InjectArgs, PartitionArgs, TogetherArgs};
use crate::gameday::probe::can_ask;
use crate::lab::CONTROLLER;
use crate::mistakes::Mistakes;
use crate::team::SHORTEST;
use crate::team::orders::{link_orders, orders};
use crate::team::parted::parted;

/// What a game day is run on.
#[derive(Debug, Clone, Copy)]
pub enum Ground<'a> {
    /// One agent, which knows of no other.
    Agent,
    /// Real hosts.
    Fleet(&'a Fleet),
    /// The same hosts as network namespaces of this machine.
    Lab(&'a Fleet),
}

/// What a step would do to hosts of a fleet.
struct Told {
    specs: BTreeMap<String, FaultSpec>,
    hit: BTreeSet<String>,
    together: TogetherArgs,
}

impl GameDay {
    /// Whether the fleet file that it names is there: for whoever has no other.
    ///
    /// # Errors
    /// It is not, as `PATH:LINE: fleet: FLEET: why`.
    pub fn check_fleet(&self) -> Result<(), String> {
        let Some(fleet) = &self.fleet else { return Ok(()) };
        let line = self.lines.get("fleet").copied().unwrap_or(1);
        let there = std::fs::metadata(fleet).map(drop);
        there.map_err(|error| format!("{}:{line}: fleet: {}: {error}", self.path.display(), fleet.display()))
    }

    /// What is wrong with it on these hosts, each as `PATH:LINE: what is wrong; what to do`.
    pub fn check_against(&self, ground: Ground<'_>) -> Vec<String> {
        let mut mistakes = Mistakes::new(&self.path);
        for step in self.rounds.iter().flat_map(|round| &round.steps) {
            if let Err(why) = check_step(step, ground) {
                mistakes.add(step.line, format!("{}: {why}", step.name));
            }
        }
        let probes = self.probes.iter().map(|(name, probe)| {
            let Probe { from, ask, .. } = probe;
            ("probe", name, from.as_ref(), can_ask(ask))
        });
        let markers = self.markers.iter().map(|(name, marker)| {
            let why = "agents run no commands: leave `from` out, and they are written from here";
            ("marker", name, marker.from.as_ref(), Err(why.to_owned()))
        });
        for (what, name, from, by_an_agent) in probes.chain(markers) {
            let Some(from) = from else { continue };
            let line = self.lines.get(&format!("{what} {name}")).copied().unwrap_or(1);
            if let Err(why) = check_from(from, by_an_agent, ground) {
                mistakes.add(line, format!("{what} {name}: from: {why}"));
            }
        }
        mistakes.told()
    }
}

fn check_from(from: &str, by_an_agent: Result<(), String>, ground: Ground<'_>) -> Result<(), String> {
    let unknown = |known: &BTreeSet<String>| {
        let names = || known.iter().cloned();
        format!("there is no host `{from}`; {}", hint(from, names(), names()))
    };
    match ground {
        Ground::Agent => Err(of_a_fleet(&format!("`{from}` is a host"))),
        Ground::Lab(fleet) => {
            let known = fleet.hosts.keys().chain(fleet.services.keys()).cloned();
            let known = known.chain([CONTROLLER.to_owned()]).collect::<BTreeSet<_>>();
            if known.contains(from) { Ok(()) } else { Err(unknown(&known)) }
        }
        Ground::Fleet(fleet) => match fleet.hosts.get(from) {
            None => Err(unknown(&fleet.hosts.keys().cloned().collect())),
            Some(host) if host.agent.is_none() => Err(format!(
                "`{from}` has no agent that could ask: name a host that has, leave it out, or run it with --lab"
            )),
            Some(_) => by_an_agent.map_err(|why| why + ", or run it with --lab"),
        },
    }
}

fn of_a_fleet(what: &str) -> String {
    format!("{what} of a fleet, and this game day is one agent's: add `fleet: FILE`, or --fleet")
}

fn check_step(step: &Step, ground: Ground<'_>) -> Result<(), String> {
    let Some(action) = &step.action else { return Ok(()) };
    match (ground, action) {
        (Ground::Agent, Action::Inject { on: None, args, .. }) if args.link.is_none() => {
            args.spec().map(drop).map_err(|why| format!("inject: {why}"))
        }
        (Ground::Agent, Action::Inject { .. }) => Err(of_a_fleet("inject: --on and --link are hosts")),
        (Ground::Agent, Action::Partition { .. }) => Err(of_a_fleet("partition: it is between hosts")),
        (Ground::Agent, Action::Matrix(_)) => Err(of_a_fleet("matrix: it is between hosts")),
        (Ground::Fleet(fleet) | Ground::Lab(fleet), Action::Inject { on, args, .. }) => {
            let told = inject(fleet, on.as_ref(), args).and_then(|told| check_told(fleet, &told));
            told.map_err(|why| format!("inject: {why}"))
        }
        (Ground::Fleet(fleet) | Ground::Lab(fleet), Action::Partition { on, args, .. }) => {
            let told = partition(fleet, on.as_ref(), args).and_then(|told| check_told(fleet, &told));
            told.map_err(|why| format!("partition: {why}"))
        }
        (
            Ground::Agent | Ground::Fleet(_) | Ground::Lab(_),
            Action::Restore(_)
            | Action::Run { .. }
            | Action::Confirm(_)
            | Action::Observe(_)
            | Action::Matrix(_),
        ) => Ok(()),
    }
}

fn chosen(fleet: &Fleet, on: Option<&Selector>) -> Result<BTreeSet<String>, String> {
    match on {
        Some(on) => fleet.select(on).map_err(|error| error.to_string()),
        None => Ok(fleet.hosts.keys().cloned().collect()),
    }
}

fn inject(fleet: &Fleet, on: Option<&Selector>, args: &InjectArgs) -> Result<Told, String> {
    let hosts = chosen(fleet, on)?;
    let specs = match (&args.link, on) {
        (Some(link), _) => link_orders(fleet, link, args),
        (None, Some(_)) => orders(fleet, &hosts, args),
        (None, None) => {
            return Err(
                "on which hosts? --on '*' is all of them, and --link NAME those at its end".to_owned()
            );
        }
    };
    let specs = specs.map_err(|error| error.to_string())?;
    let others = specs.keys().filter(|host| !hosts.contains(*host)).cloned().collect::<Vec<_>>();
    if !others.is_empty() {
        return Err(format!("{}: not among the hosts of --on", others.join(", ")));
    }
    let hit = specs.keys().cloned().collect();
    Ok(Told { specs, hit, together: args.together })
}

fn partition(fleet: &Fleet, on: Option<&Selector>, args: &PartitionArgs) -> Result<Told, String> {
    let hosts = chosen(fleet, on)?.into_iter().collect::<Vec<_>>();
    let parted = parted(fleet, &hosts, args)?;
    let hit = parted.cuts.hit(&parted.parties);
    Ok(Told { specs: parted.specs, hit, together: args.together })
}

fn check_told(fleet: &Fleet, told: &Told) -> Result<(), String> {
    let has_agent = |host: &&String| fleet.hosts.get(*host).is_some_and(|host| host.agent.is_some());
    let without = told.specs.keys().filter(|host| !has_agent(host)).cloned().collect::<Vec<_>>();
    if !without.is_empty() {
        return Err(format!("{}: no agent there that could be told: leave it out", without.join(", ")));
    }
    if told.specs.is_empty() {
        return Err("there is no host to tell".to_owned());
    }
    if let Some(spec) = told.specs.values().find(|spec| spec.duration < SHORTEST) {
        let asked = spec.duration;
        return Err(format!(
            "{asked} is over before every host could tell that it has started: --for {SHORTEST} at least"
        ));
    }
    let most = told.together.max_share.unwrap_or(fleet.max_share);
    if most == Percent::ALL {
        return Ok(());
    }
    fleet.check_share(&told.hit, most).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
