//! How the tests talk to the agent.

use std::io::ErrorKind;
use std::time::Duration;

use harness::fake_agent::{FakeAgent, Options};
use partition_agent_proto::{FaultStatus, History, Problem, ProblemCode};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Method, RequestBuilder};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::openapi::assert_promised;

/// Loses packets: out of force means gone.
pub const LOSS: &str = r#"{"kinds":[{"loss":{"percent":30}}],"target":{"peers":["10.0.0.5"]}}"#;
/// Loses and delays packets: seven steps, and a moment in which the delayed ones arrive.
pub const BOTH: &str =
    r#"{"kinds":[{"loss":{"percent":30}},{"delay":{"latency":"10ms"}}],"target":{"peers":["10.0.0.5"]}}"#;

/// A fault on 10.0.0.5, with more than kinds.
pub fn fault(kinds: &str, more: &str) -> String {
    format!(r#"{{"kinds":[{kinds}],"target":{{"peers":["10.0.0.5"]}}{more}}}"#)
}

/// A hanging agent fails a test instead of holding up all of them.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// An agent of its own for each test, and a client on its unix socket.
pub struct Api {
    pub agent: FakeAgent,
    http: Client,
}

fn patient() -> reqwest::ClientBuilder {
    Client::builder().timeout(PATIENCE).no_proxy()
}

impl Api {
    pub fn start() -> Self {
        Self::with(Options::default())
    }

    pub fn with(options: Options) -> Self {
        let agent = FakeAgent::with(options);
        let http = patient().unix_socket(agent.socket.clone()).build().unwrap();
        Self { agent, http }
    }

    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.http.request(method, format!("http://localhost{path}"))
    }

    /// The same over TCP, where a body has to say what it is.
    pub fn request_tcp(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = patient().build().unwrap().request(method, format!("http://{}{path}", self.agent.tcp));
        request.header(CONTENT_TYPE, "application/json")
    }

    pub async fn send(&self, method: &str, path: &str, body: impl Into<reqwest::Body>) -> Reply {
        Reply::to(self.request(method, path).body(body)).await
    }

    /// Under a name, for the first time.
    pub async fn put(&self, id: &str, body: impl Into<reqwest::Body>) -> FaultStatus {
        self.send("PUT", &format!("/v1/faults/{id}"), body).await.json(201)
    }

    /// The same, without doing it: the plan.
    pub async fn plan(&self, body: impl Into<reqwest::Body>) -> String {
        let fault: FaultStatus = self.send("POST", "/v1/faults?dry_run=true", body).await.json(200);
        fault.plan.unwrap()
    }

    /// As it stands now.
    pub async fn fault(&self, id: &str) -> FaultStatus {
        self.get(&format!("/v1/faults/{id}")).await.json(200)
    }

    pub async fn get(&self, path: &str) -> Reply {
        Reply::to(self.request("GET", path)).await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        Reply::to(self.request("DELETE", path)).await
    }

    /// Bytes as they are, for what no client library would send; the answer is read until the agent hangs up.
    pub async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = UnixStream::connect(&self.agent.socket).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        let end = tokio::time::timeout(PATIENCE, read).await.expect("no end of the answer");
        // An agent that hangs up before it has read everything resets the connection, after its answer.
        assert!(!end.is_err_and(|error| error.kind() != ErrorKind::ConnectionReset));
        String::from_utf8(answer).unwrap()
    }

    pub async fn faults(&self) -> Vec<FaultStatus> {
        self.get("/v1/faults").await.json(200)
    }

    pub async fn history(&self) -> Vec<History> {
        self.get("/v1/history").await.json(200)
    }

    /// After a refusal: no fault, no history, and a kernel that was never asked.
    pub async fn assert_untouched(&self, after: &str) {
        assert_eq!(self.faults().await, [], "{after}");
        assert_eq!(self.history().await, [], "{after}");
        assert!(self.agent.is_untouched(), "{after}: {:?}", self.agent.world());
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub content_type: String,
    pub body: String,
}

impl Reply {
    /// One that the description of the API promises.
    pub async fn to(request: RequestBuilder) -> Self {
        let (http, request) = request.build_split();
        let request = request.unwrap();
        let (method, path) = (request.method().as_str().to_lowercase(), request.url().path().to_owned());
        let response = http.execute(request).await.unwrap();
        let status = response.status().as_u16();
        let content_type = response.headers().get(CONTENT_TYPE);
        let content_type = content_type.map(|value| value.to_str().unwrap().to_owned());
        let body = response.text().await.unwrap();
        let reply = Self { status, content_type: content_type.expect("a content type"), body };
        assert_promised(&method, &path, &reply);
        reply
    }

    /// The body, after the status that is expected.
    pub fn json<T: DeserializeOwned>(&self, status: u16) -> T {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.content_type, "application/json", "{self:?}");
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The refusal: of this kind, in its one form, with these words in its detail.
    pub fn refused(&self, code: ProblemCode, detail: &str) -> Problem {
        assert_eq!(self.content_type, "application/problem+json", "{self:?}");
        let problem = serde_json::from_str::<Problem>(&self.body).unwrap();
        assert_eq!((problem.code, problem.status), (code, code.status()), "{self:?}");
        assert_eq!(self.status, problem.status, "{self:?}");
        assert!(problem.kind.starts_with("urn:partition-agent:"), "{self:?}");
        assert!(!problem.title.is_empty(), "{self:?}");
        assert!(problem.detail.contains(detail), "no `{detail}` in: {}", problem.detail);
        problem
    }
}
