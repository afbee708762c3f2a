//! What could come next. Whatever goes wrong here, nothing is offered: this is no moment to complain.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::future::Future;
use std::time::Duration;

use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter, CompletionCandidate};
use partition_agent_proto::PROFILES;
use partition_agent_proto::fleet::{Fleet, Selector};

use super::typed::{Typed, typed};
use crate::fleet;
use crate::team::{self, Team};

/// Who waits for a completion has pressed a key: later than this it is worth nothing.
const PATIENCE: Duration = Duration::from_millis(700);

/// Name, and what it is.
type Candidates = BTreeMap<String, String>;

/// The faults of the agent, or of the hosts that were named.
pub fn faults() -> ArgValueCandidates {
    ArgValueCandidates::new(|| offered(asked(of_agents).unwrap_or_default(), ""))
}

/// Hosts of the fleet and groups of them, after each comma again.
pub fn hosts() -> ArgValueCompleter {
    ArgValueCompleter::new(|word: &OsStr| in_list(word, hosts_of))
}

/// Whom a fault can be about: what a fleet knows. Other peers are anything.
pub fn peers() -> ArgValueCompleter {
    ArgValueCompleter::new(|word: &OsStr| in_list(word, peers_of))
}

/// The links of the fleet.
pub fn links() -> ArgValueCandidates {
    ArgValueCandidates::new(|| offered(of_fleet(links_of), ""))
}

/// The links that people know.
pub fn profiles() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        offered(PROFILES.iter().map(|profile| (profile.name.to_owned(), String::new())).collect(), "")
    })
}

/// The interfaces of this host.
pub fn interfaces() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let names = nix::net::if_::if_nameindex();
        let names = names.iter().flatten().map(|each| each.name().to_string_lossy().into_owned());
        offered(names.map(|name| (name, String::new())).collect(), "")
    })
}

async fn of_agents(typed: Typed) -> Option<Candidates> {
    let Typed { access, fleet } = typed;
    if !fleet.is_named() {
        let faults = access.client().ok()?.faults().await.ok()?;
        return Some(faults.iter().map(|fault| (fault.id.to_string(), fault.spec.to_string())).collect());
    }
    let team = Team::gather(&fleet, &access).await.ok()?;
    let answers = team::faults(&team.members, PATIENCE).await;
    let faults = answers.values().flatten().flatten();
    Some(faults.map(|fault| (fault.id.to_string(), fault.spec.to_string())).collect())
}

fn hosts_of(fleet: &Fleet) -> Candidates {
    let hosts = fleet.hosts.iter().map(|(name, host)| {
        let addresses = host.addresses.iter().map(ToString::to_string).collect::<Vec<_>>();
        (name.clone(), addresses.join(", "))
    });
    let groups = fleet.group_names().into_iter().map(|name| {
        let group = format!("@{name}");
        let hosts = group.parse::<Selector>().ok().and_then(|selector| fleet.select(&selector).ok());
        (group, hosts.unwrap_or_default().into_iter().collect::<Vec<_>>().join(", "))
    });
    hosts.chain(groups).collect()
}

fn peers_of(fleet: &Fleet) -> Candidates {
    let services = fleet.services.keys().map(|name| (name.clone(), "service".to_owned()));
    hosts_of(fleet).into_iter().chain(services).collect()
}

fn links_of(fleet: &Fleet) -> Candidates {
    fleet.links.iter().map(|(name, link)| (name.clone(), format!("{} to {}", link.from, link.to))).collect()
}

/// A list with commas: what is before the last one stays, and so does the `!` of whom to leave out.
fn in_list(word: &OsStr, candidates: fn(&Fleet) -> Candidates) -> Vec<CompletionCandidate> {
    let Some(word) = word.to_str() else { return Vec::new() };
    let (before, last) = split(word);
    let mut offered = offered(of_fleet(candidates), before);
    offered.retain(|candidate| {
        candidate.get_value().to_str().is_some_and(|value| value[before.len()..].starts_with(last))
    });
    offered
}

fn split(word: &str) -> (&str, &str) {
    let begins = word.rfind(',').map_or(0, |comma| comma + 1);
    let begins = begins + usize::from(word[begins..].starts_with('!'));
    word.split_at(begins)
}

fn offered(candidates: Candidates, before: &str) -> Vec<CompletionCandidate> {
    let offer = |(name, what): (String, String)| {
        CompletionCandidate::new(format!("{before}{name}")).help((!what.is_empty()).then(|| what.into()))
    };
    candidates.into_iter().map(offer).collect()
}

fn of_fleet(candidates: fn(&Fleet) -> Candidates) -> Candidates {
    let fleet = asked(|typed| async move {
        let tls = typed.access.tls.is_named();
        Some(fleet::load(typed.fleet.source.as_ref(), tls).await.ok()?.fleet)
    });
    fleet.as_ref().map(candidates).unwrap_or_default()
}

/// What others say, if they say it soon.
fn asked<T, F: Future<Output = Option<T>>>(ask: impl FnOnce(Typed) -> F) -> Option<T> {
    let typed = typed()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(async { tokio::time::timeout(PATIENCE, ask(typed)).await.ok()? })
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn only_the_last_of_a_list_is_completed() {
        for (word, parts) in [
            ("", ("", "")),
            ("we", ("", "we")),
            ("web-1,@e", ("web-1,", "@e")),
            ("*,!we", ("*,!", "we")),
            ("!", ("!", "")),
        ] {
            assert_eq!(split(word), parts);
        }
    }
}
