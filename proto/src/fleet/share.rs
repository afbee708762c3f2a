//! How much of a group may be hit at once.

/// More of a group would be hit at once than the fleet allows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ShareError(pub String);
