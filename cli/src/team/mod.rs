//! What hosts of a fleet do together: how they are asked, how they start and end at one instant, and what they say of each other.

mod fan_out;
mod heal;
mod inject;
mod judge;
mod look;
mod matrix;
mod members;
mod offset;
mod orders;
mod progress;
mod start;

use std::collections::BTreeSet;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use partition_agent_proto::fleet::{Fleet, Selector};

use members::Member;
use crate::client::{AgentAddress, Client};
use crate::exit::Failure;

/// Whom a verb is for.
pub enum At {
    /// The agent that was named, or the one of this host.
    One(Option<AgentAddress>),
    Fleet(Box<Team>),
}

/// Hosts of a fleet, and the ways to their agents.
pub struct Team {
    pub fleet: Fleet,
    /// Those that were chosen. Never empty.
    pub members: Vec<Member>,
    /// How to name the fleet in another command.
    pub flags: String,
}

impl Team {
    /// The members of this name.
    pub fn named(&self, names: impl Fn(&str) -> bool) -> Vec<Member> {
        self.members.iter().filter(|member| names(&member.name)).cloned().collect()
    }
}

/// The hosts that a selector means, all of them with agents.
pub fn members(fleet: &Fleet, on: &Selector, token: Option<&str>) -> Result<Vec<Member>, Failure> {
    let names = fleet.select(on).map_err(|error| Failure::Usage(error.to_string()))?;
    let without = names.iter().filter(|name| fleet.hosts.get(*name).is_none_or(|host| host.agent.is_none()));
    let without = without.map(String::as_str).collect::<Vec<_>>();
    if !without.is_empty() {
        let why = format!("{} cannot be told anything: the fleet has no agent there", without.join(", "));
        return Err(Failure::Usage(why));
    }
    agents(fleet, &names, token)
}

/// The agents of those of these hosts that have one.
pub fn agents(fleet: &Fleet, names: &BTreeSet<String>, token: Option<&str>) -> Result<Vec<Member>, Failure> {
    let http = Client::shared(token)?;
    let member = |name: &String| {
        let url = fleet.hosts.get(name)?.agent.clone()?;
        Some(Member { name: name.clone(), client: Client::of(&http, url) })
    };
    let members = names.iter().filter_map(member).collect::<Vec<_>>();
    allow_connections(members.len());
    Ok(members)
}

/// A connection to each agent is kept, and a process begins with room for 1,024 files or so.
fn allow_connections(count: usize) {
    let wanted = u64::try_from(count).unwrap_or(u64::MAX).saturating_add(256);
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < wanted
    {
        // Refused: connections beyond the limit fail, and say so.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, wanted.min(hard), hard);
    }
}
