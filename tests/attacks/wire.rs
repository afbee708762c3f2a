//! Bytes to an agent and back, without a library that would mend them.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use harness::fake_agent::FakeAgent;
use partition_agent_proto::Problem;

/// A hanging agent fails a test instead of holding up all of them. Longer than any bound of the agent.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Loses packets to one peer.
pub const LOSS: &str = r#"{"kinds":[{"loss":{"percent":30}}],"target":{"peers":["10.0.0.5"]}}"#;

/// All that comes back until the agent hangs up.
pub fn read_to_end(mut stream: impl Read) -> String {
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        // An agent that hangs up before it has read everything resets the connection, after its answer.
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
    }
    String::from_utf8(answer).unwrap()
}

pub fn tcp(agent: &FakeAgent) -> TcpStream {
    let stream = TcpStream::connect(agent.tcp).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

pub fn unix(agent: &FakeAgent) -> UnixStream {
    let stream = UnixStream::connect(&agent.socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Over TCP.
pub fn say(agent: &FakeAgent, bytes: impl AsRef<[u8]>) -> String {
    let mut stream = tcp(agent);
    // The agent may have hung up by now.
    let _ = stream.write_all(bytes.as_ref());
    read_to_end(stream)
}

/// A whole request that ends its connection. More headers end in `\r\n` each.
pub fn request(method: &str, path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n{headers}content-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
}

/// The status of an answer, the first of several.
pub fn status(answer: &str) -> u16 {
    let status = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
    status.and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("no answer: {answer:?}"))
}

/// How many answers came.
pub fn answers(all: &str) -> usize {
    all.matches("HTTP/1.1 ").count()
}

/// The refusal of an answer, in its one form.
pub fn problem(answer: &str) -> Problem {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    assert!(head.contains("content-type: application/problem+json"), "{answer}");
    assert!(!head.to_ascii_lowercase().contains("access-control"), "{answer}");
    let problem = serde_json::from_str::<Problem>(body).unwrap_or_else(|error| panic!("{error}: {answer}"));
    assert_eq!(problem.status, status(answer), "{answer}");
    problem
}

/// Nothing has come of it: no fault, and a kernel that was never asked.
pub fn assert_untouched(agent: &FakeAgent, after: &str) {
    let mut stream = unix(agent);
    stream.write_all(request("GET", "/v1/faults", "", "").as_bytes()).unwrap();
    let answer = read_to_end(stream);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n[]"), "{after}: {answer}");
    assert!(agent.is_untouched(), "{after}: {:?}", agent.world());
}
