//! What became of a command on many hosts.

use std::collections::BTreeMap;

use partition_agent_proto::{End, FaultId, FaultStatus, History, State, Verdict};
use serde::Serialize;

use super::{complain, json, line, remaining, table, write};
use crate::exit::{Failure, in_a_line};
use crate::team::fan_out::Answers;
use crate::team::heal::Healed;
use crate::team::offset::Spread;
use crate::team::start::Outcome;

/// Names on a line, before the rest is counted.
const NAMES: usize = 8;

/// `3 hosts: a, b, c`.
fn hosts<'a>(names: impl ExactSizeIterator<Item = &'a String>) -> String {
    let count = names.len();
    let first = names.take(NAMES).cloned().collect::<Vec<_>>().join(", ");
    let more = if count > NAMES { format!(" and {} more", count - NAMES) } else { String::new() };
    format!("{count} {}: {first}{more}", if count == 1 { "host" } else { "hosts" })
}

/// A start, in JSON.
#[derive(Serialize)]
pub struct Report<'a> {
    id: &'a FaultId,
    /// By host: the fault as it is in force there.
    hosts: &'a BTreeMap<String, FaultStatus>,
    /// By host: why it did not start there, or kept it from starting anywhere.
    failed: BTreeMap<&'a String, String>,
    /// By host: why it could not be told to forget the instant; it may have started.
    unknown: BTreeMap<&'a String, String>,
    /// It was in force somewhere, and has been restored.
    was_in_force: bool,
    spread: Option<Spread>,
}

impl<'a> Report<'a> {
    pub fn new(id: &'a FaultId, outcome: &'a Outcome) -> Self {
        Self {
            id,
            hosts: &outcome.started,
            failed: reasons(&outcome.failed),
            unknown: reasons(&outcome.unknown),
            was_in_force: outcome.was_in_force,
            spread: outcome.spread,
        }
    }
}

fn reasons(failures: &BTreeMap<String, Failure>) -> BTreeMap<&String, String> {
    failures.iter().map(|(name, failure)| (name, failure.to_string())).collect()
}

/// What a host answered, or why not, in JSON.
#[derive(Serialize)]
#[serde(untagged)]
enum Told<'a, T> {
    Answer(&'a T),
    Nothing { error: String },
}

/// By host, in JSON.
pub fn by_host<T: Serialize>(answers: &Answers<T>) -> Result<(), Failure> {
    let each = answers.iter().map(|(name, answer)| {
        let told = match answer {
            Ok(answer) => Told::Answer(answer),
            Err(failure) => Told::Nothing { error: failure.to_string() },
        };
        (name, told)
    });
    json(&each.collect::<BTreeMap<_, _>>())
}

/// A start.
pub fn outcome(
    id: &FaultId,
    what: &str,
    asked: usize,
    outcome: &Outcome,
    flags: &str,
) -> Result<(), Failure> {
    if let Some(first) = outcome.started.values().next() {
        let together = match outcome.spread {
            Some(spread) if outcome.started.len() > 1 => format!(", within {spread}"),
            Some(_) | None => String::new(),
        };
        let left = outcome.started.values().map(|fault| fault.remaining_ms).max().unwrap_or_default();
        write(&format!(
            "{id}: {what}\n  \
             on        {on}\n  \
             started   on all of them{together}\n  \
             ends      in {left}, at {ends}, by the kernel of each; `partition-agent restore {id}{flags}` ends it now\n  \
             verdict   {verdict}\n",
            on = hosts(outcome.started.keys()),
            left = remaining(left),
            ends = first.ends_at,
            verdict = verdicts(&outcome.started),
        ))?;
    }
    if outcome.failed.is_empty() {
        return Ok(());
    }
    let count = outcome.failed.len();
    let headline = match (outcome.started.is_empty(), outcome.was_in_force) {
        (false, _) => format!("{id} is in force on {} of {asked} hosts", outcome.started.len()),
        (true, false) => format!("nothing was started: {count} of {asked} hosts did not agree"),
        (true, true) => format!("{id} did not start everywhere, so it was restored everywhere"),
    };
    complain(&headline);
    list(&outcome.failed);
    for (name, failure) in &outcome.unknown {
        complain(&format!(
            "{name} was told the instant and then no more: if its agent lives, {id} is in force there until its kernel ends \
             it ({})",
            failure.in_a_line()
        ));
    }
    Ok(())
}

