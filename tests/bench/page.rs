//! Fills `docs/benchmarks.md` with what was measured last: what is between its two markers, and nothing else.

use std::fmt::Write;

use crate::record::Record;
use crate::{QUESTIONS, netem_key, read, repository, show};

const BEGIN: &str = "<!-- begin: `tests/run bench` writes this from target/bench.json -->";
const END: &str = "<!-- end -->";

pub fn fill() -> Result<(), String> {
    let record = read(&Record::path())?;
    if record.runs.is_empty() {
        return Err(format!("{} has nothing: run the benchmark first", Record::path().display()));
    }
    let path = repository().join("docs/benchmarks.md");
    let told = |error: std::io::Error| format!("{}: {error}", path.display());
    let page = std::fs::read_to_string(&path).map_err(told)?;
    let filled = filled(&page, &record).ok_or_else(|| format!("{} has no markers", path.display()))?;
    std::fs::write(&path, filled).map_err(told)
}

fn filled(page: &str, record: &Record) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    let mut text = format!("{before}{BEGIN}\n");
    for question in &QUESTIONS {
        let both = [question.name.to_owned(), netem_key(question.name)];
        let runs = both.iter().filter_map(|name| record.runs.get(name)).collect::<Vec<_>>();
        if runs.is_empty() {
            continue;
        }
        let _ = write!(text, "\n## {}\n\n`tests/run bench {}`\n", question.asks, question.name);
        for run in runs {
            let _ = write!(text, "\n{}\n", show::place(run));
            for table in &run.tables {
                let _ = write!(text, "\n{}", show::markdown(table));
            }
        }
    }
    let _ = write!(text, "\n{END}{after}");
    Some(text)
}
