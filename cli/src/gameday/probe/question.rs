//! What a probe asks, checked and ready to be asked.

use std::time::Duration;

use super::Place;
use super::dial::Dial;
use super::dns::Dns;
use super::http::Http;
use super::prometheus::Prometheus;
use super::{nats, postgresql, redis};
use crate::gameday::command::{self, Command};
use crate::gameday::excerpt::excerpt;
use crate::gameday::file::{Ask, Comparison, Probe};

/// One for each kind of [`Ask`].
pub enum Question {
    Http(Box<Http>),
    Tcp(Dial),
    Dns(Dns),
    Command { command: Command, stdout: Option<Comparison> },
    Prometheus(Box<Prometheus>),
    Redis { at: Dial, password: Option<String> },
    Postgresql(Dial),
    Nats(Dial),
}

/// For people: `http http://gateway:8080/healthz from client`. Without passwords, values of headers, and queries of URLs.
pub fn describe(probe: &Probe) -> String {
    let what = match Question::new("", probe, Place::Here) {
        Ok(Question::Http(http)) => format!("http {}", http.shown()),
        Ok(Question::Tcp(at)) => format!("tcp {at}"),
        Ok(Question::Dns(_) | Question::Command { .. }) | Err(_) => undialled(&probe.ask),
        Ok(Question::Prometheus(prometheus)) => {
            format!("{} at {}", undialled(&probe.ask), prometheus.shown())
        }
        Ok(Question::Redis { at, .. }) => format!("redis {at}"),
        Ok(Question::Postgresql(at)) => format!("postgresql {at}"),
        Ok(Question::Nats(at)) => format!("nats {at}"),
    };
    match &probe.from {
        Some(host) => format!("{what} from {host}"),
        None => what,
    }
}

/// Without an address that might be more than that.
fn undialled(ask: &Ask) -> String {
    match ask {
        Ask::Http { .. } => "http".to_owned(),
        Ask::Tcp(_) => "tcp".to_owned(),
        Ask::Dns { name, server: None } => format!("dns {name}"),
        Ask::Dns { name, server: Some(server) } => format!("dns {name} of {server}"),
        Ask::Command { command, .. } => format!("command {}", excerpt(command)),
        Ask::Prometheus { query, .. } => format!("prometheus {}", excerpt(query)),
        Ask::Redis { .. } => "redis".to_owned(),
        Ask::Postgresql { .. } => "postgresql".to_owned(),
        Ask::Nats { .. } => "nats".to_owned(),
    }
}

impl Question {
    /// Of the probe of this name, asked there.
    ///
    /// # Errors
    /// What is wrong with it, without anything that may be secret.
    pub fn new(name: &str, probe: &Probe, place: Place) -> Result<Self, String> {
        Ok(match &probe.ask {
            Ask::Http { url, headers, body, status, json } => {
                Self::Http(Box::new(Http::new(url, headers, body.as_deref(), status, json.as_ref())?))
            }
            Ask::Tcp(at) => Self::Tcp(at.parse()?),
            Ask::Dns { name, server } => Self::Dns(Dns::new(name, server.as_deref())?),
            Ask::Command { command, stdout, directory } => Self::Command {
                command: Command {
                    line: command.clone(),
                    place,
                    directory: directory.clone(),
                    environment: vec![
                        ("PROBE", name.to_owned()),
                        ("HOST", probe.from.clone().unwrap_or_default()),
                    ],
                    timeout: probe.timeout,
                    keep: command::KEPT,
                },
                stdout: stdout.clone(),
            },
            Ask::Prometheus { url, query, headers, value } => {
                Self::Prometheus(Box::new(Prometheus::new(url, query, headers, value)?))
            }
            Ask::Redis { at, password } => Self::Redis { at: at.parse()?, password: password.clone() },
            Ask::Postgresql { at } => Self::Postgresql(at.parse()?),
            Ask::Nats { at } => Self::Nats(at.parse()?),
        })
    }

    /// What was answered, or why it does not hold; in this time at most.
    pub async fn ask(&self, timeout: Duration) -> Result<String, String> {
        let answer = tokio::time::timeout(timeout, self.answer(timeout)).await;
        answer.unwrap_or_else(|_| Err(format!("no answer within {timeout:?}")))
    }

    async fn answer(&self, timeout: Duration) -> Result<String, String> {
        match self {
            Self::Http(http) => http.ask().await,
            Self::Tcp(at) => at.connect().await.map(|_| "connected".to_owned()),
            Self::Dns(dns) => dns.ask(timeout).await,
            Self::Command { command, stdout } => judge(command.clone().run().await?, stdout.as_ref()),
            Self::Prometheus(prometheus) => prometheus.ask().await,
            Self::Redis { at, password } => redis::ping(at.connect().await?, password.as_deref()).await,
            Self::Postgresql(at) => postgresql::is_ready(at.connect().await?).await,
            Self::Nats(at) => nats::ping(at.connect().await?).await,
        }
    }
}

/// Exit status 0, and what it printed, without white space at its ends.
fn judge(done: command::Done, stdout: Option<&Comparison>) -> Result<String, String> {
    if !done.succeeded() {
        return Err(done.why());
    }
    let printed = done.stdout.text();
    let told = match printed.trim() {
        "" => "exit status 0".to_owned(),
        printed => excerpt(printed),
    };
    match stdout {
        Some(wanted) if !wanted.holds_for_text(printed.trim()) => Err(format!("it prints: {told}")),
        Some(_) | None => Ok(told),
    }
}

#[cfg(test)]
mod tests;
