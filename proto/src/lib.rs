//! The words that the agent, its command line and its tests share.
//!
//! Everything here is a plain value: no I/O, no clock. A request is decoded with unknown fields refused, then
//! [`FaultSpec::validate`] says whether it makes sense; what passes both can be planned.

#![warn(missing_docs)]

mod fault;
mod id;
mod peer;
mod problem;
mod status;
mod units;

pub use fault::{Direction, FaultSpec, Kind, SpecError, Target};
pub use id::{FaultId, FaultIdError};
pub use peer::{Host, Peer, PeerError};
pub use problem::{Problem, ProblemCode};
pub use status::{
    Change, Check, Clock, Connection, End, Event, EventKind, FaultStatus, Feature, History, Hits, Info,
    ProbeReply, ProbeRequest, State, Verdict,
};
pub use units::{Percent, PercentError, Span, SpanError};

/// The socket that an agent listens on.
pub const DEFAULT_SOCKET: &str = "/run/partition-agent/agent.sock";

/// A request header with the caller's own ssh connection, in the format of `SSH_CONNECTION` (`sshd(8)`):
/// client address, client port, server address, server port. A fault leaves this connection alone.
pub const KEEP_HEADER: &str = "partition-agent-keep";
