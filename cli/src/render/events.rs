//! Events, one to a line.

use partition_agent_proto::Event;
use serde::Serialize;

use super::offer;
use crate::exit::Failure;

/// An event, with the host that told it.
#[derive(Serialize)]
struct Told<'a> {
    host: &'a str,
    #[serde(flatten)]
    event: &'a Event,
}

/// For programs; false: nobody reads it any more.
pub fn line(host: &str, event: &Event) -> Result<bool, Failure> {
    let told = serde_json::to_string(&Told { host, event });
    offer(&told.map_err(|error| Failure::Failed(error.to_string()))?)
}
