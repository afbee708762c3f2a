//! Heals: at once, as soon as each host hears of it, or together, at one instant. Healing is never all or nothing: who can be
//! told is healed, whoever cannot, and every kernel ends its faults by itself.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use partition_agent_core::clock::{Alarm, BootTime};
use partition_agent_proto::{FaultId, FaultStatus, ProblemCode};

use super::clocks::clocks;
use super::fan_out::{Answers, fan_out};
use super::members::Member;
use super::offset::Spread;
use super::progress::{Progress, Step};
use crate::exit::Failure;

/// How long a host may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How far away a common instant is: at least so long, and at most.
const LEAD: (Duration, Duration) = (Duration::from_millis(300), Duration::from_secs(5));

/// How long after the instant an agent is asked for the first time when its fault ended, and how long again and again.
const LOOK: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// How much of an agent's history is looked through for the ends, beside as many entries as there are ends: at first, and at most.
const HISTORY: (usize, usize) = (16, 1_000);

/// Which faults.
#[derive(Debug, Clone)]
pub enum What {
    All,
    Ids(Vec<FaultId>),
}

/// What became of it.
pub struct Healed {
    /// The faults of each host, as they were: with the deadlines that hold where nobody answers.
    pub before: Answers<Vec<FaultStatus>>,
    /// The same, as they are afterwards.
    pub answers: Answers<Vec<FaultStatus>>,
    /// How far apart the ends were, of a heal together.
    pub spread: Option<Spread>,
}

/// The same without asking first what there is: nobody is slower to heal than he has to be.
pub async fn at_once(members: &[Member], what: &What, progress: &Progress) -> Answers<Vec<FaultStatus>> {
    fan_out(members, PATIENCE, progress, Step::Restored, |member| restore(member, what, None)).await
}

pub async fn now(members: &[Member], what: &What, progress: &Progress) -> Healed {
    let before = RefCell::default();
    let answers = fan_out(members, PATIENCE, progress, Step::Restored, |member| {
        let before = &before;
        async move {
            note(member, before).await;
            restore(member, what, None).await
        }
    })
    .await;
    Healed { before: before.into_inner(), answers, spread: None }
}

pub async fn together(members: &[Member], what: &What, progress: &Progress) -> Healed {
    let begun = BootTime::now();
    let mut before =
        fan_out(
            members,
            PATIENCE,
            progress,
            Step::Asked,
            |member| async move { member.client.faults().await },
        )
        .await;
    before.retain(|_, answer| answer.is_ok());
    let answering = members.iter().filter(|member| before.contains_key(&member.name));
    let answering = answering.cloned().collect::<Vec<_>>();
    let offsets = clocks(&answering, PATIENCE, progress, Step::Asked).await;
    let lead = begun.until(BootTime::now()).clamp(LEAD.0, LEAD.1);
    let at = BootTime::now() + lead;
    let offset = |name: &str| offsets.get(name).and_then(|offset| offset.as_ref().ok()).copied();
    let answers = fan_out(members, PATIENCE, progress, Step::Armed, |member| {
        // One whose clock is not known is told all the same, and heals at once.
        let theirs = offset(&member.name).map(|offset| offset.theirs(at));
        async move { restore(member, what, theirs).await }
    })
    .await;

    // The only error is that there is no timer; then the ends are asked for too early, and again.
    if let Ok(mut alarm) = Alarm::new() {
        alarm.ring(Some(at + LOOK.0)).await;
    }
    let told = |name: &str| {
        let answer = answers.get(name).and_then(|answer| answer.as_ref().ok());
        let each = answer.into_iter().flatten();
        each.map(|fault| (fault.id.clone(), fault.started_boot_ns.unwrap_or_default()))
            .collect::<BTreeMap<_, _>>()
    };
    let ends = fan_out(members, LOOK.1, progress, Step::Restored, |member| {
        let started = told(&member.name);
        async move { ends(member, &started).await }
    })
    .await;
    let instants = ends.iter().filter_map(|(name, ends)| {
        let offset = offset(name)?;
        // A host's faults end one after the other; the last one counts.
        let last = ends.as_ref().ok()?.iter().max()?;
        Some((offset.ours(*last), offset.bound))
    });
    let spread = Spread::of(instants.collect::<Vec<_>>());
    Healed { before, answers, spread }
}

/// What there is on a host, before it is gone. Not knowing it is no reason not to heal.
async fn note(member: &Member, before: &RefCell<Answers<Vec<FaultStatus>>>) {
    if let Ok(faults) = member.client.faults().await {
        before.borrow_mut().insert(member.name.clone(), Ok(faults));
    }
}

async fn restore(member: &Member, what: &What, at: Option<u64>) -> Result<Vec<FaultStatus>, Failure> {
    let ids = match what {
        What::All => return member.client.restore_all(at).await,
        What::Ids(ids) => ids,
    };
    let mut restored = Vec::new();
    let mut failed = None;
    for id in ids {
        match member.client.restore(id, at).await {
            Ok(fault) => restored.push(fault),
            // It is on other hosts only.
            Err(Failure::Refused(problem)) if problem.code == ProblemCode::NotFound => {}
            // The others are restored all the same.
            Err(failure) => drop(failed.get_or_insert(failure)),
        }
    }
    failed.map_or(Ok(restored), Err)
}

/// When these faults ended, in nanoseconds of the agent's clock; with when they started.
async fn ends(member: &Member, started: &BTreeMap<FaultId, u64>) -> Result<Vec<u64>, Failure> {
    let mut most = HISTORY.0 + started.len();
    loop {
        let over = member.client.history(most).await?;
        // An id may have been used before: of several ends the newest counts, which comes first.
        let ended = over.iter().rev().filter_map(|over| {
            let started = started.get(&over.id)?;
            over.ended_boot_ns.is_none_or(|ended| *started <= ended).then_some((&over.id, over.ended_boot_ns))
        });
        let ended = ended.collect::<BTreeMap<_, _>>();
        if ended.len() == started.len() {
            return Ok(ended.into_values().flatten().collect());
        }
        // It has not ended, or so many others have since.
        most = (most * 2).min(HISTORY.1);
        tokio::time::sleep(LOOK.0).await;
    }
}
