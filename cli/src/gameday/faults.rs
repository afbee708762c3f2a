//! The faults of a run. Each starts on all of its hosts at one instant or on none, has a lease that this process renews, and so is
//! over soon after this process is, whatever ends it.

use std::collections::BTreeMap;

use partition_agent_core::clock::BootTime;
use partition_agent_proto::{End, FaultId, FaultSpec, FaultStatus, Hits, Span};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;

use super::excerpt::excerpt;
use super::report::model::FaultOnHost;
use crate::exit::Failure;
use crate::team::command::Command;
use crate::team::fan_out::fan_out;
use crate::team::heal::{self, What};
use crate::team::hold::{Held, Listener, hold};
use crate::team::progress::{Progress, Step as Reached};
use crate::team::start::{How, Start};
use crate::team::{Member, Order, Team};

/// How long faults outlive a run that died.
pub const LEASE: Span = Span::from_secs(15);

/// How long a host may take to tell how its faults ended, and how far back it looks.
const LOOK_BACK: (std::time::Duration, usize) = (std::time::Duration::from_secs(5), 256);

/// What becomes of a fault while nobody asks.
#[derive(Debug)]
pub enum News {
    /// It is over on every host; how, by host.
    Over {
        id: FaultId,
        lost: bool,
        ends: BTreeMap<String, String>,
    },
    Warning(String),
}

/// In force.
#[derive(Clone)]
pub struct Begun {
    pub id: FaultId,
    pub members: Vec<Member>,
    pub since: BootTime,
    pub spread_ms: Option<f64>,
    /// On fewer hosts than it was meant for, with `--best-effort`: why.
    pub missing: Vec<String>,
}

/// The specs as they are sent: with the lease of a run.
pub fn leased(specs: BTreeMap<String, FaultSpec>) -> BTreeMap<String, FaultSpec> {
    let lease = |spec: FaultSpec| FaultSpec { lease: Some(LEASE.min(spec.duration)), ..spec };
    specs.into_iter().map(|(host, spec)| (host, lease(spec))).collect()
}

/// Why a fault did not come into force, or not to stay.
#[derive(Default)]
pub struct NotBegun {
    pub why: String,
    /// It was in force somewhere for a moment.
    pub felt: bool,
    /// Hosts that could not be told to take it back: it may be in force there, until its lease is over.
    pub untold: Vec<Member>,
}

/// On all hosts at one instant, or on none; `stop` takes back whatever there is of it.
///
/// # Errors
/// Why it did not start, or did not stay.
pub async fn begin(
    team: &Team,
    id: FaultId,
    command: Command,
    mut stop: watch::Receiver<bool>,
) -> Result<Begun, NotBegun> {
    let orders = team.orders(leased(command.specs));
    let how = How { id, best_effort: command.together.best_effort, start_in: None };
    let quiet = Progress::new([], true);
    let start = Start::new(&orders, &how, &quiet);
    let outcome = tokio::select! {
        outcome = start.run() => outcome,
        _ = stop.wait_for(|stop| *stop) => {
            let taken_back = start.withdraw().await;
            let was_felt = |answer: &Result<Option<FaultStatus>, Failure>| {
                matches!(answer, Ok(Some(fault)) if fault.started_boot_ns.is_some())
            };
            let felt = taken_back.values().any(was_felt);
            let untold = taken_back.iter().filter(|(_, answer)| answer.as_ref().is_err_and(may_live));
            let untold = untold.map(|(host, _)| host.as_str()).collect::<Vec<_>>();
            let why = "the run was aborted while it started, and it was taken back".to_owned();
            return Err(NotBegun { why, felt, untold: of(&orders, &untold) });
        }
    };
    let reasons = outcome.failed.iter().chain(&outcome.unknown);
    let reasons = reasons.map(|(host, failure)| format!("{host}: {}", one_line(failure))).collect::<Vec<_>>();
    let Some(since) = outcome.at.filter(|_| !outcome.started.is_empty()) else {
        let untold = outcome.unknown.keys().map(String::as_str).collect::<Vec<_>>();
        let (why, felt) = (reasons.join("; "), outcome.was_in_force);
        return Err(NotBegun { why, felt, untold: of(&orders, &untold) });
    };
    let started = |order: &&Order| outcome.started.contains_key(&order.member.name);
    let members = orders.iter().filter(started).map(|order| order.member.clone()).collect();
    let spread_ms =
        outcome.spread.map(|spread| f64::from(u32::try_from(spread.micros).unwrap_or(u32::MAX)) / 1e3);
    Ok(Begun { id: how.id.clone(), members, since, spread_ms, missing: reasons })
}

