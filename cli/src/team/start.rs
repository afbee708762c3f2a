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
//! A fault that was there before, under the same id, is somebody else's, or this command's of an earlier time: it is neither
//! started again nor revoked.
//!
//! A controller that dies in between leaves nothing: what is prepared expires, what is committed ends at its deadline, by the
//! kernel of each host.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use partition_agent_core::clock::{Alarm, BootTime};
use partition_agent_proto::{FaultId, FaultStatus, ProblemCode, Span, State};

use super::clocks::clocks;
use super::fan_out::{Answers, fan_out};
use super::members::{Member, Order};
use super::offset::{Offset, Spread};
use super::progress::{Progress, Step};
use crate::exit::Failure;

/// How long an agent may take to prepare; a fault on thousands of names takes a while to resolve.
const PREPARE: Duration = Duration::from_secs(20);

/// How long the agents may take to tell the time, behind the turn of the last.
const CLOCK: Duration = Duration::from_secs(3);

/// How long a prepared fault waits to be committed. Longer than the slowest prepare, the clocks and the commit after them.
const EXPIRES: Span = Span::from_secs(30);

/// How far away the instant is: at least so long, and at most.
const LEAD: (Duration, Duration) = (Duration::from_millis(400), Duration::from_secs(10));

/// How long after the instant an agent is asked for the first time whether it started, and how long again and again.
const LOOK: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// How long a host may take to revoke.
const REVOKE: Duration = Duration::from_secs(5);

/// What became of it.
#[derive(Default)]
pub struct Outcome {
    /// The hosts where the fault is in force, by this try or since before.
    pub started: BTreeMap<String, FaultStatus>,
    /// Who kept it from starting, or did not start, and why.
    pub failed: BTreeMap<String, Failure>,
    /// Hosts that could not be told to revoke: their kernels end the fault at its deadline, if it started there at all.
    pub unknown: BTreeMap<String, Failure>,
    /// The instant that everybody was told, on our clock.
    pub at: Option<BootTime>,
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

/// One try, on all hosts.
pub struct Start<'a> {
    orders: &'a [Order],
    how: &'a How,
    progress: &'a Progress,
    /// By which the agents know what is this try's, and may be taken back with it.
    attempt: u64,
}

/// A host that agrees.
enum Agreed {
    /// It has prepared, and is to be told the instant.
    Ready,
    /// The same fault is in force there, or about to be.
    Standing(Box<FaultStatus>),
}

/// What is to be told the instant.
struct Ready<'a> {
    order: &'a Order,
    offset: Offset,
}

impl AsRef<Member> for Ready<'_> {
    fn as_ref(&self) -> &Member {
        &self.order.member
    }
}

impl<'a> Start<'a> {
    pub fn new(orders: &'a [Order], how: &'a How, progress: &'a Progress) -> Self {
        // What every reader of JSON keeps exactly.
        Self { orders, how, progress, attempt: fastrand::u64(..1 << 53) }
    }

    pub fn id(&self) -> &FaultId {
        &self.how.id
    }

    /// Whether some host says that it still has it.
    pub async fn stands(&self) -> bool {
        let quiet = Progress::new([], true);
        let answers = fan_out(self.orders, LOOK.1, &quiet, Step::Asked, |order| async move {
            order.member.client.fault(&self.how.id).await
        })
        .await;
        answers.values().any(Result::is_ok)
    }

    pub async fn run(&self) -> Outcome {
        let mut outcome = Outcome::default();
        let begun = BootTime::now();
        let ready = self.agree(&mut outcome).await;
        if ready.is_empty() || self.stops(&outcome) {
            return self.revoke(&[], outcome).await;
        }

        // Preparing is more work than committing, so what it took is enough for a commit; a third of it is left to revoke in.
        let lead = begun.until(BootTime::now()).clamp(LEAD.0, LEAD.1);
        let at = BootTime::now() + lead + self.how.start_in.map(Span::duration).unwrap_or_default();
        outcome.at = Some(at);
        for (name, answer) in self.commit(&ready, at, lead * 2 / 3).await {
            if let Err(failure) = answer {
                outcome.failed.insert(name, failure);
            }
        }
        if self.stops(&outcome) {
            return self.revoke(&ready, outcome).await;
        }

        // Without a timer the question comes too early, and is asked again.
        if let Ok(mut alarm) = Alarm::new() {
            alarm.ring(Some(at + LOOK.0)).await;
        }
        for (name, answer) in self.look(&ready).await {
            match answer {
                // The answer to its commit was lost, and it started all the same.
                Ok(status) => {
                    outcome.failed.remove(&name);
                    outcome.started.insert(name, status);
                }
                Err(failure) => drop(outcome.failed.entry(name).or_insert(failure)),
            }
        }
        if self.stops(&outcome) {
            return self.revoke(&ready, outcome).await;
        }
        let instants = ready.iter().filter_map(|one| {
            let started = outcome.started.get(&one.order.member.name)?.started_boot_ns?;
            Some((one.offset.ours(started), one.offset.bound))
        });
        outcome.spread = Spread::of(instants.collect::<Vec<_>>());
        outcome
    }

