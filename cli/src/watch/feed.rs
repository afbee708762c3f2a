//! What hosts say: their faults when they are asked, and events as they happen.

use std::time::Duration;

use futures_util::future::join_all;
use partition_agent_proto::{Event, FaultStatus};
use tokio::sync::mpsc::Sender;

use crate::events;
use crate::team::{Member, faults};

/// News that may wait for somebody to look at them; then hosts wait.
pub const UNREAD: usize = 1_024;

/// How long an agent may take to tell its faults.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long after a stream has ended it is asked for again: at first, and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// Each of the host with this number.
#[derive(Debug)]
pub enum News {
    Faults {
        host: usize,
        faults: Vec<FaultStatus>,
    },
    Event {
        host: usize,
        event: Event,
    },
    /// Some events of it were lost.
    Missed {
        host: usize,
    },
    /// It does not answer, or tells no events.
    Silent {
        host: usize,
        why: String,
    },
}

/// Asks all of them for their faults, again and again.
pub async fn ask(members: &[Member], every: Duration, to: &Sender<News>) {
    loop {
        let mut answers = faults(members, PATIENCE).await;
        for (host, member) in members.iter().enumerate() {
            let news = match answers.remove(&member.name) {
                Some(Ok(faults)) => News::Faults { host, faults },
                Some(Err(failure)) => News::Silent { host, why: failure.in_a_line() },
                None => continue,
            };
            if to.send(news).await.is_err() {
                return;
            }
        }
        tokio::time::sleep(every).await;
    }
}

/// Listens to all of them for as long as somebody wants to know.
pub async fn listen(members: &[Member], to: &Sender<News>) {
    join_all(members.iter().enumerate().map(|(host, member)| listen_to(host, member, to))).await;
}

async fn listen_to(host: usize, member: &Member, to: &Sender<News>) {
    let mut again = AGAIN.0;
    loop {
        let why = match member.client.events().await {
            Ok(mut events) => loop {
                let news = match events.next().await {
                    Some(events::News::Event(event)) => News::Event { host, event },
                    Some(events::News::Missed) => News::Missed { host },
                    None => break "its stream of events has ended".to_owned(),
                };
                again = AGAIN.0;
                if to.send(news).await.is_err() {
                    return;
                }
            },
            Err(failure) => failure.in_a_line(),
        };
        if to.send(News::Silent { host, why }).await.is_err() {
            return;
        }
        tokio::time::sleep(again).await;
        again = (again * 2).min(AGAIN.1);
    }
}
