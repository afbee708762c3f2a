//! Completions: a script for the shell, which asks this program on every Tab what could come next. So it knows the faults that are
//! in force, and the hosts of the fleet.

mod candidates;
mod typed;

use std::path::Path;

use clap::CommandFactory;
use clap_complete::CompleteEnv;
use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};

use crate::args::{Args, Shell};
use crate::exit::Failure;

pub use candidates::{faults, hosts, interfaces, links, peers, profiles};

/// By which the shell's script says that it wants to know what could come next.
const ASKS: &str = "PARTITION_AGENT_COMPLETE";

/// Under this name whoever types it finds it, wherever it was installed.
const NAME: &str = "partition-agent";

/// The script, for the shell to read.
pub fn script(shell: Shell) -> Result<String, Failure> {
    let (completer, more): (&dyn EnvCompleter, &str) = match shell {
        Shell::Bash => (&Bash, include_str!("words.bash")),
        Shell::Zsh => (&Zsh, ""),
        Shell::Fish => (&Fish, ""),
    };
    let mut script = Vec::new();
    completer.write_registration(ASKS, NAME, NAME, NAME, &mut script)?;
    script.extend(more.as_bytes());
    String::from_utf8(script).map_err(|error| Failure::Failed(error.to_string()))
}

/// Answers a shell's script. False: nobody asked, and this is a command like any other.
pub fn answered() -> Result<bool, Failure> {
    let directory = std::env::current_dir().ok();
    CompleteEnv::with_factory(Args::command)
        .var(ASKS)
        .try_complete(std::env::args_os(), directory.as_deref().map(Path::new))
        .map_err(|error| Failure::Failed(error.to_string()))
}
