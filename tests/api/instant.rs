//! Prepare, commit, and restore at an instant.

use partition_agent_proto::EventKind::{Changed, Committed, Ended, Prepared, Restored, Started};
use partition_agent_proto::{Clock, End, FaultStatus, ProblemCode, State};

use crate::client::{Api, LOSS, fault};
use crate::events::Events;

const SECOND: u64 = 1_000_000_000;

async fn now(api: &Api) -> u64 {
    api.get("/v1/clock").await.json::<Clock>(200).boot_ns
}

fn commit(at: u64) -> String {
    format!(r#"{{"at_boot_ns":{at}}}"#)
}

#[tokio::test]
async fn what_is_prepared_is_committed_and_starts_and_ends_at_its_instants() {
    let api = Api::start();
    let mut events = Events::begin(&api).await;
    let prepared: FaultStatus = api.send("PUT", "/v1/faults/cut?prepare=1m", LOSS).await.json(201);
    assert_eq!((prepared.state, prepared.started_boot_ns), (State::Prepared, None));
    assert!(api.agent.world().timeouts.is_empty(), "nothing is cut");
    let again: FaultStatus = api.send("PUT", "/v1/faults/cut?prepare=1m", LOSS).await.json(200);
    assert_eq!(again.state, State::Prepared);
    api.send("PUT", "/v1/faults/cut", LOSS).await.refused(ProblemCode::Conflict, "a fault that is prepared");

    let at = now(&api).await + SECOND / 5;
    for _ in 0..2 {
        let waiting: FaultStatus = api.send("POST", "/v1/faults/cut/commit", commit(at)).await.json(200);
        assert_eq!(waiting.state, State::Waiting);
    }
    let other = api.send("POST", "/v1/faults/cut/commit", commit(at + 1)).await;
    other.refused(ProblemCode::Conflict, "committed already, to another instant");
    assert_eq!(events.kinds(3).await, [Prepared, Committed, Started]);
    assert!(api.fault("cut").await.started_boot_ns.unwrap() >= at);
    assert!(!api.agent.world().timeouts.is_empty());

    let at = now(&api).await + SECOND / 5;
    let ending: FaultStatus = api.delete(&format!("/v1/faults/cut?at_boot_ns={at}")).await.json(200);
    assert_eq!(ending.state, State::Active);
    assert_eq!(events.kinds(3).await, [Changed, Ended, Restored]);
    let over = api.history().await;
    assert!(over[0].ended_boot_ns.unwrap() >= at && matches!(over[0].end, End::Restored { .. }), "{over:?}");
}

#[tokio::test]
async fn an_instant_that_makes_no_sense_is_refused_and_starts_nothing() {
    let api = Api::start();
    api.send("PUT", "/v1/faults/cut?prepare=1m", LOSS).await.json::<FaultStatus>(201);
    let at = now(&api).await;
    for (body, code, why) in [
        (commit(0), ProblemCode::TooLate, "nothing was started"),
        (commit(at), ProblemCode::TooLate, "nothing was started"),
        (
            commit(at + 2 * 3_600 * SECOND),
            ProblemCode::Limit,
            "policy.longest allows 1h; this is to start in",
        ),
        (commit(u64::MAX), ProblemCode::Limit, "policy.longest allows 1h; this is to start in"),
        (r#"{"at_boot_ns":-1}"#.to_owned(), ProblemCode::Invalid, "expected u64"),
        (r#"{"at":1}"#.to_owned(), ProblemCode::Invalid, "unknown field"),
        ("{}".to_owned(), ProblemCode::Invalid, "missing field"),
    ] {
        api.send("POST", "/v1/faults/cut/commit", body).await.refused(code, why);
    }
    let nobody = api.send("POST", "/v1/faults/g/commit", commit(at + SECOND)).await;
    nobody.refused(ProblemCode::NotFound, "there is no fault g");
    for (how, code, why) in [
        ("0s", ProblemCode::Invalid, "out of range"),
        ("soon", ProblemCode::Invalid, "not a length of time"),
        ("2h", ProblemCode::Limit, "policy.longest allows 1h; this is to wait 2h"),
    ] {
        api.send("PUT", &format!("/v1/faults/g?prepare={how}"), LOSS).await.refused(code, why);
    }
    let later = fault(r#"{"loss":{"percent":1}}"#, r#","start_in":"1s""#);
    let twice = api.send("PUT", "/v1/faults/g?prepare=1m", later).await;
    twice.refused(ProblemCode::Invalid, "drop its `start_in`");
    assert!(api.agent.world().timeouts.is_empty(), "nothing was cut");
    // An instant that is past is now, and what is not in force needs none.
    let restored: Vec<FaultStatus> = api.delete("/v1/faults?at_boot_ns=1").await.json(200);
    assert_eq!(restored.iter().map(|fault| fault.state).collect::<Vec<_>>(), [State::Restored]);
}

#[tokio::test]
async fn what_nobody_commits_is_gone_by_itself() {
    let api = Api::start();
    let mut events = Events::begin(&api).await;
    api.send("PUT", "/v1/faults/cut?prepare=300ms", LOSS).await.json::<FaultStatus>(201);
    assert_eq!(events.kinds(3).await, [Prepared, Ended, Restored]);
    assert_eq!(api.history().await[0].end, End::Expired);
    assert!(api.agent.is_untouched());
}
