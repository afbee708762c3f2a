//! `partition`: from the hosts that take part to one fault for each of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::process::ExitCode;

use partition_agent_proto::fleet::{Cuts, Ends, Fleet, Partition, Party, Selector, compile};
use partition_agent_proto::{FaultId, FaultSpec};

use super::Team;
use super::inject::{Command, begin};
use crate::args::PartitionArgs;
use crate::exit::Failure;
use crate::render;

pub async fn run(team: &Team, json: bool, args: PartitionArgs) -> Result<ExitCode, Failure> {
    let dry_run = args.dry_run;
    let Parted { parties, partition, cuts, command } = command(team, &args)?;
    if !dry_run {
        return begin(team, json, command).await;
    }
    if json {
        let (partition, cuts) = (partition.to_string(), cuts.iter().collect::<Vec<_>>());
        let plan = serde_json::json!({ "partition": partition, "cuts": cuts, "faults": command.specs });
        render::json(&plan)?;
    } else {
        render::line(&format!("# {}: nothing was changed", command.what))?;
        render::write(&render::cuts::matrix(&parties, &cuts))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A partition, and what it takes.
pub struct Parted {
    parties: Vec<String>,
    partition: Partition,
    cuts: Cuts,
    pub command: Command,
}

/// What was typed, for each of the hosts that have a part in it.
pub fn command(team: &Team, args: &PartitionArgs) -> Result<Parted, Failure> {
    let usage = |error: &dyn std::fmt::Display| Failure::Usage(error.to_string());
    let fault = args.fault().map_err(|error| usage(&error))?;
    let parting = args.who.parting().map_err(|error| usage(&error))?;
    let named = parting.selectors().filter(|name| is_service(&team.fleet, name)).map(str::to_owned);
    let services = named.collect::<BTreeSet<_>>();
    let parties = team.hosts.iter().chain(&services).cloned().collect::<Vec<_>>();
    let select = |text: &str| group(&team.fleet, text, &services);
    let partition = parting.partition(&parties, select).map_err(|error| usage(&error))?;
    let cuts = partition.cuts(&parties).map_err(|error| usage(&error))?;
    let known = parties.iter().map(|name| (name.clone(), party(&team.fleet, name))).collect();
    let faults = compile(&cuts, &known, Ends::of(&fault)).map_err(|error| usage(&error))?;
    let specs = faults.into_iter().map(|(host, here)| {
        let spec = FaultSpec { start_in: None, ..here.like(&fault) };
        (host, spec)
    });
    let specs = specs.collect::<BTreeMap<_, _>>();
    let kinds = fault.kinds.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
    let what = format!("{partition}: {kinds}");
    let id = match &args.id {
        Some(id) => id.clone(),
        None => FaultId::partition(fastrand::u64(..)),
    };
    let command = Command {
        id: Some(id),
        what,
        specs,
        hit: cuts.hit(&parties),
        together: args.together,
        start_in: fault.start_in,
        wait: args.wait,
        hold: args.timing.held(),
    };
    Ok(Parted { parties, partition, cuts, command })
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
