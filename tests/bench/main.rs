//! The numbers behind the promise, ours and those of others, in one run: `tests/run bench`, or some of the questions: `tests/run bench
//! inject end`. What takes netem is asked on this kernel if it has that, and otherwise in the VM.

mod bed;
mod emulator;
mod fleet;
mod heal;
mod idle;
mod inject;
mod leftovers;
mod machine;
mod many;
mod measured;
mod page;
mod parts;
mod peers;
mod record;
mod show;
mod ssh;
mod tool;
mod vm;
mod watch;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use machine::Machine;
use parts::{PARTS, millis, percentile};
use record::{Record, Run, Table};

/// One question.
struct Question {
    name: &'static str,
    asks: &'static str,
    here: Option<fn() -> Vec<Table>>,
    netem: Option<fn() -> Vec<Table>>,
}

/// In the order in which they are asked.
const QUESTIONS: [Question; 1] = [Question {
    name: "inject",
    asks: "How fast is a fault in force?",
    here: Some(inject::run),
    netem: Some(inject::run_netem),
}];

/// The arguments that are not for people.
const WRITE: &str = "--write";

fn main() -> ExitCode {
    leftovers::clear_on_panic();
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    let done = match arguments.as_slice() {
        [verb] if verb == WRITE => page::fill(),
        [verb, names @ ..] if verb == vm::VERB => ask_netem(names),
        [verb, count] if verb == fleet::VERB => {
            fleet::agents(count);
            Ok(())
        }
        [verb, rest @ ..] if verb == measured::VERB => return measured::between(rest),
        names => ask(names),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// Everything, here and in the VM.
fn ask(names: &[String]) -> Result<(), String> {
    let of_parts = |name: &String| PARTS.iter().any(|(part, _)| part == name);
    let (parts, asked) = names.iter().cloned().partition::<Vec<_>, _>(of_parts);
    let questions = if asked.is_empty() && !parts.is_empty() { Vec::new() } else { chosen(&asked)? };
    for (_, run) in PARTS.iter().filter(|(part, _)| names.is_empty() || parts.iter().any(|name| name == part))
    {
        run();
    }
    let mut record = read(&Record::path())?;
    for question in &questions {
        if let Some(run) = question.here {
            keep(&mut record, question.name.to_owned(), answer(run, false));
        }
    }
    let with_netem = questions.iter().filter(|question| question.netem.is_some());
    let names = with_netem.map(|question| question.name).collect::<Vec<_>>();
    for (name, run) in if names.is_empty() { Record::default() } else { vm::ask(&names)? }.runs {
        keep(&mut record, name, run);
    }
    Ok(())
}

/// On a kernel with netem, of which the one who asked reads the answers from a file.
fn ask_netem(names: &[String]) -> Result<(), String> {
    let [path, names @ ..] = names else { return Err("where to?".to_owned()) };
    let mut record = Record::default();
    for question in chosen(names)? {
        let Some(run) = question.netem else { continue };
        let run = answer(run, vm::is_emulated());
        record.runs.insert(netem_key(question.name), run);
        record.write(Path::new(path)).map_err(|error| format!("{path}: {error}"))?;
    }
    Ok(())
}

fn answer(run: fn() -> Vec<Table>, emulated: bool) -> Run {
    let begun = Instant::now();
    let tables = run();
    Run { machine: Machine::this(emulated), seconds: begun.elapsed().as_secs_f64(), tables }
}

/// At once: whatever comes next may fail.
fn keep(record: &mut Record, name: String, run: Run) {
    println!("\n{name}: {}", show::place(&run));
    for table in &run.tables {
        print!("{}", show::plain(table));
    }
    record.runs.insert(name, run);
    record.write(&Record::path()).unwrap_or_else(|error| eprintln!("{}: {error}", Record::path().display()));
}

fn read(path: &Path) -> Result<Record, String> {
    Record::read(path).map_err(|error| format!("{}: {error}; delete it", path.display()))
}

fn chosen(names: &[String]) -> Result<Vec<&'static Question>, String> {
    let known = QUESTIONS.iter().map(|question| question.name);
    let known = known.chain(PARTS.map(|(part, _)| part)).collect::<Vec<_>>();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(format!("there is no question `{unknown}`: the benchmark has {}", known.join(", ")));
    }
    let is_chosen = |question: &&Question| names.is_empty() || names.iter().any(|name| name == question.name);
    Ok(QUESTIONS.iter().filter(is_chosen).collect())
}

/// Of the answers to a question that took netem.
fn netem_key(name: &str) -> String {
    format!("{name} with netem")
}

/// The top of the source tree that this was built of.
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are in it").to_owned()
}

/// Where `tests/run` installs the Python tools of tests/bench/requirements.txt.
fn python_tools() -> PathBuf {
    repository().join("target/tools/bench-python")
}
