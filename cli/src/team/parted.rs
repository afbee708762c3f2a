//! What each host is told so that hosts lose each other. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use partition_agent_proto::FaultSpec;
use partition_agent_proto::fleet::{Cuts, Ends, Fleet, Partition, Party, Selector, compile};

use crate::args::PartitionArgs;

/// A partition, and what it takes.
pub struct Parted {
    /// The hosts that take part, and the services.
    pub parties: Vec<String>,
    pub partition: Partition,
    pub cuts: Cuts,
    /// What each host gets, but for its peers and its direction.
    pub fault: FaultSpec,
    pub specs: BTreeMap<String, FaultSpec>,
}

impl Parted {
    /// In a few words, for people.
    pub fn what(&self) -> String {
        let kinds = self.fault.kinds.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
        format!("{}: {kinds}", self.partition)
    }
}

/// What was typed, for each of these hosts that has a part in it.
///
/// # Errors
/// Flags that make no partition, or none of these hosts.
pub fn parted(fleet: &Fleet, hosts: &BTreeSet<String>, args: &PartitionArgs) -> Result<Parted, String> {
    let fault = args.fault()?;
    let parting = args.who.parting()?;
    let named = parting.selectors().filter(|name| is_service(fleet, name)).map(str::to_owned);
    let services = named.collect::<BTreeSet<_>>();
    let parties = hosts.iter().chain(&services).cloned().collect::<Vec<_>>();
    let partition = parting.partition(&parties, |text| group(fleet, text, &services))?;
    let cuts = partition.cuts(&parties).map_err(|error| error.to_string())?;
    let known = parties.iter().map(|name| (name.clone(), party(fleet, name))).collect();
    let faults = compile(&cuts, &known, Ends::of(&fault)).map_err(|error| error.to_string())?;
    let spec = |(host, here): (String, partition_agent_proto::fleet::HostFault)| {
        (host, FaultSpec { start_in: None, ..here.like(&fault) })
    };
    let specs = faults.into_iter().map(spec).collect();
    Ok(Parted { parties, partition, cuts, fault, specs })
}

/// A service that is no host has a part in a partition, where a group is nothing but its name.
fn is_service(fleet: &Fleet, name: &str) -> bool {
    fleet.services.contains_key(name) && !fleet.hosts.contains_key(name)
}

fn group(fleet: &Fleet, text: &str, services: &BTreeSet<String>) -> Result<BTreeSet<String>, String> {
    if services.contains(text) {
        return Ok([text.to_owned()].into());
    }
    let selector = text.parse::<Selector>().map_err(|error| error.to_string())?;
    fleet.select(&selector).map_err(|error| error.to_string())
}

fn party(fleet: &Fleet, name: &str) -> Party {
    if let Some(host) = fleet.hosts.get(name) {
        let addresses = host.addresses.clone();
        return Party { addresses, ports: Vec::new(), agent: host.agent.is_some() };
    }
    let Some(service) = fleet.services.get(name) else { return Party::default() };
    let hosts = service.hosts.as_ref().and_then(|hosts| fleet.select(hosts).ok()).unwrap_or_default();
    let hosts = hosts.iter().filter_map(|host| fleet.hosts.get(host)).flat_map(|host| &host.addresses);
    let addresses = hosts.chain(&service.addresses).copied().collect::<Vec<IpAddr>>();
    Party { addresses, ports: service.ports.clone(), agent: false }
}