fn list(failures: &BTreeMap<String, Failure>) {
    for (name, failure) in failures {
        super::complain_more(&format!("{name}: {}", failure.in_a_line()));
    }
}

fn verdicts(started: &BTreeMap<String, FaultStatus>) -> String {
    let other = started.iter().filter(|(_, fault)| fault.verdict != Verdict::Confirmed);
    let other = other.map(|(name, fault)| format!("{name}: {}", fault.verdict)).collect::<Vec<_>>();
    if other.is_empty() { "confirmed on all of them".to_owned() } else { other.join("; ") }
}

/// A start that was interrupted.
pub fn withdrawn(id: &FaultId, left: &Answers<Option<FaultStatus>>) -> Result<(), Failure> {
    let unknown = left.iter().filter_map(|(name, answer)| Some((name, answer.as_ref().err()?)));
    let unknown =
        unknown.map(|(name, failure)| format!("{name} ({})", failure.in_a_line())).collect::<Vec<_>>();
    let taken = left.values().filter(|answer| matches!(answer, Ok(Some(_)))).count();
    if unknown.is_empty() {
        let of = left.len();
        return line(&format!(
            "{id}: interrupted; taken back on {taken} of {of} hosts, nothing that this command has put anywhere is left"
        ));
    }
    complain(&format!(
        "{id}: interrupted; not told to forget it: {}; their kernels end it",
        unknown.join(", ")
    ));
    Ok(())
}

/// A fault that is over everywhere, by how it ended where.
pub fn ended(id: &FaultId, ends: &BTreeMap<String, String>, lost: bool) -> Result<(), Failure> {
    let mut by_end = BTreeMap::<String, Vec<&String>>::new();
    for (name, end) in ends {
        by_end.entry(in_a_line(end)).or_default().push(name);
    }
    for (end, names) in by_end {
        let text = format!("{id}: over: {end}, on {}", hosts(names.into_iter()));
        if lost { complain(&text) } else { line(&text)? }
    }
    Ok(())
}

/// What every host would do.
pub fn plans(answers: &Answers<FaultStatus>, as_json: bool) -> Result<(), Failure> {
    if as_json {
        return by_host(answers);
    }
    for (name, answer) in answers {
        match answer {
            Ok(fault) => {
                line(&format!("## {name}"))?;
                super::plan(fault)?;
            }
            Err(failure) => complain(&format!("{name}: {}", failure.in_a_line())),
        }
    }
    Ok(())
}

/// What is in force, on every host.
pub fn faults(answers: &Answers<Vec<FaultStatus>>) -> Result<(), Failure> {
    let rows = answers.iter().filter_map(|(name, answer)| Some((name, answer.as_ref().ok()?)));
    let rows = rows.flat_map(|(name, faults)| {
        faults.iter().map(move |fault| {
            [
                name.clone(),
                fault.id.to_string(),
                fault.state.to_string(),
                super::left(fault),
                fault.hits.to_string(),
                super::verdict(fault),
                fault.spec.to_string(),
            ]
        })
    });
    let rows = rows.collect::<Vec<_>>();
    if rows.is_empty() {
        let answered = answers.values().filter(|answer| answer.is_ok()).count();
        line(&format!("no faults on {answered} of {} hosts", answers.len()))?;
    } else {
        table(&["HOST", "ID", "STATE", "LEFT", "HITS", "VERDICT", "FAULT"], rows)?;
    }
    silent(answers, answers);
    Ok(())
}

