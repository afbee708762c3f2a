//! Two faults that shape the same packets: the newer one takes them, and the older one says so.

use partition_agent_proto::FaultStatus;

use crate::client::Api;

fn slow(target: &str, more: &str) -> String {
    format!(r#"{{"kinds":[{{"delay":{{"latency":"10ms"}}}}],"target":{target}{more}}}"#)
}

async fn shadowed_by(api: &Api, id: &str) -> Vec<String> {
    let one = api.fault(id).await.shadowed_by;
    let listed = api.faults().await.into_iter().find(|fault| fault.id.as_str() == id).unwrap();
    assert_eq!(one, listed.shadowed_by);
    one.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn the_newer_fault_takes_the_packets_until_it_is_over() {
    let api = Api::start();
    api.put("old", slow(r#"{"peers":["10.0.0.5"]}"#, "")).await;
    let new = api.put("new", slow(r#"{"peers":["10.0.0.0/24"]}"#, "")).await;
    assert_eq!(new.shadowed_by, []);
    assert_eq!(shadowed_by(&api, "old").await, ["new"]);
    assert_eq!(shadowed_by(&api, "new").await, [""; 0]);
    api.put("newest", slow(r#"{"all_traffic":true}"#, "")).await;
    assert_eq!(shadowed_by(&api, "old").await, ["new", "newest"]);
    assert_eq!(shadowed_by(&api, "new").await, ["newest"]);
    for id in ["new", "newest"] {
        let _: FaultStatus = api.delete(&format!("/v1/faults/{id}")).await.json(200);
    }
    assert_eq!(shadowed_by(&api, "old").await, [""; 0]);
}

#[tokio::test]
async fn of_losses_every_one_is_felt() {
    let api = Api::start();
    let loss = r#"{"kinds":[{"loss":{"percent":1}}],"target":{"peers":["10.0.0.5"]}}"#;
    api.put("slow", slow(r#"{"peers":["10.0.0.5"]}"#, "")).await;
    for id in ["a", "b"] {
        api.put(id, loss).await;
    }
    for id in ["a", "b", "slow"] {
        assert_eq!(shadowed_by(&api, id).await, [""; 0], "{id}");
    }
}

#[tokio::test]
async fn faults_without_a_packet_in_common_leave_each_other_alone() {
    let rows = [
        ((r#"{"peers":["10.0.0.5"]}"#, ""), (r#"{"peers":["10.0.0.6"]}"#, "")),
        ((r#"{"peers":["10.0.0.5:80"]}"#, ""), (r#"{"peers":["10.0.0.5:81-90"]}"#, "")),
        (
            (r#"{"peers":["10.0.0.5"]}"#, r#","direction":"egress""#),
            (r#"{"peers":["10.0.0.5"]}"#, r#","direction":"ingress""#),
        ),
        (
            (r#"{"peers":["10.0.0.5"]}"#, r#","interface":"eth0""#),
            (r#"{"peers":["10.0.0.5"]}"#, r#","interface":"eth1""#),
        ),
        ((r#"{"peers":["10.0.0.5"]}"#, ""), (r#"{"peers":["fd00::5"]}"#, "")),
        (
            (r#"{"peers":["10.0.0.5"],"protocol":"tcp"}"#, ""),
            (r#"{"peers":["10.0.0.5"],"protocol":"udp"}"#, ""),
        ),
        (
            (r#"{"peers":["10.0.0.5"]}"#, r#","scope":{"user":"1"}"#),
            (r#"{"peers":["10.0.0.5"]}"#, r#","scope":{"user":"2"}"#),
        ),
    ];
    for (old, new) in rows {
        let api = Api::start();
        api.agent.world().interfaces = vec!["eth0".to_owned(), "eth1".to_owned()];
        api.put("old", slow(old.0, old.1)).await;
        api.put("new", slow(new.0, new.1)).await;
        assert_eq!(shadowed_by(&api, "old").await, [""; 0], "{old:?} by {new:?}");
    }
}

#[tokio::test]
async fn ports_that_overlap_are_shared() {
    for (old, new) in [
        (r#"{"peers":["10.0.0.5:80-90"]}"#, r#"{"ports":[85]}"#),
        (r#"{"local_ports":[80]}"#, r#"{"peers":["10.0.0.5"]}"#),
        (r#"{"peers":["10.0.0.5"]}"#, r#"{"protocol":"udp"}"#),
    ] {
        let api = Api::start();
        api.put("old", slow(old, "")).await;
        api.put("new", slow(new, "")).await;
        assert_eq!(shadowed_by(&api, "old").await, ["new"], "{old} by {new}");
    }
}

#[tokio::test]
async fn a_fault_that_waits_for_its_start_takes_nothing_yet() {
    let api = Api::start();
    api.put("old", slow(r#"{"peers":["10.0.0.5"]}"#, "")).await;
    api.put("new", slow(r#"{"peers":["10.0.0.5"]}"#, r#","start_in":"1h""#)).await;
    assert_eq!(shadowed_by(&api, "old").await, [""; 0]);
}
