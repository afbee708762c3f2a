//! Who asked for what, and what became of it.

use partition_agent_proto::{AuditEntry, AuditRequest, FaultId};

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

fn cells(entry: &AuditEntry) -> [String; 5] {
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
            let more = more.into_iter().flatten().map(|text| plain(&text)).collect::<Vec<_>>().join(", ");
            [answered.at.clone(), who(answered), request(answered), id(answered.id.as_ref()), more]
        }
        AuditEntry::Event { at, id, kind, text } => {
            let what = format!("{kind:?}").to_lowercase();
            [at.clone(), "agent".to_owned(), what, id.to_string(), plain(text)]
        }
        AuditEntry::More { at, count } => {
            let what = format!("{count} more without a line");
            [at.clone(), String::new(), what, String::new(), String::new()]
        }
    }
}

/// With where it came from, unless that is who it is.
fn who(request: &AuditRequest) -> String {
    let (by, from) = (plain(&request.by), plain(&request.from));
    if from == "unix" || by.contains(&from) { by } else { format!("{by} from {from}") }
}

fn request(request: &AuditRequest) -> String {
    plain(format!("{} {}", request.method, request.path).trim_end())
}

fn id(id: Option<&FaultId>) -> String {
    id.map(ToString::to_string).unwrap_or_default()
}

/// What strangers have sent must not move the cursor of who reads it.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
