//! Leases: what a renewal answers, and what becomes of a fault that nobody renews.

use std::time::Duration;

use partition_agent_proto::EventKind::{Ended, Injected, Restored};
use partition_agent_proto::ProblemCode::{Invalid, KernelRefused, NotFound};
use partition_agent_proto::{End, FaultStatus};

use crate::client::{Api, LOSS, fault};
use crate::events::Events;

const KIND: &str = r#"{"loss":{"percent":50}}"#;

#[tokio::test]
async fn a_renewal_answers_with_the_fault_and_moves_its_end_up() {
    let api = Api::start();
    let body = fault(KIND, r#","for":"10m","lease":"20s""#);
    let injected = api.put("cut", body.clone()).await;
    assert!(injected.lease_remaining_ms.is_some_and(|left| left <= 20_000 && left > 1_000), "{injected:?}");
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let before = api.fault("cut").await.lease_remaining_ms.unwrap();
    assert!(before <= 18_500, "{before}");
    let renewed: FaultStatus = api.send("POST", "/v1/faults/cut/renew", "").await.json(200);
    let left = renewed.lease_remaining_ms.unwrap();
    assert!(left > before && left <= 20_000, "{left} after {before}");
    let told = api.agent.world().timeouts.values().copied().collect::<Vec<_>>();
    assert!(
        told.len() == 1 && told[0] <= Duration::from_secs(20) && told[0] > Duration::from_millis(19_000),
        "{told:?}"
    );
    // The same fault again is the same fault, and renews nothing.
    let again: FaultStatus = api.send("PUT", "/v1/faults/cut", body).await.json(200);
    assert!(again.lease_remaining_ms.unwrap() <= left);
}

#[tokio::test]
async fn a_lease_that_is_over_is_not_to_be_had_again() {
    let api = Api::start();
    let mut events = Events::begin(&api).await;
    api.put("cut", fault(KIND, r#","lease":"2s""#)).await;
    assert_eq!(events.kinds(3).await, [Injected, Ended, Restored]);
    api.send("POST", "/v1/faults/cut/renew", "").await.refused(NotFound, "there is no fault cut");
    assert_eq!(api.history().await[0].end, End::LeaseLost);
    assert!(api.agent.world().is_clean());
}

#[tokio::test]
async fn what_cannot_be_renewed_says_why() {
    let api = Api::start();
    api.send("POST", "/v1/faults/cut/renew", "").await.refused(NotFound, "there is no fault cut");
    api.put("cut", LOSS).await;
    let refused = api.send("POST", "/v1/faults/cut/renew", "").await;
    let problem = refused.refused(Invalid, "cut has no lease that could be renewed");
    assert!(problem.hint.unwrap().contains("--lease"));
    api.send("POST", "/v1/faults/cut/renew?for=1h", "").await.refused(Invalid, "unknown field `for`");
    for (lease, why) in [("1s", "too short to be renewed in time"), ("2m", "the fault ends after 1m anyway")]
    {
        let body = fault(KIND, &format!(r#","lease":"{lease}""#));
        api.send("PUT", "/v1/faults/other", body).await.refused(Invalid, why);
    }
}

#[tokio::test]
async fn a_renewal_that_the_kernel_refuses_leaves_the_lease_as_it_was() {
    let api = Api::start();
    api.put("cut", fault(KIND, r#","for":"10m","lease":"1m""#)).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    api.agent.world().refuse_rearm.insert(1, nix::errno::Errno::ENOMEM);
    let before = api.fault("cut").await.lease_remaining_ms.unwrap();
    let refused = api.send("POST", "/v1/faults/cut/renew", "").await;
    refused.refused(KernelRefused, "it ends when it did before");
    assert!(api.fault("cut").await.lease_remaining_ms.unwrap() <= before);
}