    /// Whether what failed so far is reason to stop.
    fn stops(&self, outcome: &Outcome) -> bool {
        !self.how.best_effort && !outcome.failed.is_empty()
    }

    /// Those that are to be told the instant, with their clocks.
    async fn agree(&self, outcome: &mut Outcome) -> Vec<Ready<'a>> {
        let mut prepared = BTreeSet::new();
        for (name, answer) in self.prepare().await {
            match answer {
                Ok(Agreed::Ready) => drop(prepared.insert(name)),
                Ok(Agreed::Standing(fault)) => drop(outcome.started.insert(name, *fault)),
                Err(failure) => drop(outcome.failed.insert(name, failure)),
            }
        }
        if self.stops(outcome) {
            return Vec::new();
        }
        let prepared = self.orders.iter().filter(|order| prepared.contains(&order.member.name));
        let prepared = prepared.collect::<Vec<_>>();
        let mut offsets = clocks(&prepared, CLOCK, self.progress, Step::Prepared).await;
        let mut ready = Vec::new();
        for order in prepared {
            match offsets.remove(&order.member.name) {
                Some(Ok(offset)) => ready.push(Ready { order, offset }),
                Some(Err(failure)) => drop(outcome.failed.insert(order.member.name.clone(), failure)),
                None => {}
            }
        }
        ready
    }

    async fn prepare(&self) -> Answers<Agreed> {
        fan_out(self.orders, PREPARE, self.progress, Step::Prepared, |Order { member, spec }| async move {
            let fault = member.client.prepare(&self.how.id, spec, EXPIRES, self.attempt).await?;
            if fault.state == State::Prepared {
                Ok(Agreed::Ready)
            } else {
                Ok(Agreed::Standing(Box::new(fault)))
            }
        })
        .await
    }

    async fn commit(&self, ready: &[Ready<'_>], at: BootTime, patience: Duration) -> Answers<FaultStatus> {
        fan_out(ready, patience, self.progress, Step::Armed, |Ready { order, offset }| async move {
            order.member.client.commit(&self.how.id, offset.theirs(at), self.attempt).await
        })
        .await
    }

    /// Whether each of them is in force.
    async fn look(&self, ready: &[Ready<'_>]) -> Answers<FaultStatus> {
        fan_out(ready, LOOK.1, self.progress, Step::Started, |Ready { order, .. }| async move {
            loop {
                let fault = order.member.client.fault(&self.how.id).await?;
                if fault.started_boot_ns.is_some() {
                    return Ok(fault);
                }
                tokio::time::sleep(LOOK.0).await;
            }
        })
        .await
    }

    /// Takes it back where this try has put it. Who was told the instant, and cannot be told to forget it, is named: it may
    /// start there. All others have nothing that could start; what they prepared expires.
    async fn revoke(&self, committed: &[Ready<'_>], outcome: Outcome) -> Outcome {
        let mut outcome = outcome;
        if self.how.best_effort && !outcome.started.is_empty() {
            return outcome;
        }
        for (name, answer) in self.withdraw().await {
            match answer {
                Ok(Some(fault)) => {
                    outcome.started.remove(&name);
                    outcome.was_in_force |= fault.started_boot_ns.is_some();
                }
                // What is there is not of this try.
                Ok(None) => {}
                // Its agent is dead, and with it whatever it had.
                Err(Failure::Unreachable { nobody_listens: true, .. }) => drop(outcome.started.remove(&name)),
                Err(failure) if committed.iter().any(|one| one.order.member.name == name) => {
                    outcome.started.remove(&name);
                    outcome.unknown.insert(name, failure);
                }
                Err(_) => {}
            }
        }
        outcome
    }

    /// Takes back what this try has put anywhere, whatever has become of it there: nothing, where there is none.
    pub async fn withdraw(&self) -> Answers<Option<FaultStatus>> {
        fan_out(self.orders, REVOKE, self.progress, Step::Restored, |order| async move {
            match order.member.client.withdraw(&self.how.id, self.attempt).await {
                // It never got there, is over, or is somebody else's.
                Err(Failure::Refused(problem)) if problem.code == ProblemCode::NotFound => Ok(None),
                answer => answer.map(Some),
            }
        })
        .await
    }
}
