//! Questions that an agent asks from its host. The way to the agent is not part of the question, so a silent one is told as such.

use std::time::Duration;

use partition_agent_proto::{How, ReachRequest, ReachTarget, Span};
use url::Url;

use super::dial::Dial;
use super::http::judge_status;
use crate::gameday::excerpt::excerpt;
use crate::gameday::file::Ask;
use crate::team::Member;

/// The most that an agent waits.
const MOST: Duration = Duration::from_secs(10);

/// For the way to the agent and back, on top of the question itself.
const WAY: Duration = Duration::from_secs(1);

/// What an agent can be asked to ask.
pub struct Errand {
    at: Dial,
    how: How,
    /// For `http`; any success, if there is none.
    status: Vec<u16>,
    /// Of the question itself.
    timeout: Duration,
}

/// Whether agents can ask this: `tcp`, and the status of `http`.
///
/// # Errors
/// What they cannot do, and what to do about it.
pub fn can_ask(ask: &Ask) -> Result<(), String> {
    Errand::new(ask, MOST).map(drop)
}

impl Errand {
    /// # Errors
    /// As those of [`can_ask`].
    pub fn new(ask: &Ask, timeout: Duration) -> Result<Self, String> {
        let cannot = |what: &str| {
            Err(format!(
                "agents cannot ask {what}, only tcp and the status of http: leave `from` out, and it is asked from here"
            ))
        };
        match ask {
            Ask::Tcp(at) => {
                Ok(Self { at: at.parse()?, how: How::Tcp, status: Vec::new(), timeout: timeout.min(MOST) })
            }
            Ask::Http { json: Some(_), .. } => cannot("what is in an answer (json)"),
            Ask::Http { body: Some(_), .. } => cannot("with a body"),
            Ask::Http { headers, .. } if !headers.is_empty() => cannot("with headers"),
            Ask::Http { url, status, .. } => {
                let url = url.parse::<Url>().map_err(|error| format!("the URL: {error}"))?;
                if url.scheme() != "http" {
                    return cannot("over TLS");
                }
                let host = url.host_str().ok_or("the URL has no host")?.trim_matches(['[', ']']);
                let port = url.port_or_known_default().ok_or("the URL has no port")?;
                let path = url[url::Position::BeforePath..url::Position::AfterQuery].to_owned();
                Ok(Self {
                    at: Dial::new(host, port),
                    how: How::Http { path },
                    status: status.clone(),
                    // Once for the connection, once for the answer.
                    timeout: timeout.min(MOST) / 2,
                })
            }
            Ask::Dns { .. } => cannot("dns"),
            Ask::Command { .. } => cannot("by a command"),
            Ask::Prometheus { .. } => cannot("Prometheus"),
            Ask::Redis { .. } => cannot("redis"),
            Ask::Postgresql { .. } => cannot("postgresql"),
            Ask::Nats { .. } => cannot("nats"),
        }
    }

    /// How long it may take, with the way to the agent.
    pub fn patience(&self) -> Duration {
        match self.how {
            How::Host | How::Tcp => self.timeout + WAY,
            How::Http { .. } => self.timeout * 2 + WAY,
        }
    }

    /// Names are looked up here: agents are given addresses. The first one counts.
    pub async fn ask(&self, member: &Member) -> Result<String, String> {
        let patience = self.patience();
        let answer = tokio::time::timeout(patience, self.answer(member)).await;
        answer.unwrap_or_else(|_| {
            Err(format!("the agent of {} does not answer within {patience:?}", member.name))
        })
    }

    async fn answer(&self, member: &Member) -> Result<String, String> {
        let target = self.at.addresses().await?.first().copied().ok_or("it stands for no address")?;
        let request = ReachRequest {
            round: fastrand::u64(..=ReachRequest::LAST_ROUND),
            from: 0,
            count: 1,
            every: ReachRequest::default_every(),
            timeout: Span::new(self.timeout).map_err(|error| error.to_string())?,
            targets: vec![ReachTarget {
                to: 1,
                address: target.ip(),
                port: target.port(),
                how: self.how.clone(),
            }],
        };
        let reached = member.client.reach(&request).await;
        let reached = reached
            .map_err(|failure| format!("the agent of {}: {}", member.name, excerpt(&failure.to_string())))?;
        let reach = reached.first().ok_or("the agent tells of nothing")?;
        match (reach.status, reach.connected) {
            (Some(status), _) => judge_status(status, &self.status),
            (None, Some(true)) if self.how == How::Tcp => Ok("connected".to_owned()),
            (None, _) => Err(reach.error.as_deref().map_or_else(|| "no connection".to_owned(), excerpt)),
        }
    }
}

#[cfg(test)]
mod tests;
