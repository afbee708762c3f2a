//! Containers: the network namespaces they are in, and their addresses.

use std::io::ErrorKind;
use std::net::IpAddr;

use bollard::Docker;
use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::InspectContainerOptions;

use super::engines::{Engines, Listing, chain};
use super::error::ScopeError;
use super::process::Process;
use super::select::{Container, Selector};
use super::{Found, Holder, Place};
use crate::netns::{Netns, NetnsId};

pub(super) async fn find(
    asked: &str,
    selector: &Selector<'_>,
    engines: &Engines,
    own: NetnsId,
) -> Result<Found, ScopeError> {
    let listing = engines.list(asked).await?;
    let mut found = Found { partial: listing.is_partial(), ..Found::default() };
    for container in pick(asked, selector, &listing)? {
        let Some(docker) = listing.engines.get(container.engine) else { continue };
        // None: it ended after it was listed.
        let Some((process, netns)) = enter(asked, docker, container, own).await? else { continue };
        let title = container.title();
        let id = netns.id();
        let shared = |place: &&mut Place| place.netns.as_ref().is_some_and(|known| known.id() == id);
        match found.places.iter_mut().find(shared) {
            Some(place) => place.name = format!("{}, {title}", place.name),
            None => found.places.push(Place::other(title, netns, Holder::Process(process))),
        }
    }
    if found.places.is_empty() {
        return Err(absent(asked));
    }
    Ok(found)
}

/// The addresses of the running containers of a compose service, `project/service`, in all of their networks.
///
/// # Errors
/// There is no such service, no engine answered, or its containers have no addresses of their own.
pub async fn compose_addresses(service: &str, engines: &Engines) -> Result<Vec<IpAddr>, ScopeError> {
    let asked = format!("compose {service}");
    let listing = engines.list(&asked).await?;
    let mut addresses = Vec::new();
    for container in pick(&asked, &Selector::compose(service), &listing)? {
        let Some(docker) = listing.engines.get(container.engine) else { continue };
        let Some(mut state) = inspect(&asked, docker, &container.id).await? else { continue };
        // A container in the network of another has the addresses of that.
        if let Some(other) = mode(&state).strip_prefix("container:").map(str::to_owned) {
            let Some(other) = inspect(&asked, docker, &other).await? else { continue };
            state = other;
        }
        addresses.extend(addresses_of(&state));
    }
    addresses.sort_unstable();
    addresses.dedup();
    if addresses.is_empty() {
        return Err(ScopeError::Refused {
            asked,
            reason:
                "its containers have no addresses of their own: they use the network of the host, or none"
                    .to_owned(),
            advice: "name the address of the host, with the ports of the service".to_owned(),
        });
    }
    Ok(addresses)
}

fn pick<'c>(
    asked: &str,
    selector: &Selector<'_>,
    listing: &'c Listing,
) -> Result<Vec<&'c Container>, ScopeError> {
    selector.pick(asked, &listing.containers).map_err(|error| match error {
        ScopeError::Absent { asked, found, advice } => {
            ScopeError::Absent { asked, found: format!("{found}{}", listing.silent()), advice }
        }
        error @ (ScopeError::Refused { .. }
        | ScopeError::Kernel { .. }
        | ScopeError::NoEngine { .. }
        | ScopeError::NoUser(_)) => error,
    })
}

/// Opens the namespace of a container; none if it does not run any more.
async fn enter(
    asked: &str,
    docker: &Docker,
    container: &Container,
    own: NetnsId,
) -> Result<Option<(Process, Netns)>, ScopeError> {
    let title = container.title();
    let Some(state) = inspect(asked, docker, &container.id).await? else { return Ok(None) };
    if mode(&state) == "host" {
        return Err(ScopeError::host_network(asked, &title));
    }
    let Some(pid) = running(&state) else { return Ok(None) };
    let opened = Process::of(pid).and_then(|process| Ok((process, process.netns()?)));
    // The number may have become that of a stranger between the answer and the opening.
    let again = inspect(asked, docker, &container.id).await?;
    if again.as_ref().and_then(running) != Some(pid) {
        return Ok(None);
    }
    match opened {
        Ok((_, netns)) if netns.id() == own => Err(ScopeError::host_network(asked, &title)),
        Ok(opened) => Ok(Some(opened)),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(ScopeError::Refused {
            asked: asked.to_owned(),
            reason: format!("the engine says that {title} is process {pid}, which the agent does not see"),
            advice: "run the agent on the host, or with the PID namespace of the host (--pid=host)"
                .to_owned(),
        }),
        Err(error) => Err(ScopeError::kernel(asked, format!("opening /proc/{pid}/ns/net of {title}"), error)),
    }
}

/// None if there is no such container (any more).
async fn inspect(
    asked: &str,
    docker: &Docker,
    id: &str,
) -> Result<Option<ContainerInspectResponse>, ScopeError> {
    let options = None::<InspectContainerOptions>;
    match docker.inspect_container(id, options).await {
        Ok(state) => Ok(Some(state)),
        Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
        Err(error) => Err(ScopeError::NoEngine {
            asked: asked.to_owned(),
            tried: format!("inspecting container {id}: {}", chain(&error)),
            advice: "see the log of the engine".to_owned(),
        }),
    }
}

/// The first process, if it runs. One that waits for its next start counts as running, with process 0.
fn running(container: &ContainerInspectResponse) -> Option<u32> {
    let state = container.state.as_ref().filter(|state| state.running == Some(true))?;
    state.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid != 0)
}

fn mode(container: &ContainerInspectResponse) -> &str {
    container.host_config.as_ref().and_then(|config| config.network_mode.as_deref()).unwrap_or("")
}

fn addresses_of(container: &ContainerInspectResponse) -> impl Iterator<Item = IpAddr> {
    let networks = container.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
    networks.into_iter().flat_map(|networks| networks.values()).flat_map(|network| {
        let texts = [network.ip_address.as_deref(), network.global_ipv6_address.as_deref()];
        texts.into_iter().flatten().filter_map(|text| text.parse().ok())
    })
}

fn absent(asked: &str) -> ScopeError {
    ScopeError::Absent {
        asked: format!("running {asked}"),
        found: "it has just ended, or waits for its next start".to_owned(),
        advice: "try again".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inspected(json: &str) -> ContainerInspectResponse {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn paused_containers_run_and_those_that_wait_for_a_start_do_not() {
        let pid = |json: &str| running(&inspected(json));
        assert_eq!(pid(r#"{"State":{"Running":true,"Paused":true,"Pid":12}}"#), Some(12));
        assert_eq!(pid(r#"{"State":{"Running":true,"Restarting":true,"Pid":0}}"#), None);
        assert_eq!(pid(r#"{"State":{"Running":false,"Pid":12}}"#), None);
        assert_eq!(pid(r#"{"State":{"Running":true,"Pid":-1}}"#), None);
        assert_eq!(pid("{}"), None);
    }

    #[test]
    fn addresses_are_those_of_all_networks_and_both_families() {
        let container = inspected(
            r#"{"NetworkSettings":{"Networks":{
                "a":{"IPAddress":"172.18.0.2","GlobalIPv6Address":"2001:db8::2"},
                "b":{"IPAddress":"","GlobalIPv6Address":"2001:db8:1::2"},
                "c":{}}}}"#,
        );
        let mut found: Vec<_> = addresses_of(&container).map(|address| address.to_string()).collect();
        found.sort();
        assert_eq!(found, ["172.18.0.2", "2001:db8:1::2", "2001:db8::2"]);
    }
}
