//! A fault's life over HTTP: injected, looked at, changed, restored.

use std::time::Duration;

use jiff::Timestamp;
use partition_agent_proto::{End, FaultStatus, ProblemCode, State, Verdict};
use tokio::task::JoinSet;

use crate::client::{Api, BOTH, LOSS, Reply};

const MINUTE: u64 = 60_000;

#[tokio::test]
async fn post_makes_up_an_id_and_answers_201() {
    let api = Api::start();
    let first: FaultStatus = api.send("POST", "/v1/faults", LOSS).await.json(201);
    let second: FaultStatus = api.send("POST", "/v1/faults", LOSS).await.json(201);
    assert!(first.id.as_str().starts_with("loss-10.0.0.5-"), "{}", first.id);
    assert_ne!(first.id, second.id);
    assert_eq!(api.faults().await.len(), 2);
}

#[tokio::test]
async fn an_answer_tells_all_that_matters_of_the_fault() {
    let api = Api::start();
    let fault: FaultStatus = api.send("PUT", "/v1/faults/cut", LOSS).await.json(201);
    assert_eq!(fault.id.as_str(), "cut");
    assert_eq!((fault.state, &fault.verdict), (State::Active, &Verdict::Confirmed));
    assert_eq!(fault.spec, serde_json::from_str(LOSS).unwrap());
    assert_eq!((fault.addresses, fault.first_addresses.as_slice()), (1, &["10.0.0.5".to_owned()][..]));
    assert_eq!(fault.places[0].interfaces, ["eth0"]);
    let own_port = format!("local port tcp/{}", api.agent.tcp.port());
    assert_eq!(fault.protects, ["IPv6 link control", "local port tcp/22", &own_port]);
    assert_eq!(fault.by, format!("uid {} (pid {})", nix::unistd::getuid(), std::process::id()));
    assert!((1..=MINUTE).contains(&fault.remaining_ms), "{}", fault.remaining_ms);
    let [injected, ends] = [&fault.injected_at, &fault.ends_at].map(|at| at.parse::<Timestamp>().unwrap());
    assert!(injected < ends, "{fault:?}");
    assert_eq!(api.agent.world().timeouts[&1], Duration::from_secs(60));
}

