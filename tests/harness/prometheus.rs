//! The real Prometheus on a host of the lab.

use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::lab::{Host, Running};

/// A server takes seconds to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// On the loopback address of its host, until it is dropped.
pub struct Prometheus<'a> {
    server: Running,
    host: &'a Host,
}

impl<'a> Prometheus<'a> {
    /// With this configuration, and with its data in this directory. Paths in the configuration are relative to it.
    #[must_use]
    pub fn start(host: &'a Host, dir: &Path, config: &str) -> Self {
        let file = dir.join("prometheus.yml");
        std::fs::write(&file, config).expect("a file can be written");
        let arguments = [
            format!("--config.file={}", file.display()),
            format!("--storage.tsdb.path={}", dir.join("data").display()),
            "--web.listen-address=127.0.0.1:9090".to_owned(),
        ];
        let server = host.spawn("prometheus", &arguments.each_ref().map(String::as_str), Stdio::null());
        Self { server, host }
    }

    /// What it answers, once that is what is waited for.
    ///
    /// # Panics
    /// When it has ended, or that takes too long.
    pub fn until<T>(&mut self, what: &str, path: &str, mut found: impl FnMut(&Value) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            let answer = self.ask(path);
            if let Some(found) = found(&answer["data"]) {
                return found;
            }
            let ended = self.server.try_wait().expect("a child");
            assert!(ended.is_none(), "Prometheus has ended: {ended:?}");
            assert!(begun.elapsed() < PATIENCE, "no {what}; Prometheus says {answer}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Its answer to a query, which has to be one.
    pub fn query(&self, query: &str) -> Value {
        let answer = self.ask(&format!("query?query={}", percent(query)));
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        answer["data"]["result"].clone()
    }

    /// Nothing while it does not listen yet.
    fn ask(&self, path: &str) -> Value {
        let url = format!("http://127.0.0.1:9090/api/v1/{path}");
        self.host.run(|| get(&url)).unwrap_or_default()
    }
}

fn get(url: &str) -> Option<Value> {
    TcpStream::connect(("127.0.0.1", 9090)).ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let asked = async {
        let client = reqwest::Client::builder().no_proxy().build().ok()?;
        client.get(url).send().await.ok()?.json::<Value>().await.ok()
    };
    runtime.block_on(asked)
}

/// As in the query of a URL.
fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}
