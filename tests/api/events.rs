//! The stream of events: what happens to faults, as it happens.

use partition_agent_proto::EventKind::{Changed, Ended, Failed, Injected, Restored};
use partition_agent_proto::{End, Event, EventKind, FaultStatus, ProblemCode};
use reqwest::Response;

use crate::client::{Api, BOTH, LOSS};

/// A listener: whatever happens after it has begun, it sees.
pub struct Events {
    stream: Response,
    unread: String,
}

impl Events {
    pub async fn begin(api: &Api) -> Self {
        let stream = api.request("GET", "/v1/events").send().await.unwrap();
        assert_eq!(stream.status(), 200);
        assert_eq!(stream.headers()["content-type"], "text/event-stream");
        Self { stream, unread: String::new() }
    }

    pub async fn next(&mut self) -> Event {
        loop {
            if let Some((frame, rest)) = self.unread.split_once("\n\n") {
                let event = serde_json::from_str(frame.strip_prefix("data: ").unwrap()).unwrap();
                self.unread = rest.to_owned();
                return event;
            }
            let chunk = self.stream.chunk().await.unwrap().expect("the stream has ended");
            self.unread.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    pub async fn kinds(&mut self, count: usize) -> Vec<EventKind> {
        let mut kinds = Vec::new();
        for _ in 0..count {
            let event = self.next().await;
            assert_eq!(event.id.as_str(), "cut");
            assert!(event.at.ends_with('Z') && !event.text.is_empty(), "{event:?}");
            kinds.push(event.kind);
        }
        kinds
    }
}

#[tokio::test]
async fn a_life_is_told_in_order() {
    let api = Api::start();
    let mut events = Events::begin(&api).await;
    let _: FaultStatus = api.send("PUT", "/v1/faults/cut", LOSS).await.json(201);
    let _: FaultStatus = api.send("PATCH", "/v1/faults/cut", r#"{"for":"10m"}"#).await.json(200);
    let _: FaultStatus = api.delete("/v1/faults/cut").await.json(200);
    assert_eq!(events.kinds(4).await, [Injected, Changed, Ended, Restored]);
}

#[tokio::test]
async fn every_listener_hears_it() {
    let api = Api::start();
    let mut listeners = [Events::begin(&api).await, Events::begin(&api).await];
    let _: FaultStatus = api.send("PUT", "/v1/faults/cut", LOSS).await.json(201);
    for listener in &mut listeners {
        assert_eq!(listener.kinds(1).await, [Injected]);
    }
}

#[tokio::test]
async fn a_deadline_ends_a_fault_by_itself() {
    let api = Api::start();
    let mut events = Events::begin(&api).await;
    let short = LOSS.replace("]}}", r#"]},"for":"50ms"}"#);
    let _: FaultStatus = api.send("PUT", "/v1/faults/cut", short).await.json(201);
    assert_eq!(events.kinds(3).await, [Injected, Ended, Restored]);
    assert_eq!(api.faults().await, []);
    assert!(api.agent.world().is_clean());
    assert_eq!(api.history().await[0].end, End::Deadline);
}

#[tokio::test]
async fn what_was_delayed_arrives_before_the_queues_go() {
    let api = Api::start();
    let mut events = Events::begin(&api).await;
    let slow = BOTH.replace("10ms", "2s");
    let _: FaultStatus = api.send("PUT", "/v1/faults/cut", slow.clone()).await.json(201);
    let restoring: FaultStatus = api.delete("/v1/faults/cut").await.json(200);
    assert_eq!(restoring.state, partition_agent_proto::State::Restoring);
    assert_eq!(events.kinds(2).await, [Injected, Ended]);
    let taken = api.send("PUT", "/v1/faults/cut", slow).await;
    taken.refused(ProblemCode::Conflict, "the id cut is taken by a fault that is restoring");
    assert_eq!(events.kinds(1).await, [Restored]);
    assert!(api.agent.world().is_clean());
}

#[tokio::test]
async fn a_refused_step_is_told_in_the_kernels_words() {
    let api = Api::start();
    let mut events = Events::begin(&api).await;
    api.agent.world().refuse_apply = Some(0);
    api.send("PUT", "/v1/faults/cut", LOSS).await.refused(ProblemCode::KernelRefused, "step 1 of 1");
    let event = events.next().await;
    assert_eq!(event.kind, Failed);
    assert!(event.text.contains("the fake kernel was told to refuse"), "{}", event.text);
}
