//! What is written and told by somebody else's programs: markers and hooks.

use std::collections::BTreeMap;
use std::time::Duration;

use super::environment::Environment;
use super::got::{Got, Named};
use super::model::{Hook, Marker, Tell};
use super::raw::{RawHook, RawMarker};
use super::values::{Least, length, some, url};
use crate::mistakes::Mistakes;

const EVERY: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(2);
const SETTLE: Duration = Duration::from_secs(5);

/// What is written more often than that is a load test.
const SHORTEST_EVERY: Duration = Duration::from_millis(10);

pub fn markers(raw: Got<Named<RawMarker>>, mistakes: &mut Mistakes) -> BTreeMap<String, Marker> {
    let Some(Named(raw)) = raw.into_value() else { return BTreeMap::new() };
    let mut markers = BTreeMap::new();
    for (name, marker) in raw {
        let Some((line, raw)) = marker.there() else { continue };
        let key = |key: &str| format!("marker {name}: {key}");
        let write = raw.write.needed(line, &key("add `write`, the command that writes it"), mistakes);
        let read =
            raw.read.needed(line, &key("add `read`, the command that prints all that are there"), mistakes);
        let every_line = raw.every.line().unwrap_or(line);
        let every = length(&key("every"), raw.every, EVERY, Least::Something, mistakes);
        if !every.is_zero() && every < SHORTEST_EVERY {
            mistakes.add(every_line, key("every: write 10ms at least"));
        }
        let timeout = length(&key("timeout"), raw.timeout, TIMEOUT, Least::Something, mistakes);
        let settle = length(&key("settle"), raw.settle, SETTLE, Least::Nothing, mistakes);
        let expendable = raw.expendable.into_value().unwrap_or_default();
        let from = raw.from.there().and_then(|from| some(&key("from"), from, mistakes));
        let from = from.map(|from| from.to_ascii_lowercase());
        let write = write.and_then(|write| some(&key("write"), write, mistakes));
        let read = read.and_then(|read| some(&key("read"), read, mistakes));
        if let (Some(write), Some(read)) = (write, read) {
            markers.insert(name, Marker { write, read, every, timeout, from, settle, expendable });
        }
    }
    markers
}

pub fn hooks(
    raw: Got<Vec<Got<RawHook>>>,
    environment: Environment<'_>,
    mistakes: &mut Mistakes,
) -> Vec<Hook> {
    let mut hooks = Vec::new();
    for hook in raw.into_value().into_iter().flatten() {
        let Some((line, RawHook { on, slack, command })) = hook.there() else { continue };
        let on =
            on.needed(line, "a hook is told of something: add `on`, as `on: [started, finished]`", mistakes);
        let on = on.map(|(line, on)| {
            if on.0.is_empty() {
                mistakes.add(line, "on: an empty list: the hook would be told of nothing");
            }
            on.into_values()
        });
        let tell = match (slack, command) {
            (Got::Missing, Got::Missing) => {
                mistakes.add(line, "a hook tells somebody: add `slack` or `command`");
                None
            }
            (Got::Missing, command) => {
                command.there().and_then(|command| some("command", command, mistakes)).map(Tell::Command)
            }
            (slack, Got::Missing) => {
                let like = "https://hooks.slack.com/services/...";
                slack
                    .there()
                    .and_then(|slack| url("slack", slack, like, environment, mistakes))
                    .map(Tell::Slack)
            }
            (_, command) => {
                let line = command.line().unwrap_or(line);
                mistakes.add(line, "slack and command are two hooks: write each by itself");
                None
            }
        };
        if let (Some(on), Some(tell)) = (on, tell) {
            hooks.push(Hook { on, tell });
        }
    }
    hooks
}
