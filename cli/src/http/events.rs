//! The stream of an agent's events.

use std::io::{Error, ErrorKind};

use futures_util::StreamExt;
use hyper::body::Incoming;
use partition_agent_proto::Event;
use sse_stream::SseStream;

/// What happened to faults, as it happens.
pub struct Events(SseStream<Incoming>);

/// One thing that a stream says.
#[derive(Debug)]
pub enum Heard {
    Event(Event),
    /// So many events were lost, because this listener was too slow.
    Missed(u64),
}

impl Events {
    pub fn new(body: Incoming) -> Self {
        Self(SseStream::new(body))
    }

    /// None: the agent has ended the stream.
    pub async fn next(&mut self) -> Option<Result<Heard, Error>> {
        loop {
            let told = match self.0.next().await? {
                Ok(told) => told,
                Err(error) => return Some(Err(Error::other(error))),
            };
            let Some(data) = told.data else { continue };
            let heard = match told.event.as_deref() {
                None => serde_json::from_str(&data).map(Heard::Event).map_err(|error| error.to_string()),
                Some("missed") => data.parse().map(Heard::Missed).map_err(|error| format!("missed: {error}")),
                // Of an agent that is newer than this program.
                Some(_) => continue,
            };
            return Some(heard.map_err(|why| Error::new(ErrorKind::InvalidData, why)));
        }
    }
}
