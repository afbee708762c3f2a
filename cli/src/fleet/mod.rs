//! The fleet that a command works on: from the fleet file, or from what other programs know.

mod file;
#[cfg(feature = "fuzz")]
pub mod fuzzing;
mod lab;
mod lines;
mod sources;
mod values;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use partition_agent_proto::fleet::Fleet;

use crate::client::is_tls;
use crate::exit::Failure;
use crate::tls::TlsFiles;
use file::FleetFile;
use sources::{Usual, read_file};

pub use file::file_schema;
pub use lab::LabServer;
pub use partition_agent_core::fleet::DEFAULT_PORT;
pub use sources::Source;
pub use values::Text;

/// Where the fleet file is without `--fleet`.
const USUAL: [&str; 2] = ["fleet.toml", "/etc/partition-agent/fleet.toml"];

/// A fleet that makes sense.
#[derive(Debug)]
pub struct Loaded {
    pub fleet: Fleet,
    /// The bearer token of its agents.
    pub token_file: Option<PathBuf>,
    /// Whom to believe that it is one of its agents, and what to show to it.
    pub tls: TlsFiles,
    /// Where it comes from, for people.
    pub described: String,
    /// What runs on its hosts in a lab, by name. Nobody else looks at it.
    pub servers: BTreeMap<String, LabServer>,
    /// The directory of the fleet file; the current one, where there is no file.
    pub directory: PathBuf,
}

/// Whether there is a fleet file where nobody has to name it.
pub fn is_there() -> bool {
    USUAL.iter().any(|path| Path::new(path).exists())
}

/// From the source, or without one from the fleet file. With TLS, all of its agents are asked over it.
///
/// # Errors
/// All that is wrong with it, a line each.
pub async fn load(source: Option<&Source>, tls: bool) -> Result<Loaded, Failure> {
    match source {
        None => from_file(usual()?, tls).await,
        Some(Source::File(path)) => from_file(path, tls).await,
        Some(source) => {
            let found = source.ask(Usual { port: DEFAULT_PORT, tls }).await;
            let found = found.map_err(|why| Failure::Failed(format!("{source}: {why}")))?;
            let fleet = Fleet { hosts: found.hosts, groups: found.groups, ..Fleet::default() };
            let mut mistakes = fleet.check().iter().map(ToString::to_string).collect::<Vec<_>>();
            if tls {
                mistakes.extend(in_the_clear(&fleet).map(|(_, mistake)| mistake));
            }
            let described = source.to_string();
            if mistakes.is_empty() {
                Ok(Loaded {
                    fleet,
                    token_file: None,
                    tls: TlsFiles::default(),
                    described,
                    servers: BTreeMap::new(),
                    directory: PathBuf::new(),
                })
            } else {
                Err(unusable(&described, &mistakes))
            }
        }
    }
}

/// Agents that somebody named by a URL without TLS, in a fleet with it: a token would be told to whoever reads along.
fn in_the_clear(fleet: &Fleet) -> impl Iterator<Item = (String, String)> {
    fleet.hosts.iter().filter_map(|(name, host)| {
        let url = host.agent.as_deref().filter(|url| !is_tls(url))?;
        let what =
            format!("hosts.{name}.agent: {url} is not TLS, which this fleet is asked over: write https://");
        Some((name.clone(), what))
    })
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

async fn from_file(path: &Path, tls: bool) -> Result<Loaded, Failure> {
    let text = read_file(path).map_err(|why| Failure::Failed(format!("{}: {why}", path.display())))?;
    let wrong = |mistakes: Vec<String>| unusable(&path.display().to_string(), &mistakes);
    let mut file = FleetFile::read(path, &text, tls).map_err(wrong)?;
    for source in std::mem::take(&mut file.from) {
        let found = source.ask(file.usual).await;
        file.add(&source, found);
    }
    file.checked().map_err(wrong)
}

fn unusable(what: &str, mistakes: &[String]) -> Failure {
    let many = if let [_] = mistakes { "a mistake" } else { "mistakes" };
    Failure::Failed(format!("{what} has {many}:\n{}", mistakes.join("\n")))
}
