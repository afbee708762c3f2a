//! A server of HTTP, or of HTTPS, that gives one answer and remembers what it was asked.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Long enough for the slowest machine; a client that sends nothing has gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// Until it is dropped.
pub struct Server {
    pub port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Success, with this JSON.
    pub fn json(body: &str) -> Self {
        Self::start(answer("200 OK", body), None)
    }

    pub fn start(answer: String, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (asked, over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (log, end) = (Arc::clone(&asked), Arc::clone(&over));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if end.load(Ordering::SeqCst) {
                    return;
                }
                let stream = stream.unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                match &tls {
                    None => serve(stream, &answer, &log),
                    Some(config) => {
                        let tls = ServerConnection::new(Arc::clone(config)).unwrap();
                        serve(StreamOwned::new(tls, stream), &answer, &log);
                    }
                }
            }
        });
        Self { port, asked, over, thread: Some(thread) }
    }

    /// The only request that came, without its end.
    #[track_caller]
    pub fn only_request(&self) -> String {
        let asked = self.asked.lock().unwrap();
        let [request] = asked.as_slice() else { panic!("{asked:?}") };
        request.clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // Wakes it up; if it has ended already, its own panic has been printed.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

pub fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
}

/// One request a connection. A client may go away at any time, as one does that does not trust the server.
fn serve(mut stream: impl Read + Write, answer: &str, log: &Mutex<Vec<String>>) {
    let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(more) => request.extend_from_slice(&buffer[..more]),
        }
    }
    log.lock().unwrap().push(String::from_utf8(request).unwrap().trim_end().to_owned());
    let _ = stream.write_all(answer.as_bytes()).and_then(|()| stream.flush());
}
