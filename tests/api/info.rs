//! What an agent tells of itself, and what it can reach.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use harness::fake_agent::Options;
use partition_agent_core::resolve::Peers;
use partition_agent_proto::{
    Check, FaultSpec, FaultStatus, Info, KEEP_HEADER, ProbeReply, ProblemCode, Role, Whoami,
};

use crate::client::{Api, LOSS, Reply};

#[tokio::test]
async fn info_tells_version_kernel_clock_and_features() {
    let api = Api::start();
    let before: Info = api.get("/v1/info").await.json(200);
    assert_eq!((before.version.as_str(), before.pid), (env!("CARGO_PKG_VERSION"), std::process::id()));
    assert_eq!(before.kernel, nix::sys::utsname::uname().unwrap().release().to_str().unwrap());
    assert_eq!(before.features[0].name, "fake");
    assert_eq!(before.faults, 0);
    let _: FaultStatus = api.send("POST", "/v1/faults", LOSS).await.json(201);
    let after: Info = api.get("/v1/info").await.json(200);
    assert_eq!(after.faults, 1);
    assert!(after.clock.boot_ns > before.clock.boot_ns && after.clock.wall.ends_with('Z'), "{after:?}");
}

#[tokio::test]
async fn a_caller_is_told_who_they_are() {
    let api = Api::start();
    let me: Whoami = api.get("/v1/whoami").await.json(200);
    assert_eq!(me.role, Role::Admin);
    assert!(me.by.starts_with(&format!("uid {} (pid ", nix::unistd::getuid())), "{me:?}");
    let me: Whoami = Reply::to(api.request_tcp("GET", "/v1/whoami")).await.json(200);
    assert!(me.role == Role::Admin && me.by.starts_with("127.0.0.1:"), "{me:?}");
    api.get("/v1/whoami?who=else").await.refused(ProblemCode::Invalid, "unknown field `who`");
}

#[tokio::test]
async fn faults_are_told_in_words_too_and_so_is_the_host() {
    let api = Api::start();
    let words = serde_json::from_str::<FaultSpec>(LOSS).unwrap().to_string();
    assert_eq!(api.put("a", LOSS).await.fault, words);
    assert_eq!(api.faults().await[0].fault, words);
    api.delete("/v1/faults/a").await;
    assert_eq!(api.history().await[0].fault, words);
    let info: Info = api.get("/v1/info").await.json(200);
    assert_eq!(info.host, nix::sys::utsname::uname().unwrap().nodename().to_str().unwrap());
}

#[tokio::test]
async fn info_tells_which_faults_can_be_had_where_and_by_what() {
    for without_netem in [false, true] {
        let api = Api::start();
        api.agent.world().without_netem = without_netem;
        let info: Info = api.get("/v1/info").await.json(200);
        let row = |kind: &str, scope: &str, engine: &str| {
            let mut rows = info
                .coverage
                .iter()
                .filter(|row| row.kind.contains(kind) && row.scope.contains(scope) && row.engine == engine);
            let row = rows
                .next()
                .unwrap_or_else(|| panic!("no {kind} in {scope} by {engine}: {:?}", info.coverage));
            row.why_not.clone()
        };
        for scope in
            ["host", "interface", "netns", "container", "label", "compose", "pod", "unit", "cgroup", "user"]
        {
            for (kind, engine) in [
                ("loss 100%", "nftables"),
                ("loss below 100%", "nftables"),
                ("reject", "nftables"),
                ("dns", "forwarder"),
                ("flows", "nftables"),
            ] {
                assert_eq!(row(kind, scope, engine), None, "{kind} in {scope}");
            }
            for kind in [
                "latency",
                "rate",
                "slot",
                "duplicate",
                "corrupt",
                "reorder",
                "correlated loss",
                "loss-gemodel",
            ] {
                assert_eq!(row(kind, scope, "emulator"), None, "{kind} in {scope}");
                let netem = row(kind, scope, "netem");
                assert_eq!(netem.is_some(), without_netem, "{kind} in {scope}: {netem:?}");
                assert!(netem.is_none_or(|why| why.contains("netem")));
            }
        }
        assert_eq!(row("reset", "host", "sock_diag"), None);
        assert_eq!(row("reset", "user", "sock_diag"), None);
        assert!(row("reset", "cgroup", "sock_diag").unwrap().contains("control group"));
        let missing = info.features.iter().any(|feature| matches!(feature.check, Check::Missing { .. }));
        assert_eq!(missing, without_netem);
    }
}

