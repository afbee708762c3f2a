//! Other agents through one of them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use harness::fake_agent::{FakeAgent, Options};
use partition_agent_proto::{FleetView, Hearing, HostView, Info, ProblemCode, State};
use serde_json::{Value, json};

use crate::client::{Api, BOTH, LOSS, PATIENCE};
use crate::schema::misfit;

/// An agent that shows these.
fn showing(members: &[SocketAddr]) -> Api {
    let hosts = members.iter().map(|at| format!("'{at}'")).collect::<Vec<_>>().join(", ");
    let access = format!("insecure_loopback = true\n[fleet]\nhosts = [{hosts}]\n");
    Api::with(Options { access, ..Options::default() })
}

/// Looks until it is so.
async fn until(api: &Api, what: &str, is_so: impl Fn(&[HostView]) -> bool) -> FleetView {
    let begun = Instant::now();
    loop {
        let view: FleetView = api.get("/v1/fleet").await.json(200);
        if is_so(&view.hosts) {
            return view;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: {view:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn answers(host: &HostView) -> bool {
    host.hearing == Hearing::Answers
}

#[tokio::test]
async fn faults_of_others_are_seen_as_they_come_and_go() {
    let (one, other) = (Api::start(), Api::start());
    let _ = one.put("cut", LOSS).await;
    // This one is among them.
    let api = showing(&[one.agent.tcp, other.agent.tcp]);
    let info: Info = api.get("/v1/info").await.json(200);
    assert_eq!(info.fleet, 2);
    let first: FleetView = api.get("/v1/fleet").await.json(200);
    assert!(first.hosts.iter().all(|host| host.hearing == Hearing::Asked && host.faults.is_empty()));
    assert_eq!(first.hosts[0].name, one.agent.tcp.to_string());

    let both = |hosts: &[HostView]| hosts.iter().all(|host| answers(host) && host.host.is_some());
    let view = until(&api, "both answer", both).await;
    let (fault, there) = (&view.hosts[0].faults[0], one.fault("cut").await);
    assert_eq!(
        (&fault.id, fault.state, &fault.fault, &fault.by),
        (&there.id, State::Active, &there.fault, &there.by)
    );
    assert_eq!((&fault.verdict, fault.hits), (&there.verdict, there.hits));
    assert!((1..=60_000).contains(&fault.remaining_ms), "{fault:?}");
    let uname = nix::sys::utsname::uname().unwrap();
    assert_eq!(view.hosts[1].host.as_deref(), uname.nodename().to_str());
    assert_eq!(view.hosts[1].version.as_deref(), Some(env!("CARGO_PKG_VERSION")));
    assert!(view.hosts[1].faults.is_empty());

    let _ = other.put("both", BOTH).await;
    one.delete("/v1/faults/cut").await;
    let moved = |hosts: &[HostView]| hosts[0].faults.is_empty() && hosts[1].faults.len() == 1;
    until(&api, "one has gone, and one has come", moved).await;

    // What it had is known until its kernel has ended it.
    let at = other.agent.tcp;
    drop(other);
    let refused = |host: &HostView| matches!(&host.hearing, Hearing::Silent { why, .. } if why.contains("Connection refused"));
    let view = until(&api, "it is silent", |hosts| refused(&hosts[1]) && answers(&hosts[0])).await;
    assert_eq!((view.hosts[1].name.clone(), view.hosts[1].faults.len()), (at.to_string(), 1));
}

#[tokio::test]
async fn an_agent_that_lets_it_in_no_more_says_so() {
    let guarded = FakeAgent::with(Options { token: Some("a-token-that-it-has-not"), ..Options::default() });
    let api = showing(&[guarded.tcp]);
    let view = until(&api, "it is refused", |hosts| matches!(hosts[0].hearing, Hearing::Silent { .. })).await;
    let Hearing::Silent { why, .. } = &view.hosts[0].hearing else { panic!("{view:?}") };
    assert_eq!(why, "it refuses: the request has no token");
}

#[tokio::test]
async fn without_a_fleet_there_is_nothing_to_see_and_what_to_do_is_said() {
    let api = Api::start();
    let info: Info = api.get("/v1/info").await.json(200);
    assert_eq!(info.fleet, 0);
    let problem = api.get("/v1/fleet").await.refused(ProblemCode::NoFleet, "names no fleet");
    assert!(problem.hint.unwrap().contains("`hosts` under [fleet] in /etc/partition-agent/agent.toml"));
}

#[tokio::test]
async fn what_is_seen_fits_the_document() {
    let one = Api::start();
    let _ = one.put("cut", LOSS).await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let api = showing(&[one.agent.tcp, nobody]);
    let document = serde_json::to_value(partition_agent_core::api::document()).unwrap();
    let schema = json!({"$ref": "#/components/schemas/FleetView"});
    for _ in 0..2 {
        let answer: Value = api.get("/v1/fleet").await.json(200);
        assert_eq!(misfit(&document, &schema, &answer), None, "{answer}");
        until(&api, "both are known", |hosts| hosts.iter().all(|host| host.hearing != Hearing::Asked)).await;
    }
    api.get("/v1/fleet?host=10.0.0.1").await.refused(ProblemCode::Invalid, "unknown field `host`");
}
