//! What is printed. Plain text for people, JSON for programs; nothing else in the program writes to standard output.

pub mod audit;
pub mod ca;
pub mod cuts;
pub mod events;
mod fleet;
pub mod lab;
pub mod matrix;
pub mod report;
pub mod team;

use std::io::{self, BufWriter, Write};
use std::time::Duration;

use partition_agent_proto::{
    Check, Coverage, End, FaultStatus, Feature, History, Profile, Rate, Span, State, Verdict, steers,
};
use serde::Serialize;

use crate::exit::Failure;

pub use fleet::fleet;

/// Writes to standard output. A reader that has had enough (`| head`) is no error.
pub fn write(text: &str) -> Result<(), Failure> {
    written(io::stdout().write_all(text.as_bytes()))
}

/// Without what a terminal would obey: others have a say in it.
pub fn visible(text: &str) -> String {
    text.replace(steers, " ")
}

/// A line of a text that goes on; false: nobody reads it any more.
pub fn offer(line: &str) -> Result<bool, Failure> {
    match writeln!(io::stdout(), "{line}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        done => done.map(|()| true).map_err(Failure::from),
    }
}

fn written(done: io::Result<()>) -> Result<(), Failure> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done.map_err(Failure::from),
    }
}

/// What went wrong, on standard error; where nobody reads that, the exit status has to do.
pub fn complain(what: &dyn std::fmt::Display) {
    let _ = writeln!(io::stderr(), "partition-agent: {what}");
}

/// More of the same, a line further in.
pub fn complain_more(what: &str) {
    let _ = writeln!(io::stderr(), "  {what}");
}

/// A step of something that is under way.
pub fn progress(what: &str) {
    let _ = writeln!(io::stderr(), "{what}");
}

/// A line of text.
pub fn line(text: &str) -> Result<(), Failure> {
    write(&format!("{text}\n"))
}

/// The answer as the API gave it. Those of a thousand hosts are megabytes, so it is not put together first.
pub fn json<T: Serialize>(answer: &T) -> Result<(), Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    let done = serde_json::to_writer_pretty(&mut out, answer).map_err(io::Error::from);
    written(done.and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()))
}

/// Rounded to what people read: tenths of a second below ten seconds, else whole seconds.
pub fn remaining(millis: u64) -> String {
    let unit = if millis < 9_950 { 100 } else { 1_000 };
    let rounded = Duration::from_millis((millis + unit / 2) / unit * unit);
    if rounded < Duration::from_secs(10) {
        return format!("{}s", rounded.as_secs_f64());
    }
    Span::new(rounded).map_or_else(|_| "0s".to_owned(), |span| span.to_string())
}

/// A fault that was just injected.
pub fn injected(fault: &FaultStatus) -> Result<(), Failure> {
    write(&told(fault))
}

/// A fault that is in force: with what it has hit, and its plan.
pub fn standing(fault: &FaultStatus) -> Result<(), Failure> {
    let plan = fault.plan.as_deref().unwrap_or_default().trim_end();
    write(&format!("{}  hit       {:#}\n{plan}\n", told(fault), fault.hits))
}

fn told(fault: &FaultStatus) -> String {
    let mut more = String::new();
    if fault.addresses > fault.first_addresses.len() {
        more = format!(" and {} more", fault.addresses - fault.first_addresses.len());
    }
    // A fault on names acts on no interface.
    let places = fault.places.iter().map(|place| match (place.name.as_str(), place.interfaces.join(", ")) {
        (name, interfaces) if interfaces.is_empty() => name.to_owned(),
        ("host", interfaces) => interfaces,
        (name, interfaces) => format!("{interfaces} of {name}"),
    });
    let places = places.collect::<Vec<_>>().join("; ");
    let addresses = format!("{}{more}", fault.first_addresses.join(", "));
    let hits = if addresses.is_empty() { places } else { format!("{addresses}, on {places}") };
    let engine = fault.engine.map(|engine| format!("shaped by {engine}\n  ")).unwrap_or_default();
    format!(
        "{id}: {spec}\n  \
         hits      {hits}\n  {engine}\
         ends      in {left}, at {ends}, by the kernel; `partition-agent restore {id}` ends it now\n{lease}  \
         protects  {protects}\n  \
         verdict   {verdict}\n",
        id = fault.id,
        spec = fault.spec,
        left = remaining(fault.remaining_ms),
        ends = fault.ends_at,
        lease = lease(fault),
        protects = fault.protects.join(", "),
        verdict = fault.verdict,
    )
}

