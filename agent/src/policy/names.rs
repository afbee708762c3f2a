//! Kinds and scopes as the policy names them: as the command line does.

use std::fmt;

use partition_agent_proto::{FaultSpec, Kind, Scope};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What happens to packets. All models of loss are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum KindName {
    Loss,
    Latency,
    Duplicate,
    Corrupt,
    Reorder,
    Rate,
    Slot,
    Reject,
    Reset,
    Dns,
}

impl KindName {
    pub const ALL: [Self; 10] = [
        Self::Loss,
        Self::Latency,
        Self::Duplicate,
        Self::Corrupt,
        Self::Reorder,
        Self::Rate,
        Self::Slot,
        Self::Reject,
        Self::Reset,
        Self::Dns,
    ];

    #[must_use]
    pub fn of(kind: &Kind) -> Self {
        match kind {
            Kind::Loss { .. } | Kind::LossGemodel { .. } | Kind::LossState { .. } => Self::Loss,
            Kind::Delay { .. } => Self::Latency,
            Kind::Duplicate { .. } => Self::Duplicate,
            Kind::Corrupt { .. } => Self::Corrupt,
            Kind::Reorder { .. } => Self::Reorder,
            Kind::Rate { .. } => Self::Rate,
            Kind::Slot { .. } => Self::Slot,
            Kind::Reject { .. } => Self::Reject,
            Kind::Reset {} => Self::Reset,
            Kind::Dns { .. } => Self::Dns,
        }
    }
}

impl fmt::Display for KindName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loss => "loss",
            Self::Latency => "latency",
            Self::Duplicate => "duplicate",
            Self::Corrupt => "corrupt",
            Self::Reorder => "reorder",
            Self::Rate => "rate",
            Self::Slot => "slot",
            Self::Reject => "reject",
            Self::Reset => "reset",
            Self::Dns => "dns",
        })
    }
}

/// Where a fault acts. An interface of the host is a scope of its own: less than all of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ScopeName {
    Host,
    Interface,
    Netns,
    Container,
    Label,
    Compose,
    Pod,
    Cgroup,
    Unit,
    User,
}

impl ScopeName {
    pub const ALL: [Self; 10] = [
        Self::Host,
        Self::Interface,
        Self::Netns,
        Self::Container,
        Self::Label,
        Self::Compose,
        Self::Pod,
        Self::Cgroup,
        Self::Unit,
        Self::User,
    ];

    #[must_use]
    pub fn of(spec: &FaultSpec) -> Self {
        match &spec.scope {
            Scope::Host if spec.interface.is_some() => Self::Interface,
            Scope::Host => Self::Host,
            Scope::Netns(_) => Self::Netns,
            Scope::Container(_) => Self::Container,
            Scope::Label(_) => Self::Label,
            Scope::Compose(_) => Self::Compose,
            Scope::Pod(_) => Self::Pod,
            Scope::Cgroup(_) => Self::Cgroup,
            Scope::Unit(_) => Self::Unit,
            Scope::User(_) => Self::User,
        }
    }

    /// Which of them.
    pub(super) fn argument(spec: &FaultSpec) -> &str {
        match &spec.scope {
            Scope::Host => spec.interface.as_deref().unwrap_or_default(),
            other => other.parts().1,
        }
    }
}

impl fmt::Display for ScopeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "host",
            Self::Interface => "interface",
            Self::Netns => "netns",
            Self::Container => "container",
            Self::Label => "label",
            Self::Compose => "compose",
            Self::Pod => "pod",
            Self::Cgroup => "cgroup",
            Self::Unit => "unit",
            Self::User => "user",
        })
    }
}
