//! Labs, for people.

use serde::Serialize;

use super::{line, table};
use crate::exit::Failure;
use crate::lab::Contents;

/// A lab that is up.
#[derive(Serialize)]
pub struct Row {
    pub name: String,
    pub fleet: String,
    /// How many it has; none while it is being raised.
    pub hosts: Option<usize>,
}

/// What there is in a lab, and what to type next; `flag` names it in commands.
pub fn contents(contents: &Contents, name: &str, flag: &str) -> Result<(), Failure> {
    line(&format!("the lab {name} is up: {}", contents.fleet))?;
    let rows = contents.hosts.iter().map(|host| {
        let agent = host.agent.clone().unwrap_or_else(|| "none".to_owned());
        [host.name.clone(), host.addresses.join(", "), agent, host.servers.join(", "), host.also.join(", ")]
    });
    table(&["NAME", "ADDRESS", "AGENT", "RUNS", "ALSO"], rows.collect())?;
    line("")?;
    line(&format!("  partition-agent lab exec{flag} controller -- partition-agent status --on '*'"))?;
    line(&format!("  partition-agent lab exec{flag} HOST -- COMMAND"))?;
    line(&format!("  partition-agent lab down{flag}"))
}

/// All that are up.
pub fn labs(labs: &[Row]) -> Result<(), Failure> {
    if labs.is_empty() {
        return line("no lab is up");
    }
    let rows = labs.iter().map(|lab| {
        let hosts = lab.hosts.map_or_else(|| "not ready yet".to_owned(), |hosts| hosts.to_string());
        [lab.name.clone(), hosts, lab.fleet.clone()]
    });
    table(&["NAME", "HOSTS", "FLEET"], rows.collect())
}
