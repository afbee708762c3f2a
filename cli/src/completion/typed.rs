//! What was typed so far: which agent, or which fleet, it is about.

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches};

use crate::args::{Args, FleetArgs};
use crate::client::{Access, AgentAddress};
use crate::tls::TlsFiles;

/// As far as it makes sense already.
pub struct Typed {
    pub access: Access,
    pub fleet: FleetArgs,
}

/// None: not even so much can be told.
pub fn typed() -> Option<Typed> {
    // The shell's script puts the line after a `--`, and it begins with the name of the program.
    typed_in(std::env::args_os().skip_while(|word| word != "--").skip(1))
}

fn typed_in(line: impl Iterator<Item = OsString>) -> Option<Typed> {
    let matches = Args::command().ignore_errors(true).try_get_matches_from(line).ok()?;
    Some(Typed {
        access: Access {
            agent: matches.try_get_one::<AgentAddress>("agent").ok()?.cloned(),
            token_file: matches.try_get_one("token_file").ok()?.cloned(),
            tls: TlsFiles::from_arg_matches(&matches).ok()?,
        },
        fleet: FleetArgs::from_arg_matches(&matches).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Typed {
        typed_in(line.split(' ').map(OsString::from)).expect("it is a line")
    }

    #[test]
    fn half_a_command_says_whom_it_is_about() {
        let socket = Some("unix:/x".parse().expect("an address"));
        for line in [
            "partition-agent --agent unix:/x restore ",
            "partition-agent restore --agent unix:/x cut",
            "partition-agent restore --agent unix:/x --nonsense ",
            "partition-agent inject --agent unix:/x --loss 1% --pe",
        ] {
            assert_eq!(of(line).access.agent, socket, "{line}");
        }
        for line in
            ["partition-agent --fleet f.toml inject --on ", "partition-agent inject --fleet f.toml --on @e"]
        {
            let fleet = of(line).fleet;
            assert_eq!(fleet.source.map(|source| source.to_string()).as_deref(), Some("f.toml"), "{line}");
        }
    }
}
