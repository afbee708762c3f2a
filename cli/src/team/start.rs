//! All or none, at one instant. Every agent prepares: it validates, resolves and builds, and nothing is cut. If all of them have,
//! they are told the instant; if all of them have that in time, the fault starts, everywhere at once. Whatever goes
//! wrong before the instant, the fault is revoked everywhere and starts nowhere.
//!
//! ```text
//! prepare --all--> commit (T) --all, in time--> wait for T --> look --all started--> done
//!    \-- one refused --\   \-- one did not answer --\              \-- one did not --\
//!                       revoke: nothing started      revoke before T                  restore
//! ```
//!
//! A controller that dies in between leaves nothing: what is prepared expires, what is committed ends at its deadline, by the
//! kernel of each host.

use std::collections::BTreeMap;
use std::time::Duration;

use partition_agent_core::clock::{Alarm, BootTime};
use partition_agent_proto::{FaultId, FaultStatus, ProblemCode, Span, State};

use super::fan_out::{Answers, fan_out};
use super::members::{Member, Order};
use super::offset::{Offset, Spread};
use super::progress::{Progress, Step};
use crate::exit::Failure;

/// How long an agent may take to prepare; a fault on thousands of names takes a while to resolve.
const PREPARE: Duration = Duration::from_secs(20);

/// How long a prepared fault waits to be committed. Longer than all that comes before a commit.
const EXPIRES: Span = Span::from_secs(60);

/// How far away the instant is: at least so long, and at most.
const LEAD: (Duration, Duration) = (Duration::from_millis(400), Duration::from_secs(10));

/// How long after the instant an agent is asked for the first time whether it started, and how long again and again.
const LOOK: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// How long a host may take to revoke.
const REVOKE: Duration = Duration::from_secs(5);

/// What became of it.
pub struct Outcome {
    /// The hosts where the fault is in force.
    pub started: BTreeMap<String, FaultStatus>,
    /// Who kept it from starting, or did not start, and why.
    pub failed: BTreeMap<String, Failure>,
    /// Hosts that could not be told to revoke: their kernels end the fault at its deadline, if it started there at all.
    pub unknown: BTreeMap<String, Failure>,
    /// How far apart the starts were.
    pub spread: Option<Spread>,
    /// Whether it was in force anywhere, and has been restored since.
    pub was_in_force: bool,
}

/// How it is started.
pub struct How {
    pub id: FaultId,
    /// Go ahead with those that agree.
    pub best_effort: bool,
    /// How much later than as soon as possible.
    pub start_in: Option<Span>,
}

/// One that has prepared.
#[derive(Clone)]
struct Ready {
    member: Member,
    offset: Offset,
}

pub async fn start(orders: &[Order], how: &How, progress: &Progress) -> Outcome {
    let mut outcome = Outcome {
        started: BTreeMap::new(),
        failed: BTreeMap::new(),
        unknown: BTreeMap::new(),
        spread: None,
        was_in_force: false,
    };
    let begun = BootTime::now();
    let mut ready = Vec::new();
    for (name, answer) in prepare(orders, how, progress).await {
        match answer {
            Ok(one) => ready.push(one),
            Err(failure) => drop(outcome.failed.insert(name, failure)),
        }
    }
    if stops(&outcome, how) || ready.is_empty() {
        revoke(orders, &ready[..0], how, &mut outcome, progress).await;
        return outcome;
    }

    // Preparing is more work than committing, so what it took is enough for a commit; a third of it is left to revoke in.
    let lead = begun.until(BootTime::now()).clamp(LEAD.0, LEAD.1);
    let at = BootTime::now() + lead + how.start_in.map(Span::duration).unwrap_or_default();
    for (name, answer) in commit(&ready, how, at, lead * 2 / 3, progress).await {
        if let Err(failure) = answer {
            outcome.failed.insert(name, failure);
        }
    }
    if stops(&outcome, how) {
        revoke(orders, &ready, how, &mut outcome, progress).await;
        return outcome;
    }

    if sleep_until(at).await.is_err() {
        outcome.failed.insert("here".to_owned(), Failure::Failed("this host has no timer left".to_owned()));
    }
    for (name, answer) in look(&ready, how, progress).await {
        match answer {
            // The answer to its commit was lost, and it started all the same.
            Ok(status) => {
                outcome.failed.remove(&name);
                outcome.started.insert(name, status);
            }
            Err(failure) => drop(outcome.failed.entry(name).or_insert(failure)),
        }
    }
    if stops(&outcome, how) {
        outcome.was_in_force = !outcome.started.is_empty();
        outcome.started.clear();
        revoke(orders, &ready, how, &mut outcome, progress).await;
        return outcome;
    }
    let instants = ready.iter().filter_map(|one| {
        let started = outcome.started.get(&one.member.name)?.started_boot_ns?;
        Some((one.offset.ours(started), one.offset.bound))
    });
    outcome.spread = Spread::of(instants.collect::<Vec<_>>());
    outcome
}

