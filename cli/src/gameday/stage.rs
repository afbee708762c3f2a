//! What a run works with: the agents, the people, and where things are done.

use std::rc::Rc;
use std::time::Duration;

use super::command::{Command, KEPT};
use super::desk::Desk;
use super::file::GameDay;
use super::hook::Hooks;
use super::log::Log;
use super::markers::Markers;
use super::probe::Place;
use super::questions::Questions;
use crate::interrupt::Interrupt;
use crate::lab::Lab;
use crate::team::Team;

pub struct Stage {
    pub day: Rc<GameDay>,
    pub team: Rc<Team>,
    pub places: Places,
    pub questions: Rc<Questions>,
    pub log: Rc<Log>,
    pub desk: Desk,
    pub hooks: Hooks,
    pub markers: Markers,
    pub interrupt: Interrupt,
    /// Nobody is asked.
    pub yes: bool,
    /// Tells this round of this run from all others.
    pub run: String,
    /// When it has taken too long.
    pub ends_ms: u64,
}

impl Stage {
    /// A shell command of a step, here.
    pub fn command(&self, line: &str, step: &str, timeout: Duration) -> Command {
        let environment = vec![("RUN", self.run.clone()), ("STEP", step.to_owned())];
        let (line, directory) = (line.to_owned(), self.day.directory());
        Command { line, place: Place::Here, directory, environment, timeout, keep: KEPT }
    }
}

/// Where a host's work is done.
pub struct Places {
    pub lab: Option<Rc<Lab>>,
    pub team: Rc<Team>,
}

impl Places {
    /// Of a host, or of this program.
    ///
    /// # Errors
    /// A host that nobody knows.
    pub fn of(&self, from: Option<&str>) -> Result<Place, String> {
        let Some(from) = from else { return Ok(Place::Here) };
        if let Some(lab) = &self.lab {
            let namespace = lab.namespace(from).ok_or_else(|| format!("the lab has no host {from}"))?;
            return Ok(Place::Namespace(namespace.to_owned()));
        }
        let member = self.team.members.iter().find(|member| member.name == from);
        let member = member.ok_or_else(|| format!("{from} has no agent that could ask"))?;
        Ok(Place::Agent(Box::new(member.clone())))
    }
}
