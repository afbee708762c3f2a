//! What an agent tells as it happens: server-sent events (HTML, 9.2).

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use partition_agent_proto::Event;
use tokio::time::{Instant, timeout_at};

/// Three comments of the agent, which come every 15 s: then it is gone, or the way to it is cut.
const SILENCE: Duration = Duration::from_secs(45);

/// Far more than an event has, in bytes.
const LONGEST: usize = 1 << 20;

/// One thing that happened.
#[derive(Debug, PartialEq)]
pub enum News {
    Event(Event),
    /// This listener was too slow, and some are lost.
    Missed,
}

/// A stream of them.
pub struct Events {
    body: Incoming,
    read: Vec<u8>,
    /// When something came for the last time, comments too.
    heard: Instant,
}

impl Events {
    pub fn of(body: Incoming) -> Self {
        Self { body, read: Vec::new(), heard: Instant::now() }
    }

    /// The next one; none where the stream has ended or is silent. Cancel-safe: what was read stays.
    pub async fn next(&mut self) -> Option<News> {
        loop {
            while let Some(block) = block(&mut self.read) {
                if let Some(news) = news(&block) {
                    return Some(news);
                }
            }
            if self.read.len() > LONGEST {
                return None;
            }
            // From then on, not from now: who asks may have given up waiting, again and again.
            let frame = timeout_at(self.heard + SILENCE, self.body.frame()).await.ok()??.ok()?;
            self.heard = Instant::now();
            if let Ok(bytes) = frame.into_data() {
                self.read.extend_from_slice(&bytes);
            }
        }
    }
}

/// Takes all lines up to an empty one, if that is here.
fn block(read: &mut Vec<u8>) -> Option<String> {
    let end = read.windows(2).position(|two| two == b"\n\n")?;
    let rest = read.split_off(end + 2);
    let block = std::mem::replace(read, rest);
    Some(String::from_utf8_lossy(&block).into_owned())
}

/// Comments are none, nor is what a newer agent tells.
fn news(block: &str) -> Option<News> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::trim_start);
    match field("event:") {
        Some("missed") => Some(News::Missed),
        Some(_) => None,
        None => Some(News::Event(serde_json::from_str(field("data:")?).ok()?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDED: &str = r#"data: {"at":"2026-11-22T07:03:46.896Z","id":"slow","kind":"ended","text":"out of force: deadline"}"#;

    #[test]
    fn events_come_whole_however_they_are_cut() {
        let stream =
            format!(":\n\n{ENDED}\n\nevent: missed\ndata: 7\n\ndata: {{\"kind\":\"novel\"}}\n\n{ENDED}\n");
        let (mut read, mut found) = (Vec::new(), Vec::new());
        for byte in stream.bytes() {
            read.push(byte);
            while let Some(block) = block(&mut read) {
                found.push(news(&block));
            }
        }
        let ids = found.iter().map(|news| match news {
            Some(News::Event(event)) => event.id.to_string(),
            Some(News::Missed) => "missed".to_owned(),
            None => "nothing".to_owned(),
        });
        // The last one has no end yet.
        assert_eq!(ids.collect::<Vec<_>>(), ["nothing", "slow", "missed", "nothing"]);
        assert_eq!(read, format!("{ENDED}\n").into_bytes());
    }
}
