//! The agent's log: a line for each step of a fault's life, with its id.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

use clap::ValueEnum;
use nix::sys::stat::fstat;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// How a log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people, on standard error
    Human,
    /// An object a line, on standard error
    Json,
    /// Into systemd's journal, with a field for each value: `journalctl PARTITION_AGENT_ID=cut`
    Journal,
}

/// Begins the log. Without a format it is the journal's where standard error goes there, else people's.
///
/// # Errors
/// There is no journal.
pub fn begin(format: Option<Format>) -> io::Result<()> {
    let format = format.unwrap_or_else(|| if goes_to_journal() { Format::Journal } else { Format::Human });
    let to_stderr = fmt::layer().with_writer(io::stderr).with_target(false);
    let layer = match format {
        Format::Human => to_stderr.with_ansi(colours()).boxed(),
        Format::Json => to_stderr.json().flatten_event(true).boxed(),
        Format::Journal => tracing_journald::layer()?
            .with_field_prefix(Some("PARTITION_AGENT".to_owned()))
            .with_syslog_identifier("partition-agent".to_owned())
            .boxed(),
    };
    let levels = levels(std::env::var("RUST_LOG").ok().as_deref());
    tracing_subscriber::registry().with(layer.with_filter(levels)).init();
    Ok(())
}

/// RUST_LOG asks for more, by level and module; filters on fields of spans would take a regular expression engine along. One that is
/// empty asks for nothing, and is no reason to be silent.
fn levels(asked: Option<&str>) -> Targets {
    let asked = asked.filter(|levels| !levels.trim().is_empty()).and_then(|levels| levels.parse().ok());
    asked.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO))
}

fn colours() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// systemd says which file the journal reads from; a shell in between may have put another one there (systemd.exec(5), JOURNAL_STREAM).
fn goes_to_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    fstat(io::stderr().as_fd()).is_ok_and(|stderr| stream == format!("{}:{}", stderr.st_dev, stderr.st_ino))
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn more_is_logged_where_that_is_asked_for_and_never_nothing_by_accident() {
        let keeper = "partition_agent_core::keeper";
        for (asked, info, debug) in [
            (None, true, false),
            (Some(""), true, false),
            (Some(" "), true, false),
            (Some("keeper=much"), true, false),
            (Some("debug"), true, true),
            (Some("info,partition_agent_core::keeper=debug"), true, true),
            (Some("info,partition_agent_core::dns=debug"), true, false),
            (Some("off"), false, false),
        ] {
            let levels = levels(asked);
            let would = |level| levels.would_enable(keeper, &level);
            assert_eq!((would(Level::INFO), would(Level::DEBUG)), (info, debug), "{asked:?}");
        }
    }
}
