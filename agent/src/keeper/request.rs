//! What the keeper is asked, and what it refuses.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use nix::errno::Errno;
use partition_agent_proto::{Connection, FaultId, FaultSpec, FaultStatus, Span};

use crate::kernel::Refusal;
use crate::netns::Netns;
use crate::plan::{Address, Impossible, Need, Place, Sender};
use crate::policy::Denied;

/// A fault with its names already resolved: nothing in it makes the keeper wait for a name server.
#[derive(Debug)]
pub struct Request {
    /// None: the keeper makes one up.
    pub id: Option<FaultId>,
    pub spec: FaultSpec,
    pub sources: Sources,
    pub by: String,
    /// Plan it, and touch nothing.
    pub dry_run: bool,
    /// Build it, and wait this long to be told when it starts.
    pub prepare: Option<Span>,
    /// Whose try this is, so that nobody else's is taken back with it.
    pub attempt: Option<u64>,
}

/// What plans are made of, as it was found out; some of it changes while the fault lasts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sources {
    pub targets: Vec<Address>,
    pub except: Vec<Address>,
    /// Live connections of the caller, left alone.
    pub keep: Vec<Connection>,
    /// Where it acts. None: nowhere at the moment.
    pub sites: Vec<Site>,
}

/// A place that can be entered, and the name servers that programs there ask.
#[derive(Debug, Clone, PartialEq)]
pub struct Site {
    pub place: Place,
    /// None: the agent's own.
    pub netns: Option<Netns>,
    /// Processes, where the fault is theirs only.
    pub sender: Option<Sender>,
    pub servers: Vec<SocketAddr>,
}

impl Site {
    /// The agent's own place.
    #[must_use]
    pub fn host() -> Self {
        Self { place: Place::host(), netns: None, sender: None, servers: Vec::new() }
    }
}

/// An answer to a [`Request`]: whether the fault is new, and how it stands.
pub type Injected = (bool, FaultStatus);

/// What the keeper refuses.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the id {id} is taken by {by}")]
    Taken { id: FaultId, by: String },
    #[error("there is no fault {0}")]
    Unknown(FaultId),
    #[error("{0}")]
    Denied(#[from] Denied),
    #[error("there is no interface to act on: {0}")]
    NoInterface(Refusal),
    #[error("{0}")]
    Impossible(#[from] Impossible),
    #[error(
        "this kernel has no netem: leave the engine to the agent, or ask for the emulator; `partition-agent doctor` names the \
         package that brings netem"
    )]
    NoNetem,
    #[error("this kernel has no {}, which is needed for {}: {refusal}", need.name(), need.needed_for())]
    Missing { need: Need, refusal: Refusal },
    #[error("{refusal}, which is step {step} of {steps}; the steps before it were undone{}", left(.leftovers))]
    Step { step: usize, steps: usize, refusal: Refusal, leftovers: Vec<Refusal> },
    #[error("{refusal}; it ends when it did before{}", elsewhere(.leftovers))]
    Unmoved { refusal: Refusal, leftovers: Vec<(String, Refusal)> },
    #[error("{0}")]
    Kernel(#[from] Refusal),
    #[error("{0}; the agent keeps trying")]
    Stuck(Refusal),
    #[error("the journal cannot be written: {0}; nothing was changed")]
    Journal(io::Error),
    #[error("{0} has just ended")]
    Over(FaultId),
    #[error("{0} is prepared: it has no deadline that could be moved, until it is committed")]
    Uncommitted(FaultId),
    #[error("{id} is restored in {left:.1?}, because {by} said so: its deadline cannot be moved any more")]
    Restoring { id: FaultId, left: Duration, by: String },
    #[error("{0} has no lease that could be renewed")]
    NoLease(FaultId),
    #[error("{id} cannot start {late:?} ago: nothing was started")]
    TooLate { id: FaultId, late: Duration },
    #[error("{0} has been committed already, to another instant")]
    Committed(FaultId),
    #[error("a prepared fault starts when it is committed: drop its `start_in`")]
    PreparedLater,
    #[error("the agent is stopping")]
    Stopping,
}

impl Error {
    /// Nothing leads out of the place: there is nothing to hit, until it gets an interface.
    #[must_use]
    pub fn is_seclusion(&self) -> bool {
        matches!(self, Self::NoInterface(refusal) if refusal.errno == Errno::ENETUNREACH)
    }
}

fn left(leftovers: &[Refusal]) -> String {
    let each = leftovers.iter().map(|refusal| format!(", except that {refusal} (the agent keeps trying)"));
    each.collect()
}

fn elsewhere(leftovers: &[(String, Refusal)]) -> String {
    leftovers.iter().map(|(place, refusal)| format!(", except in {place}: {refusal}")).collect()
}
