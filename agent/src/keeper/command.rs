//! What comes in over the keeper's channel.

use partition_agent_proto::{FaultId, FaultStatus, Feature, History, Meets, Span};
use tokio::sync::oneshot;

use super::{Error, Injected, Question, Request, Sources};
use crate::clock::BootTime;
use crate::metrics::Tally;

pub type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// One thing that the keeper is asked, with a place for its answer.
pub enum Command {
    Inject(Box<Request>, Reply<Injected>),
    Change {
        id: FaultId,
        duration: Span,
        by: String,
        reply: Reply<FaultStatus>,
    },
    /// Its lease begins anew.
    Renew {
        id: FaultId,
        reply: Reply<FaultStatus>,
    },
    /// A prepared fault starts at this instant.
    Commit {
        id: FaultId,
        at: BootTime,
        attempt: Option<u64>,
        by: String,
        reply: Reply<FaultStatus>,
    },
    /// What the fault was planned from is otherwise now.
    Follow {
        id: FaultId,
        sources: Box<Sources>,
        reply: Reply<()>,
    },
    /// What the fault acts on is gone for good.
    Vanished {
        id: FaultId,
        what: String,
        reply: Reply<()>,
    },
    Restore {
        id: FaultId,
        /// Now, without it.
        at: Option<BootTime>,
        /// Only if it came by this try.
        attempt: Option<u64>,
        by: String,
        reply: Reply<FaultStatus>,
    },
    RestoreAll {
        at: Option<BootTime>,
        by: String,
        reply: Reply<Vec<FaultStatus>>,
    },
    Get {
        id: FaultId,
        reply: Reply<FaultStatus>,
    },
    List {
        reply: Reply<Vec<FaultStatus>>,
    },
    History {
        most: usize,
        reply: Reply<Vec<History>>,
    },
    Features {
        reply: Reply<Vec<Feature>>,
    },
    Meets {
        question: Question,
        reply: Reply<Vec<Meets>>,
    },
    Tally {
        reply: Reply<Tally>,
    },
    /// Restore everything, wait until it has drained, and end the task.
    Shutdown {
        reply: Reply<()>,
    },
}
