//! Hosts, and what they are called together: the words of `fleet.toml` and of every other source of hosts. Values only;
//! who reads them from where is the command line's business.

mod check;
mod compile;
mod cuts;
mod members;
mod partition;
mod select;
mod share;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

use crate::{Percent, Ports};

pub use check::Mistake;
pub use compile::{CompileError, Ends, HostFault, Party, compile};
pub use cuts::{Cuts, OverlapError};
pub use members::{SelectError, hint};
pub use partition::{Partition, PartitionError};
pub use select::{Selector, SelectorError, is_group_name, is_name};
pub use share::ShareError;

/// Every host that can be named, and the names that they have together.
#[derive(Debug, Clone, PartialEq)]
pub struct Fleet {
    /// By name, in lower case.
    pub hosts: BTreeMap<String, FleetHost>,
    /// Named groups, beside those that labels make.
    pub groups: BTreeMap<String, Selector>,
    /// What hosts offer, by name, in lower case.
    pub services: BTreeMap<String, Service>,
    /// Ways between hosts, and from hosts to services, by name.
    pub links: BTreeMap<String, Link>,
    /// No more than this share of a group may be hit at once, unless the command says so.
    pub max_share: Percent,
}

/// Without hosts; 66% of a group may be hit at once.
impl Default for Fleet {
    fn default() -> Self {
        Self {
            hosts: BTreeMap::new(),
            groups: BTreeMap::new(),
            services: BTreeMap::new(),
            links: BTreeMap::new(),
            max_share: Percent::new(66.0).unwrap_or(Percent::ALL),
        }
    }
}

/// One host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FleetHost {
    /// Where its agent is: `http://10.0.0.11:7433`. None: it has no agent, and can only be a peer of others.
    pub agent: Option<String>,
    /// What others see of it, one or several of IPv4 and IPv6. Never empty.
    pub addresses: Vec<IpAddr>,
    /// region, zone, role, ...: each makes a group of its value.
    pub labels: BTreeMap<String, String>,
}

/// Something that answers on ports.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Service {
    /// Where it is, for what is outside of the fleet.
    pub addresses: Vec<IpAddr>,
    /// Hosts of the fleet that offer it.
    pub hosts: Option<Selector>,
    /// Its ports; without any, all of its addresses' traffic.
    pub ports: Vec<Ports>,
    /// A path that answers a GET with a success while the service works, on its first port.
    pub http: Option<String>,
}

/// A way that has a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    /// The hosts at this end; they have agents.
    pub from: Selector,
    /// The other end.
    pub to: LinkEnd,
}

/// The far end of a [`Link`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkEnd {
    /// Of the fleet, by name.
    Service(String),
    /// Of the fleet.
    Hosts(Selector),
}

impl fmt::Display for LinkEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(service) => write!(f, "service {service}"),
            Self::Hosts(selector) => selector.fmt(f),
        }
    }
}
