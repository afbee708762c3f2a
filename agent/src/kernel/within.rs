//! The agent's own network namespace, or another: sockets and devices belong to the one that they were made in.

use std::io;

use crate::netns::Netns;

/// Where to make them.
#[derive(Debug, Clone)]
pub enum Within {
    Own,
    Other(Netns),
}

impl Within {
    /// Does the work there, on this thread or on one that has entered it.
    ///
    /// # Errors
    /// Entering takes `CAP_SYS_ADMIN`.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        match self {
            Self::Own => Ok(work()),
            Self::Other(netns) => netns.run(work),
        }
    }
}
