//! As much of Grafana as annotations need, with the answers that its HTTP API is documented to give.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

pub const TOKEN: &str = "glsa_0123456789abcdef";

/// Until the test is over.
#[derive(Clone)]
pub struct Grafana {
    pub url: String,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    annotations: Vec<Value>,
    out_of_order: bool,
}

impl Grafana {
    /// On the loopback address of whoever calls, below a path, as behind a proxy.
    ///
    /// # Panics
    /// Without a free port.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("a bound address").port();
        let grafana = Self { url: format!("http://127.0.0.1:{port}/grafana/"), shared: Arc::default() };
        let shared = Arc::clone(&grafana.shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&shared);
                // A client may go away at any time.
                std::thread::spawn(move || while answer(&stream, &shared).is_some() {});
            }
        });
        grafana
    }

    /// As `GET /api/annotations` lists them.
    #[must_use]
    pub fn annotations(&self) -> Vec<Value> {
        self.lock().annotations.clone()
    }

    /// Whether it answers everything with an error.
    pub fn break_down(&self, out_of_order: bool) {
        self.lock().out_of_order = out_of_order;
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request of a connection; none where there is no other.
fn answer(mut stream: &TcpStream, shared: &Mutex<Shared>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_ascii_lowercase()),
        }
    }
    let header = |name: &str| lines.iter().find_map(|line| line.strip_prefix(name));
    let length = header("content-length: ").map_or(0, |length| length.parse().expect("a length"));
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let lets_in = header("authorization: ") == Some(&format!("bearer {TOKEN}"));
    let [method, target, _version] = lines[0].split(' ').collect::<Vec<_>>()[..] else { return None };
    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    let (status, told) = if !lets_in {
        ("401 Unauthorized", json!({"message": "Invalid API key"}))
    } else if shared.out_of_order {
        ("503 Service Unavailable", json!({"message": "database is locked"}))
    } else {
        shared.does(method, target, &serde_json::from_slice(&body).unwrap_or_default())
    };
    let told = told.to_string();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        told.len()
    );
    stream.write_all(format!("{head}{told}").as_bytes()).ok()
}

impl Shared {
    fn does(&mut self, method: &str, target: &str, body: &Value) -> (&'static str, Value) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        match (method, path.strip_prefix("/grafana/api/annotations")) {
            ("get", Some("")) => {
                let found = self.annotations.iter().filter(|one| matches(one, query)).cloned().collect();
                ("200 OK", Value::Array(found))
            }
            ("post", Some("")) => {
                let mut one = body.clone();
                one["id"] = (self.annotations.len() + 1).into();
                self.annotations.push(one.clone());
                ("200 OK", json!({"message": "Annotation added", "id": one["id"]}))
            }
            ("patch", Some(number)) => {
                let number = number.trim_start_matches('/').parse::<u64>().ok();
                match self.annotations.iter_mut().find(|one| one["id"].as_u64() == number) {
                    Some(one) => {
                        one["timeEnd"] = body["timeEnd"].clone();
                        ("200 OK", json!({"message": "Annotation patched"}))
                    }
                    None => ("404 Not Found", json!({"message": "Could not find annotation"})),
                }
            }
            _ => ("404 Not Found", json!({"message": "Not found"})),
        }
    }
}

/// All tags, and a time between.
fn matches(one: &Value, query: &str) -> bool {
    let tags = one["tags"].as_array().cloned().unwrap_or_default();
    query.split('&').filter_map(|pair| pair.split_once('=')).all(|(name, value)| match name {
        "tags" => tags.iter().any(|tag| tag.as_str().is_some_and(|tag| tag.eq_ignore_ascii_case(value))),
        "from" => one["time"].as_i64() >= value.parse().ok(),
        "to" => one["time"].as_i64() <= value.parse().ok(),
        _ => true,
    })
}
