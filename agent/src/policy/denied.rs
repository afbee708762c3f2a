//! What the policy refuses, by the name of the rule and with what was asked for.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use ipnetwork::IpNetwork;
use partition_agent_proto::Span;

use super::{KindName, ScopeName, Window};
use crate::plan::Address;

/// More of a list than this is counted, not told.
const TOLD: usize = 5;

/// A fault that this host does not let be done to it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Denied {
    #[error("policy.longest allows {longest}; {what}")]
    TooLong { longest: Span, what: TooLong },
    #[error("policy.most_faults allows {0} at once, and there are as many already")]
    Full(usize),
    #[error("policy.kinds allows {}; this is a {kind}", list(allowed))]
    Kind { allowed: BTreeSet<KindName>, kind: KindName },
    #[error("policy.scopes allows {}; this is on {}", list(allowed), place(*scope, which))]
    Scope { allowed: BTreeSet<ScopeName>, scope: ScopeName, which: String },
    #[error("policy.scopes allows {}; {} is all of this host", list(allowed), place(*scope, which))]
    AllOfHost { allowed: BTreeSet<ScopeName>, scope: ScopeName, which: String },
    #[error("policy.hours allows {} ({zone}); this would last from {start} to {end}", list(allowed))]
    Hours { allowed: Vec<Window>, zone: String, start: String, end: String },
    #[error(
        "policy.protected_networks leaves {} alone, and there is nothing else to hit: {}",
        list(protected),
        list(targets)
    )]
    Targets { protected: Vec<IpNetwork>, targets: Vec<Address> },
    #[error(
        "policy.protected_networks leaves {} alone, and no other name server is asked: {}",
        list(protected),
        list(&servers.iter().map(SocketAddr::ip).collect::<Vec<_>>())
    )]
    Servers { protected: Vec<IpNetwork>, servers: Vec<SocketAddr> },
    #[error("policy.protected_interfaces leaves {0} alone; this names it")]
    Interface(String),
    #[error("policy.protected_interfaces leaves {} alone, and no other interface leads to the target", list(.0))]
    NoInterface(Vec<String>),
}

/// What was to take longer than `longest`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TooLong {
    Fault(Span),
    /// From its start on, after all that it was prolonged by.
    Altogether(Span),
    /// Until it starts.
    Start(Span),
    /// The same, by an instant that was given.
    Instant(Duration),
    /// Until it is committed.
    Patience(Span),
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(asked) => write!(f, "this is to last {asked}"),
            Self::Altogether(asked) => write!(f, "this would last {asked} altogether"),
            Self::Start(asked) => write!(f, "this is to start in {asked}"),
            Self::Instant(asked) => write!(f, "this is to start in {asked:.3?}"),
            Self::Patience(asked) => write!(f, "this is to wait {asked} for its start"),
        }
    }
}

fn place(scope: ScopeName, which: &str) -> String {
    if which.is_empty() { scope.to_string() } else { format!("{scope} {which}") }
}

/// `a, b and c`.
fn list<'a, T: fmt::Display + 'a>(items: impl IntoIterator<Item = &'a T>) -> String {
    let mut words = items.into_iter().map(T::to_string).collect::<Vec<_>>();
    if words.len() > TOLD + 10 {
        let more = words.len() - TOLD;
        words.truncate(TOLD);
        words.push(format!("{more} more"));
    }
    match words.split_last() {
        None => "nothing".to_owned(),
        Some((only, [])) => only.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}
