//! Where a fault acts: what is found, what is not, and what changes meanwhile.

use harness::fake_agent::Options;
use partition_agent_proto::EventKind::{Followed, Injected};
use partition_agent_proto::ProblemCode::{Invalid, UnknownName};
use partition_agent_proto::{FaultStatus, State};

use crate::client::{Api, LOSS, fault};
use crate::engine::Engine;
use crate::events::Events;

fn scoped(scope: &str) -> String {
    fault(r#"{"loss":{"percent":30}}"#, &format!(r#","scope":{scope}"#))
}

#[tokio::test]
async fn a_scope_that_is_not_there_is_named_with_what_there_is_and_what_to_write() {
    let engine = Engine::start(&["10.0.0.7"]);
    let api = Api::with(Options { engines: engine.engines(), ..Options::default() });
    let long = format!(r#"{{"netns":"{}"}}"#, "a".repeat(256));
    for (scope, found, advice) in [
        (
            r#"{"container":"nope"}"#,
            "no running container nope: running are: shop_redis_0",
            "write a name, an id",
        ),
        (r#"{"label":"nope"}"#, "labels of running containers are: com.docker.compose.project", "key=value"),
        (
            r#"{"label":"com.docker.compose.service=web"}"#,
            "com.docker.compose.service=redis",
            "write one of those",
        ),
        (r#"{"compose":"shop/web"}"#, "running services of shop are: redis", "write one of those"),
        (r#"{"compose":"blog/web"}"#, "running projects are: shop", "write project/service"),
        (r#"{"netns":"no-such-netns"}"#, "no netns no-such-netns: No such file", "pid:N"),
        (r#"{"netns":"/nonexistent/netns"}"#, "no netns /nonexistent/netns: No such file", "absolute path"),
        (r#"{"netns":"/etc/passwd/netns"}"#, "Not a directory", "absolute path"),
        (&long, "File name too long", "absolute path"),
        (r#"{"netns":"/etc/passwd"}"#, "/etc/passwd is no network namespace", "write one of those names"),
        // One more than the highest there can be.
        (r#"{"netns":"pid:4194305"}"#, "no netns pid:4194305", "pid:N"),
        (r#"{"user":"no-such-user"}"#, "no user `no-such-user`", "or a number"),
    ] {
        for (method, path) in
            [("POST", "/v1/faults"), ("PUT", "/v1/faults/cut"), ("POST", "/v1/faults?dry_run=true")]
        {
            let problem = api.send(method, path, scoped(scope)).await.refused(UnknownName, found);
            let advised =
                problem.detail.contains(advice) || problem.hint.is_some_and(|hint| hint.contains(advice));
            assert!(advised, "no `{advice}`: {}", problem.detail);
            api.assert_untouched(scope).await;
        }
    }
}

#[tokio::test]
async fn control_groups_that_are_not_there_are_refused_on_every_host() {
    let api = Api::start();
    for (scope, named) in [
        (r#"{"cgroup":"/no-such-group"}"#, "cgroup /no-such-group"),
        (r#"{"unit":"no-such-unit.service"}"#, "unit no-such-unit.service"),
        (r#"{"unit":"no-such-unit"}"#, "unit no-such-unit"),
        (r#"{"pod":"no-such-pod"}"#, "pod no-such-pod"),
    ] {
        for path in ["/v1/faults/cut", "/v1/faults/cut?dry_run=true"] {
            let reply = api.send("PUT", path, scoped(scope)).await;
            assert!((400..500).contains(&reply.status), "{scope}: {reply:?}");
            reply.refused(UnknownName, named);
            api.assert_untouched(scope).await;
        }
    }
}

#[tokio::test]
async fn the_root_of_the_control_groups_is_no_scope() {
    let api = Api::start();
    let reply = api.send("PUT", "/v1/faults/cut", scoped(r#"{"cgroup":"/"}"#)).await;
    // A host without version 2 of control groups has no root of them either.
    if std::fs::read_to_string("/proc/self/mounts").unwrap().contains(" cgroup2 ") {
        reply.refused(Invalid, "it is the root of the tree and holds every process");
    } else {
        assert!((400..500).contains(&reply.status), "{reply:?}");
    }
    api.assert_untouched("/").await;
}

#[tokio::test]
async fn without_a_container_engine_the_sockets_that_were_tried_are_named() {
    let sockets = vec!["/nonexistent/docker.sock".into()];
    let engines = partition_agent_core::scope::Engines { sockets };
    let api = Api::with(Options { engines, ..Options::default() });
    for scope in [r#"{"container":"web"}"#, r#"{"label":"a=b"}"#, r#"{"compose":"shop/web"}"#] {
        let refused = api.send("PUT", "/v1/faults/cut", scoped(scope)).await;
        let problem = refused.refused(UnknownName, "no container engine answered (/nonexistent/docker.sock");
        assert!(problem.detail.contains("start Docker or Podman"), "{}", problem.detail);
        api.assert_untouched(scope).await;
    }
}

#[tokio::test]
async fn a_scope_whose_argument_cannot_be_one_says_what_to_write() {
    let api = Api::start();
    for (scope, detail) in [
        (r#"{"netns":""}"#, "`` is no netns: write a name, an absolute path, or pid:1234"),
        (r#"{"netns":"../blue"}"#, "`../blue` is no netns"),
        (r#"{"netns":"pid:x"}"#, "`pid:x` is no netns: write pid:1234"),
        (r#"{"netns":"pid:-1"}"#, "`pid:-1` is no netns: write pid:1234"),
        (r#"{"netns":"a\nb"}"#, "one line of at most 4096 bytes"),
        (r#"{"container":""}"#, "`` is no container: write a name"),
        (r#"{"label":""}"#, "`` is no label: write a name"),
        (r#"{"compose":"redis"}"#, "`redis` is no compose: write project/service"),
        (r#"{"compose":"/redis"}"#, "write project/service"),
        (r#"{"compose":"shop/"}"#, "write project/service"),
        (r#"{"pod":""}"#, "`` is no pod: write a name"),
        (r#"{"cgroup":"redis"}"#, "write a path such as /system.slice/redis.service"),
        (r#"{"cgroup":"/../x"}"#, "write a path such as /system.slice/redis.service"),
        (r#"{"unit":"a/b"}"#, "write a unit such as redis.service"),
        (r#"{"unit":""}"#, "`` is no unit: write a name"),
        (r#"{"user":"a\u0000b"}"#, "one line of at most 4096 bytes"),
        (r#"{"user":""}"#, "`` is no user: write a name"),
        (r#""container""#, "expected newtype variant"),
        (r#""everywhere""#, "unknown variant `everywhere`"),
        (r#"{"user":7}"#, "integer `7`"),
        ("null", "expected value"),
    ] {
        api.send("PUT", "/v1/faults/cut", scoped(scope)).await.refused(Invalid, detail);
        api.assert_untouched(scope).await;
    }
    // JSON, though no scope.
    api.send("PUT", "/v1/faults/cut", scoped(r#"{"container":"a","netns":"b"}"#))
        .await
        .refused(Invalid, "expected");
    let long = format!(r#"{{"user":"{}"}}"#, "a".repeat(4097));
    api.send("PUT", "/v1/faults/cut", scoped(&long)).await.refused(Invalid, "at most 4096 bytes");
}

#[tokio::test]
async fn packets_of_a_user_are_marked_where_their_owner_is_known() {
    let api = Api::start();
    for (user, number) in [("nobody", 65534), ("4321", 4321)] {
        let plan = api.plan(scoped(&format!(r#"{{"user":"{user}"}}"#))).await;
        assert!(plan.contains(&format!("meta skuid {number} ip daddr @f")), "{plan}");
        assert!(plan.contains("meta mark set meta mark | 0x1000000"), "{plan}");
        assert!(plan.contains("meta mark & 0x1000000 != 0 jump f"), "{plan}");
        // What comes in is known by what went out.
        assert!(plan.contains("_learn") && plan.contains("timeout 300s }"), "{plan}");
    }
    let status = api.put("theirs", scoped(r#"{"user":"nobody"}"#)).await;
    assert_eq!(status.spec.scope, partition_agent_proto::Scope::User("nobody".to_owned()));
    assert_eq!(status.places[0].name, "host");
}

#[tokio::test]
async fn each_fault_on_processes_has_a_bit_of_its_own_and_there_are_eight() {
    let api = Api::start();
    for nth in 0..8 {
        let status = api.put(&format!("f{nth}"), scoped(r#"{"user":"nobody"}"#)).await;
        assert_eq!(status.state, State::Active);
        let plan = api.fault(&format!("f{nth}")).await.plan.unwrap();
        assert!(plan.contains(&format!("meta mark set meta mark | {:#x}\n", 1_u32 << (24 + nth))), "{plan}");
    }
    let ninth = api.send("PUT", "/v1/faults/f8", scoped(r#"{"user":"nobody"}"#)).await;
    ninth.refused(Invalid, "all 8 bits of the packet mark");
    assert_eq!(api.faults().await.len(), 8);
    let _: FaultStatus = api.delete("/v1/faults/f3").await.json(200);
    api.put("f8", scoped(r#"{"user":"nobody"}"#)).await;
    assert!(api.fault("f8").await.plan.unwrap().contains("| 0x8000000\n"));
}

#[tokio::test]
async fn the_host_is_the_scope_that_is_meant_without_one() {
    let api = Api::start();
    api.put("cut", scoped(r#""host""#)).await;
    let same: FaultStatus =
        api.send("PUT", "/v1/faults/cut", fault(r#"{"loss":{"percent":30}}"#, "")).await.json(200);
    assert_eq!(same.places[0].name, "host");
    assert_eq!(same.spec, serde_json::from_str(LOSS).unwrap());
}

#[tokio::test]
async fn the_containers_of_a_service_are_followed_and_that_is_told() {
    let engine = Engine::start(&["10.0.0.7"]);
    let api = Api::with(Options { engines: engine.engines(), ..Options::default() });
    let mut events = Events::begin(&api).await;
    let body = r#"{"kinds":[{"loss":{"percent":100}}],"target":{"peers":["compose:shop/redis:6379"]}}"#;
    let status = api.put("cut", body).await;
    assert_eq!(status.first_addresses, ["10.0.0.7:6379"]);
    assert_eq!(events.next().await.kind, Injected);

    engine.addresses.lock().unwrap().push("10.0.0.8".to_owned());
    let followed = events.next().await;
    assert_eq!(followed.kind, Followed, "{followed:?}");
    assert!(followed.text.contains("2 addresses"), "{}", followed.text);
    let now = api.fault("cut").await;
    assert_eq!(now.first_addresses, ["10.0.0.7:6379", "10.0.0.8:6379"]);
    let plan = now.plan.unwrap();
    assert!(plan.contains("10.0.0.8 . tcp . 6379"), "{plan}");
    assert_eq!(now.spec, status.spec);
    let again: FaultStatus = api.send("PUT", "/v1/faults/cut", body).await.json(200);
    assert_eq!(again.addresses, 2);

    // A service that has gone keeps the addresses that it had.
    engine.addresses.lock().unwrap().clear();
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    assert_eq!(api.fault("cut").await.addresses, 2);
}
