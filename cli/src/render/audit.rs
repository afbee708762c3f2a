//! Who asked for what, and what became of it.

use partition_agent_proto::{AuditEntry, AuditRequest, FaultId, legible};

use super::{line, table, team};
use crate::exit::Failure;
use crate::team::fan_out::Answers;

const HEAD: [&str; 5] = ["AT", "BY", "WHAT", "ID", "MORE"];

/// One a line.
pub fn entries(entries: &[AuditEntry]) -> Result<(), Failure> {
    if entries.is_empty() {
        return line("nobody has asked for anything yet");
    }
    table(&HEAD, entries.iter().map(cells).collect())
}

/// Of every host, newest first.
pub fn of_hosts(answers: &Answers<Vec<AuditEntry>>) -> Result<(), Failure> {
    let answered = answers.iter().filter_map(|(name, answer)| Some((name, answer.as_ref().ok()?)));
    let rows = answered.flat_map(|(name, entries)| entries.iter().map(move |entry| (name, cells(entry))));
    let mut rows = rows.collect::<Vec<_>>();
    rows.sort_by(|(_, one), (_, other)| other[0].cmp(&one[0]));
    let rows = rows.into_iter().map(|(name, cells)| [vec![name.clone()], cells.to_vec()].concat());
    let rows = rows.collect::<Vec<_>>();
    if rows.is_empty() {
        line("nobody has asked for anything yet")?;
    } else {
        table(&[&["HOST"], &HEAD[..]].concat(), rows)?;
    }
    team::failures(answers);
    Ok(())
}

/// Every one of them legible: what strangers have sent, or whoever asked for a fault, must not move the cursor of who reads it.
fn cells(entry: &AuditEntry) -> [String; 5] {
    written(entry).map(|cell| legible(&cell).collect())
}

fn written(entry: &AuditEntry) -> [String; 5] {
    match entry {
        AuditEntry::Asked(asked) => {
            let what = format!("asks: {}", request(asked));
            [
                asked.at.clone(),
                who(asked),
                what,
                id(asked.id.as_ref()),
                asked.fault.clone().unwrap_or_default(),
            ]
        }
        AuditEntry::Answered(answered) => {
            let status = answered.status.map(|status| status.to_string()).unwrap_or_default();
            let until = answered.until.as_ref().map(|until| format!("until {until}"));
            let more = [Some(status), answered.why.clone(), answered.fault.clone(), until];
            let more = more.into_iter().flatten().collect::<Vec<_>>().join(", ");
            [answered.at.clone(), who(answered), request(answered), id(answered.id.as_ref()), more]
        }
        AuditEntry::Event { at, id, kind, text } => {
            let what = format!("{kind:?}").to_lowercase();
            [at.clone(), "agent".to_owned(), what, id.to_string(), text.clone()]
        }
        AuditEntry::More { at, count } => {
            let what = format!("{count} more without a line");
            [at.clone(), String::new(), what, String::new(), String::new()]
        }
    }
}

/// With where it came from, unless that is who it is.
fn who(request: &AuditRequest) -> String {
    let AuditRequest { by, from, .. } = request;
    if from == "unix" || by.contains(from) { by.clone() } else { format!("{by} from {from}") }
}

fn request(request: &AuditRequest) -> String {
    format!("{} {}", request.method, request.path).trim_end().to_owned()
}

fn id(id: Option<&FaultId>) -> String {
    id.map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An agent of long ago, or one that is somebody else's, may send anything.
    #[test]
    fn no_cell_moves_the_cursor() {
        let bad = "a\u{1b}[2J\u{9b}m\u{202e}b\nc";
        let request = AuditRequest {
            at: bad.to_owned(),
            by: bad.to_owned(),
            from: bad.to_owned(),
            method: bad.to_owned(),
            path: bad.to_owned(),
            id: None,
            fault: Some(bad.to_owned()),
            until: Some(bad.to_owned()),
            status: Some(200),
            why: Some(bad.to_owned()),
        };
        let (id, kind) = ("cut".parse().unwrap(), partition_agent_proto::EventKind::Failed);
        for entry in [
            AuditEntry::Asked(request.clone()),
            AuditEntry::Answered(request),
            AuditEntry::Event { at: bad.to_owned(), id, kind, text: bad.to_owned() },
            AuditEntry::More { at: bad.to_owned(), count: 1 },
        ] {
            for cell in cells(&entry) {
                assert!(!cell.contains(|c: char| c.is_control() || c == '\u{202e}'), "{cell:?}");
            }
            assert!(cells(&entry)[0].contains(r"\u{1b}[2J\u{9b}m\u{202e}b\nc"));
        }
    }
}