/// Whether what failed so far is reason to stop.
fn stops(outcome: &Outcome, how: &How) -> bool {
    !how.best_effort && !outcome.failed.is_empty()
}

async fn prepare(orders: &[Order], how: &How, progress: &Progress) -> Answers<Ready> {
    let specs = orders.iter().map(|order| (order.member.name.clone(), order.spec.clone()));
    let specs = specs.collect::<BTreeMap<_, _>>();
    let members = orders.iter().map(|order| order.member.clone()).collect::<Vec<_>>();
    fan_out(&members, PREPARE, progress, Step::Prepared, |member| {
        let spec = specs.get(&member.name);
        async move {
            let spec = spec.ok_or_else(|| Failure::Failed(format!("{} has no order", member.name)))?;
            let fault = member.client.prepare(&how.id, spec, EXPIRES).await?;
            // Somebody's retry finds what the first try left: prepared, or committed since.
            if !matches!(fault.state, State::Prepared) {
                return Err(Failure::Failed(format!("{} is {} there already", how.id, fault.state)));
            }
            let offset = Offset::measure(&member.client).await?;
            Ok(Ready { member, offset })
        }
    })
    .await
}

async fn commit(
    ready: &[Ready],
    how: &How,
    at: BootTime,
    patience: Duration,
    progress: &Progress,
) -> Answers<FaultStatus> {
    let offsets = ready.iter().map(|one| (one.member.name.clone(), one.offset)).collect::<BTreeMap<_, _>>();
    let members = ready.iter().map(|one| one.member.clone()).collect::<Vec<_>>();
    let all = fan_out(&members, patience, progress, Step::Armed, |member| {
        let theirs = offsets.get(&member.name).map(|offset| offset.theirs(at));
        async move {
            let theirs = theirs.ok_or_else(|| Failure::Failed(format!("{} has no clock", member.name)))?;
            member.client.commit(&how.id, theirs).await
        }
    });
    // The patience of each begins when its turn comes; that of all of them together has an end, too.
    match tokio::time::timeout(patience, all).await {
        Ok(answers) => answers,
        Err(_) => {
            let late = |one: &Ready| {
                let name = one.member.name.clone();
                (name, Err(Failure::Failed(format!("not every host could be told within {patience:?}"))))
            };
            ready.iter().map(late).collect()
        }
    }
}

/// Whether each of them is in force.
async fn look(ready: &[Ready], how: &How, progress: &Progress) -> Answers<FaultStatus> {
    tokio::time::sleep(LOOK.0).await;
    let members = ready.iter().map(|one| one.member.clone()).collect::<Vec<_>>();
    fan_out(&members, LOOK.1, progress, Step::Started, |member| async move {
        loop {
            let fault = member.client.fault(&how.id).await?;
            if fault.started_boot_ns.is_some() {
                return Ok(fault);
            }
            tokio::time::sleep(LOOK.0).await;
        }
    })
    .await
}

/// Takes it back everywhere, whatever has become of it there. Who was told the instant, and cannot be told to forget it, is named:
/// it may start there. All others have nothing that could start; what they prepared expires.
async fn revoke(
    orders: &[Order],
    committed: &[Ready],
    how: &How,
    outcome: &mut Outcome,
    progress: &Progress,
) {
    for (name, answer) in withdraw(orders, &how.id, progress).await {
        match answer {
            Ok(restored) => {
                outcome.was_in_force |= restored.is_some_and(|fault| fault.started_boot_ns.is_some());
            }
            Err(failure) if committed.iter().any(|one| one.member.name == name) => {
                outcome.unknown.insert(name, failure);
            }
            Err(_) => {}
        }
    }
}

/// Takes a fault back on every host, in whatever state it is there: nothing, where there is none.
pub async fn withdraw(orders: &[Order], id: &FaultId, progress: &Progress) -> Answers<Option<FaultStatus>> {
    let members = orders.iter().map(|order| order.member.clone()).collect::<Vec<_>>();
    fan_out(&members, REVOKE, progress, Step::Restored, |member| async move {
        match member.client.restore(id, None).await {
            // It never got there, or is over.
            Err(Failure::Refused(problem)) if problem.code == ProblemCode::NotFound => Ok(None),
            answer => answer.map(Some),
        }
    })
    .await
}

async fn sleep_until(at: BootTime) -> std::io::Result<()> {
    Alarm::new()?.ring(Some(at)).await;
    Ok(())
}
