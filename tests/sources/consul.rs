//! Consul, against the answer that its API documentation shows for `/v1/catalog/service/:service`.

use crate::fleet::{refused, show, shown};
use crate::server::{Server, answer};

/// With every field of the documentation, also those that do not matter.
const SERVICE: &str = r#"[
  {
    "ID": "5d8f2c44-6a0f-0f43-9d5e-000000000001", "Node": "node-1", "Address": "192.168.10.10", "Datacenter": "dc1",
    "TaggedAddresses": {"lan": "192.168.10.10", "lan_ipv4": "192.168.10.10", "wan": "10.0.10.10", "wan_ipv4": "10.0.10.10"},
    "NodeMeta": {"rack": "r1", "consul-network-segment": "", "consul-version": "1.20.0"},
    "CreateIndex": 51, "ModifyIndex": 51,
    "ServiceAddress": "172.17.0.3", "ServiceEnableTagOverride": false, "ServiceID": "web-1", "ServiceName": "web",
    "ServicePort": 5000, "ServiceMeta": {"tier": "front"},
    "ServiceTaggedAddresses": {"lan": {"address": "172.17.0.3", "port": 5000}, "wan": {"address": "198.18.0.1", "port": 512}},
    "ServiceTags": ["prod"], "ServiceKind": "", "ServiceWeights": {"Passing": 1, "Warning": 1},
    "ServiceProxy": {"DestinationServiceName": "", "Upstreams": null}, "ServiceConnect": {"Native": false, "Proxy": null},
    "ServiceLocality": {"Region": "eu", "Zone": "eu-1a"}, "Namespace": "default"
  },
  {
    "ID": "5d8f2c44-6a0f-0f43-9d5e-000000000002", "Node": "node-2", "Address": "192.168.10.11", "Datacenter": "dc1",
    "TaggedAddresses": null, "NodeMeta": null, "ServiceAddress": "", "ServiceID": "web-2", "ServiceName": "web",
    "ServicePort": 5000, "ServiceMeta": {}, "ServiceTags": []
  }
]"#;

#[test]
fn nodes_of_a_service_are_hosts() {
    let server = Server::json(SERVICE);
    let fleet = shown(&format!("consul:http://127.0.0.1:{}/web?dc=dc1", server.port));
    assert_eq!(
        fleet.lines(),
        [
            "node-1 http://192.168.10.10:7433 192.168.10.10,172.17.0.3 datacenter=dc1 rack=r1 tier=front",
            "node-2 http://192.168.10.11:7433 192.168.10.11 datacenter=dc1",
        ]
    );
    assert_eq!(fleet.groups["prod"], ["node-1"]);
    let request = server.only_request();
    assert!(request.starts_with("GET /v1/catalog/service/web?dc=dc1 HTTP/1.1\r\n"), "{request}");
    assert!(!request.to_ascii_lowercase().contains("x-consul-token"), "{request}");
}

#[test]
fn the_token_of_the_environment_is_sent() {
    let server = Server::json(SERVICE);
    let source = format!("consul:http://127.0.0.1:{}/web", server.port);
    let token = "b1gs33cr3t-0000-0000-0000-000000000000";
    assert!(show(&source).env("CONSUL_HTTP_TOKEN", token).output().unwrap().status.success());
    let request = server.only_request().to_ascii_lowercase();
    assert!(request.contains(&format!("\r\nx-consul-token: {token}")), "{request}");
}

#[test]
fn a_refusal_and_an_unknown_service_are_told() {
    // What Consul answers where an ACL forbids it, and, for a name that nobody has registered, an empty list.
    for (answer, reason) in [
        (
            answer("403 Forbidden", "Permission denied: token with AccessorID lacks permission"),
            "403 Forbidden: Permission denied",
        ),
        (answer("200 OK", "[]"), "a fleet without hosts"),
        (answer("200 OK", r#"{"Node": "a"}"#), "this is no service of a catalogue"),
    ] {
        let server = Server::start(answer, None);
        let shown = show(&format!("consul:http://127.0.0.1:{}/web", server.port)).output().unwrap();
        let error = refused(&shown);
        assert!(error.contains(reason), "{error}");
    }
}
