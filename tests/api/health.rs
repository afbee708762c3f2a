//! Whether the agent is well: it answers, and nothing that it was told to remove is left.

use partition_agent_proto::{FaultStatus, ProblemCode, State};

use crate::client::{Api, LOSS};

#[tokio::test]
async fn an_agent_is_well_with_and_without_faults() {
    let api = Api::start();
    for _ in 0..2 {
        let reply = api.get("/healthz").await;
        assert_eq!((reply.status, reply.body.as_str()), (200, "ok\n"));
        api.send("POST", "/v1/faults", LOSS).await.json::<FaultStatus>(201);
    }
}

#[tokio::test]
async fn an_agent_is_not_well_while_a_fault_is_stuck() {
    let api = Api::start();
    let _: FaultStatus = api.send("PUT", "/v1/faults/cut", LOSS).await.json(201);
    api.agent.world().refuse_undo = usize::MAX;
    let refused = api.delete("/v1/faults/cut").await;
    refused.refused(ProblemCode::KernelRefused, "the fake kernel was told to refuse");
    let everything: Vec<FaultStatus> = api.delete("/v1/faults").await.json(200);
    assert_eq!((everything.len(), everything[0].state), (1, State::Stuck));
    assert_eq!(api.faults().await[0].state, State::Stuck);
    api.get("/healthz").await.refused(ProblemCode::KernelRefused, "cut has ended");
    let taken = api.send("PUT", "/v1/faults/cut", LOSS).await;
    taken.refused(ProblemCode::Conflict, "the id cut is taken by a fault that is stuck");
    let change = api.send("PATCH", "/v1/faults/cut", r#"{"for":"1m"}"#).await;
    change.refused(ProblemCode::NotFound, "cut");

    api.agent.world().refuse_undo = 0;
    let restored: FaultStatus = api.delete("/v1/faults/cut").await.json(200);
    assert_eq!(restored.state, State::Restored);
    assert_eq!(api.get("/healthz").await.status, 200);
    assert!(api.agent.world().is_clean());
}

#[tokio::test]
async fn an_agent_that_stops_restores_everything_and_says_that_it_stops() {
    let api = Api::start();
    let _: FaultStatus = api.send("PUT", "/v1/faults/cut", LOSS).await.json(201);
    api.agent.keeper.shutdown().await;
    assert!(api.agent.world().is_clean());
    for path in ["/healthz", "/v1/faults", "/v1/info", "/v1/history"] {
        api.get(path).await.refused(ProblemCode::Stopping, "the agent is stopping");
    }
    api.send("POST", "/v1/faults", LOSS).await.refused(ProblemCode::Stopping, "the agent is stopping");
}
