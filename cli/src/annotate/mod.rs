//! `annotate`: draws faults into Grafana, from their start to their end. Beside the agents and not in them: what holds
//! CAP_NET_ADMIN has no business with a web server.
//!
//! The events of an agent say when to look; what is drawn is what it then lists. So what is drawn becomes right again, whatever is lost of
//! events, connections and agents.

mod drawn;
mod grafana;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use nix::unistd::gethostname;
use partition_agent_proto::{EventKind, FaultId};
use url::Url;

use crate::args::AnnotateArgs;
use crate::client::Client;
use crate::events::{Events, News};
use crate::exit::Failure;
use crate::interrupt::Interrupt;
use crate::render;
use crate::team::{Member, Team};
use drawn::{Drawn, begun, ended, millis, over};
use grafana::{Grafana, Mark};

/// Until an agent or Grafana that did not answer is asked again.
const AGAIN: Duration = Duration::from_secs(2);

/// Of the history, to find out how faults ended that nobody saw end.
const HISTORY: usize = 1_000;

/// Until somebody has had enough. What is in force then stays a mark at its start, and the next command goes on with it.
pub async fn run(team: &Team, json: bool, args: &AnnotateArgs) -> Result<ExitCode, Failure> {
    let mut interrupt = Interrupt::listen()?;
    let grafana = Grafana::new(args)?;
    grafana.lets_in().await.map_err(Failure::Failed)?;
    let followers = team.members.iter().map(|member| Follower::new(member, &grafana, json).follow());
    tokio::select! {
        _ = join_all(followers) => {}
        () = interrupt.comes() => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Draws the faults of one agent.
struct Follower<'a> {
    host: String,
    client: &'a Client,
    grafana: &'a Grafana,
    json: bool,
    drawn: Vec<Drawn>,
    /// Something was refused, and is tried again.
    behind: bool,
    /// What was complained of, until it goes well again.
    told: BTreeSet<String>,
}

impl<'a> Follower<'a> {
    fn new(member: &'a Member, grafana: &'a Grafana, json: bool) -> Self {
        let (drawn, told) = (Vec::new(), BTreeSet::new());
        Self { host: host(&member.name), client: &member.client, grafana, json, drawn, behind: false, told }
    }

    /// For ever.
    async fn follow(mut self) {
        let mut silent_since = now();
        loop {
            match self.client.events().await {
                Ok(events) => {
                    self.look(silent_since).await;
                    self.listen(events).await;
                    silent_since = now();
                }
                Err(failure) => self.complain(failure.to_string()),
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn listen(&mut self, mut events: Events) {
        loop {
            match tokio::time::timeout(AGAIN, events.next()).await {
                Ok(Some(News::Event(event))) => match event.kind {
                    EventKind::Injected | EventKind::Started => self.look(now()).await,
                    EventKind::Ended => self.end(&event.id, millis(&event.at).unwrap_or_else(now)).await,
                    EventKind::Prepared
                    | EventKind::Committed
                    | EventKind::Changed
                    | EventKind::Followed
                    | EventKind::Reattached
                    | EventKind::Restored
                    | EventKind::Failed => {}
                },
                Ok(Some(News::Missed)) => self.look(now()).await,
                Ok(None) => return,
                Err(_quiet) if self.behind => self.look(now()).await,
                Err(_quiet) => {}
            }
        }
    }

    /// Brings Grafana to what the agent lists.
    async fn look(&mut self, silent_since: i64) {
        if let Err(why) = self.try_look(silent_since).await {
            self.complain(why);
        }
    }

    async fn try_look(&mut self, silent_since: i64) -> Result<(), String> {
        let told = |failure: Failure| failure.to_string();
        let (faults, clock) =
            (self.client.faults().await.map_err(told)?, self.client.clock().await.map_err(told)?);
        let over = over(&self.drawn, &faults);
        if !over.is_empty() {
            let history = self.client.history(HISTORY).await.map_err(told)?;
            for id in over {
                let end = ended(&id, &history, silent_since);
                self.close(&id, end);
            }
        }
        let settled = self.settle().await;
        for (fault, start) in begun(&self.drawn, &faults, &clock) {
            let text = format!("{}: {}, by {}", self.host, fault.spec, fault.by);
            let mark = Mark { host: &self.host, id: fault.id.as_str(), text: &text, start };
            let annotation = self.grafana.begin(&mark).await?;
            self.drawn.push(Drawn { id: fault.id.clone(), annotation, end: None });
            self.say(&fault.id, "started", start);
        }
        settled?;
        self.behind = false;
        self.told.clear();
        Ok(())
    }

    async fn end(&mut self, id: &FaultId, end: i64) {
        self.close(id, end);
        if let Err(why) = self.settle().await {
            self.complain(why);
        }
    }

    fn close(&mut self, id: &FaultId, end: i64) {
        let open = self.drawn.iter_mut().find(|drawn| drawn.id == *id && drawn.end.is_none());
        if let Some(drawn) = open {
            drawn.end = Some(end);
        }
    }

    /// Tells Grafana of every end that it does not know.
    async fn settle(&mut self) -> Result<(), String> {
        let mut refused = Ok(());
        for drawn in std::mem::take(&mut self.drawn) {
            let ended = match drawn.end {
                None => false,
                Some(end) => match self.grafana.end(drawn.annotation, end).await {
                    Ok(()) => {
                        self.say(&drawn.id, "ended", end);
                        true
                    }
                    // The others are told all the same.
                    Err(why) => {
                        refused = Err(why);
                        false
                    }
                },
            };
            if !ended {
                self.drawn.push(drawn);
            }
        }
        refused
    }

    fn say(&self, id: &FaultId, what: &str, at: i64) {
        let at = Timestamp::from_millisecond(at).map(|at| at.to_string()).unwrap_or_default();
        // Whoever reads may have gone, and Grafana is told all the same.
        let _ = if self.json {
            render::line(
                &serde_json::json!({"host": self.host, "id": id, "annotated": what, "at": at}).to_string(),
            )
        } else {
            render::line(&format!("{}: {id} {what} at {at}", self.host))
        };
    }

    /// Once, until it goes well again.
    fn complain(&mut self, why: String) {
        self.behind = true;
        if !self.told.contains(&why) {
            render::complain(&format!("{}: {why}", self.host));
            self.told.insert(why);
        }
    }
}

fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

/// The name of a host for people: of an agent that was named by its address, without what else is in that.
fn host(member: &str) -> String {
    if member.starts_with('/') {
        return gethostname()
            .ok()
            .and_then(|name| name.into_string().ok())
            .unwrap_or_else(|| member.to_owned());
    }
    let url = member.parse::<Url>().ok();
    url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_else(|| member.to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_host_is_called_by_its_name() {
        for (member, name) in
            [("web-1", "web-1"), ("https://web-1:7433", "web-1"), ("http://10.0.0.1:7433", "10.0.0.1")]
        {
            assert_eq!(super::host(member), name);
        }
        assert!(!super::host("/run/partition-agent/agent.sock").contains('/'));
    }
}
