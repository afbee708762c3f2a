//! Who reaches whom, as every agent finds it, against what the faults in force say should be.
//!
//! Every agent sends a few datagrams to every other, and tells how many came back; every agent is asked how many it heard. So
//! each direction is known by itself: what somebody sent and the other did not hear is lost on the way out, and what it
//! heard and was not answered is lost on the way back.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Duration;

use partition_agent_proto::fleet::{Fleet, Service};
use partition_agent_proto::{How, Reach, ReachRequest, ReachTarget, Span};

use super::Team;
use super::fan_out::{Answers, fan_out};
use super::judge::{Cell, Seen, Verdict, cell, service_cell};
use super::members::Member;
use super::progress::{Progress, Step};
use crate::exit::Failure;

/// More hosts than this would be more pairs than anybody reads.
const MOST_HOSTS: usize = 250;

/// How long an agent may take for a round, datagrams, connections and all.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long an answer is waited for.
const TIMEOUT: Span = Span::from_secs(1);

/// Services are numbered from here on, hosts before.
const SERVICES: u32 = 1 << 16;

/// A look at all of them.
pub struct Matrix {
    /// The hosts, by name.
    pub hosts: Vec<String>,
    /// The services, by name and address.
    pub services: Vec<String>,
    /// From a host to a host, or to a service.
    pub cells: BTreeMap<(String, String), Cell>,
    /// Agents that did not answer.
    pub silent: BTreeMap<String, Failure>,
}

impl Matrix {
    /// Whether everybody answered, and all of it is known and as the faults say.
    pub fn is_as_expected(&self) -> bool {
        self.silent.is_empty() && self.cells.values().all(|cell| cell.verdict == Verdict::AsExpected)
    }

