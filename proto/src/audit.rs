//! The audit log, as `GET /v1/audit` and its files have it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{EventKind, FaultId};

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum AuditEntry {
    /// A fault is about to be put into force, prepared or committed; its answer is another line.
    Asked(AuditRequest),
    /// A request that changed something, or that was refused.
    Answered(AuditRequest),
    /// A step of a fault's life.
    Event {
        /// RFC 3339.
        #[schema(format = DateTime)]
        at: String,
        /// Of which fault.
        id: FaultId,
        /// What happened.
        kind: EventKind,
        /// In words; where it failed, with the kernel's.
        text: String,
    },
    /// There was more than there are lines for: of what was refused, of restores of nothing, of deadlines that were moved, of
    /// addresses that were followed.
    More {
        /// RFC 3339.
        #[schema(format = DateTime)]
        at: String,
        /// How many.
        count: u64,
    },
}

/// What somebody asked for. Texts of more than 1,000 characters end with `…` there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditRequest {
    /// RFC 3339.
    #[schema(format = DateTime)]
    pub at: String,
    /// Who: user and process over the unix socket, else what is known.
    pub by: String,
    /// From where: `unix`, `foreground`, or the address at the other end of the TCP connection.
    pub from: String,
    /// Of HTTP.
    pub method: String,
    /// With its query.
    pub path: String,
    /// Of which fault, where one is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub id: Option<FaultId>,
    /// What the fault is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub fault: Option<String>,
    /// When the fault ends, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub until: Option<String>,
    /// Of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub status: Option<u16>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub why: Option<String>,
}
