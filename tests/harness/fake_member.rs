//! What may answer where the agent of a fleet should: it says one thing to every question, and remembers all of them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

/// How it answers.
#[derive(Debug, Clone)]
pub enum Says {
    /// As JSON, to the two questions of a fleet view: the faults, and who it is.
    This { faults: String, info: String },
    /// The beginning of an answer that is larger than any, as fast as it is taken.
    TooMuch,
    /// The head of an answer, and a byte now and then.
    NoEnd,
    /// That somebody else has the answer.
    Elsewhere(String),
    /// These bytes.
    Bytes(Vec<u8>),
    /// What it was asked, with all headers.
    Echo,
}

/// On a listener, until it is dropped.
pub struct FakeMember {
    heard: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
}

impl FakeMember {
    #[must_use]
    pub fn on(listener: TcpListener, says: Says) -> Self {
        let (heard, stop) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let (hears, stopped) = (Arc::clone(&heard), Arc::clone(&stop));
        listener.set_nonblocking(true).expect("a listener");
        let serve = move || {
            while !stopped.load(Ordering::SeqCst) {
                let Ok((stream, _)) = listener.accept() else {
                    sleep(Duration::from_millis(5));
                    continue;
                };
                let (says, hears, stopped) = (says.clone(), Arc::clone(&hears), Arc::clone(&stopped));
                std::thread::spawn(move || answer(stream, &says, &hears, &stopped));
            }
        };
        Self { heard, stop, server: Some(std::thread::spawn(serve)) }
    }

    /// The heads of all requests so far.
    #[must_use]
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for FakeMember {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(server) = self.server.take() {
            // Its own panic has been printed.
            let _ = server.join();
        }
    }
}

/// One request, and the end of the connection.
fn answer(mut stream: TcpStream, says: &Says, heard: &Mutex<Vec<String>>, stop: &AtomicBool) {
    stream.set_nonblocking(false).expect("a stream");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a stream");
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            Ok(_) | Err(_) => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    heard.lock().unwrap_or_else(PoisonError::into_inner).push(head.clone());
    // Whoever has enough hangs up.
    let _ = say(&mut stream, says, &head, stop);
}

fn say(stream: &mut TcpStream, says: &Says, head: &str, stop: &AtomicBool) -> std::io::Result<()> {
    let json = |body: &str| {
        let length = body.len();
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        )
    };
    const ENDLESS: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n[";
    match says {
        Says::This { faults, info } => {
            let body = if head.starts_with("GET /v1/info ") { info } else { faults };
            stream.write_all(json(body).as_bytes())
        }
        Says::TooMuch => {
            stream.write_all(ENDLESS.as_bytes())?;
            let much = vec![b' '; 1 << 16];
            while !stop.load(Ordering::SeqCst) {
                stream.write_all(&much)?;
            }
            Ok(())
        }
        Says::NoEnd => {
            stream.write_all(ENDLESS.as_bytes())?;
            while !stop.load(Ordering::SeqCst) {
                stream.write_all(b" ")?;
                sleep(Duration::from_millis(50));
            }
            Ok(())
        }
        Says::Elsewhere(url) => stream.write_all(
            format!("HTTP/1.1 302 Found\r\nlocation: {url}\r\ncontent-length: 0\r\n\r\n").as_bytes(),
        ),
        Says::Bytes(bytes) => stream.write_all(bytes),
        Says::Echo => {
            let fault = serde_json::json!([{
                "id": "echo", "state": "active", "fault": head, "by": head, "remaining_ms": 60_000,
                "verdict": { "is": "inconclusive", "why": head }, "hits": {},
            }]);
            stream.write_all(json(&fault.to_string()).as_bytes())
        }
    }
}
