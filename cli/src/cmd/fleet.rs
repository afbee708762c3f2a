//! `fleet`: what is known of it. No agent is asked.

use std::collections::BTreeSet;
use std::process::ExitCode;

use serde_json::{Map, Value, json};

use crate::args::{FleetArgs, FleetVerb};
use crate::exit::Failure;
use crate::fleet::{self, Loaded};
use crate::render;
use crate::tls::TlsFiles;

pub async fn run(
    args: FleetArgs,
    tls: &TlsFiles,
    as_json: bool,
    verb: FleetVerb,
) -> Result<ExitCode, Failure> {
    let loaded = fleet::load(args.source.as_ref(), tls.is_named()).await?;
    let hosts = match &args.on {
        Some(selector) => {
            loaded.fleet.select(selector).map_err(|error| Failure::Failed(error.to_string()))?
        }
        None => loaded.fleet.hosts.keys().cloned().collect(),
    };
    match verb {
        FleetVerb::Check => check(&loaded, &hosts, as_json)?,
        FleetVerb::Show if as_json => render::json(&told(&loaded, &hosts))?,
        FleetVerb::Show => render::fleet(&loaded.fleet, &hosts)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn check(loaded: &Loaded, hosts: &BTreeSet<String>, as_json: bool) -> Result<(), Failure> {
    let Loaded { fleet, described: from, servers, .. } = loaded;
    let with_agent = |name: &&String| fleet.hosts.get(*name).is_some_and(|host| host.agent.is_some());
    let agents = hosts.iter().filter(with_agent).count();
    let (hosts, groups) = (hosts.len(), fleet.groups().len());
    let (services, links) = (fleet.services.len(), fleet.links.len());
    if as_json {
        return render::json(&json!({
            "from": from, "hosts": hosts, "agents": agents, "groups": groups, "services": services, "links": links,
            "servers": servers.len(),
        }));
    }
    let many = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    let of_a_lab = match servers.len() {
        0 => String::new(),
        number => format!(", {} of a lab", many(number, "server")),
    };
    render::line(&format!(
        "{from}: {}, {}, {}, {}, {}{of_a_lab}",
        many(hosts, "host"),
        many(agents, "agent"),
        many(groups, "group"),
        many(services, "service"),
        many(links, "link"),
    ))
}

fn told(loaded: &Loaded, hosts: &BTreeSet<String>) -> Value {
    let fleet = &loaded.fleet;
    let hosts = hosts.iter().filter_map(|name| {
        let host = fleet.hosts.get(name)?;
        let agent = &host.agent;
        Some(json!({"name": name, "agent": agent, "addresses": host.addresses, "labels": host.labels}))
    });
    let groups = fleet.groups().into_iter().map(|(name, hosts)| (name, json!(hosts)));
    json!({
        "from": loaded.described,
        "token_file": loaded.token_file,
        "tls": loaded.tls.is_named().then_some(&loaded.tls),
        "max_share": fleet.max_share,
        "hosts": hosts.collect::<Vec<_>>(),
        "groups": groups.collect::<Map<_, _>>(),
        "services": fleet.services,
        "links": fleet.links,
    })
}
