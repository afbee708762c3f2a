//! What a run works with: the agents, the people, and where things are done.

use std::path::PathBuf;
use std::rc::Rc;

use super::command::Context;
use super::desk::Desk;
use super::file::GameDay;
use super::hook::Hooks;
use super::log::Log;
use super::marker::Markers;
use super::probe::Place;
use crate::interrupt::Interrupt;
use crate::lab::Lab;
use crate::team::Team;

pub struct Stage {
    pub day: Rc<GameDay>,
    pub team: Rc<Team>,
    pub places: Places,
    pub log: Rc<Log>,
    pub desk: Desk,
    pub hooks: Hooks,
    pub markers: Markers,
    pub interrupt: Interrupt,
    /// Nobody is asked.
    pub yes: bool,
    /// Tells this run from all others.
    pub run: String,
    /// When it has taken too long.
    pub ends_ms: u64,
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