    /// 0 where all is as expected, 3 where nobody answered, else 1.
    pub fn code(&self) -> ExitCode {
        if self.silent.len() == self.hosts.len() {
            ExitCode::from(3)
        } else if self.is_as_expected() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

/// An address family has a round of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

impl Family {
    fn of(address: &IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// Somewhere that a service is.
struct Place {
    name: String,
    service: String,
    address: IpAddr,
    port: u16,
    how: How,
}

pub async fn look(team: &Team, quiet: bool) -> Result<Matrix, Failure> {
    if team.members.len() > MOST_HOSTS {
        let count = team.members.len();
        return Err(Failure::Usage(format!(
            "{count} hosts make too many pairs to look at: at most {MOST_HOSTS}, so choose some with --on"
        )));
    }
    let hosts = team.members.iter().map(|member| member.name.clone()).collect::<Vec<_>>();
    let places = places(&team.fleet);
    let mut matrix = Matrix {
        services: places.iter().map(|place| place.name.clone()).collect(),
        cells: BTreeMap::new(),
        silent: BTreeMap::new(),
        hosts,
    };
    let progress = Progress::new(matrix.hosts.iter().cloned(), quiet);
    for family in [Family::V4, Family::V6] {
        let number = |name: &String| u32::try_from(matrix.hosts.iter().position(|host| host == name)?).ok();
        let targets = targets(team, family, &places, number);
        if targets.is_empty() {
            continue;
        }
        let round = fastrand::u64(..=ReachRequest::LAST_ROUND);
        let answers = fan_out(&team.members, PATIENCE, &progress, Step::Asked, |member| {
            let from = number(&member.name).unwrap_or_default();
            // A host without an address of this family has no way to those that have one.
            let has_family = targets.iter().any(|target| target.to == from);
            let others = targets.iter().filter(|target| has_family && target.to != from).cloned().collect();
            async move {
                let request = ReachRequest {
                    round,
                    from,
                    count: ReachRequest::default_count(),
                    every: ReachRequest::default_every(),
                    timeout: TIMEOUT,
                    targets: others,
                };
                member.client.reach(&request).await
            }
        })
        .await;
        let heard = fan_out(&team.members, PATIENCE, &progress, Step::Asked, |member| async move {
            let heard = member.client.heard(round).await?;
            Ok(heard.into_iter().map(|heard| (heard.from, heard.datagrams)).collect::<BTreeMap<_, _>>())
        })
        .await;
        let seen = seen(&team.members, &answers, &heard);
        for (from, to) in pairs(&matrix.hosts) {
            if let Some(cell) = cell(&seen, from, to) {
                add(&mut matrix.cells, &matrix.hosts[from], &matrix.hosts[to], cell);
            }
        }
        for (nth, place) in places.iter().enumerate() {
            let to = SERVICES + u32::try_from(nth).unwrap_or_default();
            let offered_by =
                owner(&team.fleet, place).and_then(|name| matrix.hosts.iter().position(|h| h == name));
            for (from, name) in matrix.hosts.iter().enumerate() {
                if let Some(cell) = service_cell(&seen, from, to, offered_by) {
                    add(&mut matrix.cells, name, &place.name, cell);
                }
            }
        }
        for (name, answer) in answers {
            if let Err(failure) = answer {
                matrix.silent.entry(name).or_insert(failure);
            }
        }
    }
    Ok(matrix)
}

/// Of two families the worse one counts.
fn add(cells: &mut BTreeMap<(String, String), Cell>, from: &str, to: &str, found: Cell) {
    let pair = (from.to_owned(), to.to_owned());
    match cells.get_mut(&pair) {
        Some(there) if there.verdict >= found.verdict => {}
        Some(there) => *there = found,
        None => drop(cells.insert(pair, found)),
    }
}

fn pairs(hosts: &[String]) -> impl Iterator<Item = (usize, usize)> {
    let count = hosts.len();
    (0..count).flat_map(move |from| (0..count).filter(move |to| *to != from).map(move |to| (from, to)))
}

/// What everybody answered, by number.
fn seen(members: &[Member], answers: &Answers<Vec<Reach>>, heard: &Answers<BTreeMap<u32, u32>>) -> Vec<Seen> {
    let one = |member: &Member| Seen {
        reach: answers
            .get(&member.name)
            .and_then(|answer| answer.as_ref().ok())
            .map(|all| all.iter().map(|reach| (reach.to, reach.clone())).collect()),
        heard: heard.get(&member.name).and_then(|answer| answer.as_ref().ok()).cloned(),
    };
    members.iter().map(one).collect()
}

/// Every member and every place of a service that has an address of this family.
fn targets(
    team: &Team,
    family: Family,
    places: &[Place],
    number: impl Fn(&String) -> Option<u32>,
) -> Vec<ReachTarget> {
    let hosts = team.members.iter().filter_map(|member| {
        let host = team.fleet.hosts.get(&member.name)?;
        let address = *host.addresses.iter().find(|address| Family::of(address) == family)?;
        let port = probe_port(host.agent.as_deref()?)?;
        Some(ReachTarget { to: number(&member.name)?, address, port, how: How::Host })
    });
    let hosts = hosts.collect::<Vec<_>>();
    // Without hosts of this family nobody would be asked, and services are asked for once.
    let services = places.iter().enumerate().filter(|(_, place)| Family::of(&place.address) == family);
    let services = services.filter_map(|(nth, place)| {
        let to = SERVICES + u32::try_from(nth).ok()?;
        Some(ReachTarget { to, address: place.address, port: place.port, how: place.how.clone() })
    });
    hosts.into_iter().chain(services).collect()
}

/// Other agents answer probes on the port after that of their API.
fn probe_port(agent: &str) -> Option<u16> {
    let port = agent.rsplit_once(':')?.1.parse::<u16>().ok()?;
    port.checked_add(1)
}

/// Every address of every service, on its first port.
fn places(fleet: &Fleet) -> Vec<Place> {
    let each = |(name, service): (&String, &Service)| {
        let Some(port) = service.ports.first().map(|ports| ports.first()) else { return Vec::new() };
        let hosts = service.hosts.as_ref().and_then(|hosts| fleet.select(hosts).ok()).unwrap_or_default();
        let hosts = hosts.iter().filter_map(|host| fleet.hosts.get(host));
        let addresses = hosts.flat_map(|host| &host.addresses).chain(&service.addresses);
        let addresses = addresses.copied().collect::<Vec<_>>();
        let how = match &service.http {
            Some(path) => How::Http { path: path.clone() },
            None => How::Tcp,
        };
        let several = addresses.len() > 1;
        let place = |address: IpAddr| Place {
            name: if several { format!("{name} {address}") } else { name.clone() },
            service: name.clone(),
            address,
            port,
            how: how.clone(),
        };
        addresses.into_iter().map(place).collect()
    };
    fleet.services.iter().flat_map(each).collect()
}

/// The host of the fleet that a service's address is of.
fn owner<'a>(fleet: &'a Fleet, place: &Place) -> Option<&'a String> {
    let service = fleet.services.get(&place.service)?;
    service.hosts.as_ref()?;
    fleet.hosts.iter().find(|(_, host)| host.addresses.contains(&place.address)).map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_go_to_the_port_after_that_of_the_api() {
        assert_eq!(probe_port("http://10.0.0.1:7433"), Some(7434));
        assert_eq!(probe_port("http://[fd00::1]:9000"), Some(9001));
        assert_eq!(probe_port("http://10.0.0.1:65535"), None);
    }
}
