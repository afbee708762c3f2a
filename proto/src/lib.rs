//! The words that the agent, its command line and its tests share.
//!
//! Everything here is a plain value: no I/O, no clock. A request is decoded with unknown fields refused, then
//! [`FaultSpec::validate`] says whether it makes sense; what passes both can be planned.

#![warn(missing_docs)]

mod audit;
mod dns_name;
mod fault;
pub mod fleet;
mod id;
mod kind;
mod peer;
mod ports;
mod problem;
mod profile;
mod reach;
mod role;
mod scope;
mod status;
mod target;
mod text;
mod timing;
mod units;
mod view;

pub use audit::{AuditEntry, AuditRequest};
pub use dns_name::{DnsName, DnsNameError};
pub use fault::{Engine, FaultSpec, SpecError};
pub use id::{FaultId, FaultIdError};
// With whatever their variants and fields are made of.
pub use kind::*;
pub use peer::{Host, Peer, PeerError};
pub use ports::{Ports, PortsError};
pub use problem::{Problem, ProblemCode};
pub use profile::{PROFILES, Profile};
pub use reach::{Effect, Heard, How, Meets, Reach, ReachError, ReachRequest, ReachTarget, RoundTrips};
pub use role::{Role, RoleError};
pub use scope::{Scope, ScopeError};
pub use status::{
    Change, Check, Clock, Commit, Connection, Coverage, End, Event, EventKind, FaultStatus, Feature, History,
    Hits, Info, PlaceStatus, ProbeReply, ProbeRequest, State, Verdict, Whoami,
};
pub use target::*;
pub use text::{legible, steers};
pub use timing::{Flap, Ramp};
pub use units::{Percent, PercentError, Rate, RateError, Span, SpanError};
pub use view::{FaultView, FleetView, Hearing, HostView};

/// The socket that an agent listens on.
pub const DEFAULT_SOCKET: &str = "/run/partition-agent/agent.sock";

/// The API in OpenAPI 3.1, as agents serve it.
pub const OPENAPI: &str = include_str!("../openapi.json");

/// A request header with the caller's own ssh connection, in the format of `SSH_CONNECTION` (`sshd(8)`):
/// client address, client port, server address, server port. A fault leaves this connection alone.
pub const KEEP_HEADER: &str = "partition-agent-keep";