/// A line of its own, where it has one.
fn lease(fault: &FaultStatus) -> String {
    let line = |lease: Span| match fault.lease_remaining_ms.map(remaining) {
        Some(left) => format!("  lease     {lease}; the kernel ends it in {left} if nobody renews it\n"),
        None => format!("  lease     {lease}\n"),
    };
    fault.spec.lease.map(line).unwrap_or_default()
}

/// What a command that stays does from here on.
pub fn renewing(lease: Span) -> Result<(), Failure> {
    let every = remaining(u64::try_from(lease.duration().as_millis() / 3).unwrap_or(u64::MAX));
    line(&format!(
        "  renewing  every {every}, as long as this command runs; Ctrl-C ends the fault, and the kernel does {lease} after the \
         last renewal"
    ))
}

/// A fault whose lease begins anew.
pub fn renewed(fault: &FaultStatus) -> Result<(), Failure> {
    match fault.lease_remaining_ms {
        Some(left) => {
            let left = remaining(left);
            line(&format!("{}: renewed; the kernel ends it in {left} if nobody renews it again", fault.id))
        }
        None => line(&format!("{}: its lease begins with its start", fault.id)),
    }
}

/// The time until its deadline, and until nobody has renewed it.
fn left(fault: &FaultStatus) -> String {
    let left = remaining(fault.remaining_ms);
    match fault.lease_remaining_ms {
        Some(lease) => format!("{left} (lease {})", remaining(lease)),
        None => left,
    }
}

/// The plan of a fault that was not injected.
pub fn plan(fault: &FaultStatus) -> Result<(), Failure> {
    write(&format!("# {}: nothing was changed\n{}", fault.spec, fault.plan.as_deref().unwrap_or_default()))
}

/// A fault that was just restored.
pub fn restored(fault: &FaultStatus) -> Result<(), Failure> {
    let how = match fault.state {
        State::Restored => match &fault.as_before {
            Some(Verdict::Confirmed) => {
                "restored; nothing of it is left; all else is as it was before".to_owned()
            }
            Some(Verdict::Mismatch { found }) => {
                format!("restored; nothing of it is left; what else changed meanwhile: {found}")
            }
            Some(Verdict::Inconclusive { .. }) | None => "restored; nothing of it is left".to_owned(),
        },
        State::Restoring => "out of force; packets that it delayed are on their way".to_owned(),
        State::Pending | State::Prepared | State::Waiting | State::Active | State::Stuck => {
            format!("{}: {}", fault.state, fault.verdict)
        }
    };
    line(&format!("{}: {how}", fault.id))
}

/// The faults, one a line.
pub fn faults(faults: &[FaultStatus]) -> Result<(), Failure> {
    if faults.is_empty() {
        return line("no faults");
    }
    let rows = faults.iter().map(|fault| {
        [
            fault.id.to_string(),
            fault.state.to_string(),
            left(fault),
            fault.hits.to_string(),
            verdict(fault),
            fault.spec.to_string(),
        ]
    });
    table(&["ID", "STATE", "LEFT", "HITS", "VERDICT", "FAULT"], rows.collect())
}

/// With the faults that take packets away from this one.
fn verdict(fault: &FaultStatus) -> String {
    if fault.shadowed_by.is_empty() {
        return fault.verdict.to_string();
    }
    let by = fault.shadowed_by.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    format!("{}, behind {by}", fault.verdict)
}

/// The faults that are over, one a line.
pub fn history(over: &[History]) -> Result<(), Failure> {
    if over.is_empty() {
        return line("no faults yet");
    }
    let rows = over.iter().map(|fault| {
        [
            fault.id.to_string(),
            fault.injected_at.clone(),
            fault.ended_at.clone(),
            fault.by.clone(),
            fault.end.to_string(),
            hit(fault),
            as_before(fault.as_before.as_ref()),
            fault.spec.to_string(),
        ]
    });
    table(&["ID", "INJECTED", "ENDED", "BY", "END", "HIT", "AS BEFORE", "FAULT"], rows.collect())
}

/// An agent that dies takes its counters with it.
fn hit(over: &History) -> String {
    match over.end {
        End::AgentDied => "not known".to_owned(),
        End::Deadline
        | End::LeaseLost
        | End::Restored { .. }
        | End::Shutdown
        | End::Vanished { .. }
        | End::Expired
        | End::Missed
        | End::Failed { .. } => over.hits.to_string(),
    }
}

fn as_before(as_before: Option<&Verdict>) -> String {
    match as_before {
        Some(Verdict::Confirmed) => "yes".to_owned(),
        Some(Verdict::Mismatch { found }) => format!("no: {found}"),
        Some(Verdict::Inconclusive { .. }) | None => "not known".to_owned(),
    }
}

