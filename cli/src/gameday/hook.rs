//! Somebody else's program or web hook that is told of a run. Whoever is told, the run does not wait for them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::body::{Bytes, Incoming};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinHandle;

use super::command::{self, Command};
use super::file::{Hook, HookEvent, Tell};
use super::probe::{self, Place};

/// For one event.
const TIMEOUT: Duration = Duration::from_secs(10);

/// For all that is left to tell at the end of a run.
const LAST: Duration = Duration::from_secs(20);

/// All hooks of a run. Dropped, they are told no more.
pub struct Hooks(Vec<Told>);

struct Told {
    hook: Hook,
    events: UnboundedSender<(HookEvent, String)>,
    telling: JoinHandle<()>,
}

impl Hooks {
    /// Commands run in this directory, that of the game day's file. What goes wrong is told as a line, without what may be secret.
    /// Needs a runtime to be called in.
    pub fn start(hooks: &[Hook], gameday: &str, directory: &Path, warn: &UnboundedSender<String>) -> Self {
        let start = |hook: &Hook| {
            let (events, told) = mpsc::unbounded_channel();
            let teller = Teller {
                tell: hook.tell.clone(),
                gameday: gameday.to_owned(),
                directory: directory.to_owned(),
                timeout: TIMEOUT,
            };
            let telling = tokio::spawn(teller.all(told, warn.clone()));
            Told { hook: hook.clone(), events, telling }
        };
        Self(hooks.iter().map(start).collect())
    }

    /// Those who want to know; later, in the order of the calls.
    pub fn tell(&self, event: HookEvent, text: &str) {
        for told in self.0.iter().filter(|told| told.hook.on.contains(&event)) {
            // It only ends when this does.
            let _ = told.events.send((event, text.to_owned()));
        }
    }

    /// Until everybody has been told, or for 20 s at most.
    pub async fn finish(mut self, warn: &UnboundedSender<String>) {
        let end = tokio::time::Instant::now() + LAST;
        for mut told in self.0.drain(..) {
            let (closed, _) = mpsc::unbounded_channel();
            told.events = closed;
            if tokio::time::timeout_at(end, &mut told.telling).await.is_err() {
                let who = who(&told.hook.tell);
                let _ = warn.send(format!("{who} was not told everything within {LAST:?} after the end"));
            }
        }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.telling.abort();
    }
}

/// One of them.
struct Teller {
    tell: Tell,
    gameday: String,
    directory: PathBuf,
    timeout: Duration,
}

impl Teller {
    async fn all(self, mut events: UnboundedReceiver<(HookEvent, String)>, warn: UnboundedSender<String>) {
        while let Some((event, text)) = events.recv().await {
            let told = tokio::time::timeout(self.timeout, self.one(event, text)).await;
            let told = told.unwrap_or_else(|_| Err(format!("no answer within {:?}", self.timeout)));
            if let Err(why) = told {
                // Nobody may listen to warnings any more.
                let _ = warn.send(format!("{} was not told `{}`: {why}", who(&self.tell), word(event)));
            }
        }
    }

    async fn one(&self, event: HookEvent, text: String) -> Result<(), String> {
        match &self.tell {
            Tell::Slack(url) => {
                let headers = BTreeMap::new();
                let site = probe::Site::new(url, &headers)?;
                let body = serde_json::json!({ "text": text }).to_string();
                let read = async |answer: hyper::Response<Incoming>| match answer.status() {
                    status if status.is_success() => Ok(()),
                    // Its body might repeat what it was sent to.
                    status => Err(format!("it answers {status}")),
                };
                site.ask(Some(&Bytes::from(body)), read).await
            }
            Tell::Command(line) => {
                let environment = vec![
                    ("EVENT", word(event).to_owned()),
                    ("GAMEDAY", self.gameday.clone()),
                    // An environment has no zeros.
                    ("TEXT", text.replace('\0', " ")),
                ];
                let command = Command {
                    line: line.clone(),
                    place: Place::Here,
                    directory: self.directory.clone(),
                    environment,
                    timeout: self.timeout,
                    keep: command::KEPT,
                };
                let done = command.run().await?;
                if done.succeeded() { Ok(()) } else { Err(done.why()) }
            }
        }
    }
}

/// The path of such a URL is what lets in.
fn who(tell: &Tell) -> String {
    match tell {
        Tell::Slack(url) => {
            match url.parse::<url::Url>().ok().and_then(|url| url.host_str().map(str::to_owned)) {
                Some(host) => format!("the slack hook at {host}"),
                None => "the slack hook".to_owned(),
            }
        }
        Tell::Command(line) => format!("the hook `{}`", super::excerpt::excerpt(line)),
    }
}

/// As the file and the environment have it.
fn word(event: HookEvent) -> &'static str {
    match event {
        HookEvent::Started => "started",
        HookEvent::Fault => "fault",
        HookEvent::Healed => "healed",
        HookEvent::Recovered => "recovered",
        HookEvent::Aborted => "aborted",
        HookEvent::Finished => "finished",
    }
}

#[cfg(test)]
mod tests;
