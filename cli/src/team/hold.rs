//! Holds a fault with a lease in force: renews it on every host, for as long as this command lives. Whatever ends the command,
//! or cuts it off from a host, the kernel of each host ends the fault there.

use std::collections::BTreeMap;
use std::time::Duration;

use partition_agent_proto::{End, FaultId, FaultStatus, ProblemCode, Span};
use tokio::time::Instant;

use super::fan_out::fan_out;
use super::members::Member;
use super::progress::{Progress, Step};
use crate::client::Client;
use crate::exit::Failure;
use crate::render;

/// A lease is renewed so many times before it is over, and where that fails, so many more times.
pub const RENEWALS: u32 = 3;
pub const RETRIES: u32 = 12;

/// How much later than its deadline a fault is asked for.
const AFTER: Duration = Duration::from_millis(100);

/// How often a fault is asked for whose packets are on their way.
const DRAINING: Duration = Duration::from_millis(500);

/// How much of an agent's history is looked through for the end of a fault.
const HISTORY: usize = 64;

/// Why a fault is not held any longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// It is over everywhere, by its deadline or because somebody restored it.
    Over,
    /// It is over everywhere, and somewhere before its time: told by the agent there; or nobody answered, and by now the lease of
    /// the last renewal that may have arrived is over, too.
    Lost,
    Interrupted,
}

/// A host where it is not over.
struct Host {
    member: Member,
    /// When to ask next.
    next: Instant,
    /// When its kernel ends the fault, as far as is known here.
    end: Instant,
    /// The same, if all that was not answered has arrived: where only the answers are cut off, each try renews it.
    may_end: Instant,
    failing: bool,
    /// It is not renewed any more.
    given_up: bool,
}

impl AsRef<Member> for Host {
    fn as_ref(&self) -> &Member {
        &self.member
    }
}

/// What a host says.
enum Said {
    Renewed(Box<FaultStatus>),
    /// It is still there, and ends.
    Draining,
    /// It is over; how, where that is still known.
    Over(Option<End>),
}

/// Who hears what becomes of it meanwhile.
pub trait Listener {
    /// Renewed on some host; milliseconds until its deadline.
    fn renewed(&self, left_ms: u64);
    /// Something that somebody may have to do something about.
    fn warn(&self, what: &str);
}

/// Until it is over on every host, or until `stop`: how each of them says that it ended.
pub async fn hold(
    members: Vec<Member>,
    id: &FaultId,
    lease: Span,
    mut stop: impl AsyncFnMut(),
    listener: &impl Listener,
) -> (Held, BTreeMap<String, String>) {
    let lease = lease.duration();
    let now = Instant::now();
    let end = now + lease;
    let host = |member| Host { member, next: now, end, may_end: end, failing: false, given_up: false };
    let mut hosts =
        members.into_iter().map(|member| (member.name.clone(), host(member))).collect::<BTreeMap<_, _>>();
    let mut ends = BTreeMap::<String, String>::new();
    let mut lost = false;
    while let Some(next) = hosts.values().map(|host| host.next).min() {
        tokio::select! {
            () = stop() => return (Held::Interrupted, ends),
            () = tokio::time::sleep_until(next) => {}
        }
        let asked = Instant::now();
        let due = hosts.values().filter(|host| host.next <= asked).collect::<Vec<_>>();
        let quiet = Progress::new([], true);
        // Longer than this would keep the others from being renewed in time.
        let answers = fan_out(&due, lease / RENEWALS, &quiet, Step::Asked, |host| async {
            let client = &host.member.client;
            if host.given_up { see(client, id).await } else { ask(client, id).await }
        });
        let answers = tokio::select! {
            () = stop() => return (Held::Interrupted, ends),
            answers = answers => answers,
        };
        for (name, answer) in answers {
            let Some(host) = hosts.get_mut(&name) else { continue };
            match answer {
                Ok(Said::Renewed(fault)) => {
                    if std::mem::take(&mut host.failing) {
                        listener.warn(&format!("{name}: {id} is renewed again"));
                    }
                    let left = Duration::from_millis(fault.remaining_ms);
                    let leased = fault.lease_remaining_ms.map_or(left, Duration::from_millis).min(lease);
                    (host.next, host.end) = (asked + (left + AFTER).min(lease / RENEWALS), asked + leased);
                    host.may_end = host.end;
                    listener.renewed(fault.remaining_ms);
                }
                Ok(Said::Draining) => host.next = asked + DRAINING,
                Ok(Said::Over(end)) => {
                    hosts.remove(&name);
                    lost |= !matches!(end, Some(End::Deadline | End::Restored { .. }));
                    let end = end.map_or("over, and not known how".to_owned(), |end| end.to_string());
                    ends.insert(name, end);
                }
                Err(failure) => {
                    let now = Instant::now();
                    if !host.given_up && may_have_arrived(&failure) {
                        host.may_end = now + lease;
                    }
                    if now >= host.may_end {
                        hosts.remove(&name);
                        lost = true;
                        ends.insert(name, format!("lease lost, it could not be renewed ({failure})"));
                        continue;
                    }
                    host.next = (now + lease / RETRIES).min(host.may_end);
                    if !std::mem::replace(&mut host.failing, true) {
                        let left = left(now, host.end);
                        listener.warn(&format!(
                            "{name}: {id} cannot be renewed, trying for another {left}: {failure}"
                        ));
                    }
                    if now >= host.end && !std::mem::replace(&mut host.given_up, true) {
                        let left = left(now, host.may_end);
                        listener.warn(&format!(
                            "{name}: {id} cannot be renewed: the kernel there ends it within {left}"
                        ));
                    }
                }
            }
        }
    }
    (if lost { Held::Lost } else { Held::Over }, ends)
}

