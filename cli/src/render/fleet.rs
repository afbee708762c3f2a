//! A fleet, for people.

use std::collections::BTreeSet;
use std::fmt::Display;

use partition_agent_proto::fleet::Fleet;

use super::{line, table};
use crate::exit::Failure;

/// So many names of a group; the rest is a number.
const SHOWN: usize = 6;

/// These hosts; then what there is beside them.
pub fn fleet(fleet: &Fleet, hosts: &BTreeSet<String>) -> Result<(), Failure> {
    let rows = hosts.iter().filter_map(|name| {
        let host = fleet.hosts.get(name)?;
        let labels = host.labels.iter().map(|(key, value)| format!("{key}={value}"));
        let agent = host.agent.clone().unwrap_or_else(|| "none".to_owned());
        Some([name.clone(), agent, listed(&host.addresses), listed(labels)])
    });
    table(&["NAME", "AGENT", "ADDRESS", "LABELS"], rows.collect())?;

    let groups = fleet.groups().into_iter().map(|(name, hosts)| {
        let mut names = listed(hosts.iter().take(SHOWN));
        if hosts.len() > SHOWN {
            names.push_str(&format!(" and {} more", hosts.len() - SHOWN));
        }
        [format!("@{name}"), hosts.len().to_string(), names]
    });
    section(["GROUP", "HOSTS", ""], groups.collect())?;

    let services = fleet.services.iter().map(|(name, service)| {
        let addresses = service.addresses.iter().map(ToString::to_string);
        let at = listed(addresses.chain(service.hosts.as_ref().map(ToString::to_string)));
        let ports = if service.ports.is_empty() { "all".to_owned() } else { listed(&service.ports) };
        [name.clone(), at, ports, service.http.clone().unwrap_or_default()]
    });
    section(["SERVICE", "AT", "PORTS", "HTTP"], services.collect())?;

    let links =
        fleet.links.iter().map(|(name, link)| [name.clone(), link.from.to_string(), link.to.to_string()]);
    section(["LINK", "FROM", "TO"], links.collect())
}

/// After an empty line, if there is something in it.
fn section<const N: usize>(head: [&str; N], rows: Vec<[String; N]>) -> Result<(), Failure> {
    if rows.is_empty() {
        return Ok(());
    }
    line("")?;
    table(&head, rows)
}

fn listed<T: Display>(of: impl IntoIterator<Item = T>) -> String {
    of.into_iter().map(|one| one.to_string()).collect::<Vec<_>>().join(", ")
}
