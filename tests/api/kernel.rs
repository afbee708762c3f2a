//! What the kernel or the configuration refuses.

use harness::fake_agent::{Options, policy};
use partition_agent_core::policy::Policy;
use partition_agent_proto::{End, FaultStatus, ProblemCode, Span};

use crate::client::{Api, BOTH, LOSS};

#[tokio::test]
async fn a_refused_step_is_named_in_the_kernels_words_and_leaves_nothing() {
    let api = Api::start();
    for step in 0..7 {
        api.agent.world().refuse_apply = Some(step);
        let problem = api
            .send("PUT", "/v1/faults/cut", BOTH)
            .await
            .refused(ProblemCode::KernelRefused, "the fake kernel was told to refuse");
        assert!(problem.detail.starts_with("the kernel refused `"), "{}", problem.detail);
        assert!(problem.detail.contains(&format!("step {} of 7", step + 1)), "{}", problem.detail);
        assert_eq!(api.faults().await, []);
        assert!(api.agent.world().is_clean(), "{:?}", api.agent.world());
    }
    let over = api.history().await;
    assert_eq!(over.len(), 7);
    assert!(over.iter().all(|fault| matches!(fault.end, End::Failed { .. })), "{over:?}");
}

#[tokio::test]
async fn an_interface_that_is_not_there_is_named() {
    let api = Api::start();
    let body = LOSS.replace("]}}", r#"]},"interface":"nope0"}"#);
    for path in ["/v1/faults/cut", "/v1/faults/cut?dry_run=true"] {
        let refused = api.send("PUT", path, body.clone()).await;
        let problem = refused.refused(ProblemCode::Invalid, "nope0");
        assert!(problem.detail.contains("No such device"), "{}", problem.detail);
        api.assert_untouched(path).await;
    }
}

#[tokio::test]
async fn an_interface_that_is_there_is_the_only_one_used() {
    let api = Api::start();
    api.agent.world().interfaces = vec!["eth0".to_owned(), "eth1".to_owned()];
    let body = LOSS.replace("]}}", r#"]},"interface":"eth1"}"#);
    let fault: FaultStatus = api.send("PUT", "/v1/faults/cut", body).await.json(201);
    assert_eq!(fault.places[0].interfaces, ["eth1"]);
}

#[tokio::test]
async fn no_fault_lasts_longer_than_the_configuration_allows() {
    let api = Api::with(Options {
        policy: Policy { longest: Span::from_secs(600), ..policy() },
        ..Options::default()
    });
    let long = LOSS.replace("]}}", r#"]},"for":"11m"}"#);
    let allowed = "policy.longest allows 10m; this is to ";
    for (method, path) in
        [("POST", "/v1/faults"), ("PUT", "/v1/faults/cut"), ("PUT", "/v1/faults/cut?dry_run=true")]
    {
        api.send(method, path, long.clone()).await.refused(ProblemCode::Limit, allowed);
    }
    api.assert_untouched("too long").await;

    let before: FaultStatus = api.send("PUT", "/v1/faults/cut", LOSS).await.json(201);
    let refused = api.send("PATCH", "/v1/faults/cut", r#"{"for":"11m"}"#).await;
    refused.refused(ProblemCode::Limit, allowed);
    assert!(api.faults().await[0].remaining_ms <= before.remaining_ms);
}

#[tokio::test]
async fn no_more_faults_than_the_configuration_allows() {
    let api = Api::with(Options { policy: Policy { most_faults: 2, ..policy() }, ..Options::default() });
    for id in ["a", "b"] {
        let _: FaultStatus = api.send("PUT", &format!("/v1/faults/{id}"), LOSS).await.json(201);
    }
    let refused = api.send("PUT", "/v1/faults/c", LOSS).await;
    refused.refused(ProblemCode::Limit, "policy.most_faults allows 2 at once");
    let _: FaultStatus = api.send("PUT", "/v1/faults/a", LOSS).await.json(200);
    let _: FaultStatus = api.delete("/v1/faults/a").await.json(200);
    let _: FaultStatus = api.send("PUT", "/v1/faults/c", LOSS).await.json(201);
}
