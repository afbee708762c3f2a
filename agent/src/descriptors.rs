//! As many file descriptors as the agent may have, and whether they are enough: out of them, nobody could ask for a restore.

use std::io;

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};

use crate::api::LOCAL_CONNECTIONS;

/// Beside connections: 256 of a DNS fault's askers, 32 names and 32 probes at once, and some 30 for the keeper, its files, its
/// sockets to the kernel and the runtime. 512 connections over TCP and this many fit into 1,024, a usual limit.
const RESERVE: u64 = 384;

/// Why the agent does not run.
#[derive(Debug, thiserror::Error)]
pub enum DescriptorError {
    #[error("cannot raise the limit of open files (RLIMIT_NOFILE): {0}")]
    Limit(#[from] io::Error),
    #[error(
        "this process may open {hard} files, and {over_tcp} connections over TCP take {needed} with what the agent needs itself: raise \
         the hard limit (LimitNOFILE={needed} in the unit, `ulimit -Hn {needed}` in a shell of root), or lower `most_connections` to \
         {fits}"
    )]
    FewerConnections { hard: u64, needed: u64, over_tcp: u64, fits: u64 },
    #[error(
        "this process may open {hard} files, and the agent needs {needed}: raise the hard limit (LimitNOFILE={needed} in the unit, \
         `ulimit -Hn {needed}` in a shell of root)"
    )]
    Few { hard: u64, needed: u64 },
}

/// Raises the soft limit to the hard one, for connections over TCP as well, 0 of them where the agent does not listen there; and for
/// one to each host of the fleet that it shows.
///
/// # Errors
/// The hard one is too low.
pub fn claim(over_tcp: usize, fleet: usize) -> Result<(), DescriptorError> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(io::Error::from)?;
    if soft != hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(io::Error::from)?;
    }
    judge(hard, over_tcp, fleet)
}

fn judge(hard: u64, over_tcp: usize, fleet: usize) -> Result<(), DescriptorError> {
    let [over_tcp, local, fleet] =
        [over_tcp, LOCAL_CONNECTIONS, fleet].map(|most| u64::try_from(most).unwrap_or(RLIM_INFINITY));
    let own = local.saturating_add(fleet).saturating_add(RESERVE);
    let needed = own.saturating_add(over_tcp);
    if hard >= needed {
        return Ok(());
    }
    match hard.saturating_sub(own) {
        0 => Err(DescriptorError::Few { hard, needed }),
        fits => Err(DescriptorError::FewerConnections { hard, needed, over_tcp, fits }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn connections_fit_into_what_may_be_open() {
        for (hard, over_tcp, fleet, refusal) in [
            (1_024, Config::default().most_connections, 0, None),
            (8_192, 4_096, 0, None),
            (8_192, 4_096, 1_000, None),
            (RLIM_INFINITY, 4_096, 1_000, None),
            (448, 0, 0, None),
            (1_024, 4_096, 0, Some("4096 connections over TCP take 4544")),
            (1_024, 4_096, 0, Some("lower `most_connections` to 576")),
            (1_024, 577, 0, Some("LimitNOFILE=1025 in the unit")),
            (448, 1, 0, Some("the agent needs 449")),
            (256, 0, 0, Some("may open 256 files, and the agent needs 448")),
            (1_024, 512, 100, Some("lower `most_connections` to 476")),
            (448, 0, 10, Some("the agent needs 458")),
        ] {
            match (judge(hard, over_tcp, fleet).map_err(|error| error.to_string()), refusal) {
                (done, None) => assert_eq!(done, Ok(()), "{hard} {over_tcp} {fleet}"),
                (done, Some(words)) => {
                    assert!(done.as_ref().is_err_and(|text| text.contains(words)), "{done:?}")
                }
            }
        }
    }
}
