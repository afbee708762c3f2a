//! When to look at the containers again: what the engines report, and when contact to one was lost and found.

use std::future::{Future, poll_fn};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::{Stream, StreamExt};

use super::engines::{Engines, connect};

/// What belongs together comes in a burst: die, stop, network disconnect.
const BURST: Duration = Duration::from_millis(50);
/// Between attempts to reach an engine, doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

type EventStream = Pin<Box<dyn Stream<Item = Result<EventMessage, Error>> + Send>>;

/// The events of all engines.
pub(super) struct Events {
    engines: Vec<Engine>,
}

struct Engine {
    socket: PathBuf,
    stream: Option<EventStream>,
    pause: Duration,
}

impl Events {
    pub(super) fn of(engines: &Engines) -> Self {
        let engine =
            |socket: &PathBuf| Engine { socket: socket.clone(), stream: None, pause: Duration::ZERO };
        Self { engines: engines.sockets.iter().map(engine).collect() }
    }

    /// Returns when containers may have changed, and the burst is over. It does so once soon after the first call, when the
    /// engines have begun to report: what happened before that is seen by looking. Can be dropped at any time.
    pub(super) async fn next(&mut self) {
        self.any().await;
        // Listens on: a request for events is sent with the first poll of its stream.
        let burst = async {
            loop {
                self.any().await;
            }
        };
        let _over = tokio::time::timeout(BURST, burst).await;
    }

    async fn any(&mut self) {
        let mut waits: Vec<Pin<Box<dyn Future<Output = ()> + Send + '_>>> = Vec::new();
        for engine in &mut self.engines {
            waits.push(Box::pin(engine.next()));
        }
        poll_fn(|context| {
            if waits.iter_mut().any(|wait| wait.as_mut().poll(context).is_ready()) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

impl Engine {
    async fn next(&mut self) {
        loop {
            let Some(stream) = &mut self.stream else {
                tokio::time::sleep(self.pause).await;
                self.pause = (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
                if let Some(stream) = open(&self.socket).await {
                    self.stream = Some(stream);
                    return;
                }
                continue;
            };
            match stream.next().await {
                Some(Ok(event)) => {
                    self.pause = FIRST_PAUSE;
                    if matters(&event) {
                        return;
                    }
                }
                Some(Err(_)) | None => {
                    self.stream = None;
                    return;
                }
            }
        }
    }
}

async fn open(socket: &Path) -> Option<EventStream> {
    let docker = connect(socket).await.ok()?;
    let filters = [("type", vec!["container"])].into_iter().collect();
    let options = EventsOptionsBuilder::new().filters(&filters).build();
    Some(Box::pin(docker.events(Some(options))))
}

/// Health checks alone report several times a second. Podman says died and remove where Docker says die and destroy.
fn matters(event: &EventMessage) -> bool {
    let action = event.action.as_deref().unwrap_or_default();
    matches!(
        action,
        "start" | "restart" | "die" | "died" | "stop" | "destroy" | "remove" | "rename" | "cleanup" | "oom"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_starts_ends_or_renames_containers_matters() {
        let event =
            |action: &str| EventMessage { action: Some(action.to_owned()), ..EventMessage::default() };
        assert!(["start", "die", "died", "rename"].iter().all(|action| matters(&event(action))));
        assert!(
            ["pause", "exec_create: sh", "health_status: healthy", "top"].iter().all(|a| !matters(&event(a)))
        );
        assert!(!matters(&EventMessage::default()));
    }

    #[tokio::test]
    async fn an_engine_that_is_not_there_is_asked_ever_more_rarely() {
        let mut engine =
            Engine { socket: "/nowhere/docker.sock".into(), stream: None, pause: Duration::ZERO };
        assert!(tokio::time::timeout(Duration::from_millis(500), engine.next()).await.is_err());
        assert!(engine.pause > FIRST_PAUSE && engine.pause <= LONGEST_PAUSE, "{:?}", engine.pause);
    }
}
