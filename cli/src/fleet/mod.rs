//! The fleet that a command works on: from the fleet file, or from what other programs know.

mod file;
#[cfg(feature = "fuzz")]
pub mod fuzzing;
mod lines;
mod sources;
mod values;

use std::path::{Path, PathBuf};

use partition_agent_proto::fleet::Fleet;

use crate::exit::Failure;
use file::FleetFile;
use sources::read_file;

pub use sources::Source;

/// Where agents listen that nobody gave another port.
const DEFAULT_PORT: u16 = 7433;

/// Where the fleet file is without `--fleet`.
const USUAL: [&str; 2] = ["fleet.toml", "/etc/partition-agent/fleet.toml"];

/// A fleet that makes sense.
#[derive(Debug)]
pub struct Loaded {
    pub fleet: Fleet,
    /// The bearer token of its agents.
    pub token_file: Option<PathBuf>,
    /// Where it comes from, for people.
    pub described: String,
}

/// From the source, or without one from the fleet file.
///
/// # Errors
/// All that is wrong with it, a line each.
pub async fn load(source: Option<&Source>) -> Result<Loaded, Failure> {
    match source {
        None => from_file(usual()?).await,
        Some(Source::File(path)) => from_file(path).await,
        Some(source) => {
            let found = source.ask(DEFAULT_PORT).await;
            let found = found.map_err(|why| Failure::Failed(format!("{source}: {why}")))?;
            let fleet = Fleet { hosts: found.hosts, groups: found.groups, ..Fleet::default() };
            let mistakes = fleet.check().iter().map(ToString::to_string).collect::<Vec<_>>();
            let described = source.to_string();
            if mistakes.is_empty() {
                Ok(Loaded { fleet, token_file: None, described })
            } else {
                Err(unusable(&described, &mistakes))
            }
        }
    }
}

fn usual() -> Result<&'static Path, Failure> {
    let there = USUAL.iter().map(Path::new).find(|path| path.exists());
    there.ok_or_else(|| {
        let [here, system] = USUAL;
        Failure::Failed(format!(
            "there is no fleet: no ./{here} and no {system}; write one, or name another source with --fleet"
        ))
    })
}

async fn from_file(path: &Path) -> Result<Loaded, Failure> {
    let text = read_file(path).map_err(|why| Failure::Failed(format!("{}: {why}", path.display())))?;
    let mut described = path.display().to_string();
    let wrong = |mistakes: Vec<String>| unusable(&path.display().to_string(), &mistakes);
    let mut file = FleetFile::read(path, &text).map_err(wrong)?;
    for source in std::mem::take(&mut file.from) {
        let found = source.ask(file.port).await;
        file.add(&source, found);
        described = format!("{described}, {source}");
    }
    let (fleet, token_file) = file.checked().map_err(wrong)?;
    Ok(Loaded { fleet, token_file, described })
}

fn unusable(what: &str, mistakes: &[String]) -> Failure {
    let many = if let [_] = mistakes { "a mistake" } else { "mistakes" };
    Failure::Failed(format!("{what} has {many}:\n{}", mistakes.join("\n")))
}
