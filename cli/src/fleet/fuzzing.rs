//! Every text that hosts come from, each with a function for `tests/fuzz`.

use std::path::Path;

use futures_util::FutureExt;

use partition_agent_proto::fleet::Fleet;

use super::DEFAULT_PORT;
use super::file::FleetFile;
use super::sources::{self, Source, Usual};

/// `fleet.toml`: a fleet without mistakes, or mistakes with their lines.
pub fn fleet_file(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let checked = FleetFile::read(Path::new("fleet.toml"), &text, false).and_then(FleetFile::checked);
    match checked {
        Ok(loaded) => assert!(loaded.fleet.check().is_empty()),
        Err(mistakes) => {
            assert!(!mistakes.is_empty());
            assert!(mistakes.iter().all(|mistake| mistake.starts_with("fleet.toml:")), "{mistakes:?}");
        }
    }
}

/// The name of a source, a line feed, and its answer.
pub fn hosts(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (kind, text) = text.split_once('\n').unwrap_or((&text, ""));
    if let Ok(source) = kind.parse::<Source>() {
        let written = source.to_string();
        assert_eq!(written.parse::<Source>().as_ref(), Ok(&source), "{written}");
    }
    // Names would be looked up: only answers that are there at once count here.
    let gathered = sources::fuzz(kind, text).now_or_never();
    if let Some(Ok(gathered)) = gathered {
        let found = gathered.found(Usual { port: DEFAULT_PORT, tls: false });
        let fleet = Fleet { hosts: found.hosts, groups: found.groups, ..Fleet::default() };
        assert!(fleet.check().iter().all(|mistake| !mistake.to_string().is_empty()));
    }
}
