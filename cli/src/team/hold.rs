//! Holds a fault with a lease in force: renews it on every host, for as long as this command lives. Whatever ends the command,
//! or cuts it off from a host, the kernel of each host ends the fault there.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget};
use partition_agent_proto::{End, FaultId, FaultStatus, ProblemCode, Span};
use tokio::time::Instant;

use super::fan_out::fan_out;
use super::members::Member;
use super::progress::{Progress, Step};
use crate::client::Client;
use crate::exit::Failure;
use crate::interrupt::Interrupt;
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
    /// It is over everywhere, and somewhere before its time.
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
    failing: bool,
}

impl AsRef<Member> for Host {
    fn as_ref(&self) -> &Member {
        &self.member
    }
}

/// What a host says.
enum Said {
    Renewed(Box<FaultStatus>),
    /// It ends there.
    Draining,
    /// It is over; how, where that is still known.
    Over(Option<End>),
}

pub async fn hold(
    members: Vec<Member>,
    id: &FaultId,
    lease: Span,
    interrupt: &mut Interrupt,
    json: bool,
) -> Result<Held, Failure> {
    let lease = lease.duration();
    let now = Instant::now();
    let host = |member| Host { member, next: now, end: now + lease, failing: false };
    let mut hosts =
        members.into_iter().map(|member| (member.name.clone(), host(member))).collect::<BTreeMap<_, _>>();
    let bar = ProgressBar::new_spinner();
    if json || !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    let mut ends = BTreeMap::<String, String>::new();
    let mut lost = false;
    while let Some(next) = hosts.values().map(|host| host.next).min() {
        tokio::select! {
            () = interrupt.comes() => return Ok(finish(&bar, Held::Interrupted)),
            () = tokio::time::sleep_until(next) => {}
        }
        let asked = Instant::now();
        let due = hosts.values().filter(|host| host.next <= asked).collect::<Vec<_>>();
        let quiet = Progress::new([], true);
        // Longer than this would keep the others from being renewed in time.
        let answers =
            fan_out(&due, lease / RENEWALS, &quiet, Step::Asked, |host| ask(&host.member.client, id));
        let answers = tokio::select! {
            () = interrupt.comes() => return Ok(finish(&bar, Held::Interrupted)),
            answers = answers => answers,
        };
        for (name, answer) in answers {
            let Some(host) = hosts.get_mut(&name) else { continue };
            match answer {
                Ok(Said::Renewed(fault)) => {
                    if std::mem::take(&mut host.failing) {
                        say(&bar, &format!("{name}: {id} is renewed again"));
                    }
                    let left = Duration::from_millis(fault.remaining_ms);
                    let leased = fault.lease_remaining_ms.map_or(left, Duration::from_millis);
                    (host.next, host.end) = (asked + (left + AFTER).min(lease / RENEWALS), asked + leased);
                    bar.set_message(format!("{id}: renewed, {} left", render::remaining(fault.remaining_ms)));
                    bar.tick();
                }
                Ok(Said::Draining) => host.next = asked + DRAINING,
                Ok(Said::Over(end)) => {
                    hosts.remove(&name);
                    lost |= !matches!(end, Some(End::Deadline | End::Restored { .. }));
                    let end = end.map_or("over, and not known how".to_owned(), |end| end.to_string());
                    ends.insert(name, end);
                }
                Err(failure) if Instant::now() >= host.end => {
                    hosts.remove(&name);
                    lost = true;
                    ends.insert(name, format!("lease lost, it could not be renewed ({failure})"));
                }
                Err(failure) => {
                    host.next = Instant::now() + lease / RETRIES;
                    if !std::mem::replace(&mut host.failing, true) {
                        let left = host.end.saturating_duration_since(Instant::now()).as_millis();
                        let left = render::remaining(u64::try_from(left).unwrap_or(u64::MAX));
                        say(
                            &bar,
                            &format!("{name}: {id} cannot be renewed, trying for another {left}: {failure}"),
                        );
                    }
                }
            }
        }
    }
    let held = finish(&bar, if lost { Held::Lost } else { Held::Over });
    if lost || !json {
        render::team::ended(id, &ends, lost)?;
    }
    Ok(held)
}

/// Renews it, or finds out how it ended.
async fn ask(client: &Client, id: &FaultId) -> Result<Said, Failure> {
    let gone = |failure: &Failure| matches!(failure, Failure::Refused(problem) if problem.code == ProblemCode::NotFound);
    match client.renew(id).await {
        Ok(fault) => Ok(Said::Renewed(Box::new(fault))),
        Err(failure) if gone(&failure) => match client.fault(id).await {
            Ok(_) => Ok(Said::Draining),
            Err(failure) if gone(&failure) => Ok(Said::Over(how_it_ended(client, id).await?)),
            Err(failure) => Err(failure),
        },
        Err(failure) => Err(failure),
    }
}

/// The last fault of this id that is over.
pub async fn how_it_ended(client: &Client, id: &FaultId) -> Result<Option<End>, Failure> {
    let over = client.history(HISTORY).await?;
    Ok(over.into_iter().find(|over| over.id == *id).map(|over| over.end))
}

/// Beside the line that changes.
fn say(bar: &ProgressBar, what: &str) {
    bar.suspend(|| render::complain(&what));
}

fn finish(bar: &ProgressBar, held: Held) -> Held {
    bar.finish_and_clear();
    held
}
