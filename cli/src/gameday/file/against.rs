//! A game day with the hosts that it is for: everything is computed that would be sent, and nothing is.

use std::collections::BTreeSet;

use partition_agent_proto::fleet::{Fleet, hint};

use super::model::{Action, GameDay, Probe, Step};
use crate::gameday::probe::can_ask;
use crate::lab::CONTROLLER;
use crate::mistakes::Mistakes;
use crate::team::command::{Chosen, Command};

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

impl Action {
    /// What it puts into force on these hosts, if it is a fault. The same before a run and in it.
    ///
    /// # Errors
    /// What cannot or may not be done to them, and what to do.
    pub fn command(&self, chosen: Chosen<'_>) -> Option<Result<Command, String>> {
        let fleet = chosen.fleet;
        let (verb, command) = match self {
            Self::Inject { on, args, .. } => {
                ("inject", chosen.on(on.as_ref()).and_then(|chosen| Command::inject(&chosen, args)))
            }
            Self::Partition { on, args, .. } => {
                ("partition", chosen.on(on.as_ref()).and_then(|chosen| Command::partition(&chosen, args)))
            }
            Self::Restore(_) | Self::Run { .. } | Self::Confirm(_) | Self::Observe(_) | Self::Matrix(_) => {
                return None;
            }
        };
        let checked = command.and_then(|command| command.check(fleet).map(|()| command));
        Some(checked.map_err(|why| format!("{verb}: {why}")))
    }
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
    match ground {
        Ground::Agent => match action {
            Action::Inject { on: None, args, .. } if args.link.is_none() => {
                args.spec().map(drop).map_err(|why| format!("inject: {why}"))
            }
            Action::Inject { .. } => Err(of_a_fleet("inject: --on and --link are hosts")),
            Action::Partition { .. } => Err(of_a_fleet("partition: it is between hosts")),
            Action::Matrix(_) => Err(of_a_fleet("matrix: it is between hosts")),
            Action::Restore(_) | Action::Run { .. } | Action::Confirm(_) | Action::Observe(_) => Ok(()),
        },
        Ground::Fleet(fleet) | Ground::Lab(fleet) => {
            action.command(Chosen::everybody(fleet)).map_or(Ok(()), |command| command.map(drop))
        }
    }
}

#[cfg(test)]
mod tests;
