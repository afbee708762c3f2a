//! Two agents of one fleet: on `app`, and on `redis`, where it answers on IPv4 and IPv6.

use std::io::Write;

use harness::agent::Agent;
use harness::lab::{Host, Lab};
use tempfile::NamedTempFile;

pub struct Fleet {
    /// On `app`.
    pub a: Agent,
    /// On `redis`.
    pub b: Agent,
    /// The one of both.
    pub token: NamedTempFile,
}

impl Fleet {
    pub fn start(lab: &Lab) -> Self {
        let mut token = NamedTempFile::new().expect("a file");
        token.write_all(b"the-token-of-two-agents\n").expect("a file can be written");
        let start = |host: &Host, listen: &str| {
            Agent::start(host, &format!("listen = '{listen}'\ntoken_file = '{}'\n", token.path().display()))
        };
        let (a, b) = (start(&lab.app, "0.0.0.0:7433"), start(&lab.redis, "[::]:7433"));
        Self { a, b, token }
    }
}
