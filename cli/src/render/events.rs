//! Events, one to a line.

use partition_agent_proto::Event;
use serde::Serialize;

use super::line as write_line;
use crate::exit::Failure;

/// An event, with the host that told it.
#[derive(Serialize)]
struct Told<'a> {
    host: &'a str,
    #[serde(flatten)]
    event: &'a Event,
}

/// For programs.
pub fn line(host: &str, event: &Event) -> Result<(), Failure> {
    let told = serde_json::to_string(&Told { host, event });
    write_line(&told.map_err(|error| Failure::Failed(error.to_string()))?)
}