/// Renews it, or finds out how it ended.
async fn ask(client: &Client, id: &FaultId) -> Result<Said, Failure> {
    match client.renew(id).await {
        Ok(fault) => Ok(Said::Renewed(Box::new(fault))),
        Err(failure) if is_gone(&failure) => see(client, id).await,
        Err(failure) => Err(failure),
    }
}

/// Finds out whether it is over there, and how it ended.
async fn see(client: &Client, id: &FaultId) -> Result<Said, Failure> {
    match client.fault(id).await {
        Ok(_) => Ok(Said::Draining),
        Err(failure) if is_gone(&failure) => Ok(Said::Over(how_it_ended(client, id).await?)),
        Err(failure) => Err(failure),
    }
}

fn is_gone(failure: &Failure) -> bool {
    matches!(failure, Failure::Refused(problem) if problem.code == ProblemCode::NotFound)
}

/// Whether a question that has no answer may have been heard all the same.
fn may_have_arrived(failure: &Failure) -> bool {
    match failure {
        Failure::Unreachable { nobody_listens, .. } => !nobody_listens,
        // An answer that makes no sense is one to a question that was heard.
        Failure::Failed(_) => true,
        Failure::Refused(_) | Failure::Usage(_) => false,
    }
}

/// For people.
fn left(now: Instant, then: Instant) -> String {
    let left = then.saturating_duration_since(now).as_millis();
    render::remaining(u64::try_from(left).unwrap_or(u64::MAX))
}

/// The last fault of this id that is over.
pub async fn how_it_ended(client: &Client, id: &FaultId) -> Result<Option<End>, Failure> {
    let over = client.history(HISTORY).await?;
    Ok(over.into_iter().find(|over| over.id == *id).map(|over| over.end))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use partition_agent_proto::Problem;

    use super::*;

    #[test]
    fn a_question_without_an_answer_may_have_been_heard() {
        let unreachable = |nobody_listens| {
            let (at, why, hint) = (String::new(), String::new(), Cow::Borrowed(""));
            Failure::Unreachable { at, why, hint, nobody_listens }
        };
        assert!(may_have_arrived(&Failure::unanswered("h1".to_owned(), Duration::from_secs(1))));
        assert!(may_have_arrived(&unreachable(false)));
        assert!(!may_have_arrived(&unreachable(true)), "a dead agent's faults are over");
        let refused = Problem::new(ProblemCode::KernelRefused, "no".to_owned());
        assert!(!may_have_arrived(&refused.into()));
    }
}
