//! Questions that are asked again and again. Each probe has a thread of its own, in the network namespace of the host that asks, so that
//! neither a slow one nor its namespace is in the way of the others.

mod agent;
mod compare;
mod dial;
mod dns;
#[cfg(test)]
pub mod fake;
#[cfg(feature = "fuzz")]
pub mod fuzzing;
mod http;
mod json;
mod nats;
mod postgresql;
mod prober;
mod prometheus;
mod question;
mod redis;
mod talk;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::team::Member;

pub use agent::can_ask;
pub use dial::Dial;
pub use http::Site;
pub use json::JsonPath;
pub use prober::Prober;
pub use question::describe;

/// Where something is done.
#[derive(Clone)]
pub enum Place {
    /// Where this program is.
    Here,
    /// On a host of the lab: its network namespace, as a path to enter.
    Namespace(PathBuf),
    /// On a host of a fleet, by its agent.
    Agent(Box<Member>),
}

/// What one asking came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub asked: Instant,
    pub took: Duration,
    /// What was answered, in a few words; or why it does not hold.
    pub holds: Result<String, String>,
}