/// The links that people know.
pub fn profiles(profiles: &[Profile]) -> Result<(), Failure> {
    let rows = profiles.iter().map(|profile| {
        [
            profile.name.to_owned(),
            Rate::new(profile.down_kbit * 1_000)
                .map_or_else(|error| error.to_string(), |rate| rate.to_string()),
            Rate::new(profile.up_kbit * 1_000)
                .map_or_else(|error| error.to_string(), |rate| rate.to_string()),
            format!("{}ms", profile.rtt_ms),
            format!("{}ms", profile.jitter_ms),
            format!("{}%", f64::from(profile.loss_millipercent) / 1_000.0),
            profile.source.to_owned(),
        ]
    });
    table(&["PROFILE", "DOWN", "UP", "RTT", "JITTER", "LOSS", "SOURCE"], rows.collect())
}

/// Which faults can be had where, and by what: a column for each scope, with reasons by number.
pub fn coverage(coverage: &[Coverage]) -> Result<(), Failure> {
    let scopes = each(coverage.iter().map(|row| row.scope.as_str()));
    let reasons = each(coverage.iter().filter_map(|row| row.why_not.as_deref()));
    let faults = each(coverage.iter().map(|row| (row.kind.as_str(), row.engine.as_str())));
    let cell = |kind: &str, engine: &str, scope: &str| {
        let of = |row: &&Coverage| row.kind == kind && row.engine == engine && row.scope == scope;
        match coverage.iter().find(of).map(|row| row.why_not.as_deref()) {
            Some(None) => "works".to_owned(),
            Some(Some(why)) => {
                format!("no: {}", 1 + reasons.iter().position(|reason| *reason == why).unwrap_or_default())
            }
            None => String::new(),
        }
    };
    let row = |(kind, engine): &(&str, &str)| {
        let scopes = scopes.iter().map(|scope| cell(kind, engine, scope));
        [(*kind).to_owned(), (*engine).to_owned()].into_iter().chain(scopes).collect::<Vec<_>>()
    };
    let letters = ["A", "B", "C", "D", "E", "F", "G", "H"];
    let head = ["KIND", "ENGINE"].into_iter().chain(letters.into_iter().take(scopes.len()));
    table(&head.collect::<Vec<_>>(), faults.iter().map(row).collect())?;
    let mut text = String::from("\n");
    for (letter, scope) in letters.iter().zip(scopes) {
        text.push_str(&format!("{letter}: {scope}\n"));
    }
    for (nth, reason) in reasons.iter().enumerate() {
        text.push_str(&format!("{}: {reason}\n", nth + 1));
    }
    write(&text)
}

/// Each once, in the order of the first.
pub fn each<T: PartialEq>(all: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut unique = Vec::new();
    for one in all {
        if !unique.contains(&one) {
            unique.push(one);
        }
    }
    unique
}

/// What the kernel can do.
pub fn features(kernel: &str, features: &[Feature]) -> Result<(), Failure> {
    let mut text = format!("kernel {kernel}\n");
    for feature in features {
        match &feature.check {
            Check::Works => text.push_str(&format!("  works    {}: {}\n", feature.name, feature.needed_for)),
            Check::Missing { why, fix } => {
                text.push_str(&format!("  MISSING  {}: {}\n", feature.name, feature.needed_for));
                text.push_str(&format!("           {why}\n           {fix}\n"));
            }
        }
    }
    write(&text)
}

fn table<Row: AsRef<[String]>>(head: &[&str], rows: Vec<Row>) -> Result<(), Failure> {
    let mut widths = head.iter().map(|cell| cell.len()).collect::<Vec<_>>();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row.as_ref()) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let head = head.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
    let mut text = String::new();
    for row in std::iter::once(head.as_slice()).chain(rows.iter().map(AsRef::as_ref)) {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    write(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_is_short() {
        assert_eq!(remaining(0), "0s");
        assert_eq!(remaining(4_987), "5s");
        assert_eq!(remaining(4_320), "4.3s");
        assert_eq!(remaining(9_990), "10s");
        assert_eq!(remaining(61_400), "1m1s");
    }

    #[test]
    fn what_a_dead_agent_counted_is_not_known() {
        let over = |end: &str| {
            let json = format!(
                r#"{{"id":"a","spec":{{"kinds":[{{"loss":{{"percent":1}}}}],"target":{{"ports":[1]}}}},"by":"me",
                    "injected_at":"then","ended_at":"now","end":{{"by":"{end}"}},"hits":{{}}}}"#
            );
            hit(&serde_json::from_str(&json).unwrap())
        };
        assert_eq!([over("agent_died"), over("deadline")], ["not known", "none"]);
    }
}
