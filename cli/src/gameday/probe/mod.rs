//! Questions that are asked again and again. Each probe has a thread of its own, in the network namespace of the host that asks, so that
//! neither a slow one nor its namespace is in the way of the others.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

use super::file::Probe;
use crate::team::Member;

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

/// A probe that is asked until this is dropped.
pub struct Prober;

impl Prober {
    /// The first question is asked at once. Whoever has no time for the answers has them all later.
    pub fn start(
        _name: String,
        _probe: Probe,
        _place: Place,
        _tell: UnboundedSender<(String, Answer)>,
    ) -> std::io::Result<Self> {
        unimplemented!("by the prober")
    }
}