#[tokio::test]
async fn history_shows_as_many_as_asked() {
    let api = Api::start();
    for id in ["a", "b", "c"] {
        let _: FaultStatus = api.send("PUT", &format!("/v1/faults/{id}"), LOSS).await.json(201);
        let _: FaultStatus = api.delete(&format!("/v1/faults/{id}")).await.json(200);
    }
    for (limit, shown) in [(0, 0), (2, 2), (3, 3), (usize::MAX, 3)] {
        let over: Vec<serde_json::Value> = api.get(&format!("/v1/history?limit={limit}")).await.json(200);
        assert_eq!(over.len(), shown, "limit {limit}");
    }
    let newest: Vec<serde_json::Value> = api.get("/v1/history?limit=1").await.json(200);
    assert_eq!(newest[0]["id"], "c");
}

async fn probe(api: &Api, to: &str) -> ProbeReply {
    api.send("POST", "/v1/probe", format!(r#"{{"to":"{to}","timeout":"10s"}}"#)).await.json(200)
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[tokio::test]
async fn a_probe_connects_to_a_listener() {
    let (_listener, address) = listener();
    let peers = Peers::from([("db".to_owned(), vec![address.to_string().parse().unwrap()])]);
    let api = Api::with(Options { peers, ..Options::default() });
    for to in [address.to_string(), format!("localhost:{}", address.port()), "db".to_owned()] {
        let reply = probe(&api, &to).await;
        assert!(reply.connected, "{to}: {reply:?}");
        assert_eq!((reply.address, reply.error), (address.to_string(), None), "{to}");
    }
}

#[tokio::test]
async fn a_probe_of_a_closed_port_says_why_not() {
    let (listener, address) = listener();
    drop(listener);
    let reply = probe(&Api::start(), &address.to_string()).await;
    assert!(!reply.connected);
    assert!(reply.error.unwrap().contains("refused"));
}

#[tokio::test]
async fn over_tcp_a_fault_spares_the_connection_that_asked_for_it() {
    let api = Api::start();
    let fault: FaultStatus = Reply::to(api.request_tcp("PUT", "/v1/faults/cut").body(LOSS)).await.json(201);
    assert!(fault.by.starts_with("127.0.0.1:"), "{}", fault.by);
    let kept = format!("your connection from {} to local port {}", fault.by, api.agent.tcp.port());
    assert_eq!(fault.protects.last(), Some(&kept));
    assert_eq!(api.faults().await.len(), 1);
}

#[tokio::test]
async fn the_callers_ssh_connection_is_spared_too() {
    let api = Api::start();
    let keep = [("a", "192.0.2.7 51234 192.0.2.1 2222"), ("b", "2001:db8::7 51234 2001:db8::1 2222")];
    for (id, words) in keep {
        let request = api.request("PUT", &format!("/v1/faults/{id}")).header(KEEP_HEADER, words).body(LOSS);
        let fault: FaultStatus = Reply::to(request).await.json(201);
        let client = words.split(' ').next().unwrap();
        let kept = fault.protects.last().unwrap();
        assert!(kept.contains(client) && kept.ends_with("51234 to local port 2222"), "{kept}");
        let one: FaultStatus = api.get(&format!("/v1/faults/{id}")).await.json(200);
        assert!(one.plan.unwrap().contains(client));
    }
}

#[tokio::test]
async fn a_probe_that_makes_no_sense_is_refused() {
    let api = Api::start();
    for (body, code, detail) in [
        (r#"{"to":"127.0.0.1"}"#, ProblemCode::Invalid, "`127.0.0.1` has no single port"),
        (r#"{"to":"127.0.0.1:1","timeout":"31s"}"#, ProblemCode::Invalid, "31s is too long"),
        (r#"{"to":"127.0.0.1:1","timeout":"0s"}"#, ProblemCode::Invalid, "0s is out of range"),
        (r#"{"to":"127.0.0.1:1","retries":2}"#, ProblemCode::Invalid, "`retries`"),
        (r#"{"to":""}"#, ProblemCode::Invalid, "an empty peer"),
        (r#"{}"#, ProblemCode::Invalid, "`to`"),
        (r#"{"to":"no-such-host.invalid:80"}"#, ProblemCode::UnknownName, "`no-such-host.invalid`"),
    ] {
        api.send("POST", "/v1/probe", body).await.refused(code, detail);
    }
}

#[tokio::test]
async fn a_probe_of_a_network_is_refused() {
    let (_listener, address) = listener();
    let body = format!(r#"{{"to":"127.0.0.0/8:{}"}}"#, address.port());
    Api::start().send("POST", "/v1/probe", body).await.refused(ProblemCode::Invalid, "127.0.0.0/8");
}
