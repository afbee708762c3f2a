//! Hosts, and what they are called together: the words of `fleet.toml` and of every other source of hosts. Values only;
//! who reads them from where is the command line's business.

mod compile;
mod cuts;
mod partition;
mod select;
mod share;

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::{Percent, Ports};

pub use compile::{CompileError, Ends, HostFault, Party, compile};
pub use cuts::{Cuts, OverlapError};
pub use partition::{Partition, PartitionError};
pub use select::{SelectError, Selector, SelectorError};
pub use share::ShareError;

/// Every host that can be named, and the names that they have together.
#[derive(Debug, Clone, PartialEq)]
pub struct Fleet {
    /// By name.
    pub hosts: BTreeMap<String, FleetHost>,
    /// Named groups, beside those that labels make.
    pub groups: BTreeMap<String, Selector>,
    /// What hosts offer, by name.
    pub services: BTreeMap<String, Service>,
    /// Ways between hosts, and from hosts to services, by name.
    pub links: BTreeMap<String, Link>,
    /// No more than this share of a group may be hit at once, unless the command says so.
    pub max_share: Percent,
}

/// One host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FleetHost {
    /// Where its agent is: `http://10.0.0.11:7433`. None: it has no agent, and can only be a peer of others.
    pub agent: Option<String>,
    /// What others see of it, one or several of IPv4 and IPv6. Never empty.
    pub addresses: Vec<IpAddr>,
    /// region, zone, role, ...: each makes a group of its value.
    pub labels: BTreeMap<String, String>,
}

/// Something that answers on ports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The hosts at this end; they have agents.
    pub from: Selector,
    /// The other end.
    pub to: LinkEnd,
}

/// The far end of a [`Link`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkEnd {
    /// Of the fleet, by name.
    Service(String),
    /// Of the fleet.
    Hosts(Selector),
}