/// Who does not answer, and when its kernel will have healed it.
fn silent(answers: &Answers<Vec<FaultStatus>>, there: &Answers<Vec<FaultStatus>>) {
    let mut elsewhere = BTreeMap::<&FaultId, &FaultStatus>::new();
    for fault in there.values().filter_map(|answer| answer.as_ref().ok()).flatten() {
        let latest = elsewhere.entry(&fault.id).or_insert(fault);
        if latest.remaining_ms < fault.remaining_ms {
            *latest = fault;
        }
    }
    let last = elsewhere.values().max_by_key(|fault| fault.remaining_ms);
    for (name, failure) in answers.iter().filter_map(|(name, answer)| Some((name, answer.as_ref().err()?))) {
        let heals = match last {
            Some(fault) => format!(
                "what it has of {} its own kernel ends in {}, at {}, at the latest",
                elsewhere.keys().map(ToString::to_string).collect::<Vec<_>>().join(", "),
                remaining(fault.remaining_ms),
                fault.ends_at
            ),
            None => "whatever it may have, its own kernel ends it at its deadline".to_owned(),
        };
        match failure {
            Failure::Unreachable { .. } => {
                complain(&format!("{name} does not answer: {}\n  {heals}", failure.in_a_line()));
            }
            Failure::Refused(_) | Failure::Usage(_) | Failure::Failed(_) => {
                complain(&format!("{name}: {}", failure.in_a_line()));
            }
        }
    }
}

/// What is over, on every host, newest first.
pub fn history(answers: &Answers<Vec<History>>) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for (name, over) in answers.iter().filter_map(|(name, answer)| Some((name, answer.as_ref().ok()?))) {
        rows.extend(over.iter().map(|over| (over.ended_at.clone(), name, over)));
    }
    rows.sort_by(|one, other| other.0.cmp(&one.0));
    let rows = rows.into_iter().map(|(ended, name, over)| {
        let end: &End = &over.end;
        [
            name.clone(),
            over.id.to_string(),
            over.injected_at.clone(),
            ended,
            over.by.clone(),
            end.to_string(),
            super::hit(over),
            super::as_before(over.as_before.as_ref()),
            over.spec.to_string(),
        ]
    });
    let rows = rows.collect::<Vec<_>>();
    if rows.is_empty() {
        line("no faults yet")?;
    } else {
        table(&["HOST", "ID", "INJECTED", "ENDED", "BY", "END", "HIT", "AS BEFORE", "FAULT"], rows)?;
    }
    failures(answers);
    Ok(())
}

/// Who did not answer, and nothing more to say of it.
pub fn failures<T>(answers: &Answers<T>) {
    for (name, answer) in answers {
        if let Err(failure) = answer {
            complain(&format!("{name}: {}", failure.in_a_line()));
        }
    }
}

/// A heal: a line for each fault, with its hosts.
pub fn healed(healed: &Healed) -> Result<(), Failure> {
    let mut faults = BTreeMap::<&FaultId, BTreeMap<State, Vec<&String>>>::new();
    for (name, answer) in &healed.answers {
        for fault in answer.as_ref().ok().into_iter().flatten() {
            faults.entry(&fault.id).or_default().entry(fault.state).or_default().push(name);
        }
    }
    if faults.is_empty() {
        line("no faults")?;
    }
    for (id, states) in faults {
        let each = states.into_iter().map(|(state, names)| {
            let how = match state {
                State::Restored => "restored on",
                State::Restoring => "out of force, packets that it delayed are on their way, on",
                State::Active | State::Waiting | State::Prepared | State::Pending => "ends together on",
                State::Stuck => "stuck on",
            };
            format!("{how} {}", hosts(names.into_iter()))
        });
        line(&format!("{id}: {}", each.collect::<Vec<_>>().join("; ")))?;
    }
    if let Some(spread) = healed.spread {
        line(&format!("ended within {spread}"))?;
    }
    silent(&healed.answers, &healed.before);
    Ok(())
}
