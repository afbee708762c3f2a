//! The words of labels. Each list is closed.

use partition_agent_proto::{End, Hits, State};

use super::Label;

/// What ended a fault, without its particulars: `end.by` of the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    Deadline,
    LeaseLost,
    Restored,
    Shutdown,
    AgentDied,
    Vanished,
    Expired,
    Missed,
    Failed,
}

impl Trigger {
    pub const ALL: [Self; 9] = [
        Self::Deadline,
        Self::LeaseLost,
        Self::Restored,
        Self::Shutdown,
        Self::AgentDied,
        Self::Vanished,
        Self::Expired,
        Self::Missed,
        Self::Failed,
    ];

    pub fn of(end: &End) -> Self {
        match end {
            End::Deadline => Self::Deadline,
            End::LeaseLost => Self::LeaseLost,
            End::Restored { .. } => Self::Restored,
            End::Shutdown => Self::Shutdown,
            End::AgentDied => Self::AgentDied,
            End::Vanished { .. } => Self::Vanished,
            End::Expired => Self::Expired,
            End::Missed => Self::Missed,
            End::Failed { .. } => Self::Failed,
        }
    }

    pub fn label(self) -> Label {
        let word = match self {
            Self::Deadline => "deadline",
            Self::LeaseLost => "lease_lost",
            Self::Restored => "restored",
            Self::Shutdown => "shutdown",
            Self::AgentDied => "agent_died",
            Self::Vanished => "vanished",
            Self::Expired => "expired",
            Self::Missed => "missed",
            Self::Failed => "failed",
        };
        [("trigger", word.to_owned())]
    }
}

/// Those that a fault can be in while it is not over: a plan that was only shown, and what is gone, are counted nowhere.
pub const STATES: [State; 5] =
    [State::Prepared, State::Waiting, State::Active, State::Restoring, State::Stuck];

/// What became of packets, with packets and bytes.
pub fn sinks(hits: &Hits) -> [(&'static str, u64, u64); 3] {
    [
        ("lost", hits.lost_packets, hits.lost_bytes),
        ("shaped", hits.shaped_packets, hits.shaped_bytes),
        ("rejected", hits.rejected_packets, hits.rejected_bytes),
    ]
}

/// Why packets were dropped from a queue: a loss that was asked for, or no room.
pub fn drops(hits: &Hits) -> [(&'static str, u64); 2] {
    [("loss", hits.queue_drops.saturating_sub(hits.overflow_drops)), ("overflow", hits.overflow_drops)]
}