#[tokio::test]
async fn put_again_is_the_same_fault_and_its_deadline_stays() {
    let api = Api::start();
    let _: FaultStatus = api.send("PUT", "/v1/faults/cut", LOSS).await.json(201);
    let changed: FaultStatus = api.send("PATCH", "/v1/faults/cut", r#"{"for":"10m"}"#).await.json(200);
    let again: FaultStatus = api.send("PUT", "/v1/faults/cut", LOSS).await.json(200);
    assert!((MINUTE..=changed.remaining_ms).contains(&again.remaining_ms), "{again:?}");
    assert_eq!(again.injected_at, changed.injected_at);
    assert_about(api.agent.world().timeouts[&1], Duration::from_secs(600));
    assert_eq!(api.faults().await.len(), 1);
}

#[tokio::test]
async fn an_id_that_is_another_fault_is_a_conflict() {
    let api = Api::start();
    let _: FaultStatus = api.send("PUT", "/v1/faults/cut", LOSS).await.json(201);
    let refused = api.send("PUT", "/v1/faults/cut", BOTH).await;
    let problem = refused.refused(ProblemCode::Conflict, "the id cut is taken by another fault (loss 30%");
    assert!(problem.hint.unwrap().contains("another id"));
    assert_eq!(api.faults().await[0].spec, serde_json::from_str(LOSS).unwrap());
}

#[tokio::test]
async fn an_id_is_free_again_when_its_fault_is_over() {
    let api = Api::start();
    let _: FaultStatus = api.send("PUT", "/v1/faults/cut", LOSS).await.json(201);
    let _: FaultStatus = api.delete("/v1/faults/cut").await.json(200);
    let _: FaultStatus = api.send("PUT", "/v1/faults/cut", BOTH).await.json(201);
}

#[tokio::test]
async fn a_dry_run_answers_with_the_plan_and_changes_nothing() {
    let api = Api::start();
    for (method, path) in [("POST", "/v1/faults?dry_run=true"), ("PUT", "/v1/faults/cut?dry_run=true")] {
        let fault: FaultStatus = api.send(method, path, BOTH).await.json(200);
        let plan = fault.plan.unwrap();
        assert_eq!(fault.state, State::Pending);
        for words in ["table netdev partition_agent", "10.0.0.5", "ip link add pa-", "netem limit"] {
            assert!(plan.contains(words), "no `{words}` in:\n{plan}");
        }
        api.assert_untouched(path).await;
    }
    let _: FaultStatus = api.send("PUT", "/v1/faults/cut?dry_run=false", LOSS).await.json(201);
}

#[tokio::test]
async fn one_fault_shows_its_plan_and_a_list_does_not() {
    let api = Api::start();
    assert_eq!(api.faults().await, []);
    for id in ["b", "a"] {
        let _: FaultStatus = api.send("PUT", &format!("/v1/faults/{id}"), LOSS).await.json(201);
    }
    let one: FaultStatus = api.get("/v1/faults/a").await.json(200);
    assert!(one.plan.unwrap().contains("elements = { 10.0.0.5"));
    let list = api.faults().await;
    assert_eq!(list.iter().map(|fault| fault.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert!(list.iter().all(|fault| fault.plan.is_none()));
}

/// What the kernel is told is what is left when it is told: less than what was asked for by what it took until then.
fn assert_about(timeout: Duration, asked: Duration) {
    assert!(timeout <= asked && timeout + Duration::from_secs(20) > asked, "{timeout:?} for {asked:?}");
}

#[tokio::test]
async fn patch_extends_and_shortens() {
    let api = Api::start();
    let _: FaultStatus = api.send("PUT", "/v1/faults/cut", LOSS).await.json(201);
    for (asked, millis) in [("10m", 10 * MINUTE), ("30s", MINUTE / 2)] {
        let body = format!(r#"{{"for":"{asked}"}}"#);
        let fault: FaultStatus = api.send("PATCH", "/v1/faults/cut", body).await.json(200);
        assert!((1..=millis).contains(&fault.remaining_ms), "{fault:?}");
        assert!(fault.remaining_ms > millis - MINUTE / 3, "{fault:?}");
        assert_eq!(fault.verdict, Verdict::Confirmed);
        assert_about(api.agent.world().timeouts[&1], Duration::from_millis(millis));
    }
}

#[tokio::test]
async fn what_is_not_there_cannot_be_looked_at_changed_or_restored() {
    let api = Api::start();
    for (method, body) in [("GET", ""), ("PATCH", r#"{"for":"1m"}"#), ("DELETE", "")] {
        let refused = api.send(method, "/v1/faults/nobody", body).await;
        let problem = refused.refused(ProblemCode::NotFound, "there is no fault nobody");
        assert!(problem.hint.unwrap().contains("partition-agent status"));
    }
    api.assert_untouched("404").await;
}

#[tokio::test]
async fn delete_restores_one_and_leaves_the_others() {
    let api = Api::start();
    for id in ["a", "b"] {
        let _: FaultStatus = api.send("PUT", &format!("/v1/faults/{id}"), LOSS).await.json(201);
    }
    let restored: FaultStatus = api.delete("/v1/faults/a").await.json(200);
    assert_eq!((restored.state, restored.remaining_ms), (State::Restored, 0));
    assert_eq!(api.faults().await.iter().map(|fault| fault.id.as_str()).collect::<Vec<_>>(), ["b"]);
    assert!(api.agent.world().steps[&1].is_empty() && !api.agent.world().steps[&2].is_empty());
    api.delete("/v1/faults/a").await.refused(ProblemCode::NotFound, "there is no fault a");
}

#[tokio::test]
async fn delete_restores_everything() {
    let api = Api::start();
    for id in ["a", "b", "c"] {
        let _: FaultStatus = api.send("PUT", &format!("/v1/faults/{id}"), LOSS).await.json(201);
    }
    let restored: Vec<FaultStatus> = api.delete("/v1/faults").await.json(200);
    assert_eq!(restored.iter().map(|fault| fault.id.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert!(restored.iter().all(|fault| fault.state == State::Restored));
    assert_eq!(api.faults().await, []);
    assert!(api.agent.world().is_clean());
    assert_eq!(api.delete("/v1/faults").await.json::<Vec<FaultStatus>>(200), []);
}

#[tokio::test]
async fn history_tells_who_ended_what_newest_first() {
    let api = Api::start();
    assert_eq!(api.history().await, []);
    for id in ["a", "b"] {
        let _: FaultStatus = api.send("PUT", &format!("/v1/faults/{id}"), LOSS).await.json(201);
        let _: FaultStatus = api.delete(&format!("/v1/faults/{id}")).await.json(200);
    }
    let over = api.history().await;
    assert_eq!(over.iter().map(|fault| fault.id.as_str()).collect::<Vec<_>>(), ["b", "a"]);
    let me = format!("uid {} (pid {})", nix::unistd::getuid(), std::process::id());
    for fault in &over {
        assert_eq!(fault.spec, serde_json::from_str(LOSS).unwrap());
        assert_eq!((&fault.by, &fault.end), (&me, &End::Restored { who: me.clone() }));
        let [injected, ended] =
            [&fault.injected_at, &fault.ended_at].map(|at| at.parse::<Timestamp>().unwrap());
        assert!(injected <= ended, "{fault:?}");
    }
}

#[tokio::test]
async fn fifty_at_once_are_one_fault() {
    let api = Api::start();
    let mut puts = JoinSet::new();
    for _ in 0..50 {
        puts.spawn(Reply::to(api.request("PUT", "/v1/faults/cut").body(LOSS)));
    }
    let statuses = puts.join_all().await.iter().map(|reply| reply.status).collect::<Vec<_>>();
    let count = |status| statuses.iter().filter(|seen| **seen == status).count();
    assert_eq!((count(201), count(200)), (1, 49), "{statuses:?}");
    assert_eq!(api.faults().await.len(), 1);
    assert_eq!(api.agent.world().steps.len(), 1);
}
