//! A fleet through one of its agents.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{FaultId, Hits, State, Verdict};

/// `GET /v1/fleet`: what this agent has heard of the agents that its configuration names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FleetView {
    /// In the order of the configuration.
    pub hosts: Vec<HostView>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HostView {
    /// As the configuration has it.
    pub name: String,
    /// Whether it answers.
    pub hearing: Hearing,
    /// What it calls itself; absent until it has told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Of its agent; absent until it has told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How long ago it told its faults, in milliseconds; absent where it never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_ms: Option<u64>,
    /// Its faults as it told them then, with the time that is left by now. Of one that does not answer those whose time is not over: its
    /// kernel ends them, or has ended them if its agent has died.
    pub faults: Vec<FaultView>,
    /// How many more it has: of a large fleet only so many are told for each host.
    pub more: usize,
}

/// Whether a host answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Hearing {
    /// It was asked just now.
    Asked,
    /// It answers.
    Answers,
    /// It does not, or not like a partition-agent.
    Silent {
        /// For how long, in milliseconds.
        since_ms: u64,
        /// Why.
        why: String,
    },
}

/// A fault on another host, as that told it. Long texts are cut.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FaultView {
    /// Its name.
    pub id: FaultId,
    /// Where it is in its life.
    pub state: State,
    /// In words.
    #[serde(default)]
    pub fault: String,
    /// Who asked, as that host's agent saw it.
    pub by: String,
    /// Milliseconds until that host's kernel ends it.
    pub remaining_ms: u64,
    /// The milliseconds until that host's kernel ends it if nobody renews its lease; absent without a lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_remaining_ms: Option<u64>,
    /// What reading the kernel back said there.
    pub verdict: Verdict,
    /// Packets that it has hit.
    pub hits: Hits,
}
