//! Who is let in over TCP.

use harness::fake_agent::Options;
use partition_agent_proto::ProblemCode::Unauthorized;
use reqwest::header::{AUTHORIZATION, WWW_AUTHENTICATE};

use crate::client::{Api, LOSS, Reply};

const TOKEN: &str = "0123456789abcdef";

fn with_token() -> Api {
    Api::with(Options { token: Some(TOKEN), ..Options::default() })
}

#[tokio::test]
async fn over_tcp_every_route_takes_the_token() {
    let api = with_token();
    for (method, path) in [
        ("GET", "/v1/info"),
        ("GET", "/v1/clock"),
        ("GET", "/v1/faults"),
        ("PUT", "/v1/faults/cut"),
        ("DELETE", "/v1/faults"),
        ("GET", "/v1/events"),
        ("POST", "/v1/reach"),
        ("GET", "/v1/heard?round=1"),
        ("GET", "/healthz"),
        ("GET", "/metrics"),
        ("GET", "/openapi.json"),
        ("GET", "/nothing"),
    ] {
        let request = || api.request_tcp(method, path).body(LOSS);
        Reply::to(request()).await.refused(Unauthorized, "the request has no token");
        for wrong in
            ["Bearer 0123456789abcdeg", "Bearer 0123456789abcde", "Basic 0123456789abcdef", "", TOKEN]
        {
            let reply = Reply::to(request().header(AUTHORIZATION, wrong)).await;
            let problem = reply.refused(Unauthorized, "the token of the request is not that of this agent");
            assert!(problem.hint.unwrap().contains("--token-file"));
            assert!(!reply.body.contains(TOKEN), "{reply:?}");
        }
        api.assert_untouched(path).await;
    }
    let refused = api.request_tcp("GET", "/v1/clock").send().await.unwrap();
    assert_eq!(refused.headers()[WWW_AUTHENTICATE], "Bearer");
    let reply = Reply::to(api.request_tcp("PUT", "/v1/faults/cut").bearer_auth(TOKEN).body(LOSS)).await;
    assert_eq!(reply.status, 201, "{reply:?}");
}

#[tokio::test]
async fn the_unix_socket_takes_none() {
    let api = with_token();
    assert_eq!(api.get("/v1/clock").await.status, 200);
    assert_eq!(api.faults().await, []);
    assert_eq!(Reply::to(api.request("GET", "/v1/clock").bearer_auth("another")).await.status, 200);
}

#[tokio::test]
async fn without_a_token_loopback_takes_none() {
    let api = Api::start();
    assert_eq!(Reply::to(api.request_tcp("GET", "/v1/clock")).await.status, 200);
    assert_eq!(Reply::to(api.request_tcp("GET", "/v1/clock").bearer_auth(TOKEN)).await.status, 200);
}
