//! What hosts of a fleet do together: how they are asked, how they start and end at one instant, and what they say of each other.

mod clocks;
pub mod command;
pub mod fan_out;
pub mod heal;
pub mod hold;
pub mod inject;
pub mod judge;
mod look;
pub mod matrix;
mod members;
pub mod offset;
pub mod orders;
pub mod parted;
pub mod partition;
pub mod progress;
mod renew;
pub mod start;
mod stay;

use std::collections::{BTreeMap, BTreeSet};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use partition_agent_proto::fleet::Fleet;
use partition_agent_proto::{FaultSpec, Percent};

use crate::args::FleetArgs;
use crate::client::{Access, Client, is_tls};
use crate::exit::Failure;
use crate::fleet::{self, Loaded};
use command::Chosen;
use fan_out::AT_ONCE;

pub use command::SHORTEST;
pub use look::{change, doctor, faults, history, matrix, restore, status};
pub use members::{Member, Order};
pub use renew::run as renew;
pub use stay::stay;

/// Hosts of a fleet, and the ways to their agents.
pub struct Team {
    pub fleet: Fleet,
    /// Those that were chosen, by name.
    hosts: BTreeSet<String>,
    /// Those of them that have an agent. Never empty.
    pub members: Vec<Member>,
    /// How to name them in another command.
    pub flags: String,
    /// Whether somebody chose them, or it is simply everybody.
    by_somebody: bool,
}

impl Team {
    /// # Errors
    /// A fleet that cannot be used, or nobody in it to ask.
    pub async fn gather(args: &FleetArgs, access: &Access) -> Result<Self, Failure> {
        let loaded = fleet::load(args.source.as_ref(), access.tls.is_named()).await?;
        Self::of(loaded, args, access)
    }

    /// Of a fleet that is known.
    ///
    /// # Errors
    /// Nobody in it to ask.
    pub fn of(loaded: Loaded, args: &FleetArgs, access: &Access) -> Result<Self, Failure> {
        let fleet = loaded.fleet;
        let names = match &args.on {
            Some(on) => fleet.select(on).map_err(|error| Failure::Usage(error.to_string()))?,
            None => fleet.hosts.keys().cloned().collect(),
        };
        let access = Access {
            agent: None,
            token_file: access.token_file.clone().or(loaded.token_file),
            tls: access.tls.clone().or(loaded.tls),
        };
        let agent = |name: &String| fleet.hosts.get(name)?.agent.clone();
        let ways = access.ways(names.iter().filter_map(agent).any(|url| is_tls(&url)))?;
        let member =
            |name: &String| Some(Member { name: name.clone(), client: Client::of(&ways, agent(name)?) });
        let members = names.iter().filter_map(member).collect::<Vec<_>>();
        if members.is_empty() {
            let count = names.len();
            return Err(Failure::Usage(format!(
                "{}: none of these {count} hosts has an agent",
                loaded.described
            )));
        }
        allow_connections(members.len())?;
        let source = args.source.as_ref().map(|source| format!(" --fleet {source}"));
        let on = args.on.as_ref().map(|on| format!(" --on '{on}'"));
        // A command without either is for this host.
        let everybody = if source.is_none() && on.is_none() { Some(" --on '*'".to_owned()) } else { None };
        let flags = [source, on, everybody].into_iter().flatten().collect();
        Ok(Self { fleet, hosts: names, members, flags, by_somebody: args.on.is_some() })
    }

    /// One agent by itself, which is no fleet: what it is told needs no choice of hosts.
    pub fn alone(client: Client) -> Self {
        let name = client.address();
        let members = vec![Member { name: name.clone(), client }];
        let (fleet, flags) = (Fleet { max_share: Percent::ALL, ..Fleet::default() }, String::new());
        Self { fleet, hosts: [name].into(), members, flags, by_somebody: true }
    }

    /// Whom a command is for.
    pub fn chosen(&self) -> Chosen<'_> {
        Chosen { fleet: &self.fleet, hosts: self.hosts.clone(), by_somebody: self.by_somebody }
    }

    /// What is to happen on those that have something to do.
    pub fn orders(&self, specs: BTreeMap<String, FaultSpec>) -> Vec<Order> {
        let mut specs = specs;
        let order =
            |member: &Member| Some(Order { member: member.clone(), spec: specs.remove(&member.name)? });
        self.members.iter().filter_map(order).collect()
    }
}

/// Files that are open beside the connections: standard streams, timers, what the runtime has.
const OTHER_FILES: usize = 64;

/// A connection to each agent is kept, and a process begins with room for 1,024 files or so.
///
/// # Errors
/// The hard limit leaves too little room.
fn allow_connections(count: usize) -> Result<(), Failure> {
    let number = |count| u64::try_from(count).unwrap_or(u64::MAX);
    let needed = number(count + OTHER_FILES);
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if hard < needed {
        return Err(Failure::Failed(format!(
            "a connection to each of {count} agents takes {needed} open files, and this process may have {hard}: raise its \
             hard limit (nofile in limits.conf, LimitNOFILE= of a unit), or name fewer hosts with --on"
        )));
    }
    // Each question may look up a name as well.
    let wanted = (needed + number(AT_ONCE)).min(hard);
    if soft < wanted {
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)?;
    }
    Ok(())
}