/// What an agent says while a lease is renewed goes into the report.
struct ToReport(UnboundedSender<News>);

impl Listener for ToReport {
    fn renewed(&self, _left_ms: u64) {}

    fn warn(&self, what: &str) {
        // Nobody listens any more when the run is over.
        let _ = self.0.send(News::Warning(what.to_owned()));
    }
}

/// Renews the lease of a fault until it is over or `stop` says so.
pub async fn keep(fault: Begun, mut stop: watch::Receiver<bool>, news: UnboundedSender<News>) {
    let Begun { id, members, .. } = fault;
    let listener = ToReport(news.clone());
    let stopped = async || drop(stop.wait_for(|stop| *stop).await);
    let (held, ends) = hold(members, &id, LEASE, stopped, &listener).await;
    let lost = match held {
        Held::Over => false,
        Held::Lost => true,
        Held::Interrupted => return,
    };
    let _ = news.send(News::Over { id, lost, ends });
}

/// Ends these faults everywhere, now. Hosts that could not be told: their kernels end the fault when its lease is over.
pub async fn end(members: &[Member], ids: Vec<FaultId>) -> BTreeMap<String, String> {
    let quiet = Progress::new([], true);
    let answers = heal::at_once(members, &What::Ids(ids), &quiet).await;
    let failed = answers.into_iter().filter_map(|(host, answer)| Some((host, answer.err()?)));
    let failed = failed.filter(|(_, failure)| may_live(failure));
    failed.map(|(host, failure)| (host, one_line(&failure))).collect()
}

/// Whether an agent that did not answer may still have faults: those of a dead one are over.
fn may_live(failure: &Failure) -> bool {
    !matches!(failure, Failure::Unreachable { nobody_listens: true, .. })
}

fn of(orders: &[Order], names: &[&str]) -> Vec<Member> {
    let named = orders.iter().filter(|order| names.contains(&order.member.name.as_str()));
    named.map(|order| order.member.clone()).collect()
}

/// A fault that is over on a host.
pub struct LookedBack {
    pub told: FaultOnHost,
    /// By its deadline, or because somebody restored it.
    pub as_meant: bool,
}

/// How faults ended on each host, and what they hit there.
pub async fn look_back(members: &[Member]) -> BTreeMap<String, BTreeMap<FaultId, LookedBack>> {
    let quiet = Progress::new([], true);
    let (patience, most) = LOOK_BACK;
    let answers = fan_out(members, patience, &quiet, Reached::Asked, |member| async move {
        member.client.history(most).await
    })
    .await;
    let told = |(host, answer): (String, Result<Vec<partition_agent_proto::History>, Failure>)| {
        let over = answer.ok()?.into_iter().rev();
        let each = over.map(|over| {
            let as_meant = matches!(over.end, End::Deadline | End::Restored { .. });
            (over.id.clone(), LookedBack { told: on_host(Some(over.end.to_string()), &over.hits), as_meant })
        });
        Some((host, each.collect()))
    };
    answers.into_iter().filter_map(told).collect()
}

fn on_host(end: Option<String>, hits: &Hits) -> FaultOnHost {
    FaultOnHost {
        end,
        packets: hits.lost_packets + hits.shaped_packets + hits.rejected_packets,
        bytes: hits.lost_bytes + hits.shaped_bytes + hits.rejected_bytes,
        hits: hits.to_string(),
    }
}

/// What every agent says to every fault of a run before there is one: their refusals.
pub async fn ask(team: &Team, command: Command) -> Vec<String> {
    let orders = team.orders(leased(command.specs));
    let quiet = Progress::new([], true);
    let patience = std::time::Duration::from_secs(20);
    let answers = fan_out(&orders, patience, &quiet, Reached::Asked, |Order { member, spec }| async move {
        member.client.inject(None, spec, true).await
    })
    .await;
    let refused = answers.into_iter().filter_map(|(host, answer)| Some((host, answer.err()?)));
    refused.map(|(host, failure)| format!("{host}: {}", one_line(&failure))).collect()
}

/// What others say is told in bounds, and without what a terminal would obey.
fn one_line(failure: &Failure) -> String {
    failure.to_string().lines().take(8).map(excerpt).collect::<Vec<_>>().join("; ")
}
